// `worker`: joins a queue and runs the cases of whoever sends some, until Ctrl-C.
import { availableParallelism } from 'node:os';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import {
  type Command,
  type CommonOptions,
  printJson,
  say,
  withCommon,
} from '../../scenarios/cli/terminal.ts';
import { buildOf } from './build.ts';
import { openConnection } from './connection.ts';
import { withShards } from './live/shard-worker.ts';
import { type RunningWorker, startWorker } from './worker.ts';

interface WorkerCommandOptions extends CommonOptions {
  queue: string;
  jobs: number | undefined;
}

/** Between two lines of a worker that has something to do. */
const TELL_EVERY_MS = 10_000;

export const workerCommand: Command<WorkerCommandOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .option('queue', {
        type: 'string',
        demandOption: true,
        describe:
          'the Redis to join, redis://HOST:PORT or rediss://HOST:PORT; password and keys by environment',
      })
      .option('jobs', { type: 'number', describe: 'cases at once [one a core]' })
      .example('$0 worker --queue redis://127.0.0.1:6379', 'one case a core, until Ctrl-C')
      .epilogue(
        'Environment: WINDTUNNEL_QUEUE_USER, WINDTUNNEL_QUEUE_PASSWORD, WINDTUNNEL_QUEUE_CA (PEM file), WINDTUNNEL_QUEUE_KEY (signs jobs and results).',
      ),
  handler: async options => {
    process.exitCode = await work(options);
  },
};

async function work(options: WorkerCommandOptions): Promise<number> {
  const { queue, jobs = availableParallelism() } = options;
  if (!(Number.isInteger(jobs) && jobs > 0 && jobs <= 1024))
    throw new UserError(`--jobs ${jobs}: expected a whole number from 1 to 1024`, { hint: 'e.g. --jobs 4' });
  const tell = (line: string): void => {
    if (!options.quiet) say(options, line);
  };
  const connection = await openConnection(queue);
  const build = buildOf();
  const worker = withShards(startWorker({ connection, build, jobs, tell }), { connection, build, tell });
  const signed = connection.signer.id === 'unsigned' ? 'unsigned' : `signed with key ${connection.signer.id}`;
  tell(
    `worker ${worker.name} of version ${build} has joined ${connection.shown} (${signed}): ${jobs} at once`,
  );
  const interrupts = listen(worker, tell);
  const timer = progress(worker, tell);
  const startMs = performance.now();
  const left = await worker.ended;
  clearInterval(timer);
  interrupts.end();
  await connection.close();
  const counts = { ...worker.counts(), wallMs: performance.now() - startMs };
  if (options.json) printJson({ ok: left === null, worker: worker.name, build, ...counts });
  tell(`${counts.cases} cases in ${counts.jobs} jobs`);
  if (left !== null) throw new UserError(`this worker has left: ${left}`, { exitCode: EXIT.notValid });
  return interrupts.times() > 1 ? EXIT.interrupted : EXIT.ok;
}

/** The first Ctrl-C finishes what is under way, the second gives it back, the third leaves at once. */
function listen(worker: RunningWorker, tell: (line: string) => void) {
  let times = 0;
  const listener = (): void => {
    times += 1;
    if (times === 1) {
      tell('finishing what is under way (Ctrl-C again gives it back)');
      void worker.stop();
    } else if (times === 2) {
      tell('giving back what is under way');
      worker.giveBack();
    } else process.exit(EXIT.interrupted);
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return {
    times: () => times,
    end() {
      process.off('SIGINT', listener);
      process.off('SIGTERM', listener);
    },
  };
}

function progress(worker: RunningWorker, tell: (line: string) => void): NodeJS.Timeout {
  let told = 0;
  return setInterval(() => {
    const { cases } = worker.counts();
    if (cases === told) return;
    tell(`${cases} cases so far, ${cases - told} in the last ${TELL_EVERY_MS / 1000} s`);
    told = cases;
  }, TELL_EVERY_MS);
}
