// Draws charts: data, theme and width filled into the compiled spec. No request leaves the page, and no expression
// needs eval: Vega walks its expressions as trees. runtime.ts joins the modules of this folder.
import { listChoices } from './picker.js';
import { zoomSignals } from './zoom.js';

export const byId = id => document.getElementById(id);

/** Panels stacked in one chart keep this much for their axes, px. */
const AXES_PX = 48;

/** What the page carries: the Vega runtime and the charts by id. Filled by start.js. */
export const page = { vega: null, charts: null, parts: null };

export async function unpack(id) {
  const text = atob(byId(id).textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).text();
}

export function loadVega(source) {
  const script = document.createElement('script');
  script.textContent = source;
  document.head.append(script);
  return globalThis.vega;
}

// --- theme ---------------------------------------------------------------------------------------------------

export const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
};

export const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function theme() {
  const font = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
  const [ink, faint, line] = ['ink', 'faint', 'line'].map(colour);
  return {
    signals: { ink, faint, paper: colour('paper'), band: colour('band') },
    config: {
      font,
      axis: {
        labelColor: faint,
        titleColor: faint,
        titleFontWeight: 'normal',
        labelFont: font,
        titleFont: font,
        labelFontSize: 11,
        titleFontSize: 11,
        gridColor: line,
        domainColor: line,
        tickColor: line,
        labelPadding: 5,
      },
      text: { font },
      legend: {
        labelColor: ink,
        titleColor: ink,
        labelFont: font,
        labelFontSize: 11.5,
        offset: 10,
        columnPadding: 14,
      },
      title: { color: ink, font },
    },
  };
}

/** Blue lines are too dark for dark paper; the other colours carry over. */
const DARK_SWAPS = { '#0072B2': '#2680cb' };

// --- data ----------------------------------------------------------------------------------------------------

/** A copy of a spec, the parts that it shares with others put back. */
export function whole(node) {
  if (Array.isArray(node)) return node.map(whole);
  if (typeof node !== 'object' || node === null) return node;
  if (typeof node.$ === 'number') return whole(page.parts[node.$]);
  const copy = {};
  for (const [key, value] of Object.entries(node)) copy[key] = whole(value);
  return copy;
}

/** Rows as objects, new ones each time: Vega writes on them. */
function unpackedRows(packed) {
  if (Array.isArray(packed)) return structuredClone(packed);
  const { fields, rows } = packed;
  return rows.map(row => {
    const object = {};
    for (let i = 0; i < fields.length; i++) object[fields[i]] = row[i];
    return object;
  });
}

export const chartOf = figure => page.charts[figure.dataset.chart];

/** What is shown of a chart with a list to pick from; of any other, the chart itself. */
export const shownOf = figure => {
  const chart = chartOf(figure);
  return chart.choices ? chart.choices[Number(figure.dataset.choice ?? 0)] : chart;
};

/** The rows of the table of what is shown. */
export function tableRows(figure) {
  const { rows, datasets } = shownOf(figure);
  if (Array.isArray(rows)) return rows;
  return datasets[rows.dataset].rows.map(row => rows.columns.map(column => row[column]));
}

export const datasetsOf = figure => {
  const datasets = {};
  for (const [name, rows] of Object.entries(shownOf(figure).datasets)) datasets[name] = unpackedRows(rows);
  return datasets;
};

// --- drawing -------------------------------------------------------------------------------------------------

export const signalsOf = figure => whole(chartOf(figure).vega.signals);

/** What is drawn, by figure: its view, and the width it was drawn for. */
export const views = new Map();

/** A copy of the compiled spec with data, theme and width filled in. */
function filled(figure, widthPx, { signals }) {
  let text = JSON.stringify(whole(chartOf(figure).vega));
  if (isDark()) for (const [light, dark] of Object.entries(DARK_SWAPS)) text = text.replaceAll(light, dark);
  const spec = JSON.parse(text);
  const data = datasetsOf(figure);
  for (const source of spec.data) if (data[source.name]) source.values = data[source.name];
  for (const signal of spec.signals) {
    if (signal.name in signals) signal.value = signals[signal.name];
  }
  spec.description = figure.querySelector('h3').textContent;
  spec.width = spec.layout ? widthPx - AXES_PX : widthPx;
  spec.padding = { left: 0, top: 0, right: 0, bottom: 4 };
  return spec;
}

function showTooltip(_handler, event, _item, value) {
  const box = byId('tooltip');
  if (!value) {
    box.hidden = true;
    return;
  }
  const entries = Object.entries(typeof value === 'object' ? value : { '': value });
  box.replaceChildren(
    ...entries.flatMap(([name, shown]) => {
      const [key, cell] = [document.createElement('span'), document.createElement('b')];
      key.textContent = name;
      cell.textContent = String(shown);
      return [key, cell];
    }),
  );
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const left = event.clientX + 14 + width > innerWidth ? event.clientX - width - 14 : event.clientX + 14;
  const top = event.clientY + 14 + height > innerHeight ? event.clientY - height - 14 : event.clientY + 14;
  box.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
}

export function draw(figure) {
  const plot = figure.querySelector('.plot');
  const widthPx = Math.floor(plot.clientWidth);
  // Not laid out yet, or too narrow for any axis.
  if (widthPx < 80) return;
  const kept = new Map(zoomSignals(figure));
  const before = views.get(figure);
  if (before) {
    for (const { name, bind } of signalsOf(figure)) {
      if (bind) kept.set(name, before.view.signal(name));
    }
    before.view.finalize();
  }
  const look = theme();
  const spec = filled(figure, widthPx, look);
  for (const signal of spec.signals) if (kept.has(signal.name)) signal.value = kept.get(signal.name);
  plot.replaceChildren();
  const runtime = page.vega.parse(spec, look.config, { ast: true });
  const view = new page.vega.View(runtime, {
    expr: page.vega.expressionInterpreter,
    renderer: 'svg',
    container: plot,
    hover: true,
    tooltip: showTooltip,
    logLevel: page.vega.Warn,
  });
  view.run();
  views.set(figure, { view, widthPx });
  figure.dataset.drawn = 'yes';
  if (figure.querySelector('.picker') && !figure.dataset.listed) listChoices(figure);
}

export function redrawAll() {
  for (const figure of views.keys()) draw(figure);
}
