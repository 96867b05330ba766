// The registry: every retention policy by its name. A new one is a file beside this and a line here.
import { UserError } from '../../scenarios/base/errors.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';
import continuumCode from './continuum-code.ts';
import continuumPaper from './continuum-paper.ts';
import durable from './durable.ts';
import kvflow from './kvflow.ts';
import lru from './lru.ts';
import type { RetentionPolicy } from './policy.ts';
import priority from './priority.ts';
import tLru from './t-lru.ts';
import ttl from './ttl.ts';
import workflow from './workflow.ts';

export const retentionPolicies: Record<string, RetentionPolicy> = {
  [lru.name]: lru,
  [priority.name]: priority,
  [ttl.name]: ttl,
  [continuumPaper.name]: continuumPaper,
  [continuumCode.name]: continuumCode,
  [kvflow.name]: kvflow,
  [tLru.name]: tLru,
  [durable.name]: durable,
  [workflow.name]: workflow,
};

/** The policy of this name; throws UserError with those there are. */
export function retentionPolicy(name: string): RetentionPolicy {
  const found = Object.hasOwn(retentionPolicies, name) ? retentionPolicies[name] : undefined;
  if (found !== undefined) return found;
  const known = Object.keys(retentionPolicies);
  const hint = didYouMean(name, known) ?? `one of ${known.join(', ')}`;
  throw new UserError(`unknown retention policy ${JSON.stringify(name)}`, { hint });
}
