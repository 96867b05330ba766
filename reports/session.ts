// One session of a run, read back from the Parquet files of its folder: only the row groups that hold its time.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { asyncBufferFromFile, type ParquetQueryFilter, parquetReadObjects } from 'hyparquet';
import { UserError } from '../scenarios/base/errors.ts';
import {
  type AttemptRecord,
  type CallRecord,
  type NodeRecord,
  noTime,
  type ToolRecord,
  type WorkflowRecord,
} from '../scenarios/formats/record.ts';
import type { Exemplar, RunResult } from '../scenarios/formats/result.ts';
import { criticalPath } from './critical-path.ts';
import { exemplarOf } from './exemplars.ts';
import { backgroundOf } from './phases.ts';

/** What a session left behind may end after it. */
const CLEAN_UP_MS = 600_000;

type Rows = Record<string, unknown>[];

/** Rows of a file that a filter lets through; none where the run has no such file. */
async function rowsOf(path: string, filter?: ParquetQueryFilter, columns?: string[]): Promise<Rows> {
  if ((await stat(path).catch(() => null)) === null) return [];
  const file = await asyncBufferFromFile(path);
  return parquetReadObjects({
    file,
    ...(filter === undefined ? {} : { filter }),
    ...(columns === undefined ? {} : { columns }),
  });
}

/** The columns of a call but those of its prompt, which no waterfall shows. */
const CALL_COLUMNS = [
  ...[
    'session',
    'cohort',
    'workflow',
    'tenant',
    'call',
    'step',
    'role',
    'model',
    'pool',
    'replica',
    'iteration',
  ],
  ...[
    'loop',
    'promptTokens',
    'cachedTokens',
    'computedTokens',
    'outputTokens',
    'reasoningTokens',
    'plannedMs',
  ],
  ...[
    'sentMs',
    'scheduledMs',
    'firstTokenMs',
    'endMs',
    'itlMsMax',
    'preemptions',
    'outcome',
    'error',
    'attempts',
  ],
  'transfers',
];

const callOf = (row: Record<string, unknown>): CallRecord => {
  const { transfers, ...call } = row;
  return {
    ...(call as unknown as CallRecord),
    parts: [],
    ...(typeof transfers === 'string' ? { transfers: JSON.parse(transfers) } : {}),
  };
};

/** Names that are like one that is not there, at most five. */
async function namesLike(folder: string, session: string): Promise<string[]> {
  const rows = await rowsOf(join(folder, 'workflows.parquet'), undefined, ['session']);
  const names = rows.map(row => String(row.session));
  const wanted = session.toLowerCase();
  const like = names.filter(name => name.toLowerCase().includes(wanted));
  return (like.length > 0 ? like : names).slice(0, 5);
}

/** A session of the run in a folder as the workflow explorer shows it; null: it has none of that name. */
export async function sessionExemplar(
  folder: string,
  session: string,
  run: RunResult,
): Promise<Exemplar | null> {
  const ofSession = { session: { $eq: session } };
  const [row] = await rowsOf(join(folder, 'workflows.parquet'), ofSession);
  if (row === undefined) return null;
  const workflow = { ...(row as unknown as WorkflowRecord), criticalPath: noTime() };
  // Rows are in order of their end, so those of a session lie in the groups of its own time.
  const untilMs = workflow.endMs === null ? {} : { $lte: workflow.endMs + CLEAN_UP_MS };
  const inItsTime = { ...ofSession, endMs: { $gte: workflow.plannedMs, ...untilMs } };
  const [nodes, calls, attempts, tools] = await Promise.all([
    rowsOf(join(folder, 'nodes.parquet'), inItsTime),
    rowsOf(join(folder, 'calls.parquet'), inItsTime, CALL_COLUMNS),
    rowsOf(join(folder, 'attempts.parquet'), ofSession),
    rowsOf(join(folder, 'tools.parquet'), ofSession),
  ]);
  const background = backgroundOf({
    durationMs: run.durationMs,
    governed: {
      attempts: attempts as unknown as AttemptRecord[],
      tools: tools as unknown as ToolRecord[],
      decisions: [],
      cancels: [],
      anomalies: [],
      classifierUsd: 0,
      idleToolsUsd: 0,
    },
  });
  const records = [nodes as unknown as NodeRecord[], calls.map(callOf)] as const;
  const walked = { ...workflow, criticalPath: criticalPath(workflow, ...records, background) };
  return exemplarOf('asked', walked, ...records, { background });
}

/** The run with a session of its folder in front of its exemplars; null: it has none of that name. */
export async function withSession(
  run: RunResult,
  folder: string,
  session: string,
): Promise<RunResult | null> {
  const asked = await sessionExemplar(folder, session, run);
  if (asked === null) return null;
  const others = run.exemplars.filter(each => each.session !== session || each.label !== 'sample');
  return { ...run, exemplars: [asked, ...others] };
}

/** Nothing of that name in any of the folders. */
export async function noSuchSession(folders: readonly string[], session: string): Promise<UserError> {
  const names = (await Promise.all(folders.map(folder => namesLike(folder, session)))).flat();
  return new UserError(`no session is called ${JSON.stringify(session)}`, {
    hint:
      names.length === 0
        ? 'the folder holds no workflows.parquet: a run that was cut off, or a copy of its result.json alone'
        : `sessions are called like ${names.slice(0, 5).join(', ')}; workflows.parquet has them all`,
  });
}
