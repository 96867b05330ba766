// What calls have been like lately: how planners learn the prompts and answers that they plan for.
import type { Flow } from './policy.ts';

/** A call on average. */
export interface CallShape {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Share of the prompt that the cache holds, 0-1. */
  readonly cachedRatio: number;
}

/** ISL 3000, OSL 150: what the Dynamo planner starts from (planner/config/defaults.py), nothing cached. */
export const UNKNOWN_SHAPE: CallShape = { promptTokens: 3000, outputTokens: 150, cachedRatio: 0 };

/** Of a hit rate no more is believed [MAX_KV_HIT_RATE_DISCOUNT of the Dynamo planner]. */
export const MOST_CACHED = 0.95;

/** Of what came and went; each part as in `otherwise` where nothing did. */
export function shapeOf(
  { arrivals, ended, promptTokens, cachedTokens, outputTokens }: Flow,
  otherwise: CallShape,
): CallShape {
  const prompt = arrivals > 0 ? promptTokens / arrivals : otherwise.promptTokens;
  return {
    promptTokens: prompt,
    outputTokens: ended > 0 ? outputTokens / ended : otherwise.outputTokens,
    // What came and what ended are not the same calls: their means are compared.
    cachedRatio:
      ended > 0 && prompt > 0 ? Math.min(MOST_CACHED, cachedTokens / ended / prompt) : otherwise.cachedRatio,
  };
}

export const noFlow: Flow = {
  overMs: 0,
  arrivals: 0,
  ended: 0,
  promptTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  ttftMs: 0,
  itlMs: 0,
};

const meanOf = (a: number, countA: number, b: number, countB: number): number =>
  countA + countB === 0 ? 0 : (a * countA + b * countB) / (countA + countB);

/** Both together: counts add up, means are weighted by the calls they are of. */
export const addFlow = (a: Flow, b: Flow): Flow => ({
  overMs: a.overMs + b.overMs,
  arrivals: a.arrivals + b.arrivals,
  ended: a.ended + b.ended,
  promptTokens: a.promptTokens + b.promptTokens,
  cachedTokens: a.cachedTokens + b.cachedTokens,
  outputTokens: a.outputTokens + b.outputTokens,
  ttftMs: meanOf(a.ttftMs, a.ended, b.ttftMs, b.ended),
  itlMs: meanOf(a.itlMs, a.ended, b.itlMs, b.ended),
});

/** The shape of the calls of the last `windowMs`; of the last ones seen where none came or ended since. */
export function shapeLearner(windowMs: number): (nowMs: number, flow: Flow) => CallShape {
  let flows: { atMs: number; flow: Flow }[] = [];
  let shape = UNKNOWN_SHAPE;
  return (nowMs, flow) => {
    flows = flows.filter(({ atMs }) => atMs > nowMs - windowMs);
    if (flow.arrivals > 0 || flow.ended > 0) flows.push({ atMs: nowMs, flow });
    shape = shapeOf(
      flows.reduce((sum, each) => addFlow(sum, each.flow), noFlow),
      shape,
    );
    return shape;
  };
}
