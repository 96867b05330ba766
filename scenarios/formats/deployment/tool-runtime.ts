// Where tools run: sandboxes with a start-up, a warm pool, limits and a place (workloads.md row 26, policies.md §4.8).
import { z } from 'zod';
import { bytes, drawn, duration, ratio, whole } from '../drawn.ts';
import { quantity } from '../quantity.ts';

export const toolRuntime = z
  .strictObject({
    runs: z
      .array(z.string().min(1))
      .min(1)
      .describe('tools of scenarios that run here (default: all that no other runtime names)')
      .optional(),
    place: z.string().describe('where it stands: a name under `places`').optional(),
    start: drawn('ms', 'start of a sandbox: { median: 440ms, p90: 810ms } (default 0ms)').optional(),
    warm_pool: z.int().min(0).describe('sandboxes that wait, ready (default 0)').optional(),
    keep: z
      .enum(['call', 'session'])
      .describe('call: a sandbox for each run (default); session: one that stays with its session')
      .optional(),
    idle: duration('how long an idle sandbox stays (default 60s)').optional(),
    concurrency: whole(1_000_000, 'sandboxes at once (default: no limit)').optional(),
    queue: z.int().min(0).describe('runs that may wait; beyond, they fail (default: no limit)').optional(),
    limits: z
      .strictObject({
        cpu: z.number().positive().describe('cores of a sandbox').optional(),
        memory: bytes('memory of a sandbox').optional(),
        time: duration('a run is killed after so long').optional(),
      })
      .describe('what one run may use')
      .optional(),
    cpu: z.number().positive().describe('cores of the machine (default: no limit)').optional(),
    memory: bytes('memory of the machine (default: no limit)').optional(),
    fail: ratio('of runs that fail beside what the scenario says (default 0)').optional(),
    price: quantity('usdPerHour').describe('USD per hour of a sandbox, such as 0.05/h').optional(),
  })
  .describe('where tools run');
