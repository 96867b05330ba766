// The registry: every scheduling policy by its name. A new one is a file beside this and a line here.
import { UserError } from '../../scenarios/base/errors.ts';
import atlas from './atlas.ts';
import edf from './edf.ts';
import fcfs from './fcfs.ts';
import kairos from './kairos.ts';
import plas from './plas.ts';
import type { SchedulingPolicy } from './policy.ts';
import priority from './priority.ts';
import programFcfs from './program-fcfs.ts';
import shortestPrompt from './shortest-prompt.ts';

export const schedulingPolicies: Record<string, SchedulingPolicy> = {
  [fcfs.name]: fcfs,
  [priority.name]: priority,
  [edf.name]: edf,
  [shortestPrompt.name]: shortestPrompt,
  [programFcfs.name]: programFcfs,
  [plas.name]: plas,
  [atlas.name]: atlas,
  [kairos.name]: kairos,
};

/** The policy of this name; throws UserError with those there are. */
export function schedulingPolicy(name: string): SchedulingPolicy {
  const found = Object.hasOwn(schedulingPolicies, name) ? schedulingPolicies[name] : undefined;
  if (found !== undefined) return found;
  const hint = `one of ${Object.keys(schedulingPolicies).join(', ')}`;
  throw new UserError(`unknown scheduling policy ${JSON.stringify(name)}`, { hint });
}
