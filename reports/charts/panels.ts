// Charts over the time of the run: what `timeline`, `rates`, `replicas`, `pressure` and `gpus` have in common. All show
// the same stretch of time, from parameter `fromMs` to `toMs`, so that a page can zoom them together.
import type { SaturationSpan } from '../../scenarios/formats/result.ts';
import { clockLabel, FAINT, INK, PALETTE } from './chart.ts';

/** The stretch of time that is shown: at first the whole run. */
export const wholeRun = (durationMs: number) => [
  { name: 'fromMs', value: 0 },
  { name: 'toMs', value: Math.max(1, durationMs) },
];

/** `atMs` of the datasets; labelled under the last panel alone. */
export const timeX = (isLast: boolean) => ({
  field: 'atMs',
  type: 'quantitative',
  scale: { nice: false, domain: [{ expr: 'fromMs' }, { expr: 'toMs' }] },
  title: null,
  axis: {
    labels: isLast,
    ticks: isLast,
    labelExpr: clockLabel,
    grid: true,
    tickCount: { expr: 'ceil(width / 75)' },
    labelOverlap: true,
  },
});

/** All of one width, so that the panels' plots stand under one another. */
export const panelAxis = (format: string, extra: object = {}) => ({
  format,
  tickCount: 3,
  minExtent: 34,
  maxExtent: 34,
  ...extra,
});

/** One panel: its title above, then what is drawn. */
export const panel = (text: string, height: number, drawn: object) => ({
  width: 640,
  height,
  title: { text, anchor: 'start', frame: 'group', fontSize: 11, fontWeight: 600, color: INK, offset: 4 },
  ...drawn,
});

/** The panels of a chart of a run of that length, as a spec's body. */
export const stacked = (panels: readonly object[], durationMs: number) => ({
  params: wholeRun(durationMs),
  spacing: 14,
  resolve: { scale: { x: 'shared' } },
  vconcat: panels,
});

/** The rule at the instant under the pointer, and what was so then. `clock` of a tooltip is that instant. */
export const cursor = (
  name: string,
  x: object,
  tooltip: readonly object[],
  { transform = [], ...rest }: { transform?: readonly object[]; data?: object } = {},
) => ({
  ...rest,
  transform: [...transform, { calculate: clockLabel.replaceAll('datum.value', 'datum.atMs'), as: 'clock' }],
  params: [
    {
      name,
      select: { type: 'point', on: 'pointerover', nearest: true, fields: ['atMs'], clear: 'pointerout' },
    },
  ],
  mark: { type: 'rule', color: FAINT, clip: true },
  encoding: {
    x,
    opacity: { condition: { param: name, empty: false, value: 0.8 }, value: 0 },
    tooltip,
  },
});

/** When a pool had more than it could do, shaded behind a panel; rows of dataset `saturation`. */
export const shaded = (x: object) => ({
  data: { name: 'saturation' },
  transform: [{ calculate: "datum.cause === 'kv' ? 'KV cache full' : 'requests queue'", as: 'why' }],
  mark: { type: 'rect', color: PALETTE.orange, opacity: 0.16, clip: true },
  encoding: {
    x: { ...x, field: 'startMs' },
    x2: { field: 'endMs' },
    tooltip: [
      { field: 'pool', title: 'saturated' },
      { field: 'why', title: 'because' },
    ],
  },
});

export const saturationRows = (spans: readonly SaturationSpan[] = []) =>
  spans.map(({ pool, startMs, endMs, cause }) => ({ pool, startMs, endMs, cause }));
