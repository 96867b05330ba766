// What a run was made of, for its page: inputs.json of its folder, where there is one that this version can read.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunResult } from '../scenarios/formats/result.ts';
import { INPUTS_FILE, INPUTS_SCHEMA_VERSION, type StoredInputs } from '../scenarios/formats/stored-inputs.ts';
import type { ValidationResult } from '../scenarios/formats/validation.ts';

function readInputs(folder: string): StoredInputs | null {
  let value: Partial<StoredInputs> | null;
  try {
    value = JSON.parse(readFileSync(join(folder, INPUTS_FILE), 'utf8'));
  } catch {
    return null;
  }
  return value?.kind === 'inputs' && value.schemaVersion === INPUTS_SCHEMA_VERSION
    ? (value as StoredInputs)
    : null;
}

function withOwn(run: RunResult, folder: string): RunResult {
  const inputs = readInputs(folder);
  return inputs === null ? run : { ...run, inputs };
}

/** A result with its inputs; those of the worlds of a validation lie in its folder or in theirs. */
export function withInputs<Result extends RunResult | ValidationResult>(
  result: Result,
  folder: string,
): Result;
export function withInputs(
  result: RunResult | ValidationResult,
  folder: string,
): RunResult | ValidationResult {
  if (result.kind === 'run') return withOwn(result, folder);
  const { sim, live } = result;
  const of = (run: RunResult, name: string): RunResult => withOwn(withOwn(run, folder), join(folder, name));
  return { ...result, sim: of(sim, 'sim'), live: live === null ? null : of(live, 'live') };
}
