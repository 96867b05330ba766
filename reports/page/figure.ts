// The figure of one chart: its finding, its place, how to read it, its table and downloads; and what the page's script
// needs to draw it.
import { type Chart, type ChartSpec, type ChartTable, isAbsent } from '../charts/chart.ts';
import { type Html, html } from '../html.ts';
import { unbroken } from '../numbers.ts';
import { toVega } from '../render.ts';
import { sharedParts } from './shared.ts';

/** Rows of one shape: names once. Rows that differ in shape stay as they are. */
type PackedRows = { fields: string[]; rows: unknown[][] } | readonly object[];

/** The rows of a table, or the columns of a dataset that they are, by their place. */
type PackedTable = unknown[][] | { dataset: string; columns: number[] };

/** What is drawn and listed when one of several things is picked. */
interface PackedChoice {
  id: string;
  label: string;
  title: string;
  datasets: Record<string, PackedRows>;
  rows: PackedTable;
}

/** What the page's script needs to draw one chart, keyed by its element's `data-chart`. */
interface PackedChart {
  vega: unknown;
  vegaLite: unknown;
  datasets: Record<string, PackedRows>;
  columns: string[];
  rows: PackedTable;
  choices?: PackedChoice[];
}

/** The charts of one page, filled as its figures are made. */
export type Payload = Record<string, PackedChart>;

/** As many digits as a chart can show; result.json keeps them all. */
const shortened = (value: unknown): unknown =>
  typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;

function packedRows(rows: readonly object[]): PackedRows {
  const fields = Object.keys(rows[0] ?? {});
  const shape = fields.join('\n');
  if (rows.length < 2 || rows.some(row => Object.keys(row).join('\n') !== shape)) return rows;
  return { fields, rows: rows.map(row => Object.values(row).map(shortened)) };
}

const packed = (datasets: ChartSpec['datasets']): Record<string, PackedRows> =>
  Object.fromEntries(Object.entries(datasets).map(([name, rows]) => [name, packedRows(rows)]));

/** A table that shows a dataset, or a part of its columns, is not said twice. */
function packedTable(rows: ChartTable['rows'], datasets: Record<string, PackedRows>): PackedTable {
  const cells = rows.map(row => row.map(shortened));
  const width = rows[0]?.length ?? 0;
  for (const [dataset, data] of Object.entries(datasets)) {
    if (!('fields' in data) || data.rows.length !== cells.length) continue;
    const columns = Array.from({ length: width }, (_, column) =>
      data.fields.findIndex((_, field) => cells.every((row, i) => row[column] === data.rows[i]![field])),
    );
    if (columns.every(field => field >= 0)) return { dataset, columns };
  }
  return cells;
}

/** Charts over the time of the run have these; see charts/panels.ts. */
const isOverTime = ({ params }: ChartSpec): boolean =>
  Array.isArray(params) && params.some(({ name }) => name === 'fromMs');

const zoomBar = html`<div class="zoom" role="group" aria-label="Stretch of time, for all charts over time">
  <button type="button" data-zoom="in" title="Half the time">+<span class="sr">Zoom in</span></button>
  <button type="button" data-zoom="out" title="Twice the time">−<span class="sr">Zoom out</span></button>
  <button type="button" data-zoom="earlier" title="Earlier">◀<span class="sr">Earlier</span></button>
  <button type="button" data-zoom="later" title="Later">▶<span class="sr">Later</span></button>
  <button type="button" data-zoom="all">Whole run</button>
  <span class="note" role="status"></span>
</div>`;

const picker = (count: number): Html => html`<div class="picker" role="group" aria-label="Pick what is shown">
  <label>Find <input type="search" placeholder="name or state"></label>
  <label>Show <select></select></label>
  <button type="button" data-step="-1">◀<span class="sr">One before</span></button>
  <button type="button" data-step="1">▶<span class="sr">Next one</span></button>
  <span class="note" role="status">${count} to pick from</span>
</div>`;

/** All that the page's script draws from: charts by id, with parts of their specs that are alike in a list of their own. */
export function packedCharts(payload: Payload): { charts: Payload; parts: unknown[] } {
  const charts = Object.entries(payload);
  const { values, parts } = sharedParts(charts.flatMap(([, { vega, vegaLite }]) => [vega, vegaLite]));
  return {
    charts: Object.fromEntries(
      charts.map(([id, chart], i) => [id, { ...chart, vega: values[2 * i], vegaLite: values[2 * i + 1] }]),
    ),
    parts,
  };
}

/** The figure of one chart, and its share of the payload. */
export function figure<Input>(chart: Chart<Input>, input: Input, key: string, payload: Payload): Html {
  const id = `${key}-${chart.id}`;
  const title = unbroken(chart.title(input));
  const drawn = chart.spec(input);
  if (isAbsent(drawn)) {
    return html`<figure class="chart absent" id="${id}" aria-labelledby="${id}-title">
      <h3 id="${id}-title">${title}</h3>
      <p class="absent">Not drawn: ${drawn.absent}.</p>
    </figure>`;
  }
  const { datasets, ...vegaLite } = drawn;
  const { columns, rows } = chart.table(input);
  const choices = chart.choices?.(input) ?? [];
  const data = packed(datasets);
  payload[id] = {
    vega: toVega({ ...vegaLite, datasets: {} }),
    vegaLite,
    datasets: choices.length > 1 ? {} : data,
    columns,
    rows: choices.length > 1 ? [] : packedTable(rows, data),
    ...(choices.length > 1
      ? {
          choices: choices.map(choice => {
            const own = packed(choice.datasets);
            return {
              ...choice,
              title: unbroken(choice.title),
              datasets: own,
              rows: packedTable(choice.rows, own),
            };
          }),
        }
      : {}),
  };
  return html`<figure class="chart" id="${id}" data-chart="${id}" role="figure" aria-labelledby="${id}-title" tabindex="-1">
    <h3 id="${id}-title">${title}</h3>
    ${choices.length > 1 && picker(choices.length)}
    ${isOverTime(drawn) && zoomBar}
    <div class="plot"></div>
    <div class="foot">
      <details class="how"><summary>How to read this</summary><p>${chart.howToRead}</p></details>
      <details class="data"><summary>Data table</summary><div class="scroll" role="group" aria-label="Data table"></div></details>
      <div class="downloads" role="group" aria-label="Download and link">
        <button type="button" data-download="csv">CSV</button>
        <button type="button" data-download="svg">SVG</button>
        <button type="button" data-download="png">PNG</button>
        <button type="button" data-download="spec">Vega-Lite</button>
        <button type="button" data-link title="Copy a link to this chart">Link</button>
      </div>
    </div>
  </figure>`;
}
