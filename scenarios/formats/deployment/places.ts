// Where things stand and what lies between them: the client, the edge, regions, data, providers, and the links that
// every call, tool and KV block crosses.
import { z } from 'zod';
import { bandwidth, drawn, duration, ratio } from '../drawn.ts';

export const place = z
  .strictObject({
    kind: z
      .enum(['client', 'edge', 'region', 'data', 'provider'])
      .describe(
        'client: where sessions start; edge: near it; region: a data centre; data: where tools find things',
      ),
    labels: z
      .array(z.string().min(1))
      .describe('for residency rules: [eu]; tenants name those where their data may go')
      .optional(),
    description: z.string().describe('one line for readers').optional(),
  })
  .describe('a place');

export const placeLink = z
  .strictObject({
    between: z.tuple([z.string(), z.string()]).describe('the two places that it joins: [office, paris]'),
    rtt: duration('there and back'),
    jitter: drawn('ms', 'added to each way: 2ms, or { median: 1ms, p90: 8ms } (default 0ms)').optional(),
    bandwidth: bandwidth('each way (default: no limit)').optional(),
    tls: z
      .boolean()
      .describe('a new connection costs two more round trips, of TCP and TLS 1.3 (default true)')
      .optional(),
    keep_alive: duration('how long an idle connection stays open (default 60s)').optional(),
    loss: ratio('of packets lost, each of which costs a retransmission (default 0)').optional(),
  })
  .describe('the network between two places');
