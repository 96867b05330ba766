// Runs that differ in what was set with --set or --routing: one or two settings against the workflow's time, or each run
// against the first.
import type { RunResult } from '../../scenarios/formats/result.ts';
import { showMs, showNumber, showSignedRatio, showUsd } from '../numbers.ts';
import { runNames, settingsOf } from '../run-names.ts';
import type { Chart } from './chart.ts';
import { type MatrixCell, matrixSpec } from './matrix.ts';

/** Fewer runs are a comparison. */
const RUNS_MIN = 3;
const RUNS_MAX = 40;

interface Figure {
  name: string;
  read(run: RunResult): number | null | undefined;
  show(value: number): string;
  isBetterHigher?: boolean;
}

const FIGURES: readonly Figure[] = [
  { name: 'workflow p95', read: ({ metrics }) => metrics.makespan?.p95, show: showMs },
  { name: 'TTFT p95', read: ({ metrics }) => metrics.ttft?.p95, show: showMs },
  {
    name: 'workflows/s',
    read: ({ throughput }) => throughput.workflowsPerSec,
    show: showNumber,
    isBetterHigher: true,
  },
  { name: 'USD per 1,000', read: ({ cost }) => cost?.usdPer1000Workflows, show: showUsd },
];
const [WORKFLOW_P95] = FIGURES as [Figure, ...Figure[]];

interface Sweep {
  runs: readonly RunResult[];
  names: readonly string[];
  /** Settings that differ, and the value of each in each run. */
  keys: string[];
  values: Map<string, string>[];
}

/** Null: the runs differ in no setting. */
function sweepOf(runs: readonly RunResult[]): Sweep | null {
  const shown = runs.slice(0, RUNS_MAX);
  const values = shown.map(run => new Map(settingsOf(run)));
  const keys = [...new Set(values.flatMap(own => [...own.keys()]))].filter(
    key => new Set(values.map(own => own.get(key))).size > 1,
  );
  return shown.length < RUNS_MIN || keys.length === 0
    ? null
    : { runs: shown, names: runNames(shown), keys, values };
}

const valueIn = (values: ReadonlyMap<string, string>, key: string): string => values.get(key) ?? 'as written';

/** `replicas` of `pools.edge.replicas`, unless another key ends in it. */
function shortKey(key: string, keys: readonly string[]): string {
  const end = key.slice(key.lastIndexOf('.') + 1);
  return keys.filter(other => other === end || other.endsWith(`.${end}`)).length > 1 ? key : end;
}

/** A value against that of the first run; above 1 is worse. */
function ratioOf({ read, isBetterHigher }: Figure, run: RunResult, first: RunResult): number | null {
  const [value, base] = [read(run), read(first)];
  if (value == null || base == null || value <= 0 || base <= 0) return null;
  return isBetterHigher ? base / value : value / base;
}

function cellsOf({ runs, names, keys, values }: Sweep): {
  cells: MatrixCell[];
  rows: string;
  columns: string;
} {
  const first = runs[0]!;
  const cell = (figure: Figure, run: RunResult): Pick<MatrixCell, 'ratio' | 'text'> => {
    const value = figure.read(run);
    return { ratio: ratioOf(figure, run, first), text: value == null ? '–' : figure.show(value) };
  };
  const [across, down] = keys;
  const places = new Set(values.map(own => keys.map(key => valueIn(own, key)).join('\n')));
  // Two settings, one run for each pair of values: the workflow's time over both.
  if (keys.length === 2 && places.size === runs.length) {
    return {
      rows: shortKey(down!, keys),
      columns: shortKey(across!, keys),
      cells: runs.map((run, i) => ({
        row: valueIn(values[i]!, down!),
        column: valueIn(values[i]!, across!),
        ...cell(WORKFLOW_P95, run),
      })),
    };
  }
  const figures = FIGURES.filter(({ read }) => runs.some(run => read(run) != null));
  return {
    rows: 'run',
    columns: '',
    cells: runs.flatMap((run, i) =>
      figures.map(figure => ({ row: names[i]!, column: figure.name, ...cell(figure, run) })),
    ),
  };
}

/** The run that is best by a figure. */
function bestBy({ read, isBetterHigher }: Figure, runs: readonly RunResult[]): number {
  const score = (run: RunResult): number =>
    (read(run) ?? Number.POSITIVE_INFINITY) * (isBetterHigher ? -1 : 1);
  return runs.reduce((best, run, i) => (score(run) < score(runs[best]!) ? i : best), 0);
}

export const sweepChart: Chart<readonly RunResult[]> = {
  id: 'sweep',
  howToRead:
    'Each cell is a run; its colour is against the first run of the page: blue is better, orange worse, the stronger ' +
    'the further. One seed each: differences of a few percent may be luck, and compare says which are not.',

  title(runs) {
    const sweep = sweepOf(runs);
    if (sweep === null) return 'Settings and what they do';
    const best = bestBy(WORKFLOW_P95, sweep.runs);
    const value = WORKFLOW_P95.read(sweep.runs[best]!);
    if (value == null) return `${sweep.runs.length} runs over ${sweep.keys.join(' and ')}`;
    const ratio = ratioOf(WORKFLOW_P95, sweep.runs[best]!, sweep.runs[0]!);
    const against =
      best === 0 || ratio === null ? 'the first run' : `${showSignedRatio(ratio - 1)} against the first run`;
    const over = sweep.keys.map(key => shortKey(key, sweep.keys)).join(' and ');
    return `Of ${sweep.runs.length} runs over ${over}, ${sweep.names[best]} has the shortest workflow p95, ${showMs(value)} (${against})`;
  },

  spec(runs) {
    const sweep = sweepOf(runs);
    if (sweep === null)
      return { absent: 'fewer than three runs on this page differ in what was set with --set or --routing' };
    const { cells, rows, columns } = cellsOf(sweep);
    return matrixSpec(cells, { rowTitle: rows, columnTitle: columns });
  },

  table(runs) {
    const sweep = sweepOf(runs);
    const keys = sweep?.keys ?? [];
    return {
      columns: ['run', ...keys, ...FIGURES.map(({ name }) => name)],
      rows: (sweep?.runs ?? [])
        .map((run, i) => [
          sweep!.names[i]!,
          ...keys.map(key => valueIn(sweep!.values[i]!, key)),
          ...FIGURES.map(({ read }) => read(run) ?? null),
        ])
        .sort((a, b) => Number(a[1 + keys.length] ?? 0) - Number(b[1 + keys.length] ?? 0)),
    };
  },
};
