// Saturation of a pool as llm-d's endpoint picker sees it: 1 is full. Either from scraped metrics (what engines report,
// late) or from what was sent and has not ended (exact, and blind to what the engines make of it).
import { unreachable } from '../../scenarios/base/errors.ts';
import type { RoutingView } from '../routing/policy.ts';

/** Defaults of llm-d-router: saturationdetector/utilization and saturationdetector/concurrency, README of each. */
export const DETECTOR_OPTIONS = {
  /** `utilization`: scraped; `requests`, `tokens`: in flight; `hybrid`: the larger of both. */
  detector: ['utilization', 'requests', 'tokens', 'hybrid'],
  /** Waiting calls of a replica that are too many (queueDepthThreshold). */
  queue_depth: { usual: 5 },
  /** KV in use that is too much, 0-1 (kvCacheUtilThreshold). */
  kv_usage: { usual: 0.8, most: 1 },
  /** Older metrics count as saturated, ms (metricsStalenessThreshold). */
  max_age: { usual: 200 },
  /** Calls in flight that a replica should have (maxConcurrency). */
  max_requests: { usual: 100 },
  /** Tokens in flight that a replica should have (maxTokenConcurrency). */
  max_tokens: { usual: 1_000_000 },
} as const;

export interface DetectorSettings {
  detector: 'utilization' | 'requests' | 'tokens' | 'hybrid';
  queue_depth: number;
  kv_usage: number;
  max_age: number;
  max_requests: number;
  max_tokens: number;
}

/** x / limit; a limit of 0 is passed by anything. */
const share = (x: number, limit: number): number =>
  limit > 0 ? x / limit : x > 0 ? Number.POSITIVE_INFINITY : 0;

/** Mean over replicas of max(waiting / queue_depth, kvUsed / kv_usage); 1 without replicas or with old metrics. */
function utilization(view: RoutingView, { queue_depth, kv_usage, max_age }: DetectorSettings): number {
  const { waiting, kvUsedRatio } = view;
  if (waiting.length === 0 || view.ageMs > max_age) return 1;
  let sum = 0;
  for (let row = 0; row < waiting.length; row++)
    sum += Math.max(share(waiting[row]!, queue_depth), share(kvUsedRatio[row]!, kv_usage));
  return sum / waiting.length;
}

/** In flight over (replicas * limit); 1 without replicas. */
function concurrency(columns: readonly (readonly number[])[], replicas: number, limit: number): number {
  if (replicas === 0) return 1;
  let sum = 0;
  for (const column of columns) for (const value of column) sum += value;
  return share(sum, replicas * limit);
}

/** Of tokens only prompts are counted: the EPP estimates answers too, by a fixed share of the prompt. */
export function detector(settings: DetectorSettings): (view: RoutingView) => number {
  const requests = (view: RoutingView) =>
    concurrency([view.outstanding], view.replicas.length, settings.max_requests);
  const tokens = (view: RoutingView) =>
    concurrency([view.prefillTokens, view.decodeTokens], view.replicas.length, settings.max_tokens);
  switch (settings.detector) {
    case 'utilization':
      return view => utilization(view, settings);
    case 'requests':
      return requests;
    case 'tokens':
      return tokens;
    case 'hybrid':
      return view => Math.max(requests(view), tokens(view));
    default:
      return unreachable(settings.detector);
  }
}
