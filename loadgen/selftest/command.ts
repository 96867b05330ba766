// `selftest`: how much load this machine can be trusted with, and our own error under it.
import { availableParallelism, cpus, loadavg } from 'node:os';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import {
  type Command,
  type CommonOptions,
  ProgressLine,
  printJson,
  say,
  withCommon,
} from '../../scenarios/cli/terminal.ts';
import {
  CALL_MS,
  LIMITS,
  type LimitedBy,
  SELFTEST_ITL_MS,
  SELFTEST_TOKENS,
  type SelfTest,
  SHARES,
  selfTest,
} from './selftest.ts';

interface SelftestOptions extends CommonOptions {
  seconds: number;
  workers: number;
}

const FEWEST_SECONDS = 10;
const MOST_WORKERS = 64;

export const selftestCommand: Command<SelftestOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .option('seconds', { type: 'number', default: 60, describe: 'about how long it takes' })
      .option('workers', { type: 'number', default: 1, describe: 'threads of the client' })
      .example('$0 selftest', 'before a replay that matters, on the machine that will send it'),
  handler: async options => {
    const { seconds, workers } = options;
    if (!(seconds >= FEWEST_SECONDS))
      throw new UserError(`--seconds ${seconds}: expected at least ${FEWEST_SECONDS}`, {
        hint: 'e.g. --seconds 60',
      });
    if (!Number.isInteger(workers) || workers < 1 || workers > MOST_WORKERS)
      throw new UserError(`--workers ${workers}: expected 1 to ${MOST_WORKERS}`, {
        hint: 'e.g. --workers 2',
      });
    const line = new ProgressLine(options);
    const tested = await selfTest({
      seconds,
      workers,
      onLevel: ({ streams, problems }, phase) =>
        line.show(
          () => `${phase}: ${streams} streams, ${problems.length === 0 ? 'fine' : problems.join('; ')}`,
        ),
    });
    line.clear();
    const exitCode = tested.trusted === null ? EXIT.notValid : 0;
    if (options.json) printJson({ ...tested, verdict: verdictOf(tested), exitCode });
    say(options, textOf(tested, workers));
    process.exitCode = exitCode;
  },
};

const COLUMNS = [
  'load',
  'streams',
  'chunks/s',
  'req/s',
  'TTFT error',
  'ITL error',
  'lag p99',
  'CPU/1k',
  'cores',
  'server late',
];

function textOf(tested: SelfTest, workers: number): string {
  const { measured, limitStreams, limitedBy } = tested;
  const rows = measured.map(({ streams, own }, row) => [
    `${100 * SHARES[row]!} %`,
    String(streams),
    own.chunksPerSec.toFixed(0),
    own.callsPerSec.toFixed(1),
    `${ms(own.ttftErrorMs.p50)} / ${ms(own.ttftErrorMs.p99)}`,
    `${ms(own.itlErrorMs.p50)} / ${ms(own.itlErrorMs.p99)}`,
    ms(own.lagMs.p99),
    own.cpuMsPer1000Chunks.toFixed(1),
    own.cores.toFixed(2),
    ms(own.serverLateMs.p99),
  ]);
  const problems = measured.flatMap(({ streams, problems: each }) =>
    each.map(text => `  at ${streams} streams: ${text}`),
  );
  return [
    `limit of this machine: ${limitedBy === 'client' ? '' : 'at least '}${limitStreams} streams, a token every ${SELFTEST_ITL_MS} ms (${chunksPerSec(limitStreams)} chunks/s), ${workers === 1 ? 'one thread' : `${workers} threads`}, ${cpus()[0]?.model.trim() ?? 'CPU'} x ${availableParallelism()}${WHY_LIMITED[limitedBy]}`,
    '',
    ...table([COLUMNS, ...rows]),
    'ms; errors and lag of our client, p50 / p99; CPU of our process in ms per 1,000 chunks; the server ran beside it',
    ...(problems.length === 0 ? [] : ['', ...problems]),
    '',
    verdictOf(tested),
  ].join('\n');
}

const WHY_LIMITED: Record<LimitedBy, string> = {
  client: '',
  server: '; the server of the test could not send more',
  machine: '; above that the server of the test was late',
  time: '; there was no time to try more',
};

/** One sentence, or two. */
export function verdictOf({ trusted, isInconclusive }: Pick<SelfTest, 'trusted' | 'isInconclusive'>): string {
  const busy = isInconclusive
    ? ` Inconclusive: the server of the test was late too, so something else was using this machine (load ${loadavg()[0]!.toFixed(1)} on ${availableParallelism()} cores); run it again when it is quiet.`
    : '';
  if (trusted === null) {
    return `Do not trust this machine with live load: at a quarter of its limit our own error passes ${LIMITS.ttftErrorMs} ms in TTFT, ${LIMITS.itlErrorMs} ms in ITL or ${LIMITS.lagMs} ms of lag.${busy}`;
  }
  const { own, streams } = trusted;
  return (
    `This machine can be trusted with ${own.chunksPerSec.toFixed(0)} chunks/s: ${streams} streams, or ${own.callsPerSec.toFixed(0)} req/s of ${SELFTEST_TOKENS} tokens; ` +
    `there our TTFT is wrong by ${ms(own.ttftErrorMs.p99)} ms and our ITL by ${ms(own.itlErrorMs.p99)} ms at p99.${busy}`
  );
}

const ms = (value: number): string => value.toFixed(1);
const chunksPerSec = (streams: number): string =>
  String(Math.round((streams * SELFTEST_TOKENS * 1000) / CALL_MS));

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)));
  return rows.map(row => row.map((cell, column) => cell.padStart(widths[column]!)).join('  '));
}
