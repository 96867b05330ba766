// `--serve`: the report page of a run while it goes on, for this machine only unless told otherwise.
import type { Argv } from 'yargs';
import { UserError } from '../base/errors.ts';
import type { ServeRun, Serving } from '../formats/run.ts';
import type { CommonOptions } from './terminal.ts';

const DEFAULT_PORT = 8600;
const LOOPBACK = '127.0.0.1';
const PORT_MAX = 65_535;

export interface ServeOptions {
  serve?: string | undefined;
  'serve-after'?: boolean | undefined;
}

export const withServe = <T>(yargs: Argv<T>) =>
  yargs
    .option('serve', {
      type: 'string',
      describe: `the report page while the run goes on, on PORT of this machine [${DEFAULT_PORT}], or HOST:PORT for others`,
    })
    .option('serve-after', {
      type: 'boolean',
      default: false,
      describe: 'the page stays until Ctrl-C',
    });

/** `8600`, `0.0.0.0:8600`, `[::1]:0`; nothing: the usual port. */
export function listenOf(text: string): { host: string; port: number } {
  if (text === '') return { host: LOOPBACK, port: DEFAULT_PORT };
  const match = /^(?:(\[[\da-f:]+\]|[\w.-]+):)?(\d{1,5})$/i.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > PORT_MAX)
    throw new UserError(`--serve ${text}: expected a port, or HOST:PORT`, {
      hint: 'e.g. --serve 8600, or --serve 0.0.0.0:8600 so that other machines see the page',
    });
  return { host: match[1]?.replace(/^\[|\]$/g, '') ?? LOOPBACK, port };
}

/** null: nobody asked for it. */
export async function openServing(
  { serve, 'serve-after': stays, quiet }: ServeOptions & CommonOptions,
  serveRun: ServeRun,
): Promise<Serving | null> {
  if (serve === undefined && stays !== true) return null;
  const serving = await serveRun(listenOf(serve ?? ''));
  if (!quiet) process.stderr.write(`the page while it runs: ${serving.url}\n`);
  return serving;
}

/** Shows the result of the run, and ends, or stays until Ctrl-C. */
export async function endServing(
  serving: Serving | null,
  result: unknown,
  { 'serve-after': stays }: ServeOptions,
): Promise<void> {
  if (serving === null) return;
  serving.last(result);
  if (stays === true) {
    process.stderr.write(`the page stays at ${serving.url} until Ctrl-C\n`);
    // A signal alone does not keep the process.
    const keep = setInterval(() => {}, 2 ** 30);
    await new Promise<void>(resolve => {
      process.once('SIGINT', resolve);
      process.once('SIGTERM', resolve);
    });
    clearInterval(keep);
  }
  await serving.end();
}
