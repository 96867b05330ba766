// Hosted APIs of a deployment file: the models that a provider sells, at what price, how fast, within which limits, and
// when it is down.
import { z } from 'zod';
import { drawn, duration, ratio, tokens } from '../drawn.ts';
import { rateLimit } from '../policies.ts';
import { quantity } from '../quantity.ts';
import { baseUrl, endpointFields, KEEPS_IN_MESSAGES, keepsInMessages } from './endpoint.ts';

/** Names of what is sold: the id of a price in the catalogue has slashes and dots. */
const servedName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/, 'a model name has letters, digits, ".", "_", "/" and "-" only');

const perMTok = z.number().nonnegative();
const price = z
  .strictObject({
    in: perMTok.describe('input'),
    cached_in: perMTok.describe('input found in the cache (default: as `in`)').optional(),
    cache_write: perMTok.describe('input written to the cache (default: as `in`)').optional(),
    out: perMTok.describe('output, reasoning included'),
  })
  .describe("USD per million tokens (default: the catalogue's list price)");

const latency = z
  .strictObject({
    ttft: drawn(
      'ms',
      "to the first token of a short prompt: { median: 600ms, p90: 1.4s } (default: the catalogue's)",
    ).optional(),
    tpot: drawn(
      'ms',
      "for each token after it: { median: 12ms, p90: 20ms } (default: the catalogue's)",
    ).optional(),
    per_input_token: duration(
      'added to `ttft` for each prompt token that is not cached (default 0s)',
    ).optional(),
  })
  .describe('how fast it answers');

/** The vendor's limits, and how it counts (policies.md §4.1). */
const limits = rateLimit.describe('limits of the API, for all sessions together: a preset, or its parts');

const cache = z
  .union([
    z.literal('off'),
    z.strictObject({
      ttl: duration('how long a prefix stays after its last use (default 5m)').optional(),
      min_tokens: tokens('of a prompt, below which nothing is kept (default 1024)').optional(),
    }),
  ])
  .describe('its prompt cache: { ttl: 5m, min_tokens: 1024 } (default), or off');

const outage = z
  .strictObject({
    at: duration('when it begins').optional(),
    rate: quantity('perSec').describe('instead of `at`: how often it begins; a rate, such as 1/d').optional(),
    for: drawn('ms', 'how long it lasts'),
    share: ratio('of calls that fail meanwhile (default 100%)').optional(),
    slowdown: z
      .number()
      .min(1)
      .describe('how much slower the others are: 3 takes three times as long (default 1)')
      .optional(),
  })
  .refine(
    each => (each.at === undefined) !== (each.rate === undefined),
    'expected `at` or `rate`, one of them',
  )
  .describe('when it is down');

const hosted = z
  .strictObject({
    model: z
      .string()
      .min(1)
      .describe('id in the catalogue: of an open model or of a price (default: this name)')
      .optional(),
    name: z.string().min(1).describe('name of the model on the API (default: its id)').optional(),
    price: price.optional(),
    latency: latency.optional(),
    limits: limits.describe('limits of this model alone').optional(),
    success: ratio('of its answers that are good enough (default 100%)').optional(),
    max_model_len: quantity('tokens')
      .pipe(z.int().min(1))
      .describe('context window; tokens, such as 200k')
      .optional(),
  })
  .describe('a model that it sells');

export const provider = z
  .strictObject({
    models: z
      .record(servedName, hosted)
      .refine(models => Object.keys(models).length > 0, 'expected at least one model')
      .describe('what it sells, under the names that scenarios use'),
    endpoint: z
      .strictObject({
        url: baseUrl,
        ...endpointFields,
      })
      .refine(keepsInMessages, KEEPS_IN_MESSAGES)
      .describe('its live address')
      .optional(),
    place: z.string().describe('where it stands: a name under `places`').optional(),
    latency: latency.describe('how fast its models answer, where they do not say').optional(),
    limits: limits.optional(),
    cache: cache.optional(),
    fail: ratio('of calls that end in a 5xx (default 0)').optional(),
    outages: z.array(outage).describe('when it fails').optional(),
  })
  .describe('a hosted API');

export type ProviderFile = z.output<typeof provider>;
