// `windtunnel size S --fleet h200:64`: the GPUs are given, the traffic is asked for.
import { join } from 'node:path';
import { loadDeployment } from '../../../engines/load.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { fleetHeadline } from '../../../reports/size/fleet-words.ts';
import { publishFleet } from '../../../reports/size/publish.ts';
import { EXIT, UserError } from '../../../scenarios/base/errors.ts';
import { commandLine, deploymentSet, outFolder } from '../../../scenarios/cli/run-options.ts';
import { ProgressLine, printJson, say } from '../../../scenarios/cli/terminal.ts';
import { version } from '../../../scenarios/cli/version.ts';
import { type FleetResult, SIZE_FLEET_SCHEMA_VERSION } from '../../../scenarios/formats/size-fleet.ts';
import { spaceOf, writeBase } from '../base.ts';
import type { SizeOptions } from '../command.ts';
import { type Running, type Setup, setupOf } from '../setup.ts';
import { forget, writeDeployment } from '../write.ts';
import { fleetAnswer } from './answer.ts';
import { type FleetBase, fleetBaseOfDeployment, fleetBaseOfScenario } from './base.ts';
import { fleetOf, refuseTooManyKinds } from './given.ts';

/** Options that say what the fleet says. */
const SAID_BY_FLEET = ['gpu', 'pool', 'budget'] as const;

/** Exits with 99 where today's traffic is not held. */
export async function sizeFleet(text: string, options: SizeOptions, running: Running): Promise<number> {
  for (const name of SAID_BY_FLEET)
    if (options[name] !== undefined)
      throw new UserError(`--${name} beside --fleet: the fleet says what there is, and all pools share it`, {
        hint: `leave --${name} out, or size without --fleet`,
      });
  const fleet = fleetOf(text);
  const setup = setupOf(options, running);
  const base = baseOf(options, setup);
  refuseTooManyKinds(
    fleet,
    base.pools.map(({ pool }) => pool),
  );
  const routers = Object.keys(routingPolicies);
  const spaces = base.pools.map(({ pool, own }) =>
    spaceOf({ ...base, pool, own }, { ...options, gpu: fleet.map(({ gpu }) => gpu).join(',') }, routers),
  );
  const { plan } = setup;
  const name = String(base.value.deployment ?? 'deployment');
  const out = outFolder(options, `${plan.name}-${name}`, 'fleet');
  const { gateway: _, ...value } = base.value;
  const progress = new ProgressLine(options);
  const { found, winner } = await fleetAnswer({
    setup,
    path: writeBase(base, join(out, 'inputs')),
    alone: { base: writeBase({ value, models: base.models }, join(out, 'inputs', 'pools')), value },
    fleet,
    spaces,
    trafficRatio: options.load,
    seeds: setup.seeds,
    tell: said => progress.show(() => `${said} (${setup.evaluator.runs} runs)`),
  }).finally(() => progress.clear());
  const result: FleetResult = {
    schemaVersion: SIZE_FLEET_SCHEMA_VERSION,
    kind: 'size-fleet',
    tool: { name: 'agent-windtunnel', version },
    command: commandLine(),
    scenario: { name: plan.name, sha256: plan.sha256 },
    base: name,
    ...found,
    notes: [...setup.notes, ...base.notes, ...chooserNotes(base), ...found.notes],
    files: [],
  };
  forget(out);
  const made = { headline: fleetHeadline(result), command: result.command };
  const files = winner === null ? [] : writeDeployment(made, winner, base, out);
  const written = { ...result, files };
  const { summaryText } = await publishFleet(written, out);
  if (options.json) printJson(written);
  say(options, summaryText);
  return (result.answer?.loadRatio ?? 0) >= 1 ? EXIT.ok : EXIT.failed;
}

function baseOf({ deployment, set, model }: SizeOptions, { context }: Setup): FleetBase {
  if (deployment === undefined) return fleetBaseOfScenario(context, model);
  if (model !== undefined)
    throw new UserError('--model is for a fleet without a deployment, and -d names its pools', {
      hint: 'leave one of them out',
    });
  const { source, models } = loadDeployment(deployment, routingPolicies, deploymentSet(set));
  return fleetBaseOfDeployment(source.value, models);
}

const chooserNotes = ({ value, pools }: FleetBase): string[] =>
  pools.length > 1 && value.gateway !== undefined
    ? ['the first split is by the models that steps ask for; what the gateway chooses moves GPUs from there']
    : [];
