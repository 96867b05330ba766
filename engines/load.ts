// Reads and resolves a deployment for a command: the file, the catalogue, the routing policies that exist.
import type { Issue } from '../scenarios/base/issue.ts';
import type { LoadedScenario } from '../scenarios/cli/load.ts';
import { loadDeploymentFile } from '../scenarios/cli/run-options.ts';
import { type CommonOptions, settleIssues } from '../scenarios/cli/terminal.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type { Source } from '../scenarios/formats/source.ts';
import { resolveDeployment } from './deploy.ts';
import type { DeploymentSpec } from './engine.ts';
import { prepare } from './prepare.ts';

export interface LoadedDeployment {
  readonly source: Source;
  readonly deployment: DeploymentSpec | null;
  readonly issues: readonly Issue[];
}

export function loadDeployment(input: string, routingPolicies: readonly string[]): LoadedDeployment {
  const { source, sha256, parsed } = loadDeploymentFile(input);
  if (parsed.file === null) return { source, deployment: null, issues: parsed.issues };
  const resolved = resolveDeployment(parsed.file, sha256, { routingPolicies });
  return { source, deployment: resolved.deployment, issues: [...parsed.issues, ...resolved.issues] };
}

export interface ReadyRun {
  readonly plan: Plan;
  readonly deployment: DeploymentSpec;
  readonly poolOf: (model: string) => string;
  readonly warnings: string[];
}

/** Everything a run needs, or InputIssues with all that is wrong in either file. */
export function readyRun(
  loaded: LoadedScenario,
  deployed: LoadedDeployment,
  options: CommonOptions,
): ReadyRun {
  const groups = [
    { issues: loaded.issues, source: loaded.source },
    { issues: deployed.issues, source: deployed.source },
  ];
  settleIssues(groups, options);
  const plan = loaded.compiled?.plan as Plan;
  const deployment = deployed.deployment as DeploymentSpec;
  const prepared = prepare(plan, deployment);
  settleIssues([{ issues: prepared.issues, source: loaded.source }], options);
  const warnings = loaded.imports.flatMap(report => report.warnings);
  for (const report of loaded.imports) {
    if (report.unreadable.length > 0) {
      warnings.push(
        `${report.unreadable.length} unreadable parts of the trace were left out, the first: ${report.unreadable[0]?.where}: ${report.unreadable[0]?.why}`,
      );
    }
  }
  return { plan, deployment, poolOf: prepared.poolOf, warnings };
}
