// An experiment's inputs to the metrics of its runs, by simulation.
//
//   1. pool (setup.ts)   2. scene (workload.ts)   3. cluster, driven (drive.ts)   4. metrics of each run

import { DEFAULT_SIGNALS } from '../../engines/deploy.ts';
import type { DeploymentSpec, StepModel } from '../../engines/engine.ts';
import type { PlacedSetup } from '../../engines/memory.ts';
import { mean, sorted } from '../../scenarios/base/statistics.ts';
import type { Cluster } from '../../sim/cluster.ts';
import { createCluster } from '../../sim/create-cluster.ts';
import { drive, type FrontEnd, type Timings } from './drive.ts';
import type { Experiment, ExperimentRun, Metrics } from './experiment.ts';
import { POOL, poolOf, replicaOf } from './setup.ts';
import { scenesOf, type WorkloadOptions, type WorkloadRequest } from './workload.ts';

export interface PredictOptions extends WorkloadOptions {
  /** The step model of a replica; throws Refused where there is none. */
  stepOf: (setup: PlacedSetup) => StepModel;
  frontEndOf: (experiment: Experiment) => FrontEnd;
  /** What runs the deployment; as `simulate` where it is not given. */
  engine?: (deployment: DeploymentSpec) => Cluster;
}

/** Metrics by run id. Throws Refused where an input is missing. */
export function predict(experiment: Experiment, options: PredictOptions): Record<string, Metrics> {
  const { stepOf, frontEndOf, engine = createCluster } = options;
  const setup = replicaOf(experiment);
  const step = stepOf(setup);
  const predictions: Record<string, Metrics> = {};
  for (const { phases, runs } of scenesOf(experiment, options)) {
    // 1. and 2.
    const pool = poolOf(experiment, runs[0]!.run, setup, step);
    const routing = { policy: 'least-outstanding', options: {} };
    // 3.
    const cluster = engine({
      name: experiment.id,
      sha256: '',
      pools: [pool],
      hosted: [],
      routing,
      signals: DEFAULT_SIGNALS,
      admission: { policy: 'always', options: {} },
      gateway: null,
      gatewayPlace: null,
      toolRuntimes: [],
      stores: [],
      places: null,
      allowHosts: [],
    });
    const timings = drive(cluster, POOL, phases, frontEndOf(experiment));
    // 4.
    for (const { run, includes } of runs) predictions[run.id] = metricsOf(timings, run, includes);
  }
  return predictions;
}

/** Linear interpolation between the two values around the rank, as the measured percentiles are. */
export function percentile(ascending: ArrayLike<number>, share: number): number {
  const rank = (ascending.length - 1) * share;
  const low = ascending[Math.floor(rank)]!;
  return low + (ascending[Math.ceil(rank)]! - low) * (rank - Math.floor(rank));
}

/** The metrics of the requests that a run is about. */
export function metricsOf(
  { requests, sentMs, firstTokenMs, endMs }: Timings,
  run: ExperimentRun,
  includes: (request: WorkloadRequest) => boolean,
): Metrics {
  const rows = [...requests.keys()].filter(row => includes(requests[row]!));
  if (rows.length === 0) return {};
  const ttft = sorted(rows.map(row => firstTokenMs[row]! - sentMs[row]!));
  const e2e = sorted(rows.map(row => endMs[row]! - sentMs[row]!));
  // The client's count of what it got is an input: TPOT and throughput are defined by it.
  const outputTokens = run.inputs?.output_tokens_mean ?? mean(rows.map(row => requests[row]!.outputTokens));
  const spanMs = Math.max(...spread(rows, endMs)) - Math.min(...spread(rows, sentMs));
  return {
    ttft_mean_ms: mean(ttft),
    ttft_p50_ms: percentile(ttft, 0.5),
    ttft_p90_ms: percentile(ttft, 0.9),
    ttft_p99_ms: percentile(ttft, 0.99),
    ...(outputTokens > 1 && { tpot_mean_ms: (mean(e2e) - mean(ttft)) / (outputTokens - 1) }),
    e2e_mean_ms: mean(e2e),
    e2e_p50_ms: percentile(e2e, 0.5),
    e2e_p90_ms: percentile(e2e, 0.9),
    e2e_p99_ms: percentile(e2e, 0.99),
    throughput_out_tok_s: (rows.length * outputTokens) / (spanMs / 1000),
  };
}

/** The least and the greatest of these rows. */
function spread(rows: readonly number[], values: Float64Array): [number, number] {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    least = Math.min(least, values[row]!);
    most = Math.max(most, values[row]!);
  }
  return [least, most];
}
