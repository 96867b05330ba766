// A scenario on a deployment, simulated: for tests that want records.
import { resolveDeployment } from '../../engines/deploy.ts';
import type { DeploymentSpec } from '../../engines/engine.ts';
import { prepare } from '../../engines/prepare.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { parseDeployment } from '../../scenarios/formats/deployment/deployment.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import type { RunHeader, RunOutput } from '../../scenarios/formats/run.ts';
import { formatIssues, parseSource } from '../../scenarios/formats/source.ts';
import type { Simulation } from '../../sim/simulate.ts';
import { startSimulation } from '../../sim/start.ts';

export const DEPLOYMENT = (
  limits = '',
  step = 'model: affine, base: 8ms, per_token: 80us, per_sequence: 90us, per_context_token: 20ns',
  replicas = 1,
  routing = 'round-robin',
): string => `
windtunnel: 1
deployment: test
pools:
  main:
    model: ministral-3-14b
    replicas: ${replicas}
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 2048, max_num_seqs: 64, ${limits} }
    step: { ${step} }
routing: ${routing}
`;

export function deploymentOf(text: string): DeploymentSpec {
  const source = parseSource(text, 'deployment.yaml');
  const parsed = parseDeployment(source);
  const resolved =
    parsed.file === null
      ? null
      : resolveDeployment(parsed.file, 'test', { routingPolicies: Object.keys(routingPolicies) });
  if (resolved?.deployment == null) {
    const issues = [...parsed.issues, ...(resolved?.issues ?? [])];
    throw new Error(`the test's deployment is wrong:\n${formatIssues(issues, source, { colour: false })}`);
  }
  return resolved.deployment;
}

export const HEADER: RunHeader = {
  tool: { name: 'agent-windtunnel', version: '0' },
  world: 'sim',
  seed: 1,
  scenario: { name: 'test', sha256: 'x' },
  deployment: { name: 'test', sha256: 'x' },
  command: 'test',
  startedAt: null,
  evidence: [],
  warnings: [],
};

export function simulationOf(plan: Plan, deployment: DeploymentSpec): Simulation {
  const { poolOf } = prepare(plan, deployment);
  return startSimulation({
    plan,
    deployment,
    poolOf,
    header: HEADER,
  });
}

/** Runs to the end. */
export function simulated(plan: Plan, deployment: string | DeploymentSpec = DEPLOYMENT()): RunOutput {
  const spec = typeof deployment === 'string' ? deploymentOf(deployment) : deployment;
  const simulation = simulationOf(plan, spec);
  while (simulation.step(5000));
  return simulation.finish();
}
