// `emulate`: the virtual cluster of a deployment as a live OpenAI-compatible server.
import { loadDeployment } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import {
  type Command,
  type CommonOptions,
  printJson,
  say,
  settleIssues,
  withCommon,
} from '../../scenarios/cli/terminal.ts';
import { emulateDeployment } from './emulate.ts';
import { INJECT_EXAMPLE, parseInjection } from './inject.ts';

interface EmulateOptions extends CommonOptions {
  deployment: string;
  port: number | undefined;
  host: string;
  speed: number;
  inject: string | undefined;
  seed: string;
}

export const emulateCommand: Command<EmulateOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .positional('deployment', {
        type: 'string',
        demandOption: true,
        describe: 'deployment file or library entry',
      })
      .option('port', { type: 'number', describe: "port [that of the file's first endpoint, else 8010]" })
      .option('host', { type: 'string', default: '127.0.0.1', describe: 'address to listen on' })
      .option('speed', { type: 'number', default: 1, describe: 'virtual seconds per real second' })
      .option('inject', {
        type: 'string',
        describe:
          'faults: shares of requests that fail, `429` with a Retry-After, `stall` for so long or for ever, and the ' +
          `time to start: ${INJECT_EXAMPLE}`,
      })
      .option('seed', { type: 'string', default: '1', describe: 'which requests fail' })
      .example('$0 emulate emulated', 'then: curl http://127.0.0.1:8010/v1/models')
      .example('$0 emulate emulated --inject error=5%,429=10%:2s', 'servers as they are'),
  handler: async options => {
    if (!(options.speed > 0))
      throw new UserError(`--speed ${options.speed}: expected a number above 0`, { hint: 'e.g. --speed 10' });
    const injection = options.inject === undefined ? null : parseInjection(options.inject, options.seed);
    const { source, deployment, issues, unbuilt } = loadDeployment(options.deployment, routingPolicies);
    settleIssues([{ issues: [...issues, ...unbuilt], source }], options);
    if (deployment === null) throw new UserError(`"${options.deployment}" could not be resolved`);
    const port = options.port ?? portOf(deployment.pools[0]?.endpoints[0]?.url) ?? 8010;
    const emulator = await emulateDeployment(deployment, {
      port,
      host: options.host,
      speed: options.speed,
      injection,
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        throw new UserError(`port ${port} is taken`, { hint: 'choose another with --port', exitCode: 1 });
      throw error;
    });
    if (options.json) printJson({ url: emulator.url, deployment: deployment.name });
    say(options, `emulating ${deployment.name} at ${emulator.url}/v1 (Ctrl-C ends)`);
    await new Promise<void>(resolve => {
      process.once('SIGINT', resolve);
      process.once('SIGTERM', resolve);
    });
    await emulator.close();
  },
};

function portOf(url: string | undefined): number | null {
  const port = url === undefined ? '' : new URL(url).port;
  return port === '' ? null : Number(port);
}
