// ThunderAgent (arXiv 2602.13692): programs, not calls, are let in, paused and resumed, so that the KV of those that run
// is not thrown out by those that come. A program is paused between its calls, while it waits for a tool.

import { invariant } from '../../scenarios/base/errors.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import { readOptions } from './options.ts';
import { type AdmissionSetup, defineAdmissionPolicy, type Gate, type PoolsView } from './policy.ts';
import { type Due, hasCome, SEND, WAIT, type Waiting, WaitingRoom } from './queue.ts';

/** Defaults of Dynamo's port, components/src/dynamo/thunderagent_router/router.py. */
const OPTIONS = {
  /** KV of a pool's programs over its capacity beyond which some are paused, and down to which. */
  pause_above: { usual: 0.95, most: 1 },
  pause_down_to: { usual: 0.8, most: 1 },
  /** How far below `pause_above` a program must fit to be resumed (resume_hysteresis). */
  hysteresis: { usual: 0.1, most: 1 },
  /** Tokens added to each program (buffer_per_program). */
  buffer: { usual: 100 },
  /** Between two looks at the programs, ms (scheduler_interval_seconds). */
  interval: { usual: 5000, least: 0.001 },
  /** A program that has waited so long goes on whatever there is, ms (resume_timeout_seconds). */
  resume_after: { usual: 1_800_000 },
} as const;

interface Program {
  readonly pool: string;
  readonly session: string;
  /** Of its newest prompt. */
  tokens: number;
  steps: number;
  inFlight: number;
  isPaused: boolean;
  /** To be paused once none of its calls is in flight. */
  isMarked: boolean;
  /** Held back while it is paused. */
  calls: Waiting[];
}

/** In front: programs in the middle whose call waits, then new ones, then those that have nothing to send. */
const groupOf = ({ steps, calls }: Program): number => (steps <= 1 ? 1 : calls.length > 0 ? 0 : 2);

/**
 * A program is a session in one pool; it holds tokens of its newest prompt + `buffer`. A new one goes in when none is
 * paused and it fits into the capacity (KV tokens of a replica * replicas); the calls of one that is in go on at once.
 * At each look: paused ones are resumed, smallest first, while what they hold stays below (pause_above - hysteresis) *
 * capacity; then, above pause_above * capacity, those between two calls are paused, smallest first, down to pause_down_to,
 * and if that is not enough the others are marked. The original counts replica by replica, as it places programs too, and
 * sees output tokens; a gate does neither. Its soft demotion and its boost reorder a queue behind it that is not here.
 */
export default defineAdmissionPolicy({
  name: 'thunder_agent',
  doc: 'Lets programs in while their KV fits, and pauses some between their calls when it does not.',
  source: 'ThunderAgent (arXiv 2602.13692); NVIDIA Dynamo `thunderagent_router`',
  create: (options, setup) => thunderAgent(readOptions('thunder_agent', options, OPTIONS), setup),
});

function thunderAgent(
  settings: ReturnType<typeof readOptions<typeof OPTIONS>>,
  setup: AdmissionSetup | undefined,
): Gate {
  invariant(setup !== undefined, () => 'thunder_agent is made without the limits of its pools');
  const { pause_above, pause_down_to, hysteresis, buffer, interval, resume_after } = settings;
  const room = new WaitingRoom(resume_after);
  const pools = new Map<string, Map<string, Program>>();
  /** Of each call that waits or is in flight. */
  const programOf = new IdTable<Program>();
  /** Let go by a resume; told with the next `due`. */
  const released: number[] = [];
  let lookMs = Number.POSITIVE_INFINITY;
  let knownMs = 0;

  const capacityOf = (pool: string, view: PoolsView): number =>
    view.view(pool).replicas.length * (setup[pool]?.kvTokens ?? Number.POSITIVE_INFINITY);
  const heldBy = (program: Program): number => program.tokens + buffer;
  const heldIn = (programs: Iterable<Program>): number => {
    let tokens = 0;
    for (const program of programs) if (!program.isPaused) tokens += heldBy(program);
    return tokens;
  };
  const resume = (program: Program): void => {
    program.isPaused = false;
    for (const waiting of program.calls) {
      room.leave(waiting);
      program.inFlight++;
      released.push(waiting.call.id);
    }
    program.calls = [];
  };
  const look = (programs: readonly Program[], capacity: number): void => {
    let held = heldIn(programs);
    const paused = programs.filter(program => program.isPaused);
    paused.sort((a, b) => groupOf(a) - groupOf(b) || a.tokens - b.tokens);
    for (const program of paused) {
      if (held + heldBy(program) > capacity * Math.max(0, pause_above - hysteresis)) continue;
      resume(program);
      held += heldBy(program);
    }
    if (held <= capacity * pause_above) return;
    const target = capacity * Math.min(pause_down_to, pause_above);
    const active = programs.filter(program => !program.isPaused).sort((a, b) => a.tokens - b.tokens);
    for (const program of active) {
      if (held <= target) return;
      if (program.inFlight > 0) continue;
      program.isPaused = true;
      held -= heldBy(program);
    }
    if (held > target) for (const program of active) program.isMarked = program.inFlight > 0;
  };
  return {
    arrive(call, nowMs, view) {
      knownMs = nowMs;
      const programs = pools.get(call.pool) ?? new Map<string, Program>();
      pools.set(call.pool, programs);
      lookMs = Math.min(lookMs, nowMs + interval);
      let program = programs.get(call.session);
      if (program === undefined) {
        const capacity = capacityOf(call.pool, view);
        const others = [...programs.values()];
        const needs = heldIn(others) + call.promptTokens + buffer;
        program = {
          pool: call.pool,
          session: call.session,
          tokens: call.promptTokens,
          steps: 0,
          inFlight: 0,
          // Without a replica there is nothing to reason about: the call goes on, and waits there.
          isPaused: capacity > 0 && (needs > capacity || others.some(each => each.isPaused)),
          isMarked: false,
          calls: [],
        };
        programs.set(call.session, program);
      }
      program.tokens = call.promptTokens;
      program.steps++;
      programOf.set(call.id, program);
      if (!program.isPaused) {
        program.inFlight++;
        return SEND;
      }
      program.calls.push(room.enter(call, nowMs));
      return WAIT;
    },
    ended(id) {
      const program = programOf.get(id);
      if (program === undefined) return;
      programOf.delete(id);
      program.inFlight--;
      if (program.inFlight > 0 || !program.isMarked) return;
      program.isMarked = false;
      program.isPaused = true;
    },
    withdraw(id) {
      const left = room.withdraw(id);
      const program = programOf.get(id);
      if (left === undefined || program === undefined) return false;
      programOf.delete(id);
      program.calls = program.calls.filter(waiting => waiting !== left);
      return true;
    },
    sessionEnded(session, nowMs) {
      knownMs = nowMs;
      for (const [pool, programs] of pools) {
        const program = programs.get(session);
        if (program === undefined) continue;
        resume(program);
        programs.delete(session);
        if (programs.size === 0) pools.delete(pool);
      }
      if (pools.size === 0) lookMs = Number.POSITIVE_INFINITY;
    },
    due(nowMs, view) {
      knownMs = nowMs;
      for (let late = room.takeExpired(nowMs); late !== undefined; late = room.takeExpired(nowMs)) {
        const program = programOf.get(late.call.id) as Program;
        program.calls = program.calls.filter(waiting => waiting !== late);
        program.inFlight++;
        released.push(late.call.id);
        resume(program);
      }
      if (hasCome(lookMs, nowMs)) {
        lookMs = nowMs + interval;
        for (const [pool, programs] of pools) {
          const capacity = capacityOf(pool, view);
          if (capacity > 0) look([...programs.values()], capacity);
        }
      }
      const due: Due = { send: released.splice(0), refuse: [] };
      return due;
    },
    nextMs: () => (released.length > 0 ? knownMs : Math.min(lookMs, room.nextExpiryMs())),
    // Those that are let go have left the room and not the gate.
    get waiting() {
      return room.size + released.length;
    },
  };
}
