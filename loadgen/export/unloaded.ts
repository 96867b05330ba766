// How long a call takes on a server that does nothing else, by the step model of its pool: prompts in steps of the token
// budget, then a step a token.
import type { DeploymentSpec, PoolSpec } from '../../engines/engine.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';

/** Of a call to a provider, of which no step is known. */
const ELSEWHERE_MS = 1000;
const NS_PER_MS = 1e6;

/** ms of a call; by pool. */
export function unloadedMs(
  { pools }: DeploymentSpec,
  poolOf: (model: string) => string,
): (call: Call) => number {
  const byName = new Map(pools.map(pool => [pool.name, pool]));
  return call => {
    const pool = byName.get(poolOf(call.model));
    if (pool === undefined) return ELSEWHERE_MS;
    const { ms, msPerToken } = pool.frontEnd;
    return ms + call.promptTokens * msPerToken + serviceMs(pool, call);
  };
}

function serviceMs({ step, limits }: PoolSpec, { promptTokens, outputTokens }: Call): number {
  let ns = 0;
  for (let before = 0; before < promptTokens; before += limits.maxBatchedTokens) {
    const tokens = Math.min(limits.maxBatchedTokens, promptTokens - before);
    ns += step.stepNs({
      decodes: 0,
      decodeContextTokens: 0,
      prefills: 1,
      prefillTokens: tokens,
      prefillContextTokens: before + tokens,
      prefillPairs: tokens * before + (tokens * (tokens + 1)) / 2,
      samples: before + tokens === promptTokens ? 1 : 0,
    });
  }
  // Steps of one sequence are a line in its context: their mean is that of the middle.
  const decodes = outputTokens - 1;
  const { interceptUnits, slopeUnits } = step.decodeLine(1, promptTokens + outputTokens);
  const middle = promptTokens + (outputTokens + 1) / 2;
  return (ns + (decodes * (interceptUnits + slopeUnits * middle)) / 1024) / NS_PER_MS;
}
