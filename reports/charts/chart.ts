// What a chart is: a finding as its title, a Vega-Lite spec with its data inside, and the same numbers as a table.
// One chart per file; charts/index.ts lists them. Specs follow three rules: width 640 is nominal and the page
// stretches it; colours of ink and paper are the parameters below, so that a page can turn dark without a new spec;
// data lives in `datasets`, so that the page ships it once.

/** A Vega-Lite specification: plain JSON. */
export interface ChartSpec {
  readonly datasets: Readonly<Record<string, readonly object[]>>;
  readonly [property: string]: unknown;
}

export interface ChartTable {
  /** Names with units. */
  columns: string[];
  rows: (string | number | null)[][];
}

/** One of several things that a chart shows one at a time: the page has a list to pick from. */
export interface ChartChoice {
  id: string;
  /** How it is found in the list. */
  label: string;
  title: string;
  /** In place of the spec's. */
  datasets: ChartSpec['datasets'];
  /** In place of the table's. */
  rows: ChartTable['rows'];
}

export interface Chart<Input> {
  /** File name and anchor: `latency-cdf`. */
  id: string;
  /** The finding, one sentence with its numbers. */
  title(input: Input): string;
  /** How to read it, for someone who never saw one. */
  howToRead: string;
  /** The spec, or why there is nothing to draw. */
  spec(input: Input): ChartSpec | { absent: string };
  table(input: Input): ChartTable;
  /** What can be picked, the first one is what spec, title and table show. Absent: there is one thing to see. */
  choices?(input: Input): ChartChoice[];
}

/** A chart of something: plain data that a page shows without knowing what it is of. */
export interface DrawnChart extends Pick<Chart<never>, 'id' | 'howToRead'> {
  readonly title: string;
  readonly spec: ChartSpec | { absent: string };
  readonly table: ChartTable;
}

export const drawn = <Input>(chart: Chart<Input>, input: Input): DrawnChart => ({
  id: chart.id,
  howToRead: chart.howToRead,
  title: chart.title(input),
  spec: chart.spec(input),
  table: chart.table(input),
});

export const isAbsent = (drawn: ChartSpec | { absent: string }): drawn is { absent: string } =>
  'absent' in drawn;

/** Okabe and Ito's palette: told apart by colour-blind readers, on white and on near-black. */
export const PALETTE = {
  orange: '#E69F00',
  sky: '#56B4E9',
  green: '#009E73',
  yellow: '#F0E442',
  blue: '#0072B2',
  vermilion: '#D55E00',
  purple: '#CC79A7',
  grey: '#8A919C',
} as const;

/** What a bar's colour means, the same in every chart. Any two differ by 0.07 in OKLab to any eyes. */
export const PHASE_COLOURS = {
  queue: PALETTE.orange,
  prefill: PALETTE.sky,
  decode: PALETTE.blue,
  tool: PALETTE.green,
  human: PALETTE.purple,
  wait: PALETTE.yellow,
  retry: PALETTE.vermilion,
  limit: '#8C3B00',
  cold: '#9ADBC8',
  transfer: '#663399',
  other: '#5F6672',
} as const;

/** Ink that shows on the colour of a phase: white on these, near-black on all others. */
export const DARK_PHASES: readonly (keyof typeof PHASE_COLOURS)[] = [
  'decode',
  'tool',
  'limit',
  'transfer',
  'other',
];

/** Parameters that a page overrides by theme. */
export const THEME_PARAMS = [
  { name: 'ink', value: '#1d2330' },
  { name: 'faint', value: '#6b7280' },
  { name: 'paper', value: '#ffffff' },
  { name: 'band', value: '#e8ebf0' },
] as const;

export const INK = { expr: 'ink' };
export const FAINT = { expr: 'faint' };
export const PAPER = { expr: 'paper' };
export const BAND = { expr: 'band' };

/** The frame of every spec. */
export function chartSpec(
  datasets: ChartSpec['datasets'],
  body: Readonly<Record<string, unknown>> & { params?: readonly object[] },
): ChartSpec {
  const several = 'vconcat' in body;
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: null,
    ...(several ? {} : { width: 640, autosize: { type: 'fit-x', contains: 'padding' } }),
    ...body,
    params: [...THEME_PARAMS, ...(body.params ?? [])],
    // Marks are many and say little one by one: the title and the table speak for them.
    config: { view: { stroke: null }, mark: { aria: false } },
    datasets,
  };
}

/** A legend above the plot that breaks into columns on a phone. */
export const topLegend = (extra: object = {}) => ({
  orient: 'top',
  direction: 'horizontal',
  title: null,
  symbolType: 'square',
  columns: { expr: 'width < 420 ? 2 : width < 560 ? 4 : 0' },
  ...extra,
});

/** A Vega expression that shows milliseconds as a person would: `850 µs`, `12 ms`, `1.5 s`. */
export const msLabel = (value: string): string =>
  `(abs(${value}) < 0.001 ? '0' : abs(${value}) < 1 ? format(${value} * 1000, '.3~r') + ' µs' : abs(${value}) < 1000 ? format(${value}, '.3~r') + ' ms' : abs(${value}) < 120000 ? format(${value} / 1000, '.3~r') + ' s' : format(${value} / 60000, '.3~r') + ' min')`;

/** Counts on an axis: `0`, `500k`, `1.5M`. */
export const COUNT_LABEL = "datum.value === 0 ? '0' : format(datum.value, '~s')";

/** An x axis in milliseconds. */
export const msAxis = (extra: object = {}) => ({
  labelExpr: msLabel('datum.value'),
  labelFlush: false,
  ...extra,
});

/** Values 1-3-10 (1-2-5-10 over two decades or less) that cover a log axis: the automatic ones crowd unevenly. */
export function logTicks(values: readonly number[]): number[] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const steps = high / low > 100 ? [1, 3] : [1, 2, 5];
  const ticks: number[] = [];
  for (let decade = -6; decade <= 12; decade++) {
    for (const step of steps) {
      const tick = Number(`${step}e${decade}`);
      if (tick >= low && tick <= high) ticks.push(tick);
    }
  }
  return ticks;
}

/** Names of bars go where there is room: after the bar, before it, or on a bar that leaves none. Of `lastMs` in all. */
export const LABEL_SIDE =
  "max(datum.startMs, datum.lastMs - datum.endMs) < 0.15 * datum.lastMs ? 'inside' : datum.startMs > datum.lastMs - datum.endMs ? 'before' : 'after'";

/** The scale of bars with their value written behind them. */
export const roomForLabels = (values: readonly number[]) => ({
  domain: [0, Math.max(...values) * 1.45],
  nice: false,
});

/** The time since the run's start on an axis that starts at 0. */
export const clockLabel =
  "(datum.value < 120000 ? format(datum.value / 1000, '~g') + ' s' : datum.value < 7200000 ? format(floor(datum.value / 60000), 'd') + (datum.value % 60000 < 500 ? '' : ':' + format(datum.value % 60000 / 1000, '02.0f')) + ' min' : format(datum.value / 3600000, '.3~r') + ' h')";

/** The y axis of a CDF: the share that is reached, in quarters. */
export const SHARE_AXIS = {
  field: 'share',
  type: 'quantitative',
  scale: { domain: [0, 1] },
  axis: { format: '~%', values: [0, 0.25, 0.5, 0.75, 1] },
  title: null,
} as const;
