// A plan written out: JSON lines that a person can read, diff, cut and edit. The first line holds the scenario with its
// seed and overrides settled, then one line a session: when it starts and every draw it may use, or its recorded calls.
// Read back, the lines decide: a session that was cut does not run, and a written value wins over the seed.
import { UserError } from './base/errors.ts';
import type { Plan, PlannedSession } from './formats/plan.ts';
import type { RecordedCall, RecordedSession } from './formats/recorded.ts';
import type { WrittenSession } from './workflows/compile-cohorts.ts';
import type { DrawnValues } from './workflows/draws.ts';
import { walk } from './workflows/walk.ts';

const PLAN_VERSION = 2;
/** How a written plan begins, and no trace does. */
export const PLAN_HEAD = '{"windtunnelPlan"';

export interface PlanFile {
  readonly name: string;
  /** The settled scenario as JSON. */
  readonly scenario: string;
  /** Sessions by cohort, in the order of the file. */
  readonly lines: ReadonlyMap<string, readonly WrittenSession[]>;
  /** Recorded sessions by cohort. */
  readonly recorded: ReadonlyMap<number, readonly RecordedSession[]>;
  /** What the import of the sessions warned of. */
  readonly notes: readonly string[];
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
  yield headerLine(plan.name, scenario);
  for (const cohort of plan.cohorts) {
    const sessions = recorded.get(cohort.index);
    if (sessions !== undefined) {
      for (const session of sessions) yield recordedLine(cohort.index, session);
      continue;
    }
    for (const { planned, draws } of drawnSessions(cohort)) {
      walk(planned);
      yield JSON.stringify({ session: planned.id, plannedMs: planned.plannedMs, draws });
    }
  }
}

/** The same for a scenario whose one cohort are recorded sessions, which are read as they are written. */
export function* recordedPlanLines(
  name: string,
  scenario: unknown,
  sessions: Iterable<RecordedSession>,
  notes: () => readonly string[],
): Generator<string> {
  yield headerLine(name, scenario);
  for (const session of sessions) yield recordedLine(0, session);
  // Known only now that all sessions have passed.
  if (notes().length > 0) yield JSON.stringify({ notes: notes() });
}

const headerLine = (name: string, scenario: unknown): string =>
  JSON.stringify({ windtunnelPlan: PLAN_VERSION, name, scenario });

function recordedLine(cohort: number, session: RecordedSession): string {
  const calls = session.calls.map(call => ({ ...call, blocks: toRanges(call.blocks) }));
  return JSON.stringify({ recorded: cohort, session: { ...session, calls } });
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
  if (!text.startsWith(PLAN_HEAD)) return null;
  const [first = '', ...rest] = text.split('\n');
  const fail = (line: number, why: string): never => {
    throw new UserError(`${file}:${line}: unreadable plan (WT1302): ${why}`, {
      hint: 'mend the line, or write the plan again with `windtunnel plan`',
    });
  };
  const parse = (line: string, number: number): Record<string, unknown> => {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      return fail(number, (error as Error).message);
    }
    return isObject(value) ? value : fail(number, 'not an object');
  };
  const header = parse(first, 1);
  if (header.windtunnelPlan !== PLAN_VERSION)
    fail(1, `version ${String(header.windtunnelPlan)}, expected ${PLAN_VERSION}`);
  if (!isObject(header.scenario)) fail(1, 'its scenario is missing');
  const lines = new Map<string, WrittenSession[]>();
  const recorded = new Map<number, RecordedSession[]>();
  const notes: string[] = [];
  const seen = new Set<unknown>();
  for (const [index, line] of rest.entries()) {
    if (line === '') continue;
    const number = index + 2;
    const entry = parse(line, number);
    if (Array.isArray(entry.notes)) {
      notes.push(...entry.notes.map(String));
      continue;
    }
    if (typeof entry.recorded === 'number') {
      const session = recordedOf(entry.session);
      if (typeof session === 'string') return fail(number, session);
      listOf(recorded, entry.recorded).push(session);
      continue;
    }
    const session = writtenOf(entry);
    if (typeof session === 'string') return fail(number, session);
    if (seen.size === seen.add(entry.session).size)
      fail(number, `session "${String(entry.session)}" stands there twice`);
    listOf(lines, session.cohort).push(session.line);
  }
  return { name: String(header.name), scenario: JSON.stringify(header.scenario), lines, recorded, notes };
}

/** The list behind a key, made when it is new. */
function listOf<K, V>(lists: Map<K, V[]>, key: K): V[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Durations, and parameters, which are rounded where they are used: `PLACE PURPOSE` or `PLACE PURPOSE:PARAMETER`. */
const isFractional = (draw: string): boolean => / (latency|delay|[a-z]+:[^ ]+)$/.test(draw);

/** One line of a written workflow's session, or what is wrong with it. */
function writtenOf({
  session,
  plannedMs,
  draws,
}: Record<string, unknown>): { cohort: string; line: WrittenSession } | string {
  const match = /^(.+)\/(?:(0|[1-9]\d{0,14})\.)?(0|[1-9]\d{0,14})$/.exec(String(session));
  if (typeof session !== 'string' || match === null)
    return 'neither a session (`cohort/ordinal`) nor a recorded session';
  if (typeof plannedMs !== 'number' || !(plannedMs >= 0 && Number.isFinite(plannedMs)))
    return 'plannedMs is not a time in ms';
  if (!isObject(draws)) return 'draws is not an object';
  for (const [name, value] of Object.entries(draws)) {
    if (typeof value !== 'number' || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER))
      return `the draw "${name}" is not a number of 0 or more`;
    if (!isFractional(name) && !Number.isInteger(value)) return `the draw "${name}" is not a whole number`;
  }
  const [, cohort = '', agent, ordinal = '0'] = match;
  const line = { agent: agent === undefined ? null : Number(agent), ordinal: Number(ordinal), plannedMs };
  return { cohort, line: { ...line, draws: draws as DrawnValues } };
}

/** A recorded session with its blocks spelled out, or what is wrong with it. */
function recordedOf(value: unknown): RecordedSession | string {
  if (!isObject(value) || !Array.isArray(value.calls)) return 'a recorded session needs its calls';
  const session = value as unknown as Omit<RecordedSession, 'calls'> & {
    calls: (Omit<RecordedCall, 'blocks'> & { blocks: Ranges })[];
  };
  const ids = new Set(session.calls.map(call => call?.id));
  for (const call of session.calls) {
    if (!isObject(call) || !Array.isArray(call.parents) || !Array.isArray(call.blocks))
      return 'a recorded call needs parents and blocks';
    const orphan = call.parents.find(parent => !ids.has(parent));
    if (orphan !== undefined) return `call "${call.id}" waits for "${orphan}", which is not there`;
    if (!(call.promptTokens > 0) || !(call.outputTokens > 0) || !(call.gapMs >= 0))
      return `call "${call.id}" needs tokens above 0 and a gap of 0 or more`;
  }
  return { ...session, calls: session.calls.map(call => ({ ...call, blocks: fromRanges(call.blocks) })) };
}
