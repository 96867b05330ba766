// Charts of a policy bench: goodput, tail latency and cache hits against load, and the differences at the knee.
import type { FigureName } from '../../scenarios/formats/grid.ts';
import { atKnee, type PolicyBenchResult, type PolicyCurve } from '../../scenarios/formats/policy-bench.ts';
import {
  type Chart,
  chartSpec,
  FAINT,
  INK,
  logTicks,
  msAxis,
  msLabel,
  PALETTE,
  PAPER,
  topLegend,
} from '../charts/chart.ts';
import { type LineAxis, type LineRule, linesSpec } from '../charts/lines.ts';
import { showMs, showNumber, showRatio } from '../numbers.ts';

/** The figure of every policy against load. */
function againstLoad(of: {
  id: string;
  figure: FigureName;
  column: string;
  howToRead: string;
  title(bench: PolicyBenchResult): string;
  axis(values: readonly number[]): LineAxis;
  rules?(bench: PolicyBenchResult): LineRule[];
}): Chart<PolicyBenchResult> {
  return {
    id: of.id,
    howToRead: of.howToRead,
    title: of.title,
    spec(bench) {
      const lines = bench.curves.map(({ policy, points }) => ({
        name: policy,
        points: points.map(({ loadRatio, mean }) => ({ x: loadRatio, y: mean[of.figure] })),
      }));
      const values = lines.flatMap(({ points }) => points.flatMap(({ y }) => y ?? []));
      if (values.length === 0) return { absent: 'no run has this figure' };
      return linesSpec(lines, {
        x: { title: 'offered load over capacity', axis: { format: '~%' }, format: '.0%' },
        y: of.axis(values),
        strong: bench.baseline,
        rules: of.rules?.(bench) ?? [],
      });
    },
    table: ({ curves }) => ({
      columns: ['policy', 'load over capacity', of.column],
      rows: curves.flatMap(({ policy, points }) =>
        points.map(({ loadRatio, mean }) => [policy, loadRatio, mean[of.figure]]),
      ),
    }),
  };
}

const COLOURS = ' The best policies are in colour, the baseline is dashed, the others are grey.';

const baselineOf = ({ curves, baseline }: PolicyBenchResult): PolicyCurve =>
  curves.find(({ policy }) => policy === baseline)!;

/** The policy with the most, or with `-1` the least, of a figure at the knee. */
function leading(bench: PolicyBenchResult, figure: FigureName, sign: 1 | -1): PolicyCurve {
  const value = (curve: PolicyCurve): number =>
    sign * (atKnee(curve, bench).mean[figure] ?? Number.NEGATIVE_INFINITY * sign);
  return bench.curves.reduce((best, curve) => (value(curve) > value(best) ? curve : best));
}

/** `A has 1, the baseline 2`, or the baseline alone where it leads. */
function beside(bench: PolicyBenchResult, best: PolicyCurve, show: (curve: PolicyCurve) => string): string {
  const base = baselineOf(bench);
  return best === base
    ? `${best.policy}, the baseline, leads with ${show(best)}`
    : `${best.policy} has ${show(best)}, ${base.policy} ${show(base)}`;
}

const atLoad = ({ kneeRatio }: PolicyBenchResult): string => `At ${showRatio(kneeRatio)} of capacity`;

const goodputAgainstLoad = againstLoad({
  id: 'goodput-against-load',
  figure: 'goodputPerSec',
  column: 'good calls a second',
  howToRead: `A call is good when it ends well and within its SLO. While all are, goodput is the offered load; where a line bends down, more load brings less.${COLOURS}`,
  title: bench =>
    `${atLoad(bench)}, ${beside(bench, leading(bench, 'goodputPerSec', 1), curve => `${showNumber(atKnee(curve, bench).mean.goodputPerSec)} good calls a second`)}`,
  axis: () => ({ title: 'good calls a second', scale: { zero: true } }),
});

const ttftAgainstLoad = againstLoad({
  id: 'ttft-against-load',
  figure: 'ttftMsP95',
  column: 'TTFT p95 (ms)',
  howToRead: `95 % of calls had their first token within this time. The axis is logarithmic.${COLOURS}`,
  title: bench =>
    `${atLoad(bench)}, ${beside(bench, leading(bench, 'ttftMsP95', -1), curve => `a TTFT p95 of ${showMs(atKnee(curve, bench).mean.ttftMsP95)}`)}`,
  axis: values => ({
    title: 'TTFT p95',
    scale: { type: 'log', nice: false, padding: 4 },
    axis: msAxis({ values: logTicks(values), labelOverlap: 'greedy' }),
    label: msLabel,
  }),
});

const makespanAgainstLoad = againstLoad({
  id: 'workflow-against-load',
  figure: 'makespanMsP95',
  column: 'workflow p95 (ms)',
  howToRead: `95 % of workflows were done within this time, tools and people included. The axis is logarithmic.${COLOURS}`,
  title: bench =>
    `${atLoad(bench)}, ${beside(bench, leading(bench, 'makespanMsP95', -1), curve => `a workflow p95 of ${showMs(atKnee(curve, bench).mean.makespanMsP95)}`)}`,
  axis: values => ({
    title: 'workflow p95',
    scale: { type: 'log', nice: false, padding: 4 },
    axis: msAxis({ values: logTicks(values), labelOverlap: 'greedy' }),
    label: msLabel,
  }),
});

const hitsAgainstLoad = againstLoad({
  id: 'hits-against-load',
  figure: 'hitRatio',
  column: 'cached share of prompt tokens (0-1)',
  howToRead: `The share of prompt tokens that an engine found in its KV cache and did not compute.${COLOURS}`,
  title: bench =>
    `${atLoad(bench)}, ${beside(bench, leading(bench, 'hitRatio', 1), curve => `${showRatio(atKnee(curve, bench).mean.hitRatio)} of prompt tokens from the cache`)}`,
  axis: () => ({
    title: 'prompt tokens cached',
    scale: { zero: false },
    axis: { format: '~%' },
    format: '.1%',
  }),
});

const differencesAtKnee: Chart<PolicyBenchResult> = {
  id: 'differences',
  howToRead:
    'The dot is how much longer or shorter the p95 of workflows is than under the baseline, at the load of the table; ' +
    'left of zero is faster. The whisker is the 95 % interval over seeds, each seed giving both policies the same agents.',

  title(bench) {
    const rows = differenceRows(bench);
    const real = rows.filter(({ isReal }) => isReal === 'real');
    const faster = real.filter(({ change }) => change < 0).length;
    return `${faster} of ${rows.length} policies are really faster than ${bench.baseline}, ${real.length - faster} really slower`;
  },

  spec(bench) {
    const rows = differenceRows(bench);
    if (rows.length === 0) return { absent: 'there is nothing to compare with the baseline' };
    const { symbolType: _, ...legend } = topLegend();
    const y = {
      field: 'policy',
      type: 'nominal',
      sort: null,
      title: null,
      axis: { labelLimit: 200, domain: false, ticks: false },
    };
    const x = {
      type: 'quantitative',
      title: 'workflow p95 against the baseline',
      axis: { format: '+~%', grid: false, tickCount: 6 },
    };
    return chartSpec(
      { rows, zero: [{ at: 0 }] },
      {
        height: { step: 22 },
        data: { name: 'rows' },
        layer: [
          {
            data: { name: 'zero' },
            mark: { type: 'rule', color: FAINT },
            encoding: { x: { ...x, field: 'at' } },
          },
          {
            mark: { type: 'rule', color: INK, strokeWidth: 1.5 },
            encoding: { y, x: { ...x, field: 'low' }, x2: { field: 'high' } },
          },
          {
            mark: { type: 'point', filled: true, size: 80, opacity: 1, stroke: PAPER, strokeWidth: 1.5 },
            encoding: {
              y,
              x: { ...x, field: 'change' },
              color: {
                field: 'isReal',
                type: 'nominal',
                scale: { domain: ['real', 'could be chance'], range: [PALETTE.vermilion, PALETTE.grey] },
                legend,
              },
              tooltip: [
                { field: 'policy', title: 'policy' },
                { field: 'change', title: 'change', format: '+.1%' },
                { field: 'low', title: '95 % from', format: '+.1%' },
                { field: 'high', title: 'to', format: '+.1%' },
              ],
            },
          },
        ],
      },
    );
  },

  table: bench => ({
    columns: ['policy', 'workflow p95 against the baseline (0-1)', '95 % from', '95 % to', 'verdict'],
    rows: differenceRows(bench).map(({ policy, change, low, high, isReal }) => [
      policy,
      change,
      low,
      high,
      isReal,
    ]),
  }),
};

function differenceRows(bench: PolicyBenchResult) {
  const baseMs = atKnee(baselineOf(bench), bench).mean.makespanMsP95;
  if (baseMs === null || baseMs === 0) return [];
  return bench.curves.flatMap(curve => {
    const found = atKnee(curve, bench).difference?.makespanMsP95;
    if (found === undefined) return [];
    const [low, high] = found.ci95 ?? [found.mean, found.mean];
    return [
      {
        policy: curve.policy,
        change: found.mean / baseMs,
        low: low / baseMs,
        high: high / baseMs,
        isReal: found.isReal ? 'real' : 'could be chance',
      },
    ];
  });
}

/** In the order of the page. */
export const BENCH_CHARTS: readonly Chart<PolicyBenchResult>[] = [
  goodputAgainstLoad,
  differencesAtKnee,
  makespanAgainstLoad,
  ttftAgainstLoad,
  hitsAgainstLoad,
];
