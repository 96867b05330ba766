// The queues of Autellix (arXiv 2502.13965, 4.2): K levels of attained service, each twice as wide as the one above it,
// and the way out of starvation. A program enters at the level of what it has had, not at the top as in a classic MLFQ.
import { numberOptions } from '../routing/options.ts';

/**
 * `levels` and `quantum` make the queues, `beta` lifts the starved. The paper leaves them to be tuned; 8 queues that
 * double and a ratio of 3 are those of an open reimplementation (notming11/Agentic-Runtime-Resource-Scheduling-Optimization),
 * whose first quantum is 512 tokens. Ours is 1 s: service is counted in time, as in the paper.
 */
const DEFAULTS = {
  /** Queues. */
  levels: 8,
  /** Service that ends the first level, ms. */
  quantum: 1000,
  /** Waiting over service from which a program is lifted to the first level. */
  beta: 3,
};

export type LevelOptions = typeof DEFAULTS;

export const levelOptions = (policy: string, options: Record<string, unknown>): LevelOptions =>
  numberOptions(policy, options, DEFAULTS);

/** Level of so much service: 0 below `quantum`, i from quantum * 2^(i-1) on, the last one for all beyond. */
export function levelOf(serviceMs: number, { levels, quantum }: LevelOptions): number {
  let level = 0;
  for (let endMs = quantum; level < levels - 1 && serviceMs >= endMs; level++) endMs *= 2;
  return level;
}

/** Waiting and service of one program since it was last lifted. */
export interface Starvation {
  waitedMs: number;
  servedMs: number;
  /** Its calls go to the first level, until the next of them has ended. */
  isLifted: boolean;
}

export const newStarvation = (): Starvation => ({ waitedMs: 0, servedMs: 0, isLifted: false });

/** Counts a call that has ended; lifts the program when waited / served >= beta, and counts anew from there. */
export function countServed(
  program: Starvation,
  { waitedMs, servedMs }: { waitedMs: number; servedMs: number },
  beta: number,
): void {
  program.waitedMs += waitedMs;
  program.servedMs += servedMs;
  program.isLifted = program.waitedMs > 0 && program.waitedMs >= beta * program.servedMs;
  if (!program.isLifted) return;
  program.waitedMs = 0;
  program.servedMs = 0;
}
