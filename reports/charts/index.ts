// Every chart, in order of the page. A new one is a file beside this one and a line here.
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { ValidationResult } from '../../scenarios/formats/validation.ts';
import { attemptsChart } from './attempts.ts';
import { cacheHits } from './cache-hits.ts';
import type { Chart } from './chart.ts';
import { costChart } from './cost.ts';
import { gpusChart } from './gpus.ts';
import { latencyCdf } from './latency-cdf.ts';
import { loopTokens } from './loop-tokens.ts';
import { predictedAgainstMeasured } from './predicted-against-measured.ts';
import { pressureChart } from './pressure.ts';
import { replicasChart } from './replicas.ts';
import { simAgainstLive } from './sim-against-live.ts';
import { timelineChart } from './timeline.ts';
import { validationErrors } from './validation-errors.ts';
import { wasteChart } from './waste.ts';
import { waterfall } from './waterfall.ts';
import { whereTimeGoes } from './where-time-goes.ts';

/** Charts of one run. */
export const RUN_CHARTS: readonly Chart<RunResult>[] = [
  latencyCdf,
  whereTimeGoes,
  waterfall,
  timelineChart,
  replicasChart,
  pressureChart,
  attemptsChart,
  costChart,
  wasteChart,
  cacheHits,
  loopTokens,
  gpusChart,
];

/** Charts of a prediction against what was measured; `over-time.ts` has one more for each figure over time. */
export const VALIDATION_CHARTS: readonly Chart<ValidationResult>[] = [
  validationErrors,
  predictedAgainstMeasured,
  simAgainstLive,
];
