// `demo`: the whole loop in a minute, with nothing but this machine: check, simulate, replay on the emulator, validate.
import { join } from 'node:path';
import { loadDeployment, readyRun } from '../engines/load.ts';
import { routingPolicies } from '../gateway/routing/index.ts';
import { loadScenario } from '../scenarios/cli/load.ts';
import { outFolder } from '../scenarios/cli/run-options.ts';
import { type Command, type CommonOptions, paint, say, withCommon } from '../scenarios/cli/terminal.ts';
import { shapeText } from './check-text.ts';
import { pricesOf } from './prices.ts';
import { shapeOf } from './shape.ts';
import { validate } from './validate/validate.ts';

interface DemoOptions extends CommonOptions {
  out: string | undefined;
}

const SCENARIO = 'demo';
const DEPLOYMENT = 'emulated';

export const demoCommand: Command<DemoOptions> = {
  builder: yargs =>
    withCommon(yargs).option('out', { type: 'string', describe: 'run folder [windtunnel-runs/demo]' }),
  handler: async options => {
    const loaded = loadScenario(SCENARIO);
    const ready = readyRun(loaded, loadDeployment(DEPLOYMENT, routingPolicies), options);
    const out = outFolder({ out: options.out ?? 'windtunnel-runs/demo' }, 'demo', 'validate');
    const title = (text: string): void => say(options, `\n${paint('bold', text)}`);
    title('1. What the agents will do (windtunnel check demo)');
    say(
      options,
      shapeText({
        plan: ready.plan,
        shapes: shapeOf(ready.plan, loaded.compiled!.workflows, pricesOf(ready.plan, ready.deployment)),
        deployment: { name: ready.deployment.name, loads: [] },
        labels: [],
        standIns: [],
        width: process.stdout.isTTY ? process.stdout.columns : Number.POSITIVE_INFINITY,
      }),
    );
    title(
      '2. Simulated, then replayed for real on an emulated server (windtunnel validate demo -d emulated --emulate)',
    );
    const exitCode = await validate({
      loaded,
      ready,
      out,
      options: {
        ...options,
        deployment: DEPLOYMENT,
        endpoint: [],
        emulate: true,
        repeats: 1,
        timeout: '5m',
        stall: '1m',
        vocab: 32_000,
        salt: undefined,
        // A demo on a busy laptop: the 3 % of the accuracy test wants a quiet machine.
        tolerance: '15%',
        'count-tolerance': undefined,
      },
    });
    title('3. Next');
    say(
      options,
      [
        '  windtunnel check job-scanner                                    the shape of a scenario, before anything runs',
        '  windtunnel simulate job-scanner -d workstation-ministral-14b    the same on one GPU, in simulated time',
        '  windtunnel simulate TRACE -d 8xh200-mistral-small-4 --warm      your recorded agent sessions on 8 H200',
        '',
        `report: ${join(out, 'report.html')}`,
      ].join('\n'),
    );
    process.exitCode = exitCode;
  },
};
