// Routing policies by name. A new one is a line in registry.ts; nothing changes here.
import { UserError } from '../../scenarios/base/errors.ts';
import type { RoutingPolicy } from './policy.ts';
import * as registry from './registry.ts';

export const routingPolicies: Record<string, RoutingPolicy> = Object.fromEntries(
  Object.values(registry).map(policy => [policy.name, policy]),
);

/** The policy of this name; throws UserError with those there are. */
export function routingPolicy(name: string): RoutingPolicy {
  const found = Object.hasOwn(routingPolicies, name) ? routingPolicies[name] : undefined;
  if (found !== undefined) return found;
  const hint = `one of ${Object.keys(routingPolicies).join(', ')}`;
  throw new UserError(`unknown routing policy ${JSON.stringify(name)}`, { hint });
}
