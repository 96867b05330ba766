// What a live run knows before its first call: run.json, enough to make a report of what the run got to.
import { costBasis, standingReplicas } from '../engines/cost-basis.ts';
import type { DeploymentSpec } from '../engines/engine.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type { RunHeader } from '../scenarios/formats/run.ts';
import { RUN_LOG_VERSION, type RunStart, storedBooks } from '../scenarios/formats/run-log.ts';

export function runStart(header: RunHeader, plan: Plan, deployment: DeploymentSpec): RunStart {
  const sold = deployment.hosted.map(({ name }) => name);
  const asked = [...plan.models.keys(), ...plan.modelsUsed];
  return {
    schemaVersion: RUN_LOG_VERSION,
    kind: 'run_log',
    header,
    assertions: [...plan.assertions],
    sessionsPlanned: plan.sessionCount,
    books: storedBooks(costBasis(deployment, plan), sold, asked, standingReplicas(deployment)),
  };
}
