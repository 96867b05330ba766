// The registry: every routing policy by its name. A new one is a file beside this and a line here.
import { UserError } from '../../scenarios/base/errors.ts';
import leastOutstanding from './least-outstanding.ts';
import type { RoutingPolicy } from './policy.ts';
import prefixCache from './prefix-cache.ts';
import roundRobin from './round-robin.ts';
import sessionAffinity from './session-affinity.ts';

export const routingPolicies: Record<string, RoutingPolicy> = {
  [roundRobin.name]: roundRobin,
  [leastOutstanding.name]: leastOutstanding,
  [prefixCache.name]: prefixCache,
  [sessionAffinity.name]: sessionAffinity,
};

/** The policy of this name; throws UserError with those there are. */
export function routingPolicy(name: string): RoutingPolicy {
  const found = Object.hasOwn(routingPolicies, name) ? routingPolicies[name] : undefined;
  if (found !== undefined) return found;
  const hint = `one of ${Object.keys(routingPolicies).join(', ')}`;
  throw new UserError(`unknown routing policy ${JSON.stringify(name)}`, { hint });
}
