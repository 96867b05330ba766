// Writes a live run to its folder while it goes on (scenarios/formats/run-log.ts): a SIGKILL loses the last second, the
// end of the process by any other way nothing. Rule: no call waits for the disk, and no failure of the disk is silent.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JournalListener } from '../gateway/journal.ts';
import { UserError } from '../scenarios/base/errors.ts';
import type { AttemptRecord, TimelineSample, ToolRecord, Waste } from '../scenarios/formats/record.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import {
  END_FILE,
  type GovernedEnd,
  LINE_FILES,
  type LineKind,
  type RunEnd,
  type RunStart,
  START_FILE,
} from '../scenarios/formats/run-log.ts';
import type { FleetOptions } from '../scenarios/workflows/fleet.ts';
import { AppendFile } from './append-file.ts';

const FLUSH_INTERVAL_MS = 1000;
/** Of the folder's run before, which this one replaces: they would be taken for this one's. */
const REPLACED = ['result.json', 'report.html', END_FILE];

/** A run as the log looks at it. */
export interface LoggedRun {
  readonly timeline: readonly TimelineSample[];
}

/** Who is told of every record. */
export interface RecordLines {
  readonly onCall: NonNullable<FleetOptions['onCall']>;
  readonly onRecord: Required<Pick<FleetOptions, 'onNode' | 'onStart' | 'onSession'>>;
  readonly journal: Required<JournalListener>;
  /** The samples that have come since, once a session has started: those of before are set to its instant then. */
  takeSamples(run: LoggedRun): void;
  /** What only the end of a run knows. */
  end(output: RunOutput): RunEnd;
}

export interface RunLog extends Pick<RecordLines, 'onCall' | 'onRecord' | 'journal'> {
  /** From now on lines are written each second. `lost` is told once, when they cannot be any more, and why. */
  follow(run: LoggedRun, lost: (reason: string) => void): void;
  /** Writes what is left and, of a run that came to its end, what only its end knows. Never rejects. */
  close(output: RunOutput | null): Promise<void>;
}

/** Every record as a line of its kind. */
export function recordLines(add: (kind: LineKind, record: object) => void): RecordLines {
  const wastes = { attempts: [] as (Waste | null)[], tools: [] as (Waste | null)[] };
  let samples = 0;
  let hasStarted = false;
  return {
    onCall: record => add('call', record),
    onRecord: {
      onNode: record => add('node', record),
      onStart: record => {
        hasStarted = true;
        add('session', record);
      },
      onSession: record => add('session', record),
    },
    journal: {
      onAttempt: record => {
        wastes.attempts.push(record.waste);
        add('attempt', record);
      },
      onTool: record => {
        wastes.tools.push(record.waste);
        add('tool', record);
      },
      onDecision: record => add('decision', record),
    },
    takeSamples: ({ timeline }) => {
      if (!hasStarted) return;
      for (; samples < timeline.length; samples++) add('sample', timeline[samples] as TimelineSample);
    },
    end: output => {
      hasStarted = true;
      return endOf(output, wastes);
    },
  };
}

/** Opens the files; a folder that cannot be written is a UserError. */
export function openRunLog(folder: string, start: RunStart): RunLog {
  const files = opened(folder, start);
  const lines = recordLines((kind, record) => files.get(kind)?.add(JSON.stringify(record)));
  let run: LoggedRun | null = null;
  let lost: ((reason: string) => void) | null = null;
  let next: NodeJS.Timeout | undefined;
  let flushing: Promise<void> = Promise.resolve();

  const takeSamples = (): void => {
    if (run !== null) lines.takeSamples(run);
  };
  const flush = async (): Promise<void> => {
    takeSamples();
    // All at one instant: a session that has ended is never written without its calls.
    for (const file of files.values()) file.take();
    // What fits into the others is kept, whichever fails.
    for (const file of files.values()) {
      try {
        if (file.isGone) throw Object.assign(new Error('its files were removed'), { code: 'ENOENT' });
        await file.flush();
      } catch (error) {
        lost?.(whatHappened(folder, error as NodeJS.ErrnoException));
        lost = null;
      }
    }
  };
  const arm = (): void => {
    next = setTimeout(() => {
      flushing = flush().then(arm);
    }, FLUSH_INTERVAL_MS);
  };
  const atExit = (): void => {
    takeSamples();
    for (const file of files.values()) {
      try {
        file.flushSync();
      } catch {
        // The process ends, for a reason of its own.
      }
    }
  };
  process.on('exit', atExit);

  return {
    onCall: lines.onCall,
    onRecord: lines.onRecord,
    journal: lines.journal,
    follow: (followed, told) => {
      run = followed;
      lost = told;
      arm();
    },
    close: async output => {
      const end = output === null ? null : lines.end(output);
      clearTimeout(next);
      await flushing;
      clearTimeout(next);
      await flush();
      process.off('exit', atExit);
      await Promise.all([...files.values()].map(file => file.close().catch(() => {})));
      // Where it does not fit, the run was cut off, for whoever reads the rest.
      if (end !== null) await writeFile(join(folder, END_FILE), JSON.stringify(end)).catch(() => {});
    },
  };
}

function opened(folder: string, start: RunStart): ReadonlyMap<LineKind, AppendFile> {
  const kinds = Object.keys(LINE_FILES) as LineKind[];
  try {
    mkdirSync(folder, { recursive: true });
    const files = new Map(kinds.map(kind => [kind, new AppendFile(join(folder, LINE_FILES[kind]))]));
    for (const name of REPLACED) rmSync(join(folder, name), { force: true });
    writeFileSync(join(folder, START_FILE), `${JSON.stringify(start, null, 1)}\n`);
    return files;
  } catch (error) {
    throw new UserError(`${folder} cannot be written: ${(error as Error).message}`, {
      hint: 'choose another --out, or make room; nothing was sent',
      exitCode: 1,
    });
  }
}

/** After `stopped early by`. */
function whatHappened(folder: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'ENOSPC') return `a full disk: no space is left for ${folder}`;
  if (code === 'EDQUOT') return `the quota of the disk: no space is left for ${folder}`;
  if (code === 'ENOENT') return `the loss of ${folder}: ${message}`;
  return `its folder ${folder}, which cannot be written: ${message}`;
}

interface Wastes {
  readonly attempts: readonly (Waste | null)[];
  readonly tools: readonly (Waste | null)[];
}

function endOf(output: RunOutput, wastes: Wastes): RunEnd {
  const { header, measured = null, itlMs, durationMs, interrupted, valid, invalidReason } = output;
  return {
    header,
    measured,
    itlMs,
    durationMs,
    interrupted,
    valid,
    invalidReason,
    governed: output.governed === undefined ? null : governedEnd(output.governed, wastes),
  };
}

function governedEnd(records: NonNullable<RunOutput['governed']>, wastes: Wastes): GovernedEnd {
  const { attempts, tools, cancels, anomalies, classifierUsd, idleToolsUsd } = records;
  return {
    cancels,
    anomalies,
    classifierUsd,
    idleToolsUsd,
    attemptWastes: changed(attempts, wastes.attempts),
    toolWastes: changed(tools, wastes.tools),
  };
}

const changed = (
  records: readonly (AttemptRecord | ToolRecord)[],
  written: readonly (Waste | null)[],
): [number, Waste | null][] =>
  records.flatMap(({ waste }, row): [number, Waste | null][] =>
    waste === written[row] ? [] : [[row, waste]],
  );
