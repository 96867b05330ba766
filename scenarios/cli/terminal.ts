// The terminal rim that every command shares: options, where words go, how errors look, how Ctrl-C is heard.
import { styleText } from 'node:util';
import type { Argv, CommandModule } from 'yargs';
import { EXIT, UserError } from '../base/errors.ts';
import type { Issue } from '../base/issue.ts';
import { formatIssues, issuesToJson, type Source } from '../formats/source.ts';

/** A command but for its name and description, which windtunnel.ts lists so that --help loads nothing else. */
export type Command<Options> = Required<Pick<CommandModule<object, Options>, 'builder' | 'handler'>>;

/** Options of every command. */
export interface CommonOptions {
  json: boolean;
  quiet: boolean;
}

/** What may be given several times. */
const REPEATABLE = [
  '_',
  'set',
  'vary',
  'slo',
  'price',
  'endpoint',
  'trace',
  'run',
  'text',
  'experiment',
  'gpu-metrics',
  'reporter',
];

/** `repeatable`: further options of this command that may be given several times. */
export const withCommon = <T>(yargs: Argv<T>, repeatable: readonly string[] = []) =>
  yargs
    .option('json', {
      type: 'boolean',
      default: false,
      describe: 'one JSON document on stdout, words on stderr',
    })
    .option('quiet', { type: 'boolean', default: false, describe: 'no progress' })
    .check(argv => {
      const twice = Object.entries(argv).find(
        ([name, value]) => Array.isArray(value) && ![...REPEATABLE, ...repeatable].includes(name),
      );
      if (twice !== undefined) throw new UserError(`--${twice[0]} is given twice`, { hint: 'name it once' });
      return true;
    });

type Style = 'red' | 'green' | 'yellow' | 'dim' | 'bold';

/** Colour on a terminal, unless NO_COLOR says no. */
export const hasColour = (stream: { isTTY?: boolean } = process.stdout): boolean =>
  stream.isTTY === true && (process.env.NO_COLOR ?? '') === '';

export const paint = (style: Style, text: string, stream: { isTTY?: boolean } = process.stdout): string =>
  hasColour(stream) ? styleText(style, text, { validateStream: false }) : text;

/** Words to stderr where stdout belongs to a JSON document. */
export const say = (options: CommonOptions, text: string): void => {
  if (options.json) process.stderr.write(`${text}\n`);
  else process.stdout.write(`${text}\n`);
};

export const printJson = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value, null, 1)}\n`);
};

/** Bad input with positions: thrown by commands, printed once at the top. */
export class InputIssues extends Error {
  readonly groups: readonly { issues: readonly Issue[]; source: Source }[];
  constructor(groups: readonly { issues: readonly Issue[]; source: Source }[]) {
    super('bad input');
    this.groups = groups;
  }
}

const isError = (issue: Issue): boolean => issue.severity === 'error';

/** Issues as a stream shows them: in colour and within its columns where it is a terminal. */
export const issuesText = (
  issues: readonly Issue[],
  source: Source,
  stream: { isTTY?: boolean; columns?: number },
): string =>
  formatIssues(issues, source, {
    colour: hasColour(stream),
    width: stream.isTTY === true ? stream.columns : undefined,
  });

/** Prints warnings; throws when there is an error among the issues. */
export function settleIssues(
  groups: readonly { issues: readonly Issue[]; source: Source }[],
  options: CommonOptions,
): void {
  if (groups.some(group => group.issues.some(isError))) throw new InputIssues(groups);
  for (const { issues, source } of groups) {
    if (issues.length > 0 && !options.quiet)
      process.stderr.write(`${issuesText(issues, source, process.stderr)}\n`);
  }
}

/** Prints what went wrong and returns the exit code. */
export function reportFailure(error: unknown, json: boolean): number {
  if (error instanceof InputIssues) {
    const all = error.groups.flatMap(group => issuesToJson(group.issues, group.source));
    if (json) printJson({ ok: false, issues: all });
    const blocks = error.groups
      .filter(({ issues }) => issues.length > 0)
      .map(({ issues, source }) => issuesText(issues, source, process.stderr));
    process.stderr.write(`${blocks.join('\n\n')}\n\n`);
    const errors = error.groups.flatMap(group => group.issues).filter(isError).length;
    process.stderr.write(`${errors} error${errors === 1 ? '' : 's'}\n`);
    return EXIT.badInput;
  }
  if (error instanceof UserError) {
    if (json) printJson({ ok: false, error: error.message, hint: error.hint });
    process.stderr.write(`${paint('red', 'error', process.stderr)}: ${error.message}\n`);
    if (error.hint !== null) process.stderr.write(`hint: ${error.hint}\n`);
    return error.exitCode;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (json)
    printJson({
      ok: false,
      error: error instanceof Error ? error.message : String(error),
      hint: 'this is our failure: please report it',
    });
  process.stderr.write(
    `${paint('red', 'internal error', process.stderr)}: ${text}\nThis is our failure, not yours: please report it with the command.\n`,
  );
  return EXIT.internal;
}

/** A progress line on stderr: redrawn on a terminal, once in ten seconds elsewhere. */
export class ProgressLine {
  private readonly on: boolean;
  private readonly tty: boolean;
  private lastMs = 0;
  private drawn = false;

  constructor(options: CommonOptions) {
    this.tty = process.stderr.isTTY === true;
    this.on = !options.quiet;
  }

  show(text: () => string): void {
    if (!this.on) return;
    const nowMs = performance.now();
    if (nowMs - this.lastMs < (this.tty ? 100 : 10_000)) return;
    if (this.lastMs === 0 && !this.tty) {
      this.lastMs = nowMs;
      return;
    }
    this.lastMs = nowMs;
    this.drawn = this.tty;
    process.stderr.write(this.tty ? `\r\u001b[2K${text()}` : `${text()}\n`);
  }

  clear(): void {
    if (this.drawn) process.stderr.write('\r\u001b[2K');
    this.drawn = false;
  }
}

/** Calls `drain` at the first Ctrl-C; the second one leaves at once. Returns how to stop listening. */
export function onInterrupt(drain: () => void): () => void {
  let times = 0;
  const listener = (): void => {
    times++;
    if (times > 1) process.exit(EXIT.interrupted);
    // First: it takes away what is drawn on the terminal.
    drain();
    process.stderr.write(
      '\ninterrupted: draining; what there is will be written (Ctrl-C again leaves at once)\n',
    );
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return () => {
    process.off('SIGINT', listener);
    process.off('SIGTERM', listener);
  };
}
