// `doctor`: what a server can do, and what to write of it in a deployment, before any load.
import { UserError } from '../../scenarios/base/errors.ts';
import {
  type Command,
  type CommonOptions,
  paint,
  printJson,
  say,
  withCommon,
} from '../../scenarios/cli/terminal.ts';
import { createAsker } from './ask.ts';
import { basesOf } from './bases.ts';
import { diagnose } from './diagnose.ts';
import { diagnosisText, endpointYaml } from './text.ts';

interface DoctorOptions extends CommonOptions {
  url: string;
  model: string | undefined;
  'key-env': string | undefined;
  timeout: number;
}

const COLOURS = { found: 'green', missing: 'yellow', fatal: 'red', unknown: 'dim' } as const;

export const doctorCommand: Command<DoctorOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .positional('url', {
        type: 'string',
        demandOption: true,
        describe: 'base URL of the server, up to /v1',
      })
      .option('model', { type: 'string', describe: 'its name on the server [the first that it lists]' })
      .option('key-env', { type: 'string', describe: 'name of the environment variable that holds the key' })
      .option('timeout', { type: 'number', default: 30, describe: 'longest wait for one answer, seconds' })
      .example('$0 doctor http://127.0.0.1:8000/v1', 'before the first replay against a server'),
  handler: async options => {
    const { url, model = null, 'key-env': keyEnv = null, timeout } = options;
    if (basesOf(url) === null)
      throw new UserError(`${url}: not an http address`, { hint: 'e.g. http://127.0.0.1:8000/v1' });
    if (!(timeout > 0)) throw new UserError(`--timeout ${timeout}: expected seconds above 0`);
    const key = keyEnv === null ? null : (process.env[keyEnv] ?? '');
    if (key === '')
      throw new UserError(`--key-env ${keyEnv}: the variable is not set`, {
        hint: 'pass the name of the variable, never the key itself',
      });
    const { ask, close } = createAsker(timeout * 1000);
    try {
      const salt = `doctor ${Date.now()}`;
      const diagnosis = await diagnose({ url, model, keyEnv, key, ask, salt });
      const { endpoint, exitCode } = diagnosis;
      if (options.json)
        printJson({
          ok: exitCode === 0,
          ...diagnosis,
          yaml: endpoint === null ? null : endpointYaml(endpoint),
        });
      else
        say(
          options,
          diagnosisText(diagnosis, (state, text) => paint(COLOURS[state], text)),
        );
      process.exitCode = exitCode;
    } finally {
      close();
    }
  },
};
