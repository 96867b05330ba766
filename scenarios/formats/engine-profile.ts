// An engine profile: the step time of one live engine, fitted term by term, with what it was measured on, how far it
// was tried and how well it predicted. A JSON file that `calibrate` writes and a pool's `step` names.
import { z } from 'zod';

const ms = (what: string) => z.number().min(0).max(1e6).describe(`${what}; ms`);
const us = (what: string) => z.number().min(0).max(1e9).describe(`${what}; us`);
const most = (what: string) => z.int().min(1).max(1e9).describe(what);
const ratio = (what: string) =>
  z.number().min(0).nullable().describe(`mean relative error of ${what}: 0.05 is 5 %; null: not known`);

export const engineProfileSchema = z
  .strictObject({
    windtunnel_profile: z.literal(1).describe('version of the file format'),
    name: z.string().min(1).describe('name of the profile'),
    measured: z
      .strictObject({
        engine: z.string().min(1).describe('engine and version, such as "vllm 0.19.0"'),
        model: z.string().min(1).describe('what it served'),
        gpu: z.string().min(1).describe('on what, such as "h100-80gb-sxm"'),
        gpus: z.int().min(1).describe('GPUs of one replica').optional(),
        at: z.iso.date().describe('when, such as 2026-11-20'),
        by: z.string().min(1).describe('by what program, with its version'),
        note: z.string().describe('what else matters: flags, load').optional(),
      })
      .describe('where the figures come from'),
    step: z
      .strictObject({
        base_ms: ms('a step'),
        per_decode_us: us('each sequence with one new token').optional(),
        per_context_token_us: us('each KV entry that those read').optional(),
        per_prefill_us: us('each sequence with more new tokens').optional(),
        per_prefill_token_us: us('each of their new tokens').optional(),
        per_prefill_context_token_us: us('each KV entry behind and in them').optional(),
        per_pair_us: us('each (query, key) pair of theirs').optional(),
        per_sample_us: us('each sequence that gives a token').optional(),
      })
      .describe('cost of a step: the sum of these'),
    frontend: z
      .strictObject({
        base_ms: ms('a request'),
        per_prompt_token_us: us('each token of its prompt').optional(),
        serial_ms: ms('of base_ms, what is done for one request after the other').optional(),
      })
      .describe('from the client to the engine and back: network, HTTP, tokenizing')
      .optional(),
    range: z
      .strictObject({
        decodes: most('sequences that decoded in one step'),
        context_tokens: most('tokens of one sequence'),
        prefill_tokens: most('prompt tokens in one step'),
      })
      .describe('the largest of each that was measured'),
    expected_error: z
      .strictObject({
        ttft: ratio('the time to the first token'),
        tpot: ratio('the time per further token'),
        e2e: ratio('the whole request'),
      })
      .describe('how well the profile predicted runs that it was not fitted on'),
  })
  .describe('step time of a live engine');

export type EngineProfile = z.output<typeof engineProfileSchema>;
