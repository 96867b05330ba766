// Bytes of one KV block of a replica: what a link or a tier carries.
import type { PoolSpec } from '../engines/engine.ts';
import { UserError } from '../scenarios/base/errors.ts';

export function blockBytesOf({ name, limits, kvBytesPerToken }: PoolSpec, what: string): number {
  if (kvBytesPerToken !== null) return Math.ceil(kvBytesPerToken * limits.blockTokens);
  throw new UserError(`pool ${name}: \`${what}\` needs the KV bytes of a token`, {
    hint: 'name a model of the catalogue whose KV size is known',
  });
}
