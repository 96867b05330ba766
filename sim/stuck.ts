// What a replica says that has work and can never schedule it: the livelock that must not be.
import type { EngineLimits } from '../engines/engine.ts';

interface Stuck {
  name: string;
  limits: EngineLimits;
  running: number;
  waiting: number;
  freeBlocks: number;
  /** Of the first waiting request, known so far; 0 for none. */
  headTokens: number;
}

export const stuckText = ({ name, limits, running, waiting, freeBlocks, headTokens }: Stuck): string =>
  `${name} has work it can never schedule: ${running} running, ${waiting} waiting, ` +
  `${freeBlocks} of ${limits.kvBlocks} KV blocks free, the first waiting needs ` +
  `${Math.ceil(headTokens / limits.blockTokens)}, ` +
  `maxBatchedTokens ${limits.maxBatchedTokens}, maxSequences ${limits.maxSequences}`;
