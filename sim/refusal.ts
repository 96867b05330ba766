// What an engine refuses at its door: what can never run, and what would wait behind too many.
import type { EngineLimits } from '../engines/engine.ts';
import type { ClusterEvent, Submission } from './cluster.ts';

type Rejection = Extract<ClusterEvent, { kind: 'rejected' }>;

/** Why a request is refused; null when it is taken. `waiting`: what waits already. */
export function refusalOf(
  { promptTokens, outputTokens }: Submission,
  limits: EngineLimits,
  waiting: { requests: number; promptTokens: number },
): Pick<Rejection, 'reason' | 'message'> | null {
  const { maxModelTokens, kvBlocks, blockTokens, maxQueuedRequests, maxQueuedTokens } = limits;
  if (promptTokens + outputTokens > maxModelTokens) {
    const message = `${promptTokens} prompt and ${outputTokens} output tokens exceed maxModelTokens ${maxModelTokens}`;
    return { reason: 'too_long', message };
  }
  // The last token is never computed itself.
  const blocks = Math.ceil((promptTokens + outputTokens - 1) / blockTokens);
  if (blocks > kvBlocks) {
    const message = `needs ${blocks} KV blocks of ${blockTokens} tokens, the replica has kvBlocks ${kvBlocks}`;
    return { reason: 'too_long', message };
  }
  if (maxQueuedRequests !== null && waiting.requests >= maxQueuedRequests) {
    const message = `${waiting.requests} requests wait already, maxQueuedRequests is ${maxQueuedRequests}`;
    return { reason: 'queue_full', message };
  }
  if (maxQueuedTokens !== null && waiting.promptTokens >= maxQueuedTokens) {
    const message = `${waiting.promptTokens} prompt tokens wait already, maxQueuedTokens is ${maxQueuedTokens}`;
    return { reason: 'queue_full', message };
  }
  return null;
}
