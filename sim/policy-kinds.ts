// Every kind of policy with its registry, in the order in which a call meets them: for lists of all there are.
import { admissionPolicies } from '../gateway/admission/index.ts';
import { routingPolicies } from '../gateway/routing/index.ts';
import { schedulingPolicies } from '../gateway/scheduling/index.ts';
import { retentionPolicies } from './retention/index.ts';
import { scalingPolicies } from './scaling/index.ts';

export const policyKinds = [
  { key: 'gateway.admission', what: 'who is let in', policies: admissionPolicies },
  { key: 'routing', what: 'which replica of a pool takes a call', policies: routingPolicies },
  { key: 'limits.scheduling_policy', what: 'whose call the engine takes next', policies: schedulingPolicies },
  { key: 'retention', what: 'which KV blocks go first', policies: retentionPolicies },
  { key: 'autoscaler', what: 'how many replicas there are', policies: scalingPolicies },
] as const;
