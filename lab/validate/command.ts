// `validate`: its options, and what the simulation is held against: live runs of the same plan, the trace's own latencies,
// or what Prometheus kept.
import { type LoadedDeployment, loadDeployment, readyRun, withRouting } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { chosenRouting } from '../../gateway/routing/outside.ts';
import { refuseWarm } from '../../loadgen/command.ts';
import { withLive } from '../../loadgen/live-options.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import {
  deploymentSet,
  loadRun,
  outFolder,
  type RunOptions,
  runName,
  withRun,
} from '../../scenarios/cli/run-options.ts';
import type { Command } from '../../scenarios/cli/terminal.ts';
import { selectionOf } from '../../scenarios/cli/trace-options.ts';
import { utcMicros } from '../../scenarios/importers/parts/clock.ts';
import { metricsFrom } from './metrics-source.ts';
import { type ValidateHow, validate } from './validate.ts';

interface ValidateOptions extends RunOptions, ValidateHow {
  against: string;
  live: boolean;
  series: string | undefined;
  started: string | undefined;
}

export const validateCommand: Command<ValidateOptions> = {
  builder: yargs =>
    withLive(withRun(yargs))
      .option('emulate', {
        type: 'boolean',
        default: false,
        describe: "replay on the deployment's own emulator, in a second process",
      })
      .option('repeats', {
        type: 'number',
        default: 1,
        describe: 'live runs of the same plan, each with content of its own: measures the noise',
      })
      .option('against', {
        type: 'string',
        nargs: 1,
        default: 'live',
        describe: "live, recorded (the trace's own latencies), or prometheus=FILE or URL of a range query",
      })
      .option('live', {
        type: 'boolean',
        default: true,
        describe: 'against a record: also replay where there are endpoints; --no-live does not',
      })
      .option('series', {
        type: 'string',
        nargs: 1,
        describe: 'which figure the range holds, e.g. ttft.p95, waiting',
      })
      .option('started', {
        type: 'string',
        nargs: 1,
        describe: "the run's start on the wall clock of the metrics",
      })
      .option('tolerance', { type: 'string', nargs: 1, describe: 'of mean times [10%; 3% with --emulate]' })
      .option('tail-tolerance', {
        type: 'string',
        nargs: 1,
        describe: 'of 95th percentiles [twice the tolerance]',
      })
      .option('count-tolerance', {
        type: 'string',
        nargs: 1,
        describe: 'of counts, tokens and cache hits [2%; 0 with --emulate]',
      })
      .group(['against', 'live', 'repeats', 'emulate', 'series', 'started'], 'Against:')
      .group(['tolerance', 'tail-tolerance', 'count-tolerance'], 'Judged by:')
      .example('$0 validate mixed-fleet -d emulated --emulate', 'needs nothing but this machine')
      .example(
        '$0 validate agents.yaml -d staging.yaml --repeats 3',
        'against live endpoints, with their noise',
      )
      .example(
        '$0 validate week.json -d prod.yaml --against recorded --no-live',
        'was the incident reproduced?',
      ),
  handler: async options => {
    const target = targetOf(options);
    const routing = await chosenRouting(options.routing);
    const deployed = loadDeployment(options.deployment, routingPolicies, deploymentSet(options.set));
    const isReachable = options.emulate || options.endpoint.length > 0 || hasEndpoints(deployed);
    const replays = target.kind === 'live' || (target.kind === 'recorded' && target.replays && isReachable);
    // A live server has no context from before a window, so that both worlds begin alike; a record had it.
    const loaded = loadRun(options, { coldStart: replays });
    if (replays) refuseWarm(loaded);
    const ready = withRouting(readyRun(loaded, deployed, options), routing?.name);
    const out = outFolder(options, runName(ready), 'validate');
    const metrics =
      target.kind === 'prometheus'
        ? await metricsFrom(target.place, options.series ?? null, ready.deployment.allowHosts)
        : null;
    process.exitCode = await validate({
      loaded,
      ready,
      options,
      out,
      routing,
      replays,
      from: selectionOf(options)?.window?.from ?? null,
      isAgainstRecord: target.kind === 'recorded',
      metrics: metrics === null ? null : { series: metrics, startedMs: startedOf(options.started) },
    });
  },
};

type Target =
  | { kind: 'live' }
  | { kind: 'recorded'; replays: boolean }
  | { kind: 'prometheus'; place: string };

function targetOf({ against, live, emulate, repeats, series, started }: ValidateOptions): Target {
  if (!Number.isInteger(repeats) || repeats < 1 || repeats > 100) {
    throw new UserError(`--repeats ${repeats}: expected a whole number from 1 to 100`, {
      hint: '--repeats 3',
    });
  }
  const place = /^prometheus=(.+)$/.exec(against)?.[1];
  if (place !== undefined) return { kind: 'prometheus', place };
  for (const [name, value] of Object.entries({ series, started }))
    if (value !== undefined)
      throw new UserError(`--${name} is for metrics`, { hint: 'use it with --against prometheus=FILE' });
  if (against === 'recorded') return { kind: 'recorded', replays: live };
  if (against !== 'live') {
    throw new UserError(`--against ${against}: expected live, recorded, or prometheus=FILE or URL`, {
      hint: 'e.g. --against recorded, for the latencies that a trace has of its own',
    });
  }
  if (!live) {
    throw new UserError('--no-live leaves nothing to hold the simulation against', {
      hint: `${emulate ? 'leave it out' : 'add --against recorded'}, or use \`windtunnel simulate\``,
    });
  }
  return { kind: 'live' };
}

const hasEndpoints = ({ deployment }: LoadedDeployment): boolean =>
  deployment !== null &&
  deployment.pools.length > 0 &&
  deployment.pools.every(({ endpoints }) => endpoints.length > 0);

/** A date with a time, in UTC unless it says otherwise. */
function startedOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const micros = utcMicros(/(Z|[+-]\d{2}:\d{2})$/.test(text) ? text : `${text}Z`);
  if (micros !== null) return micros / 1000;
  throw new UserError(`--started ${text}: expected a date and a time`, {
    hint: '--started 2026-11-21T14:00:00Z',
  });
}
