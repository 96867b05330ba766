// What agents keep their state in: session state, vectors, KV stores, long-term memory; each as its latency, its room and
// how long a write takes to be seen.
import { z } from 'zod';
import { drawn, duration, whole } from '../drawn.ts';
import { quantity } from '../quantity.ts';

export const store = z
  .strictObject({
    kind: z
      .enum(['session', 'vector', 'kv', 'long_term'])
      .describe(
        'session: state of one session; vector: search by meaning; kv: by key; long_term: memory over sessions',
      ),
    read: drawn('ms', 'time of a read: { median: 5ms, p90: 20ms }'),
    write: drawn('ms', 'time of a write (default: as a read)').optional(),
    concurrency: whole(1_000_000, 'operations at once (default: no limit)').optional(),
    capacity: whole(
      1_000_000_000,
      'entries that it holds, of which the least recently used goes first (default: no limit)',
    ).optional(),
    stale: duration('from a write until reads see it (default 0s)').optional(),
    place: z.string().describe('where it stands: a name under `places`').optional(),
    price: quantity('usd').describe('USD of one operation (default 0)').optional(),
  })
  .describe('a store; tools name it in `store`');

export type StoreFile = z.output<typeof store>;
