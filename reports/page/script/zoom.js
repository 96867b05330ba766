// Charts over time show one stretch of it together: drag over a panel to zoom, double click for the whole run, or use
// the buttons.
import { signalsOf, views } from './draw.js';

/** By run, what is shown of it, ms; a run without one is shown whole. */
const zooms = new Map();

const runOf = figure => figure.closest('[data-run]')?.dataset.run ?? 'page';

const signalOf = (figure, name) => signalsOf(figure).find(signal => signal.name === name);

const isOverTime = figure => signalOf(figure, 'fromMs') !== undefined;

const wholeOf = figure => [signalOf(figure, 'fromMs').value, signalOf(figure, 'toMs').value];

/** Signals of a figure that is about to be drawn. */
export function zoomSignals(figure) {
  const zoom = zooms.get(runOf(figure));
  return zoom && isOverTime(figure)
    ? [
        ['fromMs', zoom[0]],
        ['toMs', zoom[1]],
      ]
    : [];
}

const figuresOverTime = run =>
  [...document.querySelectorAll('figure[data-chart]')].filter(
    figure => runOf(figure) === run && isOverTime(figure),
  );

const clockText = ms =>
  ms < 120_000 ? `${Number((ms / 1000).toPrecision(4))} s` : `${Number((ms / 60_000).toPrecision(4))} min`;

function zoomTo(run, zoom) {
  if (zoom === null) zooms.delete(run);
  else zooms.set(run, zoom);
  for (const figure of figuresOverTime(run)) {
    const [fromMs, toMs] = zoom ?? wholeOf(figure);
    figure.querySelector('.zoom .note').textContent =
      zoom === null ? '' : `${clockText(fromMs)} to ${clockText(toMs)}`;
    views.get(figure)?.view.signal('fromMs', fromMs).signal('toMs', toMs).runAsync();
  }
}

/** At least a thousandth of the run, inside of it. */
function within([fromMs, toMs], [firstMs, lastMs]) {
  const length = Math.min(lastMs - firstMs, Math.max((lastMs - firstMs) / 1000, toMs - fromMs));
  const start = Math.min(Math.max(firstMs, fromMs), lastMs - length);
  return length >= lastMs - firstMs ? null : [start, start + length];
}

function zoomByButton(figure, kind) {
  const run = runOf(figure);
  const whole = wholeOf(figure);
  const [fromMs, toMs] = zooms.get(run) ?? whole;
  const middle = (fromMs + toMs) / 2;
  const length = toMs - fromMs;
  const steps = {
    in: [middle - length / 4, middle + length / 4],
    out: [middle - length, middle + length],
    earlier: [fromMs - length / 2, toMs - length / 2],
    later: [fromMs + length / 2, toMs + length / 2],
  };
  zoomTo(run, kind === 'all' ? null : within(steps[kind], whole));
}

/** Where the panel under the pointer is on the screen. */
function panelAt(plot, clientY) {
  const panels = [...plot.querySelectorAll('.role-scope > g > path.background')];
  if (panels.length === 0) panels.push(...plot.querySelectorAll('.role-frame > g > path.background'));
  const boxes = panels.map(panel => panel.getBoundingClientRect());
  return boxes.find(({ top, bottom }) => clientY >= top && clientY <= bottom) ?? boxes[0];
}

export function brushable(figure) {
  const plot = figure.querySelector('.plot');
  const run = runOf(figure);
  let brush = null;
  plot.addEventListener('pointerdown', event => {
    if (event.button !== 0 || event.pointerType === 'touch') return;
    const panel = panelAt(plot, event.clientY);
    if (!panel || event.clientX < panel.left - 4 || event.clientX > panel.right + 4) return;
    const mark = document.createElement('div');
    mark.className = 'brush';
    brush = { mark, panel, startX: event.clientX, endX: event.clientX };
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener('pointermove', event => {
    if (!brush) return;
    const { panel, mark, startX } = brush;
    brush.endX = Math.min(Math.max(event.clientX, panel.left), panel.right);
    const box = plot.getBoundingClientRect();
    mark.style.left = `${Math.min(startX, brush.endX) - box.left}px`;
    mark.style.width = `${Math.abs(brush.endX - startX)}px`;
    if (!mark.isConnected) plot.append(mark);
  });
  const end = () => {
    if (!brush) return;
    const { mark, panel, startX, endX } = brush;
    brush = null;
    mark.remove();
    if (Math.abs(endX - startX) < 6) return;
    const whole = wholeOf(figure);
    const [fromMs, toMs] = zooms.get(run) ?? whole;
    const at = x => fromMs + ((x - panel.left) / panel.width) * (toMs - fromMs);
    zoomTo(run, within([at(Math.min(startX, endX)), at(Math.max(startX, endX))], whole));
  };
  plot.addEventListener('pointerup', end);
  plot.addEventListener('pointercancel', end);
  plot.addEventListener('dblclick', () => zoomTo(run, null));
  figure.querySelector('.zoom').addEventListener('click', event => {
    const kind = event.target.closest('[data-zoom]')?.dataset.zoom;
    if (kind) zoomByButton(figure, kind);
  });
}
