// Worlds and their latencies as pages and terminals call them.
import type { TimeMetric, ValidationResult, World } from '../scenarios/formats/validation.ts';
import { METRIC_LABELS } from './metrics.ts';

export const WORLD_WORDS: Record<World, string> = {
  sim: 'simulated',
  live: 'live',
  recorded: 'recorded',
  prometheus: 'Prometheus',
};

/** The two worlds that decide a validation. */
export const worldsOf = ({
  comparisons,
}: Pick<ValidationResult, 'comparisons'>): [predicted: string, measured: string] => {
  const { predicted = 'sim', measured = 'live' } = comparisons[0] ?? {};
  return [WORLD_WORDS[predicted], WORLD_WORDS[measured]];
};

export const timeLabel = (metric: TimeMetric): string => METRIC_LABELS[metric];
