// What a policy bench can compare: a line for each kind of policy, with its registry, its baseline and where a choice of
// it stands in a deployment.
import type { DeploymentSpec, PolicyChoice, PoolSpec } from '../../engines/engine.ts';
import { admissionPolicies } from '../../gateway/admission/index.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { schedulingPolicies } from '../../gateway/scheduling/index.ts';
import type { PolicyKind } from '../../scenarios/formats/policy-bench.ts';
import { retentionPolicies } from '../../sim/retention/index.ts';
import { scalingPolicies } from '../../sim/scaling/index.ts';
import type { DeploymentChange } from '../grid/case.ts';

export interface BenchedKind {
  readonly policies: Readonly<Record<string, { readonly doc: string }>>;
  /** What the others are compared with. */
  readonly baseline: string;
  /** What the deployment says now; null where it says nothing, or its pools differ. */
  chosen(deployment: DeploymentSpec): PolicyChoice | null;
  change(choice: PolicyChoice): DeploymentChange;
}

/** The choice that all pools share. */
const shared = (
  { pools }: DeploymentSpec,
  of: (pool: PoolSpec) => PolicyChoice | null,
): PolicyChoice | null => {
  const [first = null, ...others] = pools.map(of);
  return others.every(other => JSON.stringify(other) === JSON.stringify(first)) ? first : null;
};

export const BENCHED_KINDS: Record<PolicyKind, BenchedKind> = {
  routing: {
    policies: routingPolicies,
    baseline: 'least-outstanding',
    chosen: ({ routing }) => routing,
    change: routing => ({ routing }),
  },
  scheduling: {
    policies: schedulingPolicies,
    baseline: 'fcfs',
    chosen: deployment => shared(deployment, ({ scheduling }) => scheduling),
    change: scheduling => ({ pool: { scheduling } }),
  },
  admission: {
    policies: admissionPolicies,
    baseline: 'always',
    chosen: ({ admission }) => admission,
    change: admission => ({ admission }),
  },
  scaling: {
    policies: scalingPolicies,
    baseline: 'fixed',
    chosen: deployment => shared(deployment, ({ scaling }) => scaling),
    change: ({ policy, options }) => ({ pool: { scaling: { policy, options } } }),
  },
  retention: {
    policies: retentionPolicies,
    baseline: 'lru',
    chosen: deployment => shared(deployment, ({ retention }) => retention),
    // Where nothing is said, engines do it themselves, and the fast one can run.
    change: retention => ({ pool: { retention: retention.policy === 'lru' ? null : retention } }),
  },
};
