// ThunderAgent places programs, not calls: a session stays on its replica for as long as it lives, and a new one goes
// where the programs that are at work hold the least. To pause programs is the gate's: admission/thunder-agent.ts.
import { falling } from '../../scenarios/base/distributions.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import { keyNumber } from '../../scenarios/base/key.ts';
import { numberOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';

/** Defaults of Dynamo's port [components/src/dynamo/thunderagent_router/router.py; policies.md 2.1]. */
const DEFAULTS = {
  /** The weight of a program between two calls halves in this time (acting_decay_tau_seconds). */
  acting_half_life_ms: 1_000,
  /** Tokens added to each program (buffer_per_program). */
  buffer_tokens: 100,
  /** A program without a call for so long is over (program_idle_ttl_seconds). */
  idle_ttl_ms: 600_000,
};

interface Program {
  readonly name: number;
  replicaId: number;
  /** Of its newest prompt, and of the answer once that is there. */
  tokens: number;
  inFlight: number;
  /** Since when none is in flight. */
  actingSinceMs: number;
}

/** Tokens of the programs on one replica. */
interface Held {
  programs: number;
  /** All that is theirs, and of that what has calls in flight. */
  tokens: number;
  reasoning: number;
  /** What is between calls, decayed up to `decayedMs`. */
  acting: number;
  decayedMs: number;
}

/**
 * A session keeps its replica until it had no call for `idle_ttl_ms` or the replica is gone. A new one:
 *
 *     fits    KV tokens of a replica - (tokens of its programs + 100 each) >= prompt + 100
 *     load    tokens of programs with a call in flight + of others * 2^(-seconds since their last call) + 100 each
 *
 * The least load of those where it fits, or of all where it fits nowhere; of equal ones, the lowest row. Tokens of a
 * program are those of its newest prompt, with the answer once it is there.
 */
export default defineRoutingPolicy({
  name: 'thunder-agent',
  doc: 'Keeps a session on one replica, and starts a new one where programs at work hold the fewest tokens.',
  source: 'ThunderAgent (arXiv 2602.13692); NVIDIA Dynamo `thunderagent_router`',
  create(options, { kvTokens }) {
    const { acting_half_life_ms, buffer_tokens, idle_ttl_ms } = numberOptions(
      'thunder-agent',
      options,
      DEFAULTS,
    );
    const programs = new IdTable<Program>();
    /** Between two calls, the longest first. */
    const idle = new Map<number, Program>();
    /** By request. */
    const sent = new IdTable<{ program: Program; promptTokens: number }>();
    const replicas = new IdTable<Held>();

    const left = (sinceMs: number, nowMs: number): number =>
      falling((-Math.LN2 * (nowMs - sinceMs)) / Math.max(1, acting_half_life_ms));
    function heldAt(id: number, nowMs: number): Held {
      let held = replicas.get(id);
      if (held === undefined) {
        held = { programs: 0, tokens: 0, reasoning: 0, acting: 0, decayedMs: nowMs };
        replicas.set(id, held);
      }
      held.acting *= left(held.decayedMs, nowMs);
      held.decayedMs = nowMs;
      return held;
    }

    /** Takes a program's tokens off its replica, where `weigh` puts them. */
    function unweigh({ replicaId, tokens, inFlight, actingSinceMs }: Program, nowMs: number): void {
      const held = heldAt(replicaId, nowMs);
      held.programs -= 1;
      held.tokens -= tokens;
      if (inFlight > 0) held.reasoning -= tokens;
      else held.acting = Math.max(0, held.acting - tokens * left(actingSinceMs, nowMs));
      if (held.programs === 0) replicas.delete(replicaId);
    }
    function weigh({ replicaId, tokens, inFlight }: Program, nowMs: number): void {
      const held = heldAt(replicaId, nowMs);
      held.programs += 1;
      held.tokens += tokens;
      if (inFlight > 0) held.reasoning += tokens;
      else held.acting += tokens;
    }

    function expire(nowMs: number): void {
      for (const program of idle.values()) {
        if (program.actingSinceMs + idle_ttl_ms > nowMs) return;
        idle.delete(program.name);
        programs.delete(program.name);
        unweigh(program, nowMs);
      }
    }

    function place(promptTokens: number, ids: readonly number[], nowMs: number): number {
      let best = 0;
      let bestLoad = Number.POSITIVE_INFINITY;
      let isBestFit = false;
      for (let row = 0; row < ids.length; row++) {
        const id = ids[row]!;
        const held = replicas.has(id) ? heldAt(id, nowMs) : null;
        const buffer = held === null ? 0 : held.programs * buffer_tokens;
        const load = held === null ? 0 : held.reasoning + held.acting + buffer;
        const isFit = kvTokens - (held?.tokens ?? 0) - buffer >= promptTokens + buffer_tokens;
        if (isFit === isBestFit ? load >= bestLoad : isBestFit) continue;
        best = row;
        bestLoad = load;
        isBestFit = isFit;
      }
      return best;
    }

    return {
      route({ id, sessionKey, promptTokens }, { ids, nowMs }) {
        expire(nowMs);
        const name = keyNumber(sessionKey);
        let program = programs.get(name);
        let row = program === undefined ? -1 : ids.indexOf(program.replicaId);
        if (program !== undefined) unweigh(program, nowMs);
        if (row < 0) row = place(promptTokens, ids, nowMs);
        if (program === undefined) {
          program = { name, replicaId: 0, tokens: 0, inFlight: 0, actingSinceMs: 0 };
          programs.set(name, program);
        }
        idle.delete(name);
        program.replicaId = ids[row]!;
        program.tokens = promptTokens;
        program.inFlight += 1;
        weigh(program, nowMs);
        sent.set(id, { program, promptTokens });
        return row;
      },
      observe(event) {
        if (event.kind !== 'ended') return;
        const request = sent.get(event.id);
        if (request === undefined) return;
        sent.delete(event.id);
        const { program, promptTokens } = request;
        unweigh(program, event.atMs);
        program.tokens = promptTokens + event.outputTokens;
        program.inFlight -= 1;
        if (program.inFlight === 0) {
          program.actingSinceMs = event.atMs;
          idle.set(program.name, program);
        }
        weigh(program, event.atMs);
      },
    };
  },
});
