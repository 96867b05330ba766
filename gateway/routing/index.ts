// The registry: every routing policy by its name. A new one is a file beside this and a line here.
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
