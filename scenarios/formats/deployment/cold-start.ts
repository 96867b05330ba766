// From the wish for a replica to its first answer: one duration or distribution, or the parts that it is the sum of.
import { z } from 'zod';
import { bandwidth, bytes, drawn, ratio } from '../drawn.ts';
import { amount } from '../fields.ts';

const WHAT = 'from the wish for a replica to its first answer: 70s, { median: 2m, p90: 7m }, or its parts';

const parts = z
  .strictObject({
    schedule: drawn('ms', 'until a node is found').optional(),
    node: drawn('ms', 'until the node is there, where it must be made first').optional(),
    image: z
      .strictObject({
        size: bytes('of the container image'),
        bandwidth: bandwidth('that it is pulled at'),
        cached: ratio('share of it that the node has (default 0)').optional(),
      })
      .describe('pulling the container image')
      .optional(),
    weights: z
      .strictObject({
        bandwidth: bandwidth('of the storage that they are read from'),
        cached: ratio('share of them in the memory of the node (default 0)').optional(),
        pcie: bandwidth('towards each GPU (default: of the GPU in the catalogue)').optional(),
      })
      .describe("loading the weights, as many bytes as the catalogue's model has")
      .optional(),
    compile: drawn('ms', 'compiling the model; leave it out where the compiled one is cached').optional(),
    graphs: drawn('ms', 'capturing CUDA graphs').optional(),
    warm_up: drawn('ms', 'trial requests until the replica says that it is ready').optional(),
  })
  .describe('parts of a cold start, which add up');

const whole = drawn('ms', WHAT);

const isParts = (raw: unknown): boolean =>
  typeof raw === 'object' && raw !== null && Object.keys(raw).some(key => Object.hasOwn(parts.shape, key));

export type ColdStartParts = z.output<typeof parts>;
export type ColdStartFile = z.output<typeof whole> | ColdStartParts;

/** One of both by its keys, so that a slip in either is told as what it is. */
export const coldStart = z
  .union([amount.meta({ drawn: 'ms' }), parts])
  .describe(WHAT)
  .transform((raw, context): ColdStartFile => {
    const read = (isParts(context.value) ? parts : whole).safeParse(context.value);
    if (read.success) return read.data;
    for (const found of read.error.issues)
      context.issues.push({ ...found, input: raw } as z.core.$ZodRawIssue);
    return z.NEVER;
  });
