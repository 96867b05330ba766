// The report page: one file, offline, any number of runs. Text and tables are plain HTML, readable without a script;
// charts are drawn when they come into view.
//
//   results ─▶ charts: title, spec, table ─▶ sections (HTML) + payload (specs, data; packed) ─▶ one file
import type { RunResult } from '../scenarios/formats/result.ts';
import type { ValidationResult } from '../scenarios/formats/validation.ts';
import { type Chart, isAbsent } from './charts/chart.ts';
import { RUN_CHARTS, VALIDATION_CHARTS } from './charts/index.ts';
import { overTime } from './charts/over-time.ts';
import { type Html, html, raw, scriptJson } from './html.ts';
import { unbroken } from './numbers.ts';
import { runHeader, runSections } from './page/run-sections.ts';
import { comparisonSections, comparisonTable, validationHeader } from './page/validation-sections.ts';
import { toVega } from './render.ts';
import type { PageRuntime } from './runtime.ts';
import { thinned } from './timeline.ts';

/** What the page's script needs to draw one chart, keyed by its element's `data-chart`. */
interface PackedChart {
  vega: unknown;
  vegaLite: unknown;
  datasets: unknown;
  columns: string[];
  rows: unknown[][];
  file: string;
}

/** The charts of one page, filled as its figures are made. */
export type Payload = Record<string, PackedChart>;

/** Nothing outside the file may be asked for; scripts and styles are inline, images are downloads being made. */
const POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

/** The figure of one chart, and its share of the payload. */
export function figure<Input>(chart: Chart<Input>, input: Input, key: string, payload: Payload): Html {
  const id = `${key}-${chart.id}`;
  const title = unbroken(chart.title(input));
  const drawn = chart.spec(input);
  if (isAbsent(drawn)) {
    return html`<figure class="chart absent" id="${id}">
      <h3>${title}</h3>
      <p class="absent">Not drawn: ${drawn.absent}.</p>
    </figure>`;
  }
  const { datasets, ...vegaLite } = drawn;
  const { columns, rows } = chart.table(input);
  payload[id] = {
    vega: { ...toVega({ ...vegaLite, datasets: {} }), description: title },
    vegaLite,
    datasets,
    columns,
    rows,
    file: id,
  };
  return html`<figure class="chart" id="${id}" data-chart="${id}">
    <h3>${title}</h3>
    <div class="plot"></div>
    <div class="foot">
      <details class="how"><summary>How to read this</summary><p>${chart.howToRead}</p></details>
      <details class="data"><summary>Data table</summary><div class="scroll"></div></details>
      <div class="downloads" role="group" aria-label="Download">
        <button type="button" data-download="csv">CSV</button>
        <button type="button" data-download="svg">SVG</button>
        <button type="button" data-download="png">PNG</button>
        <button type="button" data-download="spec">Vega-Lite</button>
      </div>
    </div>
  </figure>`;
}

/** Timeline points on one page, over all runs and pools: what keeps a page of many runs small. */
const TIMELINE_POINTS_MAX = 16_000;

/** The run with its timeline thinned to its share of the page, peaks kept. */
function bounded(run: RunResult, runs: number): RunResult {
  const pools = [...new Set(run.timeline.map(({ pool }) => pool))];
  const limit = Math.max(50, Math.floor(TIMELINE_POINTS_MAX / (runs * pools.length)));
  const timeline = pools.flatMap(pool =>
    thinned(
      run.timeline.filter(point => point.pool === pool),
      limit,
    ),
  );
  return { ...run, timeline };
}

/** What a program wants of the page: the figures without the distributions. */
const machineReadable = ({
  kind,
  header,
  verdict,
  counts,
  tokens,
  metrics,
  assertions,
  digest,
}: RunResult) => ({
  kind,
  header,
  verdict,
  counts,
  tokens,
  metrics,
  assertions,
  digest,
});

const nameOf = ({ header }: RunResult): string =>
  `${header.scenario.name} @ ${header.deployment.name}, ${header.world === 'sim' ? 'simulated' : 'live'}, seed ${header.seed}`;

/** Runs named apart: two of the same name get a number. */
function distinctNames(runs: readonly RunResult[]): string[] {
  const names = runs.map(nameOf);
  return names.map((name, i) =>
    names.filter(other => other === name).length > 1
      ? `${name} (${names.slice(0, i + 1).filter(other => other === name).length})`
      : name,
  );
}

function runView(whole: RunResult, i: number, runs: number, payload: Payload): Html {
  const run = bounded(whole, runs);
  const key = `run${i}`;
  return html`<section class="run" id="${key}" data-run="${i}">
    ${runHeader(run)}
    ${runSections(run, id => {
      const chart = RUN_CHARTS.find(candidate => candidate.id === id)!;
      return figure(chart, run, key, payload);
    })}
  </section>`;
}

function selector(names: readonly string[], label: string): Html | null {
  if (names.length < 2) return null;
  return html`<label class="selector">${label}
    <select id="run-select">${names.map((name, i) => html`<option value="${i}">${name}</option>`)}</select>
  </label>`;
}

const RUN_FOOTER =
  'One file, no network. Numbers come from result.json beside it; every call is a row of calls.parquet.';

export interface PageParts {
  title: string;
  body: Html;
  /** What a program wants of the page. */
  summary: unknown;
  payload: Payload;
  footer: string;
}

/** The whole file: parts, styles and scripts in one. */
export function document({ title, body, summary, payload, footer }: PageParts, runtime: PageRuntime): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${raw(runtime.style)}</style>
</head>
<body>
<header class="bar"><span class="brand">windtunnel</span><span class="bar-title">${title}</span><button type="button" id="theme" title="Light or dark">◐<span class="sr">Change theme</span></button></header>
<main>
<noscript><p class="absent">The charts need JavaScript; everything else on this page does not.</p></noscript>
${body}
</main>
<footer>${footer}</footer>
<div id="tooltip" role="status" hidden></div>
<script type="application/json" id="summary">${scriptJson(summary)}</script>
<script type="text/plain" id="payload">${raw(runtime.pack(JSON.stringify(payload)))}</script>
<script type="text/plain" id="runtime">${raw(runtime.vega)}</script>
<script>${raw(runtime.script)}</script>
</body>
</html>
`.text;
}

/** The page of one or more runs (the first is shown first), or of a validation with both of its runs. */
export function page(input: readonly RunResult[] | ValidationResult, runtime: PageRuntime): string {
  const payload: Payload = {};
  if ('kind' in input) {
    const runs = [...(input.live === null ? [] : [input.live]), input.sim];
    const { comparisons, series, verdict, warnings, pass } = input;
    // The figure over time is the answer where a record decides; a chart with nothing to draw is left out.
    const charts = [...series.map((_, i) => overTime(i)), ...VALIDATION_CHARTS].filter(
      chart => !isAbsent(chart.spec(input)),
    );
    const body = html`
      ${validationHeader(input)}
      ${
        comparisons.length > 0 &&
        html`<section class="block"><h2>How far apart</h2>
        ${charts.map(chart => figure(chart, input, 'validation', payload))}
        ${comparisons.map(comparisonSections)}
      </section>`
      }
      <h2 class="divider">${runs.length === 1 ? 'The simulated run' : 'The two runs'}</h2>
      ${selector(
        runs.map(({ header }) => (header.world === 'sim' ? 'simulated' : 'live')),
        'Show',
      )}
      ${runs.map((run, i) => runView(run, i, runs.length, payload))}`;
    const summary = {
      kind: input.kind,
      pass,
      verdict,
      warnings,
      comparisons,
      runs: runs.map(machineReadable),
    };
    const title = `Validation: ${input.sim.header.scenario.name}`;
    return document({ title, body, summary, payload, footer: RUN_FOOTER }, runtime);
  }
  const names = distinctNames(input);
  const body = html`
    ${input.length > 1 && comparisonTable(input, names)}
    ${selector(names, 'Run')}
    ${input.map((run, i) => runView(run, i, input.length, payload))}`;
  const title =
    input.length === 1
      ? `${input[0]!.header.scenario.name} @ ${input[0]!.header.deployment.name}`
      : `${input.length} runs`;
  const summary = { runs: input.map(machineReadable) };
  return document({ title, body, summary, payload, footer: RUN_FOOTER }, runtime);
}
