// Run folders: claimed before a run starts, so that a long run never ends with nowhere to write.
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../base/errors.ts';

/** Any of these marks a folder as ours to write into; a validation has its halves in `sim` and `live`. */
const MARKS = [
  'result.json',
  'inputs.json',
  'validation.json',
  'comparison.json',
  'size.json',
  'answers.json',
  'inputs/base.json',
  'blocks/01-a/inputs.json',
  'run.json',
  'calls.jsonl',
  'export.json',
  'sweep.json',
  'sim/result.json',
  'live/run.json',
  'live/calls.jsonl',
];

/** Makes the folder, or takes an empty one or one of ours; never writes among someone's own files. */
export function claimFolder(folder: string): void {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found !== undefined && !found.isDirectory()) {
    throw new UserError(`${folder} is a file, not a folder to write the run into`, {
      hint: 'choose another --out',
    });
  }
  if (found !== undefined) {
    const names = readdirSync(folder);
    if (names.length > 0 && !MARKS.some(mark => existsSync(join(folder, mark)))) {
      throw new UserError(`${folder} is not empty and holds no run, so nothing is written into it`, {
        hint: 'choose a new or empty folder with --out',
      });
    }
  }
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new UserError(`cannot make the folder ${folder}: ${(error as Error).message}`, {
      hint: 'choose another --out',
    });
  }
}
