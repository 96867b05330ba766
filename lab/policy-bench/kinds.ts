// What a policy bench can compare: a line for each kind of policy, with its registry, its baseline and where a choice of
// it stands in a deployment.
import type { DeploymentSpec, PolicyChoice } from '../../engines/engine.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import type { PolicyKind } from '../../scenarios/formats/policy-bench.ts';
import type { DeploymentChange } from '../grid/case.ts';

export interface BenchedKind {
  readonly policies: Readonly<Record<string, { readonly doc: string }>>;
  /** What the others are compared with. */
  readonly baseline: string;
  /** What the deployment says now; null where its pools differ. */
  chosen(deployment: DeploymentSpec): PolicyChoice | null;
  change(choice: PolicyChoice, deployment: DeploymentSpec): DeploymentChange;
}

export const BENCHED_KINDS: Partial<Record<PolicyKind, BenchedKind>> = {
  routing: {
    policies: routingPolicies,
    baseline: 'least-outstanding',
    chosen: ({ routing }) => routing,
    change: routing => ({ routing }),
  },
};
