// What an engine refuses at its door: what can never run, and what would wait behind too many.
import type { EngineLimits } from '../engines/engine.ts';
import type { ClusterEvent, Submission } from './cluster.ts';

export type Refusal = Pick<Extract<ClusterEvent, { kind: 'rejected' }>, 'reason' | 'message'>;

/** Beyond the context window; null when it is within. */
export function beyondWindow(
  { promptTokens, outputTokens }: Submission,
  { maxModelTokens }: EngineLimits,
): Refusal | null {
  if (promptTokens + outputTokens <= maxModelTokens) return null;
  const message = `${promptTokens} prompt and ${outputTokens} output tokens exceed maxModelTokens ${maxModelTokens}`;
  return { reason: 'too_long', message };
}

/** A sequence of `tokens` tokens has more blocks than there are; null when it could run alone. */
export function beyondCache(tokens: number, { kvBlocks, blockTokens }: EngineLimits): string | null {
  const blocks = Math.ceil(tokens / blockTokens);
  if (blocks <= kvBlocks) return null;
  return `needs ${blocks} KV blocks of ${blockTokens} tokens, the replica has kvBlocks ${kvBlocks}`;
}

/** Behind as many as may wait; null when it may queue up. */
export function beyondQueue(
  waiting: { requests: number; promptTokens: number },
  { maxQueuedRequests, maxQueuedTokens }: EngineLimits,
): Refusal | null {
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
