// How far predictions are from what was measured: by family, hardware, model and workload, and beside what published
// simulators predicted for the very same runs. Rule: runs are averaged inside a group (family, hardware, model, dtype)
// first, so that long sweeps do not drown the rest.
import { mean, sorted } from '../../scenarios/base/statistics.ts';
import { type Experiment, isStage, METRICS, type Measured, type Metric, type Metrics } from './experiment.ts';
import { percentile } from './predict.ts';

/** The metrics that the overall figure is made of. */
export const CORE = ['ttft_mean_ms', 'tpot_mean_ms', 'e2e_mean_ms'] as const satisfies readonly Metric[];

/** What an experiment is counted under. */
export interface Labels {
  family: string;
  hardware: string;
  model: string;
  workload: string;
  group: string;
}

export const labelsOf = ({ family, hardware, model, workload }: Experiment): Labels => ({
  family,
  hardware: hardware.key,
  model: model.name,
  workload: workload.type,
  group: [family, hardware.key, model.name, model.dtype].join('|'),
});

/** An experiment with its outcome: what a score is made over. */
export interface Scorable {
  labels: Labels;
  measured: readonly Measured[];
}

/** One metric of one run. Errors are percent of what was measured; `bias` keeps its sign. */
export interface ScoredMetric extends Labels {
  runId: string;
  metric: Metric;
  predicted: number;
  measured: number;
  errorPercent: number;
  biasPercent: number;
}

/** Errors of one metric over several runs, percent. */
export interface Cell {
  metric: Metric;
  runs: number;
  /** Mean over groups of the mean inside each. */
  byGroupPercent: number;
  byRunPercent: number;
  medianPercent: number;
  biasPercent: number;
}

/** The same (run, metric) pairs, predicted by a published simulator and by us; means over runs, percent. */
export interface Versus {
  simulator: string;
  family: string;
  metric: Metric;
  /** Runs it published, and those of them that we predicted too. */
  runs: number;
  paired: number;
  theirsPercent: number | null;
  oursPercent: number | null;
  theirsMedianPercent: number | null;
  oursMedianPercent: number | null;
}

export const DIMENSIONS = ['hardware', 'model', 'workload'] as const;
export type Dimension = (typeof DIMENSIONS)[number];

export interface Score {
  /** Runs that may be scored, and those of them that were predicted. */
  runs: number;
  predicted: number;
  /** Mean over families and core metrics; null where nothing could be scored. */
  overallPercent: number | null;
  families: readonly ({ family: string } & Cell)[];
  breakdown: Readonly<Record<Dimension, readonly ({ family: string; name: string } & Cell)[]>>;
  versus: readonly Versus[];
  /** Each metric of each run, the worst first. */
  scored: readonly ScoredMetric[];
}

/** Published predictions: run id, simulator, metric; `_actual_…` where it was compared with another sample. */
export type Anchors = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, number>>>>>>;

export interface ScoreInput {
  experiments: readonly Scorable[];
  predictions: Readonly<Record<string, Metrics>>;
  anchors: Anchors;
  /** Load stages too, not only whole runs. */
  stages: boolean;
}

const errorPercent = (predicted: number, measured: number): number =>
  measured === 0
    ? predicted === 0
      ? 0
      : Number.POSITIVE_INFINITY
    : (Math.abs(predicted - measured) / measured) * 100;

export function score({ experiments, predictions, anchors, stages }: ScoreInput): Score {
  const truth = experiments.flatMap(({ labels, measured }) =>
    measured
      .filter(({ runId, leftOut }) => !leftOut && (stages || !isStage(runId)))
      .map(({ runId, metrics }) => ({ runId, metrics, labels })),
  );
  const scored = truth.flatMap(({ runId, metrics, labels }) =>
    METRICS.flatMap((metric): ScoredMetric[] => {
      const measured = metrics[metric];
      const predicted = predictions[runId]?.[metric];
      if (measured === undefined || predicted === undefined) return [];
      const biasPercent = measured === 0 ? 0 : ((predicted - measured) / measured) * 100;
      const error = errorPercent(predicted, measured);
      return [{ ...labels, runId, metric, predicted, measured, errorPercent: error, biasPercent }];
    }),
  );
  const families = distinct(scored.map(each => each.family)).flatMap(family =>
    cells(scored.filter(each => each.family === family)).map(cell => ({ family, ...cell })),
  );
  const core = families.filter(({ metric }) => (CORE as readonly Metric[]).includes(metric));
  const by = (dimension: Dimension) =>
    distinct(scored.map(each => `${each.family}\n${each[dimension]}`)).flatMap(key => {
      const [family = '', name = ''] = key.split('\n');
      const rows = scored.filter(each => each.family === family && each[dimension] === name);
      return cells(rows).map(cell => ({ family, name, ...cell }));
    });
  return {
    runs: truth.length,
    predicted: truth.filter(({ runId }) => predictions[runId] !== undefined).length,
    overallPercent: core.length === 0 ? null : mean(core.map(each => each.byGroupPercent)),
    families,
    breakdown: { hardware: by('hardware'), model: by('model'), workload: by('workload') },
    versus: versus(truth, predictions, anchors),
    scored: [...scored].sort((a, b) => b.errorPercent - a.errorPercent || (a.runId < b.runId ? -1 : 1)),
  };
}

const distinct = (values: readonly string[]): string[] => [...new Set(values)].sort();

const median = (values: readonly number[]): number => percentile(sorted(values), 0.5);

/** Mean of the means inside each group. */
function byGroup(rows: readonly { group: string; errorPercent: number }[]): number {
  const groups = Map.groupBy(rows, row => row.group);
  return mean([...groups.values()].map(each => mean(each.map(row => row.errorPercent))));
}

const cells = (rows: readonly ScoredMetric[]): Cell[] =>
  METRICS.flatMap(metric => {
    const of = rows.filter(row => row.metric === metric);
    if (of.length === 0) return [];
    const errors = of.map(row => row.errorPercent);
    return [
      {
        metric,
        runs: of.length,
        byGroupPercent: byGroup(of),
        byRunPercent: mean(errors),
        medianPercent: median(errors),
        biasPercent: mean(of.map(row => row.biasPercent)),
      },
    ];
  });

function versus(
  truth: readonly { runId: string; metrics: Metrics; labels: Labels }[],
  predictions: Readonly<Record<string, Metrics>>,
  anchors: Anchors,
): Versus[] {
  const simulators = distinct(truth.flatMap(({ runId }) => Object.keys(anchors[runId] ?? {})));
  const families = distinct(truth.map(({ labels }) => labels.family));
  const compare = (simulator: string, family: string, metric: Metric): Versus[] => {
    let runs = 0;
    const theirs: number[] = [];
    const ours: number[] = [];
    for (const { runId, metrics, labels } of truth) {
      const published = anchors[runId]?.[simulator];
      const predicted = published?.[metric];
      const measured = metrics[metric];
      if (labels.family !== family || predicted === undefined || measured === undefined) continue;
      runs++;
      const own = predictions[runId]?.[metric];
      if (own === undefined) continue;
      theirs.push(errorPercent(predicted, published?.[`_actual_${metric}`] ?? measured));
      ours.push(errorPercent(own, measured));
    }
    if (runs === 0) return [];
    const or = (of: (values: number[]) => number, values: number[]) =>
      values.length === 0 ? null : of(values);
    return [
      {
        simulator,
        family,
        metric,
        runs,
        paired: ours.length,
        theirsPercent: or(mean, theirs),
        oursPercent: or(mean, ours),
        theirsMedianPercent: or(median, theirs),
        oursMedianPercent: or(median, ours),
      },
    ];
  };
  return simulators.flatMap(simulator =>
    families.flatMap(family => METRICS.flatMap(metric => compare(simulator, family, metric))),
  );
}
