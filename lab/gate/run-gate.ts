// The promises of one run, for those that `--reporter` names: `simulate` and `replay` gate by them.
import { assertionCheck, gateOf } from '../../reports/gate/gate.ts';
import type { GateReport } from '../../reports/gate/report.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';

/** A run that is not valid, or was stopped, promises nothing. */
export function runReport({ header, verdict, assertions, digest }: RunResult): GateReport {
  const { status, checks } = gateOf(assertions.map(each => assertionCheck(each)));
  const world = header.world === 'sim' ? 'simulated' : 'live';
  const isWhole = verdict.status !== 'invalid' && verdict.status !== 'interrupted';
  return {
    name: header.scenario.name,
    what: `${header.scenario.name} @ ${header.deployment.name}, ${world}`,
    status: !isWhole ? 'inconclusive' : verdict.status === 'fail' ? 'fail' : status,
    headline: verdict.headline,
    checks,
    drift: [],
    warnings: [...header.warnings],
    command: header.command,
    toolVersion: header.tool.version,
    seed: header.seed,
    digest,
  };
}
