// Every chart, in order of the page. A new one is a file beside this one and a line here.
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { ValidationResult } from '../../scenarios/formats/validation.ts';
import { attemptsChart } from './attempts.ts';
import { breakEvenChart } from './break-even.ts';
import { cacheHits } from './cache-hits.ts';
import { cacheMisses } from './cache-misses.ts';
import type { Chart } from './chart.ts';
import { costChart } from './cost.ts';
import { costTornado } from './cost-tornado.ts';
import { frontier, frontierCost } from './frontier.ts';
import { gpuTimeChart } from './gpu-time.ts';
import { gpusChart } from './gpus.ts';
import { hybridChart } from './hybrid.ts';
import { latencyCdf } from './latency-cdf.ts';
import { loadCurve, loadLatency } from './load-curve.ts';
import { loopTokens } from './loop-tokens.ts';
import { predictedAgainstMeasured } from './predicted-against-measured.ts';
import { pressureChart } from './pressure.ts';
import { qqChart } from './qq.ts';
import { ratesChart } from './rates.ts';
import { replicasChart } from './replicas.ts';
import { residualsChart } from './residuals.ts';
import { simAgainstLive } from './sim-against-live.ts';
import { sweepChart } from './sweep.ts';
import { timelineChart } from './timeline.ts';
import { validationErrors } from './validation-errors.ts';
import { wasteChart } from './waste.ts';
import { waterfall } from './waterfall.ts';
import { whereTimeGoes } from './where-time-goes.ts';

/** Charts of one run. */
export const RUN_CHARTS: readonly Chart<RunResult>[] = [
  latencyCdf,
  whereTimeGoes,
  gpuTimeChart,
  waterfall,
  timelineChart,
  ratesChart,
  replicasChart,
  pressureChart,
  attemptsChart,
  costChart,
  breakEvenChart,
  costTornado,
  wasteChart,
  cacheHits,
  cacheMisses,
  loopTokens,
  gpusChart,
];

/** Charts of all runs of a page. */
export const RUNS_CHARTS: readonly Chart<readonly RunResult[]>[] = [
  frontier,
  frontierCost,
  loadCurve,
  loadLatency,
  hybridChart,
  sweepChart,
];

/** Charts of a prediction against what was measured; `over-time.ts` has one more for each figure over time. */
export const VALIDATION_CHARTS: readonly Chart<ValidationResult>[] = [
  validationErrors,
  predictedAgainstMeasured,
  simAgainstLive,
  qqChart,
  residualsChart,
];
