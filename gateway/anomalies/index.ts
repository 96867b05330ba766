// Every anomaly rule, in the order in which they are asked.
import type { AnomalyDetector } from './anomaly.ts';
import { burn } from './burn.ts';
import { calls } from './calls.ts';
import { contextGrowth } from './context-growth.ts';
import { loop } from './loop.ts';
import { toolCascade } from './tool-cascade.ts';

export const anomalyDetectors: readonly AnomalyDetector[] = [loop, toolCascade, contextGrowth, burn, calls];
