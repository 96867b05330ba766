// The result of a sweep from its gathered points: which are best, which are the front, and which axis matters. Pure.
import type { ReadyRun } from '../../engines/load.ts';
import { version } from '../../scenarios/cli/version.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import { RESULT_SCHEMA_VERSION } from '../../scenarios/formats/result.ts';
import type {
  SweepAxis,
  SweepCost,
  SweepDesign,
  SweepMetric,
  SweepPoint,
  SweepResult,
} from '../../scenarios/formats/sweep.ts';
import { type Axis, axisName } from '../../scenarios/formats/vary.ts';
import { DEFAULT_SLO_TEXT, isJudgedByDefault } from '../grid/figures.ts';
import { labelsOf } from './design.ts';
import { effectsOf, type JudgedPoint } from './effects.ts';
import { cheapestThatHolds, type Gathered, rankingOf, type SweepGather, withFront } from './gather.ts';

/** What the scenario judges its calls by, else how long they take. */
export const defaultMetric = ({ assertions }: Plan): SweepMetric =>
  assertions.some(({ subject }) => subject.kind === 'attainment')
    ? 'slo'
    : assertions.length > 0
      ? 'kept'
      : LATENCY;

const LATENCY: SweepMetric = 'e2e.p95';

/** Assertions that every point keeps tell no point from another. */
function metricOf({ metric, ready }: SweepParts, points: readonly SweepPoint[]): SweepMetric {
  if (metric !== undefined) return metric;
  const wanted = defaultMetric(ready.plan);
  const isIdle = wanted === 'kept' && points.every(({ metrics }) => (metrics.kept[0] ?? 1) === 1);
  return isIdle ? LATENCY : wanted;
}

interface SweepParts {
  readonly design: SweepDesign;
  /** Undefined: the default. */
  readonly metric: SweepMetric | undefined;
  readonly cost: SweepCost | undefined;
  readonly axes: readonly Axis[];
  readonly seeds: readonly (number | string)[];
  readonly ready: ReadyRun;
  readonly gather: SweepGather;
  readonly runsPlanned: number;
  readonly command: string;
}

export function sweepResult(parts: SweepParts): SweepResult {
  const { design, seeds, ready, gather } = parts;
  const gathered = gather.gatheredPoints();
  const metric = metricOf(
    parts,
    gathered.map(({ point }) => point),
  );
  const cost =
    parts.cost ?? (gathered.some(({ point }) => point.metrics.usd[0] !== null) ? 'usd' : 'gpu-hours');
  const points = withFront(
    gathered.map(({ point }) => point),
    metric,
    cost,
  );
  const ranking = rankingOf(points, metric, cost);
  const axes = parts.axes.map((axis, i) => axisOf(axis, i, points));
  const judged = points.map((point, i) => judgedPoint(point, gathered[i]!, metric));
  const best = ranking[0] === undefined ? null : judged[ranking[0]]!;
  const { plan, deployment, warnings } = ready;
  return {
    schemaVersion: RESULT_SCHEMA_VERSION,
    kind: 'sweep',
    header: {
      tool: { name: 'agent-windtunnel', version },
      scenario: { name: plan.name, sha256: plan.sha256 },
      deployment: { name: deployment.name, sha256: deployment.sha256 },
      command: parts.command,
      evidence: deployment.pools.flatMap(pool => pool.evidence),
      warnings,
    },
    design,
    axes,
    seeds: [...seeds],
    metric,
    cost,
    slo: isJudgedByDefault(plan) ? DEFAULT_SLO_TEXT : 'the SLOs of the scenario',
    assertions: plan.assertions.length,
    runs: gather.runs,
    runsPlanned: parts.runsPlanned,
    failedRuns: gather.failedRuns,
    points,
    ranking,
    cheapestThatHolds: cheapestThatHolds(points, ranking, cost),
    effects: effectsOf(axes, judged, best, design === 'grid'),
  };
}

const judgedPoint = (point: SweepPoint, { rows }: Gathered, metric: SweepMetric): JudgedPoint => ({
  point,
  metric: point.metrics[metric][0],
  perSeed: rows.map(({ values }) => values?.[metric] ?? null),
});

/** Numbers ascend; other values stay as they were written. */
function axisOf(axis: Axis, index: number, points: readonly SweepPoint[]): SweepAxis {
  const byLabel = new Map(points.map(({ values, numbers }) => [values[index]!, numbers[index] ?? null]));
  const isNumeric = [...byLabel.values()].every(number => number !== null);
  const known = [...byLabel.keys()];
  const written = labelsOf(axis);
  const place = (label: string): number => (isNumeric ? byLabel.get(label)! : written.indexOf(label));
  return { name: axisName(axis), isNumeric, values: known.sort((a, b) => place(a) - place(b)) };
}
