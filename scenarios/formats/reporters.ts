// `--reporter NAME[=PATH]`: whom a command tells of promises kept and broken, read before anything runs. What each of
// them is told is written in reports/gate.
import { UserError } from '../base/errors.ts';
import { didYouMean } from './suggest.ts';

/** What there is, and where it goes unless a path is given; null: to stdout. */
export const REPORTER_FILES = {
  json: 'gate.json',
  junit: 'junit.xml',
  markdown: 'gate.md',
  github: null,
  'benchmark-smaller': 'benchmark-smaller.json',
  'benchmark-bigger': 'benchmark-bigger.json',
  bencher: 'bencher.json',
  openmetrics: 'metrics.txt',
} as const satisfies Record<string, string | null>;

export type ReporterName = keyof typeof REPORTER_FILES;

export interface Told {
  readonly name: ReporterName;
  /** null: stdout. */
  readonly path: string | null;
}

export const REPORTER_OPTION = {
  type: 'string',
  array: true,
  nargs: 1,
  default: [] as string[],
  describe: `also write NAME or NAME=PATH (repeatable): ${Object.keys(REPORTER_FILES).join(', ')}`,
} as const;

/** GitHub is told by itself where its actions run. */
export function reportersOf(
  given: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Told[] {
  const told = given.map(reporterOf);
  const isOnGithub = environment.GITHUB_ACTIONS === 'true' && !told.some(({ name }) => name === 'github');
  return isOnGithub ? [...told, { name: 'github', path: null }] : told;
}

function reporterOf(text: string): Told {
  const [name = '', ...rest] = text.split('=');
  const path = rest.join('=');
  if (!Object.hasOwn(REPORTER_FILES, name)) {
    const names = Object.keys(REPORTER_FILES);
    throw new UserError(`--reporter ${text}: there is no reporter "${name}"`, {
      hint: didYouMean(name, names) ?? `there: ${names.join(', ')}`,
    });
  }
  const known = name as ReporterName;
  if (path === '-') return { name: known, path: null };
  return { name: known, path: path === '' ? REPORTER_FILES[known] : path };
}
