// A plan on the live endpoints of a deployment, ready to be run: with all that governs it, as sim/start.ts has it.
import { governingLayers } from '../gateway/govern.ts';
import { Journal, type JournalListener } from '../gateway/journal.ts';
import type { MakeLayer } from '../scenarios/workflows/stack.ts';
import { Replay, type ReplayOptions } from './replay.ts';

export interface StartOptions extends Omit<ReplayOptions, 'layers' | 'governed'> {
  /** Told of what the gateway does, as it does it. */
  readonly listener?: JournalListener;
  /** Sees all that serves, as it is served. */
  readonly watching?: MakeLayer;
}

/** Networks and hosted APIs are real here: no layer stands in for them. */
export function startReplay({ listener, watching, ...options }: StartOptions): Replay {
  const journal = new Journal(true, listener);
  const layers = governingLayers(options.plan, options.deployment, journal);
  const governed = layers.length === 0 ? {} : { governed: (endMs: number) => journal.finish(endMs) };
  if (watching !== undefined) layers.push(watching);
  return new Replay({ ...options, ...governed, layers });
}
