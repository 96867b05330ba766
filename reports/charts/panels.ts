// Panels stacked over one time axis: what `timeline`, `replicas` and `gpus` have in common.
import { clockLabel, FAINT, INK } from './chart.ts';

/** `atMs` of the datasets; labelled under the last panel alone. */
export const timeX = (isLast: boolean, scale: object = {}) => ({
  field: 'atMs',
  type: 'quantitative',
  scale: { nice: false, ...scale },
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

/** The panels of a chart, as a spec's body. */
export const stacked = (panels: readonly object[]) => ({
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
  mark: { type: 'rule', color: FAINT },
  encoding: {
    x,
    opacity: { condition: { param: name, empty: false, value: 0.8 }, value: 0 },
    tooltip,
  },
});
