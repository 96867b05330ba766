// What a pool's KV cache keeps of the calls that let go of it: policies of sim/retention with their own settings, under
// the names of the systems and papers that have them (reference/policies.md §1.7, §1.8, §2.8).
import { z } from 'zod';
import { duration, tokens } from '../drawn.ts';

const count = (what: string) => z.int().min(0).describe(what).optional();

/** Exactly one policy, with its own settings. */
export const retention = z
  .discriminatedUnion('policy', [
    z
      .strictObject({ policy: z.literal('lru') })
      .describe('the least recently used blocks go first (default)'),
    z
      .strictObject({ policy: z.literal('priority') })
      .describe('TensorRT-LLM: by the `priority` and `ttl` of prefixes, steps and workflows'),
    z
      .strictObject({
        policy: z.literal('ttl'),
        ttl: duration('how long what a call leaves is kept (default 5m)').optional(),
      })
      .describe('a fixed time to live'),
    z
      .strictObject({
        policy: z.literal('continuum-paper'),
        price: z
          .number()
          .min(0)
          .describe('seconds of benefit that a second of holding costs (default 1)')
          .optional(),
        prior_mean: duration('mean time of tools while nothing is known of them (default 1s)').optional(),
        cold_samples: count('tools seen up to which the prior counts (default 100)'),
      })
      .describe('Continuum, the paper: a time to live from the odds that the tool is back'),
    z
      .strictObject({
        policy: z.literal('continuum-code'),
        threshold: duration(
          'mean time of tools above which nothing is kept, and how long the rest is (default 2s)',
        ).optional(),
      })
      .describe('Continuum, the released code: kept after steps whose tools are quick'),
    z
      .strictObject({
        policy: z.literal('kvflow'),
        prefetch_steps: count(
          'a context that is needed within so many calls is fetched from the tiers; 0: none (default 1)',
        ),
        prefetch_ahead: duration('so long before it is expected (default 500ms)').optional(),
      })
      .describe('KVFlow: what is needed again last goes first, by calls until then'),
    z
      .strictObject({
        policy: z.literal('t-lru'),
        ttft: duration('what is computed within it need not be kept (default 200ms)').optional(),
        threshold: tokens('the same in tokens (default: from `ttft`)').optional(),
        next_prompt: count('tokens that a next prompt is expected to add (default 0)'),
      })
      .describe('tail-optimized LRU: what a next prompt could compute in time goes first'),
    z
      .strictObject({ policy: z.literal('durable') })
      .describe(
        'prefixes of a `priority` above 35 stay longest, then what sessions still need, then the rest',
      ),
    z
      .strictObject({ policy: z.literal('workflow') })
      .describe('what a session left goes first when it is over'),
  ])
  .describe('which KV blocks go first');
