// How much more comes out, and how long it takes, as more is asked for: the runs of one scenario at several rates, or the
// slices of one run whose load varies.
import { quantileSorted, sorted } from '../../scenarios/base/statistics.ts';
import type {
  LatencyBound,
  LoadFigures,
  MetricName,
  MetricSummary,
  RunResult,
} from '../../scenarios/formats/result.ts';
import { METRIC_LABELS } from '../metrics.ts';
import { plural, showMs, showNumber, showRatio } from '../numbers.ts';
import { runNames } from '../run-names.ts';
import { type Chart, type ChartSpec, FAINT, logTicks, msAxis, msLabel } from './chart.ts';
import { boundsOn, boundText } from './frontier.ts';
import { type Line, linesSpec } from './lines.ts';
import { scatterSpec } from './scatter.ts';

interface AtLoad extends LoadFigures {
  name: string;
  run: RunResult;
}

/** The runs of the first one's scenario and deployment, the lowest rate first. */
function atLoads(runs: readonly RunResult[]): AtLoad[] {
  const [first] = runs;
  if (first === undefined) return [];
  const names = runNames(runs);
  return runs
    .flatMap((run, i) => {
      const { header, load } = run;
      const isSame =
        header.scenario.name === first.header.scenario.name &&
        header.deployment.sha256 === first.header.deployment.sha256 &&
        header.world === first.header.world;
      return isSame && load !== undefined ? [{ name: names[i]!, run, ...load }] : [];
    })
    .sort((a, b) => a.offeredPerSec - b.offeredPerSec);
}

/** Less served than this share of what is offered, and the queue grows. */
const KEEPS_UP_RATIO = 0.95;
/** Rates nearer to each other are one rate. */
const SPREAD_MIN = 1.5;

/** Whether there are at least two rates that differ. */
const isCurve = (points: readonly AtLoad[]): boolean =>
  points.length > 1 && points.at(-1)!.offeredPerSec >= SPREAD_MIN * points[0]!.offeredPerSec;

/** The highest rate up to which every run keeps up, and the most that was served; null: the first one does not keep up. */
function kneeOf(points: readonly AtLoad[]): { knee: AtLoad | null; capacity: AtLoad; isReached: boolean } {
  const behind = points.findIndex(
    ({ offeredPerSec, servedPerSec }) => servedPerSec < KEEPS_UP_RATIO * offeredPerSec,
  );
  const knee = behind < 0 ? points.at(-1)! : (points[behind - 1] ?? null);
  const capacity = points.reduce((most, point) => (point.servedPerSec > most.servedPerSec ? point : most));
  return { knee, capacity, isReached: behind >= 0 };
}

const rate = (perSec: number): string => `${showNumber(perSec)} /s`;

/** Marks of one run: shorter slices would show single calls. */
const MARKS = 40;

/** Slices of one run: calls that were wanted and calls that ended well, per second. */
function cloudOf(run: RunResult | undefined): { x: number; y: number }[] | null {
  const rates = run?.rates ?? [];
  const each = Math.max(1, Math.ceil(rates.length / MARKS));
  const slices = Array.from({ length: Math.floor(rates.length / each) }, (_, i) => {
    const own = rates.slice(i * each, (i + 1) * each);
    const mean = (of: (point: (typeof own)[number]) => number): number =>
      own.reduce((sum, point) => sum + of(point), 0) / own.length;
    return { x: mean(point => point.callsWantedPerSec), y: mean(point => point.callsDonePerSec) };
  }).filter(({ x }) => x > 0);
  if (slices.length < 10) return null;
  const wanted = sorted(slices.map(({ x }) => x));
  return quantileSorted(wanted, 0.9) < SPREAD_MIN * quantileSorted(wanted, 0.1) ? null : slices;
}

const ABSENT =
  'one rate is no curve: run the scenario again with more and with fewer arrivals, such as --set traffic.0.arrival.poisson.rate=2/s, and put the runs on one page: windtunnel report A B C';

export const loadCurve: Chart<readonly RunResult[]> = {
  id: 'load-curve',
  howToRead:
    'To the right more workflows start in a second; the lines show how many end. On the dashed diagonal all that is ' +
    'offered is served. The knee is the last rate up to which at least 95 % is; past it the queue grows for as long as the ' +
    'load lasts. Capacity is the most that was served. Rates are those of the middle nine tenths of starts and ends. Of ' +
    'one run, each mark is a slice of its time: calls wanted against calls done.',

  title(runs) {
    const points = atLoads(runs);
    if (!isCurve(points)) {
      const cloud = cloudOf(runs[0]);
      if (cloud === null) return 'Throughput against load';
      const most = Math.max(...cloud.map(({ y }) => y));
      return `The load of this run varies; at most ${rate(most)} of its calls end well in a slice of it`;
    }
    const { knee, capacity, isReached } = kneeOf(points);
    if (!isReached)
      return `All ${points.length} rates are kept up with, up to ${rate(knee!.offeredPerSec)} of workflows; the knee is beyond`;
    const most = `at most ${rate(capacity.servedPerSec)} of workflows are served`;
    return knee === null
      ? `Every rate is too much: ${most}`
      : `The knee is at ${rate(knee.offeredPerSec)} of workflows; ${most}`;
  },

  spec(runs): ChartSpec | { absent: string } {
    const points = atLoads(runs);
    if (!isCurve(points)) {
      const cloud = cloudOf(runs[0]);
      if (cloud === null) return { absent: ABSENT };
      return scatterSpec([{ name: 'a slice of the run', colour: 'blue', shape: 'circle', points: cloud }], {
        x: { title: 'calls wanted per second' },
        y: { title: 'calls that ended well per second' },
      });
    }
    const { knee, capacity, isReached } = kneeOf(points);
    const line = (name: string, of: (point: AtLoad) => number | null): Line => ({
      name,
      points: points.map(point => ({ x: point.offeredPerSec, y: of(point) })),
    });
    const hasGoodput = points.some(({ keptPerSec }) => keptPerSec !== null);
    const spec = linesSpec(
      [
        line('throughput', ({ servedPerSec }) => servedPerSec),
        ...(hasGoodput ? [line('goodput (within targets)', ({ keptPerSec }) => keptPerSec)] : []),
        line(OFFERED, ({ offeredPerSec }) => offeredPerSec),
      ],
      {
        x: { title: 'workflows offered per second' },
        y: { title: 'workflows per second', scale: { zero: true } },
        rules: isReached
          ? [{ y: capacity.servedPerSec, label: `capacity ${rate(capacity.servedPerSec)}` }]
          : [],
        strong: OFFERED,
      },
    );
    return knee === null || !isReached
      ? spec
      : withKnee(spec, knee.offeredPerSec, `knee ${rate(knee.offeredPerSec)}`);
  },

  table(runs) {
    const points = atLoads(runs);
    if (isCurve(points)) {
      return {
        columns: [
          'run',
          'offered (workflows/s)',
          'throughput (workflows/s)',
          'goodput (workflows/s)',
          'served (0-1)',
        ],
        rows: points.map(({ name, offeredPerSec, servedPerSec, keptPerSec }) => [
          name,
          offeredPerSec,
          servedPerSec,
          keptPerSec,
          servedPerSec / offeredPerSec,
        ]),
      };
    }
    return {
      columns: ['calls wanted (per s)', 'calls that ended well (per s)'],
      rows: (cloudOf(runs[0]) ?? []).map(({ x, y }) => [x, y]),
    };
  },
};

const OFFERED = 'offered';

/** A vertical rule at the knee. */
function withKnee(spec: ChartSpec, x: number, label: string): ChartSpec {
  const { datasets, layer, ...body } = spec as ChartSpec & { layer: object[] };
  const encoding = { x: { field: 'x', type: 'quantitative' } };
  return {
    ...body,
    datasets: { ...datasets, knee: [{ x, label }] },
    layer: [
      { data: { name: 'knee' }, mark: { type: 'rule', color: FAINT, strokeDash: [3, 4] }, encoding },
      {
        data: { name: 'knee' },
        mark: {
          type: 'text',
          align: 'right',
          baseline: 'bottom',
          dx: -5,
          dy: -4,
          fontSize: 10,
          color: FAINT,
        },
        encoding: { ...encoding, y: { value: { expr: 'height' } }, text: { field: 'label' } },
      },
      ...layer,
    ],
  };
}

/** What the targets are about, else what callers wait for. */
function metricOf(runs: readonly RunResult[]): Extract<LatencyBound['metric'], MetricName> {
  const [bound] = boundsOn(runs, ['ttft', 'makespan', 'e2e']);
  return bound?.metric ?? 'ttft';
}

const QUANTILES = ['p50', 'p95', 'p99'] as const satisfies (keyof MetricSummary)[];

/** Runs that have the latency. */
const measuredAt = (runs: readonly RunResult[]): AtLoad[] =>
  atLoads(runs).filter(({ run }) => run.metrics[metricOf(runs)] !== undefined);

export const loadLatency: Chart<readonly RunResult[]> = {
  id: 'load-latency',
  howToRead:
    'To the right more workflows start in a second; the lines are the median, the slowest twentieth and the slowest ' +
    'hundredth (p99 only with 100 samples or more), on a logarithmic axis: equal distances are equal ratios. Thin dashed ' +
    'lines are the targets of the scenario. Past the knee latency is a matter of how long the run lasts.',

  title(runs) {
    const points = measuredAt(runs);
    if (!isCurve(points)) return 'Latency against load';
    const metric = metricOf(runs);
    const p95 = ({ run }: AtLoad): number => run.metrics[metric]!.p95;
    const [low, high] = [points[0]!, points.at(-1)!];
    const [bound] = boundsOn(runs, [metric]).filter(({ of }) => of === 'p95' || of === 'each');
    const grows = `${METRIC_LABELS[metric]} p95 goes from ${showMs(p95(low))} at ${rate(low.offeredPerSec)} to ${showMs(p95(high))} at ${rate(high.offeredPerSec)}`;
    if (bound === undefined) return grows;
    const kept = points.filter(point => p95(point) <= bound.limitMs);
    return kept.length === 0
      ? `${grows}; no rate keeps ${showMs(bound.limitMs)}`
      : `${grows}; ${showMs(bound.limitMs)} is kept up to ${rate(kept.at(-1)!.offeredPerSec)}`;
  },

  spec(runs) {
    const points = measuredAt(runs);
    if (!isCurve(points)) return { absent: ABSENT };
    const metric = metricOf(runs);
    const lines = QUANTILES.map(quantile => ({
      name: `${METRIC_LABELS[metric]} ${quantile}`,
      points: points.map(({ offeredPerSec, run }) => ({
        x: offeredPerSec,
        y: positive(run.metrics[metric]![quantile]),
      })),
    })).filter(line => line.points.some(({ y }) => y !== null));
    if (lines.length === 0) return { absent: `no run has a ${METRIC_LABELS[metric]} above 0 to draw` };
    const bounds = boundsOn(runs, [metric]).filter(({ limitMs }) => limitMs > 0);
    const rules = [...new Map(bounds.map(bound => [bound.limitMs, bound])).values()];
    const values = [
      ...lines.flatMap(line => line.points.flatMap(({ y }) => y ?? [])),
      ...rules.map(({ limitMs }) => limitMs),
    ];
    const range = [Math.min(...values) / 1.25, Math.max(...values) * 1.25];
    return linesSpec(lines, {
      x: { title: 'workflows offered per second' },
      y: {
        title: METRIC_LABELS[metric],
        scale: { type: 'log', nice: false, domain: range },
        axis: msAxis({ values: logTicks(range) }),
        label: msLabel,
      },
      rules: rules.map(bound => ({ y: bound.limitMs, label: `target: ${boundText(bound)}` })),
    });
  },

  table(runs) {
    const metric = metricOf(runs);
    return {
      columns: [
        'run',
        'offered (workflows/s)',
        ...QUANTILES.map(quantile => `${METRIC_LABELS[metric]} ${quantile} (ms)`),
      ],
      rows: measuredAt(runs).map(({ name, offeredPerSec, run }) => [
        name,
        offeredPerSec,
        ...QUANTILES.map(quantile => run.metrics[metric]![quantile]),
      ]),
    };
  },
};

const positive = (value: number | null): number | null => (value !== null && value > 0 ? value : null);

/** `4 rates, 0.2 to 3.1 workflows/s; 96 % of the highest is served`. */
export function loadText(runs: readonly RunResult[]): string | null {
  const points = atLoads(runs);
  const last = points.at(-1);
  if (last === undefined) return null;
  const served = showRatio(Math.min(1, last.servedPerSec / last.offeredPerSec));
  return `${plural(points.length, 'run')} of this scenario and deployment; at ${rate(last.offeredPerSec)} of workflows offered, ${served} is served`;
}
