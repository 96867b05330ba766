// The folder of a sweep while it runs: sweep.json says what it is, runs.jsonl gets a line as each run ends. So a sweep that
// was killed goes on where it stopped, and another one does not mix with it.
import {
  appendFileSync,
  closeSync,
  createReadStream,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { version } from '../../scenarios/cli/version.ts';
import type { SweepDesign } from '../../scenarios/formats/sweep.ts';
import type { Axis } from '../../scenarios/formats/vary.ts';
import type { Outcome } from '../grid/case.ts';
import type { SweepBase } from './cases.ts';

/** What makes two sweeps the same one. */
export interface SweepFile {
  readonly schemaVersion: 1;
  readonly kind: 'sweep-design';
  readonly version: string;
  readonly scenario: { readonly name: string; readonly sha256: string };
  readonly deployment: { readonly name: string; readonly sha256: string };
  readonly base: SweepBase;
  /** Files of routing policies, by their digest. */
  readonly policies: Readonly<Record<string, string>>;
  readonly design: SweepDesign;
  readonly axes: readonly Axis[];
  readonly points: number;
  readonly seeds: readonly (number | string)[];
}

const DESIGN_FILE = 'sweep.json';
const RUNS_FILE = 'runs.jsonl';

interface RunLine {
  /** Digest of the case. */
  readonly key: string;
  readonly outcome: Outcome;
}

export interface SweepStore {
  /** Runs of an earlier time, as they stand in the file. */
  earlier(): AsyncGenerator<RunLine>;
  append(line: RunLine): void;
}

/** What differs is said in these words. */
const PARTS: readonly [keyof SweepFile, string][] = [
  ['version', 'it was made by another version of windtunnel'],
  ['scenario', 'its scenario differs'],
  ['deployment', 'its deployment differs'],
  ['base', 'its options differ'],
  ['policies', 'its routing policy differs'],
  ['axes', 'its axes differ'],
  ['design', 'its design differs'],
  ['points', 'its points differ'],
  ['seeds', 'its seeds differ'],
];

/** In a folder that is claimed. The same sweep goes on; another one is refused, or forgotten with `isFresh`. */
export function openStore(folder: string, file: SweepFile, isFresh: boolean): SweepStore {
  const [designPath, runsPath] = [join(folder, DESIGN_FILE), join(folder, RUNS_FILE)];
  if (isFresh || holdsNothing(runsPath)) rmSync(runsPath, { force: true });
  else refuseOther(designPath, file);
  writeFileSync(designPath, `${JSON.stringify(file, null, 1)}\n`);
  if (existsSync(runsPath)) dropTornLine(runsPath);
  return {
    async *earlier() {
      if (!existsSync(runsPath)) return;
      const lines = createInterface({
        input: createReadStream(runsPath),
        crlfDelay: Number.POSITIVE_INFINITY,
      });
      for await (const line of lines) {
        const read = readLine(line);
        if (read !== null) yield read;
      }
    },
    append(line) {
      try {
        appendFileSync(runsPath, `${JSON.stringify(line)}\n`);
      } catch (error) {
        throw new UserError(`${runsPath} cannot be written: ${(error as Error).message}`, {
          hint: 'what is there is kept: make room, and the same command goes on',
          exitCode: EXIT.internal,
        });
      }
    },
  };
}

/** A file of more than this has runs that came to something: failures are short. */
const FAILURES_BYTES_MAX = 4e6;

/** Runs that all failed are no loss. */
function holdsNothing(path: string): boolean {
  const { size = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return size < FAILURES_BYTES_MAX && (size === 0 || !readFileSync(path, 'utf8').includes('"ok":true'));
}

function refuseOther(path: string, file: SweepFile): void {
  const refused = (why: string): UserError =>
    new UserError(`${path} is of another sweep: ${why}`, {
      hint: '--fresh forgets its runs and begins anew; --out names another folder',
    });
  let there: Partial<SweepFile>;
  try {
    there = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    throw refused('it cannot be read');
  }
  const now = JSON.parse(JSON.stringify(file)) as SweepFile;
  const other = PARTS.find(([part]) => JSON.stringify(there[part]) !== JSON.stringify(now[part]));
  if (other !== undefined) throw refused(other[1]);
}

/** A line that cannot be read is a run that is made again. */
function readLine(line: string): RunLine | null {
  try {
    const read = JSON.parse(line) as RunLine;
    return typeof read.key === 'string' && typeof read.outcome?.ok === 'boolean' ? read : null;
  } catch {
    return null;
  }
}

const TAIL_BYTES = 65_536;

/** Who is killed while writing leaves half a line: what follows must begin a new one. */
function dropTornLine(path: string): void {
  const file = openSync(path, 'r+');
  try {
    const { size } = fstatSync(file);
    for (let end = size; end > 0; end -= TAIL_BYTES) {
      const from = Math.max(0, end - TAIL_BYTES);
      const tail = Buffer.alloc(end - from);
      readSync(file, tail, 0, tail.length, from);
      const newline = tail.lastIndexOf(10);
      if (newline < 0) continue;
      if (from + newline + 1 < size) ftruncateSync(file, from + newline + 1);
      return;
    }
    ftruncateSync(file, 0);
  } finally {
    closeSync(file);
  }
}

export const sweepFile = (what: Omit<SweepFile, 'schemaVersion' | 'kind' | 'version'>): SweepFile => ({
  schemaVersion: 1,
  kind: 'sweep-design',
  version,
  ...what,
});
