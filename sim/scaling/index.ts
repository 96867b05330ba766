// The registry: every autoscaler by its name. A new one is a file beside this and a line here.
import { UserError } from '../../scenarios/base/errors.ts';
import aibrix from './aibrix.ts';
import dynamo from './dynamo.ts';
import fixed from './fixed.ts';
import hpa from './hpa.ts';
import keda from './keda.ts';
import knative from './knative.ts';
import oracle from './oracle.ts';
import type { ScalingPolicy } from './policy.ts';
import schedule from './schedule.ts';
import workflowAware from './workflow-aware.ts';
import wva from './wva.ts';

export const scalingPolicies: Record<string, ScalingPolicy> = {
  [fixed.name]: fixed,
  [hpa.name]: hpa,
  [keda.name]: keda,
  [knative.name]: knative,
  [aibrix.name]: aibrix,
  [dynamo.name]: dynamo,
  [wva.name]: wva,
  [schedule.name]: schedule,
  [workflowAware.name]: workflowAware,
  [oracle.name]: oracle,
};

/** The policy of this name; throws UserError with those there are. */
export function scalingPolicy(name: string): ScalingPolicy {
  const found = Object.hasOwn(scalingPolicies, name) ? scalingPolicies[name] : undefined;
  if (found !== undefined) return found;
  const hint = `one of ${Object.keys(scalingPolicies).join(', ')}`;
  throw new UserError(`unknown autoscaler ${JSON.stringify(name)}`, { hint });
}
