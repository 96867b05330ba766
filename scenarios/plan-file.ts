// A plan written out: JSON lines that a person can read, diff, cut and edit. The first line holds the scenario with its
// seed and overrides settled, then one line a session: when it starts and every draw it may use, or its recorded calls.
// Read back, the lines decide: a session that was cut does not run, and a written value wins over the seed.
import { UserError } from './base/errors.ts';
import type { Plan, PlannedSession } from './formats/plan.ts';
import type { RecordedCall, RecordedSession } from './formats/recorded.ts';
import type { DrawnValues } from './workflows/draws.ts';
import { walk } from './workflows/walk.ts';

const PLAN_VERSION = 1;

/** What a plan's line says of one session. */
export interface PlannedLine {
  readonly plannedMs: number;
  readonly draws: DrawnValues;
}

export interface PlanFile {
  readonly name: string;
  /** The settled scenario as JSON. */
  readonly scenario: string;
  /** By session, in the order of the file. */
  readonly lines: ReadonlyMap<string, PlannedLine>;
  /** Recorded sessions by cohort. */
  readonly recorded: ReadonlyMap<number, readonly RecordedSession[]>;
}

/** [first, how many] of each stretch of successive ids. */
type Ranges = [number, number][];

function toRanges(ids: readonly number[]): Ranges {
  const ranges: Ranges = [];
  for (const id of ids) {
    const last = ranges.at(-1);
    if (last !== undefined && last[0] + last[1] === id) last[1]++;
    else ranges.push([id, 1]);
  }
  return ranges;
}

const fromRanges = (ranges: Ranges): number[] =>
  ranges.flatMap(([first, count]) => Array.from({ length: count }, (_, i) => first + i));

/** The lines of a plan, one at a time: constant memory whatever its length. */
export function* planLines(
  plan: Plan,
  scenario: unknown,
  recorded: ReadonlyMap<number, readonly RecordedSession[]>,
): Generator<string> {
  yield JSON.stringify({ windtunnelPlan: PLAN_VERSION, name: plan.name, scenario });
  for (const cohort of plan.cohorts) {
    const sessions = recorded.get(cohort.index);
    if (sessions !== undefined) {
      for (const session of sessions) {
        const calls = session.calls.map(call => ({ ...call, blocks: toRanges(call.blocks) }));
        yield JSON.stringify({ recorded: cohort.index, session: { ...session, calls } });
      }
      continue;
    }
    for (const { planned, draws } of drawnSessions(cohort)) {
      walk(planned);
      yield JSON.stringify({ session: planned.id, plannedMs: planned.plannedMs, draws });
    }
  }
}

function* drawnSessions(
  cohort: Plan['cohorts'][number],
): Generator<{ planned: PlannedSession; draws: DrawnValues }> {
  if (cohort.kind === 'closed') {
    for (let agent = 0; agent < cohort.agents; agent++) {
      for (let ordinal = 0; ; ordinal++) {
        const draws: DrawnValues = {};
        const planned = cohort.session(agent, ordinal, 0, draws);
        if (planned === null) break;
        yield { planned, draws };
      }
    }
    return;
  }
  const draws: DrawnValues = {};
  for (const planned of cohort.sessions(draws)) {
    yield { planned, draws };
    for (const name of Object.keys(draws)) delete draws[name];
  }
}

/** Reads a written plan; null when the text is not one. A damaged line is named. */
export function readPlan(text: string, file: string): PlanFile | null {
  const end = text.indexOf('\n');
  const first = end < 0 ? text : text.slice(0, end);
  if (!first.startsWith('{"windtunnelPlan"')) return null;
  const fail = (line: number, why: string): never => {
    throw new UserError(`${file}:${line}: unreadable plan (WT1302): ${why}`, {
      hint: 'write it again with `windtunnel plan`',
    });
  };
  const parse = (line: string, number: number): Record<string, unknown> => {
    try {
      return JSON.parse(line) as Record<string, unknown>;
    } catch (error) {
      return fail(number, (error as Error).message);
    }
  };
  const header = parse(first, 1);
  if (header.windtunnelPlan !== PLAN_VERSION)
    fail(1, `version ${String(header.windtunnelPlan)}, expected ${PLAN_VERSION}`);
  const planned = new Map<string, PlannedLine>();
  const recorded = new Map<number, RecordedSession[]>();
  const lines = end < 0 ? [] : text.slice(end + 1).split('\n');
  for (const [index, line] of lines.entries()) {
    if (line === '') continue;
    const entry = parse(line, index + 2);
    if (typeof entry.recorded === 'number') {
      const session = entry.session as Omit<RecordedSession, 'calls'> & {
        calls: (Omit<RecordedCall, 'blocks'> & { blocks: Ranges })[];
      };
      const list = recorded.get(entry.recorded) ?? [];
      list.push({
        ...session,
        calls: session.calls.map(call => ({ ...call, blocks: fromRanges(call.blocks) })),
      });
      recorded.set(entry.recorded, list);
    } else if (typeof entry.session === 'string' && typeof entry.draws === 'object' && entry.draws !== null) {
      const { session, plannedMs, draws } = entry;
      if (typeof plannedMs !== 'number' || !(plannedMs >= 0))
        fail(index + 2, 'plannedMs is not a time in ms');
      if (planned.has(session)) fail(index + 2, `session "${session}" stands there twice`);
      planned.set(session, { plannedMs: plannedMs as number, draws: draws as DrawnValues });
    } else fail(index + 2, 'neither a session nor a recorded session');
  }
  return { name: String(header.name), scenario: JSON.stringify(header.scenario), lines: planned, recorded };
}
