// Who starts workflows, and when: cohorts of tenants and users with open, closed or recorded arrivals.
import { z } from 'zod';
import { WEIBULL_SHAPES } from '../base/distributions.ts';
import { CVS } from './amount.ts';
import { duration, name, share } from './fields.ts';
import { cancel, hints } from './policies.ts';
import { written } from './quantity.ts';

const rate = written('perSec');
const span = written('ms');
/** Agents of a cohort, and sessions of a firing: each waits in memory. */
const MAX_AT_ONCE = 1_000_000;
const cv = z
  .number()
  .min(CVS[0])
  .max(CVS[1])
  .describe('coefficient of variation of the gaps; 1 is Poisson, above is bursty');
const sessionRate = rate.optional().describe('sessions started per second, minute, hour or day: 0.05/s');
const steady = z.union([z.literal(true), z.strictObject({ rate: sessionRate })]);

const phase = z.strictObject({
  for: span.describe('how long it lasts'),
  rate: sessionRate,
  times: z.number().nonnegative().optional().describe("instead of `rate`: a multiple of the process's own"),
  to: rate.optional().describe('the rate at the end of the phase, reached in a straight line'),
  process: z
    .enum(['poisson', 'gamma', 'weibull', 'constant'])
    .optional()
    .describe('another one in this phase'),
  cv: cv.optional(),
});

const closed = z
  .strictObject({
    agents: z.int().positive().max(MAX_AT_ONCE).describe('how many at a time'),
    think: duration.optional().describe('between two sessions of an agent'),
    ramp: span.optional().describe('the agents start evenly over so long; default all at once'),
  })
  .describe('closed: agents that start anew when done');

const cron = z
  .union([
    z.string(),
    z.strictObject({
      at: z.string().describe('the cron line: "0 9 * * 1-5"'),
      size: z.int().positive().max(MAX_AT_ONCE).optional().describe('sessions at each firing; default 1'),
      jitter: duration
        .optional()
        .describe('a duration spreads each session evenly over it; a distribution is drawn'),
    }),
  ])
  .describe('open: a burst at each firing of `minute hour * * weekday`; the first firing is time 0');

/** Arrival processes: exactly one of these in an arrival. */
export const PROCESSES = {
  poisson: steady.describe('open: independent arrivals at a rate'),
  gamma: z
    .strictObject({ rate: sessionRate, cv: cv.optional() })
    .describe('open: gamma gaps, bursty above cv 1'),
  weibull: z
    .strictObject({
      rate: sessionRate,
      cv: cv.optional(),
      shape: z
        .number()
        .min(WEIBULL_SHAPES[0])
        .max(WEIBULL_SHAPES[1])
        .optional()
        .describe('instead of `cv`: 1 is Poisson, below is bursty'),
    })
    .describe('open: Weibull gaps, by `cv` or `shape`'),
  constant: steady.describe('open: evenly spaced'),
  cron,
  closed,
  at_once: z.union([z.strictObject({}), z.literal(true)]).describe('every session starts at time 0'),
  recorded: z
    .union([z.literal(true), z.strictObject({ speed: z.number().positive().describe('2 is twice as fast') })])
    .describe('as the trace recorded them; { speed: 2 } twice as fast'),
} as const;
export type Process = keyof typeof PROCESSES;

/** How the rate of an open process moves; beside a process. */
const MODULATORS = {
  phases: z.array(phase).min(1).describe('rates one after the other; arrivals end with the last'),
  ramp: z
    .strictObject({
      from: rate.describe('at the start'),
      to: rate.describe('at the end'),
      over: span.describe('how long it takes'),
    })
    .describe('a straight line from one rate to another, which then stays'),
  spike: z
    .strictObject({
      at: span.describe('when it begins'),
      for: span.describe('how long it lasts'),
      times: z.number().positive().describe('3 triples it'),
    })
    .describe('the rate times `times` for a while'),
  diurnal: z
    .strictObject({
      peak_hour: z.number().min(0).max(24).describe('hour of the day with the most sessions'),
      peak_to_trough: z.number().min(1).describe('most over least'),
      start_hour: z.number().min(0).max(24).optional().describe('time of day at time 0; default 0'),
    })
    .describe('a daily cosine around the rate, whose mean over a day it keeps'),
} as const;
export const MODULATOR_NAMES = Object.keys(MODULATORS) as (keyof typeof MODULATORS)[];

const optional = <T extends Record<string, z.ZodType>>(shape: T) =>
  Object.fromEntries(Object.entries(shape).map(([key, each]) => [key, each.optional()])) as {
    [K in keyof T]: z.ZodOptional<T[K]>;
  };

export const arrival = z.strictObject({ ...optional(PROCESSES), ...optional(MODULATORS) });
export type ArrivalFile = z.infer<typeof arrival>;

export const cohort = z.strictObject({
  name: name.optional().describe('default: the workflow'),
  workflow: z.string().optional().describe('name under `workflows`'),
  mix: z
    .record(name, share)
    .optional()
    .describe('workflows by weight, drawn for each session, instead of one workflow'),
  trace: z
    .union([z.string(), z.array(z.string()).min(1)])
    .optional()
    .describe('file or folder of recorded sessions, instead of a workflow'),
  tenant: z.string().optional().describe('for segments of `scope: tenant`, and for the records'),
  tenants: z.record(name, share).optional().describe('tenants by weight, drawn for each session'),
  users: z
    .union([
      z.int().positive(),
      z.strictObject({
        count: z.int().positive().describe('how many'),
        zipf: z.number().nonnegative().optional().describe('how unequally they use it; default 0, all alike'),
      }),
    ])
    .optional()
    .describe('users of each tenant; every session belongs to one'),
  arrival: arrival.optional().describe('when sessions start: exactly one process, and how its rate moves'),
  start: span.optional().describe('when this cohort begins; default 0'),
  sessions: z.int().positive().optional().describe('how many sessions in all'),
  for: span.optional().describe('how long new sessions start: 10m'),
  timing: z
    .enum(['causal', 'absolute', 'scaled'])
    .optional()
    .describe(
      'traces: causal (default) keeps gaps after parents; absolute keeps recorded instants; scaled multiplies gaps by gap_scale',
    ),
  gap_scale: z.number().positive().optional().describe('traces: multiplies every gap'),
  gap_cap: z.string().optional().describe('traces: longest gap that is kept'),
  scale_tokens: z
    .number()
    .positive()
    .max(1)
    .optional()
    .describe('traces: shrink every length by this factor, prefixes stay shared'),
  copies: z
    .int()
    .positive()
    .optional()
    .describe('traces: each session so often, every copy with content of its own'),
  warm: z.boolean().optional().describe('traces: the first prompt of each session is already in the cache'),
  model: z.string().optional().describe('traces: serve every call by this model'),
  cancel: cancel.optional(),
  hints: hints.optional(),
});
export type CohortFile = z.infer<typeof cohort>;
