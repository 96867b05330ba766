// The registry: every admission policy by its name. A new one is a file beside this and a line here.
import { UserError } from '../../scenarios/base/errors.ts';
import always from './always.ts';
import calls from './calls.ts';
import cubicShed from './cubic-shed.ts';
import dynamoQueue from './dynamo-queue.ts';
import flowControl from './flow-control.ts';
import { type AdmissionPolicy, admissionSetup, type Gate, type PoolLimits } from './policy.ts';
import probabilistic from './probabilistic.ts';
import saturation from './saturation.ts';
import sessions from './sessions.ts';
import thunderAgent from './thunder-agent.ts';
import tierShed from './tier-shed.ts';
import tokenBucket from './token-bucket.ts';

export const admissionPolicies: Record<string, AdmissionPolicy> = {
  [always.name]: always,
  [calls.name]: calls,
  [sessions.name]: sessions,
  [tokenBucket.name]: tokenBucket,
  [saturation.name]: saturation,
  [probabilistic.name]: probabilistic,
  [tierShed.name]: tierShed,
  [cubicShed.name]: cubicShed,
  [flowControl.name]: flowControl,
  [dynamoQueue.name]: dynamoQueue,
  [thunderAgent.name]: thunderAgent,
};

/** The policy of this name; throws UserError with those there are. */
export function admissionPolicy(name: string): AdmissionPolicy {
  const found = Object.hasOwn(admissionPolicies, name) ? admissionPolicies[name] : undefined;
  if (found !== undefined) return found;
  const hint = `one of ${Object.keys(admissionPolicies).join(', ')}`;
  throw new UserError(`unknown admission policy ${JSON.stringify(name)}`, { hint });
}

/** The gate of a deployment; null where everybody is let in. */
export function gateOf(deployment: {
  readonly admission: { readonly policy: string; readonly options: Record<string, unknown> };
  readonly pools: readonly PoolLimits[];
}): Gate | null {
  const { policy, options } = deployment.admission;
  return policy === always.name
    ? null
    : admissionPolicy(policy).create(options, admissionSetup(deployment.pools));
}
