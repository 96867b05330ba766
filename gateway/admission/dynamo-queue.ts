// The queue of Dynamo's KV router: a call is held while every worker of its pool has more prefill to do than it should,
// and when one has less, the calls go on in the order of the queue's policy.
import { invariant } from '../../scenarios/base/errors.ts';
import type { RoutingView } from '../routing/policy.ts';
import { readOptions } from './options.ts';
import {
  type AdmissionArrival,
  type AdmissionSetup,
  defineAdmissionPolicy,
  type Gate,
  type PoolsView,
} from './policy.ts';
import { type Due, hasCome, Line, refused, SEND, WAIT, WaitingRoom } from './queue.ts';

const MS_PER_SEC = 1000;

const OPTIONS = {
  /** `session_las`: the session that has had the least service. */
  order: ['fcfs', 'lcfs', 'wspt', 'session_las'],
  /** Prefill tokens of a worker, as a multiple of its max_num_batched_tokens, beyond which it is busy. */
  threshold: { usual: 16 },
  /** Calls that may wait for each worker of the pool; Dynamo has no limit by default. */
  queue: { usual: Number.POSITIVE_INFINITY },
  /** The same in tokens of their prompts. */
  queue_tokens: { usual: Number.POSITIVE_INFINITY },
  max_wait: { usual: Number.POSITIVE_INFINITY },
  /** Between two looks at the workers while calls wait, ms. Dynamo looks when a prefill or a call ends. */
  interval: { usual: 1, least: 0.001 },
} as const;

interface Held {
  line: Line;
  calls: number;
  tokens: number;
  wakeMs: number;
}

/**
 * Each pool by itself. A worker is busy when prefill tokens > threshold * max_num_batched_tokens; a call waits when all
 * are [lib/kv-router/src/scheduling/policy_config.rs, queue.rs; 16 is the default of a policy class]. The highest score
 * goes first [policy.rs, session_las.rs], with jump = max(priority, 0) seconds:
 * fcfs jump - arrival; lcfs jump + arrival; wspt (1 + jump) / tokens; session_las -(prompt tokens of its session so far).
 * Dynamo counts the tokens that are not cached where most are; before the gate nobody knows, so here it is the prompt.
 * Beyond a limit of its class a call gets a 529: `shed`.
 */
export default defineAdmissionPolicy({
  name: 'dynamo_queue',
  doc: 'Holds calls while every replica of their pool has more prefill tokens than it should.',
  source: 'NVIDIA Dynamo `--router-queue-threshold`, `--router-queue-policy`',
  create: (options, setup) => dynamoQueue(readOptions('dynamo_queue', options, OPTIONS), setup),
});

function dynamoQueue(
  settings: ReturnType<typeof readOptions<typeof OPTIONS>>,
  setup: AdmissionSetup | undefined,
): Gate {
  invariant(setup !== undefined, () => 'dynamo_queue is made without the limits of its pools');
  const { order, threshold, queue, queue_tokens, max_wait, interval } = settings;
  const room = new WaitingRoom(max_wait);
  const pools = new Map<string, Held>();
  /** By session, new tokens of the calls that were sent; only session_las asks. */
  const attained = new Map<string, number>();

  const areAllBusy = (pool: string, view: RoutingView): boolean => {
    const limit = threshold * (setup[pool]?.maxBatchedTokens ?? Number.POSITIVE_INFINITY);
    return view.prefillTokens.every(tokens => tokens > limit);
  };
  const sent = (call: AdmissionArrival, tokens: number): void => {
    if (order !== 'session_las') return;
    attained.set(call.session, (attained.get(call.session) ?? 0) + tokens);
  };
  /** Lower goes first: the score with its sign turned. */
  const rankOf = (call: AdmissionArrival, nowMs: number): number => {
    const jumpSec = Math.max(0, call.priority);
    switch (order) {
      case 'fcfs':
        return nowMs - jumpSec * MS_PER_SEC;
      case 'lcfs':
        return -nowMs - jumpSec * MS_PER_SEC;
      case 'wspt':
        return -(1 + jumpSec) / call.promptTokens;
      default:
        return attained.get(call.session) ?? 0;
    }
  };
  const forget = (call: AdmissionArrival): void => {
    const held = pools.get(call.pool) as Held;
    held.calls--;
    held.tokens -= call.promptTokens;
    if (held.calls === 0) pools.delete(call.pool);
  };
  return {
    arrive(call, nowMs, view) {
      const replicas = view.view(call.pool);
      if (!areAllBusy(call.pool, replicas)) {
        sent(call, call.promptTokens);
        return SEND;
      }
      const held = pools.get(call.pool) ?? { line: new Line(), calls: 0, tokens: 0, wakeMs: 0 };
      const workers = Math.max(1, replicas.replicas.length);
      if (held.calls + 1 > queue * workers || held.tokens + call.promptTokens > queue_tokens * workers)
        return refused('shed');
      held.line.add(room.enter(call, nowMs, rankOf(call, nowMs)));
      held.calls++;
      held.tokens += call.promptTokens;
      held.wakeMs = nowMs + interval;
      pools.set(call.pool, held);
      return WAIT;
    },
    ended(_id, nowMs) {
      for (const held of pools.values()) held.wakeMs = nowMs;
    },
    withdraw(id) {
      const left = room.withdraw(id);
      if (left !== undefined) forget(left.call);
      return left !== undefined;
    },
    sessionEnded(session) {
      attained.delete(session);
    },
    due(nowMs, view: PoolsView) {
      const due: Due = { send: [], refuse: [] };
      for (let late = room.takeExpired(nowMs); late !== undefined; late = room.takeExpired(nowMs)) {
        forget(late.call);
        due.refuse.push({ id: late.call.id, reason: 'queue_timeout' });
      }
      for (const [pool, held] of pools) {
        if (!hasCome(held.wakeMs, nowMs)) continue;
        held.wakeMs = nowMs + interval;
        const next = held.line.first();
        if (next === undefined || areAllBusy(pool, view.view(pool))) continue;
        room.leave(next);
        forget(next.call);
        sent(next.call, next.call.promptTokens);
        due.send.push(next.call.id);
        // The workers are looked at again once this one is on its way.
        held.wakeMs = nowMs;
      }
      return due;
    },
    nextMs() {
      let next = room.nextExpiryMs();
      for (const { wakeMs } of pools.values()) next = Math.min(next, wakeMs);
      return next;
    },
    get waiting() {
      return room.size;
    },
  };
}
