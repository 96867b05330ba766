// A routing policy of the user's own: a file whose default export keeps the contract of policy.ts. It is tried when it
// is loaded, and what it throws later ends the run as a failure of the plug-in, never as one of ours.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { textKey } from '../../scenarios/base/key.ts';
import { routingPolicies, routingPolicy } from './index.ts';
import type { Router, RouterSetup, RoutingArrival, RoutingPolicy, RoutingView } from './policy.ts';

/** Whether a policy is named by its file. */
export const isPath = (text: string): boolean => /[\\/]|\.[cm]?[jt]s$/.test(text);

/** `--routing`: the name of a policy, or a file; null where the deployment says which. */
export async function chosenRouting(text: string | undefined): Promise<RoutingPolicy | null> {
  if (text === undefined) return null;
  return isPath(text) ? loadRouting(text) : routingPolicy(text);
}

/** The policy of a file; throws UserError with what is missing. */
export async function loadRouting(path: string): Promise<RoutingPolicy> {
  const file = resolve(path);
  if (!existsSync(file)) {
    const hint = `a file, or one of ${Object.keys(routingPolicies).join(', ')}`;
    throw new UserError(`there is no file "${path}"`, { hint });
  }
  const found: unknown = await import(pathToFileURL(file).href).then(
    (module: { default?: unknown }) => module.default,
    (error: Error) => {
      throw failed(path, 'cannot be loaded', error);
    },
  );
  const policy = guarded(checked(found, path), path);
  tryOut(policy);
  return policy;
}

const failed = (path: string, what: string, error: unknown): UserError => {
  if (error instanceof UserError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new UserError(`routing policy ${path} ${what}: ${message}`, {
    hint: 'docs/policies.md has the contract, and a policy to start from',
    exitCode: EXIT.plugin,
  });
};

function checked(found: unknown, path: string): RoutingPolicy {
  const policy = (typeof found === 'object' && found !== null ? found : {}) as Partial<RoutingPolicy>;
  const missing = [
    ...(['name', 'doc', 'source'] as const).filter(key => typeof policy[key] !== 'string'),
    ...(typeof policy.create === 'function' ? [] : ['create']),
  ];
  if (missing.length === 0) return policy as RoutingPolicy;
  throw new UserError(`${path} is no routing policy: its default export has no ${missing.join(', ')}`, {
    hint: 'export default { name, doc, source, create: (options, setup) => ({ route: (arrival, view) => row }) }',
  });
}

/** The same policy, whose failures say whose they are. */
function guarded(policy: RoutingPolicy, path: string): RoutingPolicy {
  const guard = <T>(what: string, run: () => T): T => {
    try {
      return run();
    } catch (error) {
      throw failed(path, `threw in ${what}`, error);
    }
  };
  return {
    ...policy,
    create(options, setup) {
      const router = guard('create', () => policy.create(options, setup));
      const inside: Router = {
        route(arrival, view) {
          const row = guard('route', () => router.route(arrival, view));
          if (Number.isInteger(row) && row >= 0 && row < view.replicas.length) return row;
          throw failed(path, 'chose no replica', `row ${row} of ${view.replicas.length}`);
        },
      };
      if (router.observe === undefined) return inside;
      return { ...inside, observe: event => guard('observe', () => router.observe?.(event)) };
    },
  };
}

const SETUP: RouterSetup = {
  role: 'both',
  blockTokens: 16,
  kvTokens: 100_000,
  maxBatchedTokens: 8192,
  maxSequences: 256,
};

/** A few decisions over views that grow and shrink: what cannot work fails before the run begins. */
function tryOut(policy: RoutingPolicy): void {
  const router = policy.create({}, SETUP);
  for (const [i, replicas] of [1, 3, 2, 4].entries()) {
    const id = i;
    router.route(trialArrival(id), trialView(replicas, i * 1000));
    const at = { id, replicaId: 0, atMs: i * 1000 + 500 };
    router.observe?.({ kind: 'first_token', ...at });
    router.observe?.({ kind: 'ended', ...at, outputTokens: 10 });
  }
}

const trialArrival = (id: number): RoutingArrival => ({
  id,
  key: textKey(`trial ${id}`),
  session: 'trial',
  sessionKey: textKey('trial'),
  workflow: 'trial',
  tenant: null,
  step: 'trial',
  priority: 0,
  prompt: [{ key: textKey('trial'), from: 0, tokens: 1000 }],
  promptTokens: 1000,
  maxOutputTokens: null,
});

function trialView(replicas: number, nowMs: number): RoutingView {
  const zeros = Object.freeze(new Array<number>(replicas).fill(0));
  const ids = Array.from({ length: replicas }, (_, id) => id);
  return Object.freeze({
    nowMs,
    replicas: ids.map(id => `trial/${id}`),
    ids,
    outstanding: zeros,
    prefillTokens: zeros,
    decodeTokens: zeros,
    ageMs: 50,
    waiting: zeros,
    running: zeros,
    kvUsedRatio: zeros,
    prefixHits: () => null,
  });
}
