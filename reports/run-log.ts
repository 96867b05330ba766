// Reads the log of a live run (scenarios/formats/run-log.ts) back from its folder, whatever state it was left in.
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../scenarios/base/errors.ts';
import {
  END_FILE,
  LINE_FILES,
  type LineKind,
  RUN_LOG_VERSION,
  type RunEnd,
  type RunStart,
  START_FILE,
} from '../scenarios/formats/run-log.ts';
import type { LoggedRecords, RunLogRead } from './rebuild.ts';

const CHUNK_BYTES = 1 << 20;
const NEW_LINE = 10;

/** Whether a run wrote here that has not published its results. */
export const holdsRunLog = (folder: string): boolean => existsSync(join(folder, START_FILE));

export function readRunLog(folder: string): RunLogRead {
  const path = join(folder, START_FILE);
  const start = parsed(readFileSync(path, 'utf8')) as RunStart | null;
  if (start === null || start.kind !== 'run_log') {
    throw new UserError(`${path} is not the start of a live run`, {
      hint: 'the run was cut off before its first call; run it again',
    });
  }
  if (start.schemaVersion !== RUN_LOG_VERSION) {
    throw new UserError(
      `${path} has schema version ${start.schemaVersion}, this version of windtunnel reads ${RUN_LOG_VERSION}`,
    );
  }
  let cutLines = 0;
  const records: Record<LineKind, object[]> = {
    call: [],
    node: [],
    session: [],
    sample: [],
    attempt: [],
    tool: [],
    decision: [],
  };
  for (const [kind, name] of Object.entries(LINE_FILES) as [LineKind, string][]) {
    for (const line of linesOf(join(folder, name))) {
      const record = parsed(line);
      if (record === null) cutLines++;
      else records[kind].push(record);
    }
  }
  const endPath = join(folder, END_FILE);
  const end = existsSync(endPath) ? (parsed(readFileSync(endPath, 'utf8')) as RunEnd | null) : null;
  return { start, records: records as unknown as LoggedRecords, end, cutLines };
}

/** An object; null: it is not whole. */
function parsed(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}

/** A piece at a time: a soak's log is longer than a string can be. None where there is no file. */
function* linesOf(path: string): Generator<string> {
  if (!existsSync(path)) return;
  const file = openSync(path, 'r');
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let rest: Buffer = Buffer.alloc(0);
  try {
    for (let bytes = readSync(file, chunk); bytes > 0; bytes = readSync(file, chunk)) {
      const piece = Buffer.concat([rest, chunk.subarray(0, bytes)]);
      let from = 0;
      for (let at = piece.indexOf(NEW_LINE); at >= 0; at = piece.indexOf(NEW_LINE, from)) {
        yield piece.toString('utf8', from, at);
        from = at + 1;
      }
      rest = piece.subarray(from);
    }
    if (rest.length > 0) yield rest.toString('utf8');
  } finally {
    closeSync(file);
  }
}
