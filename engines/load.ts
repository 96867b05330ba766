// Reads and resolves a deployment for a command: the file, the catalogue, the routing policies that exist.
import { UserError } from '../scenarios/base/errors.ts';
import { type Issue, issue } from '../scenarios/base/issue.ts';
import type { LoadedScenario } from '../scenarios/cli/load.ts';
import { loadDeploymentFile } from '../scenarios/cli/run-options.ts';
import { type CommonOptions, settleIssues } from '../scenarios/cli/terminal.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type { Source } from '../scenarios/formats/source.ts';
import { unbuiltParts } from '../scenarios/formats/unbuilt.ts';
import type { Model } from './catalog.ts';
import { resolveDeployment } from './deploy.ts';
import type { DeploymentSpec } from './engine.ts';
import { hostedIssues, prepare } from './prepare.ts';
import { addedModels, digestWith } from './user-catalog.ts';

/** What a run keeps of its deployment. */
export const storedDeployment = ({ source, models }: LoadedDeployment, { name, sha256 }: DeploymentSpec) => ({
  name,
  sha256,
  value: source.value,
  models,
});

/** Routing policies by name: what there is to choose, and their own checks of options. */
type Policies = Readonly<
  Record<string, { create(options: Record<string, unknown>, setup: RouterSetup): unknown }>
>;

/** As in gateway/routing/policy.ts, of which engines know nothing. */
interface RouterSetup {
  readonly role: 'both';
  readonly blockTokens: number;
  readonly kvTokens: number;
  readonly maxBatchedTokens: number;
  readonly maxSequences: number;
}

export interface LoadedDeployment {
  readonly source: Source;
  /** Models of the user's own that it knows. */
  readonly models: readonly Model[];
  readonly deployment: DeploymentSpec | null;
  readonly issues: readonly Issue[];
  /** What no run obeys yet: errors for a run, warnings for a check. */
  readonly unbuilt: readonly Issue[];
}

export function loadDeployment(
  input: string,
  policies: Policies,
  set: readonly string[] = [],
): LoadedDeployment {
  const { path, source, sha256, parsed } = loadDeploymentFile(input, set);
  const { file, unbuilt } = parsed;
  const added = addedModels(path);
  if (file === null) return { source, models: added, deployment: null, issues: parsed.issues, unbuilt };
  const named = new Set(
    Object.values(file.pools ?? {}).flatMap(pool => [pool.model, pool.speculative?.model]),
  );
  const digest = digestWith(
    sha256,
    added.filter(({ id }) => named.has(id)),
  );
  const resolved = resolveDeployment(file, digest, {
    routingPolicies: Object.keys(policies),
    addedModels: added,
  });
  const issues = [...parsed.issues, ...resolved.issues, ...optionIssues(resolved.deployment, policies)];
  return { source, models: added, deployment: resolved.deployment, issues, unbuilt };
}

export interface ReadyRun {
  readonly plan: Plan;
  readonly deployment: DeploymentSpec;
  readonly poolOf: (model: string) => string;
  readonly warnings: string[];
  /** Of these, pools that stand in for other models. */
  readonly standIns: readonly string[];
}

/** The same run behind another router, which has its defaults; undefined: as the deployment says. */
export function withRouting(ready: ReadyRun, policy: string | undefined): ReadyRun {
  const { deployment } = ready;
  if (policy === undefined || policy === deployment.routing.policy) return ready;
  return { ...ready, deployment: { ...deployment, routing: { policy, options: {} } } };
}

/** A policy checks its own options when it is made. */
function optionIssues(deployment: DeploymentSpec | null, policies: Policies): Issue[] {
  const limits = deployment?.pools[0]?.limits;
  if (deployment === null || limits === undefined) return [];
  const { blockTokens, kvBlocks, maxBatchedTokens, maxSequences } = limits;
  const kvTokens = kvBlocks * blockTokens;
  const setup = { role: 'both', blockTokens, kvTokens, maxBatchedTokens, maxSequences } as const;
  try {
    policies[deployment.routing.policy]?.create(deployment.routing.options, setup);
    return [];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [issue(['routing'], 'WT1003', error.message, error.hint)];
  }
}

/** Issues of what was loaded. A trace has no lines of ours to point at: the first one is told in words. */
export function settle(loaded: LoadedScenario, issues: readonly Issue[], options: CommonOptions): void {
  const [first] = issues.filter(each => each.severity === 'error');
  if (loaded.kind === 'trace' && first !== undefined) {
    throw new UserError(`${loaded.input}: ${first.code} ${first.message}`, { hint: first.hint });
  }
  settleIssues([{ issues, source: loaded.source }], options);
}

/** Everything a run needs, or InputIssues with all that is wrong in either file and what no run obeys yet. Live providers
 * need no latency. */
export function readyRun(
  loaded: LoadedScenario,
  deployed: LoadedDeployment,
  options: CommonOptions,
  world: 'simulated' | 'live' = 'simulated',
): ReadyRun {
  const plan = loaded.compiled?.plan ?? null;
  const isSimulated = world === 'simulated';
  const unbuilt = [
    ...(loaded.file === null ? [] : unbuiltParts(loaded.file)),
    ...(plan === null || deployed.deployment === null || !isSimulated
      ? []
      : hostedIssues(plan, deployed.deployment)),
  ];
  return ready(
    { ...loaded, issues: [...loaded.issues, ...unbuilt] },
    { ...deployed, issues: [...deployed.issues, ...deployed.unbuilt] },
    options,
  );
}

/** The same for a check, which warns of what no run obeys yet. */
export const readyCheck = ready;

function ready(loaded: LoadedScenario, deployed: LoadedDeployment, options: CommonOptions): ReadyRun {
  if (loaded.kind === 'trace') settle(loaded, loaded.issues, options);
  settleIssues(
    [{ issues: loaded.kind === 'trace' ? [] : loaded.issues, source: loaded.source }, deployed],
    options,
  );
  const plan = loaded.compiled?.plan as Plan;
  const deployment = deployed.deployment as DeploymentSpec;
  const prepared = prepare(plan, deployment);
  settle(loaded, prepared.issues, options);
  const warnings = [
    ...prepared.notes,
    ...loaded.warnings,
    ...loaded.imports.flatMap(report => report.warnings),
  ];
  for (const report of loaded.imports) {
    if (report.unreadable.length > 0) {
      warnings.push(
        `${report.unreadable.length} unreadable parts of the trace were left out, the first: ${report.unreadable[0]?.where}: ${report.unreadable[0]?.why}`,
      );
    }
  }
  return { plan, deployment, poolOf: prepared.poolOf, warnings, standIns: prepared.notes };
}
