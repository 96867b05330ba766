// AIBrix least latency: the replica that has been the quickest per token so far. It weighs the past, not what waits now.
import { IdTable } from '../../scenarios/base/id-table.ts';
import { refuseOptions } from './options.ts';
import { lowestDrawn } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';

/** What one replica's answered requests took and had, in all. */
interface Past {
  requests: number;
  firstTokenMs: number;
  promptTokens: number;
  decodeMs: number;
  outputTokens: number;
}

interface Sent {
  readonly sentMs: number;
  readonly promptTokens: number;
  firstTokenMs: number | null;
}

/** Before there are any means [least_latency.go `guessPromptTokens`, `guessGenerationTokens`]. */
const GUESS_PROMPT_TOKENS = 10;
const GUESS_OUTPUT_TOKENS = 100;

/**
 *     latency = firstToken / prompt * meanPrompt + decode / output * meanOutput
 *
 * of each replica, means over all it has answered; meanPrompt and meanOutput: means of those over the replicas. The
 * lowest is taken, of equal ones a drawn one; a replica that answered nothing has 0. AIBrix reads the engine's own
 * histograms and adds the queue's mean unscaled: a router sees no more than the first token, so its wait is in it.
 */
export default defineRoutingPolicy({
  name: 'aibrix-least-latency',
  doc: 'Takes the replica whose answers so far took the least time per prompt token and per output token.',
  source: 'AIBrix `least-latency` (pkg/plugins/gateway/algorithms/least_latency.go)',
  create(options) {
    refuseOptions('aibrix-least-latency', options);
    const sent = new IdTable<Sent>();
    const pasts = new IdTable<Past>();
    const costs: number[] = [];

    /** Mean over the replicas of each one's mean tokens a request. */
    function meanTokens(
      ids: readonly number[],
      column: 'promptTokens' | 'outputTokens',
      guess: number,
    ): number {
      let sum = 0;
      let replicas = 0;
      for (const id of ids) {
        const past = pasts.get(id);
        if (past === undefined || past[column] === 0) continue;
        sum += past[column] / past.requests;
        replicas += 1;
      }
      return replicas === 0 ? guess : sum / replicas;
    }

    return {
      route({ id, key, promptTokens }, { ids, nowMs }) {
        sent.set(id, { sentMs: nowMs, promptTokens, firstTokenMs: null });
        const prompt = meanTokens(ids, 'promptTokens', GUESS_PROMPT_TOKENS);
        const output = meanTokens(ids, 'outputTokens', GUESS_OUTPUT_TOKENS);
        costs.length = ids.length;
        for (let row = 0; row < ids.length; row++) {
          const past = pasts.get(ids[row]!);
          costs[row] =
            past === undefined
              ? 0
              : (past.firstTokenMs / Math.max(1, past.promptTokens)) * prompt +
                (past.decodeMs / Math.max(1, past.outputTokens)) * output;
        }
        return lowestDrawn(costs, key);
      },
      observe(event) {
        if (event.kind === 'left') {
          pasts.delete(event.replicaId);
          return;
        }
        const request = sent.get(event.id);
        if (request === undefined) return;
        if (event.kind === 'first_token') {
          request.firstTokenMs = event.atMs;
          return;
        }
        sent.delete(event.id);
        // One without a token says nothing of speed.
        if (request.firstTokenMs === null) return;
        let past = pasts.get(event.replicaId);
        if (past === undefined) {
          past = { requests: 0, firstTokenMs: 0, promptTokens: 0, decodeMs: 0, outputTokens: 0 };
          pasts.set(event.replicaId, past);
        }
        past.requests += 1;
        past.firstTokenMs += request.firstTokenMs - request.sentMs;
        past.promptTokens += request.promptTokens;
        past.decodeMs += event.atMs - request.firstTokenMs;
        past.outputTokens += event.outputTokens;
      },
    };
  },
});
