// Compiles the traffic of a scenario: open, closed and recorded cohorts, each a lazy list of sessions.
import { arrivalTimes, type OpenArrival } from '../arrivals/arrivals.ts';
import { zipfOf } from '../base/distributions.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { extend, extendText, type Key, textKey, uniform } from '../base/key.ts';
import { constant, type DrawnAmount, drawAmount, plainAmount } from '../formats/amount.ts';
import type { Cohort, PlannedSession } from '../formats/plan.ts';
import { parseScalar } from '../formats/quantity.ts';
import type { RecordedSession } from '../formats/recorded.ts';
import type { ScenarioFile } from '../formats/scenario.ts';
import { didYouMean } from '../formats/suggest.ts';
import type { CohortFile } from '../formats/traffic.ts';
import { openArrival, processOf } from './compile-arrival.ts';
import { compileFaults } from './compile-faults.ts';
import { type DrawnValues, Draws } from './draws.ts';
import type { Workflow } from './program.ts';
import { recordedProgram } from './recorded.ts';
import { runawaysOf } from './runaway.ts';
import { Segments } from './segments.ts';
import { templateProgram } from './template.ts';

/** One line of a written plan. */
export interface WrittenSession {
  /** null in an open cohort. */
  readonly agent: number | null;
  readonly ordinal: number;
  readonly plannedMs: number;
  readonly draws: DrawnValues;
}

export interface CompileInput {
  readonly file: ScenarioFile;
  readonly sha256: string;
  /** Used where the file has no name. */
  readonly name: string;
  /** Sessions of the trace that a cohort names; read by the caller, since this is pure. */
  readonly traces: ReadonlyMap<number, readonly RecordedSession[]>;
  /** Sessions of a plan that was written out, by cohort; they decide then. null takes all from the seed. */
  readonly lines: ReadonlyMap<string, readonly WrittenSession[]> | null;
}

interface CohortContext {
  input: CompileInput;
  cohortFile: CohortFile;
  index: number;
  root: Key;
  workflows: ReadonlyMap<string, Workflow>;
  issues: Issue[];
}

function durationOf(
  raw: string | number | undefined,
  path: InputPath,
  issues: Issue[],
  otherwise = Number.POSITIVE_INFINITY,
): number {
  if (raw === undefined) return otherwise;
  const parsed = parseScalar(raw, 'ms');
  if ('value' in parsed) return parsed.value;
  issues.push(issue(path, 'WT1006', parsed.error, parsed.hint));
  return otherwise;
}

/** How the sessions of a cohort are made: by a workflow and a key, or one by one from a trace. */
interface SessionMaker {
  /** Sessions there are, or Infinity. */
  readonly available: number;
  make(id: string, key: Key, ordinal: number, plannedMs: number, log?: DrawnValues): PlannedSession;
}

/** Exactly one of these makes the sessions of a cohort. */
const MAKERS = ['workflow', 'mix', 'trace'] as const;

/** `mix`, `mix2`, …: by their order among such cohorts, so that one of another kind in front changes no name. */
function unnamed({ traffic }: ScenarioFile, index: number): string {
  const kindOf = ({ trace }: CohortFile) => (trace === undefined ? 'mix' : 'trace');
  const kind = kindOf(traffic[index] as CohortFile);
  const isLike = (each: CohortFile): boolean =>
    each.name === undefined && each.workflow === undefined && kindOf(each) === kind;
  const before = traffic.slice(0, index).filter(isLike).length;
  return before === 0 ? kind : `${kind}${before + 1}`;
}

/** A cohort of the file: when its sessions start, and how each is made. */
export function compileCohort(context: CohortContext): { cohort: Cohort; sessions: number | null } | null {
  const { input, cohortFile, index, root, issues } = context;
  const path = ['traffic', index];
  if (MAKERS.filter(each => cohortFile[each] !== undefined).length !== 1) {
    issues.push(issue(path, 'WT1005', 'a cohort has one of `workflow`, `mix` and `trace`'));
    return null;
  }
  const isTrace = cohortFile.trace !== undefined;
  const name = cohortFile.name ?? cohortFile.workflow ?? unnamed(input.file, index);
  const arrival = cohortFile.arrival ?? (isTrace ? { at_once: true as const } : {});
  const arrivalPath = cohortFile.arrival === undefined ? path : [...path, 'arrival'];
  const process = processOf(arrival, arrivalPath, issues);
  if (process === null) return null;
  const key = extendText(root, `cohort/${name}`);
  const maker = isTrace ? traceMaker(context, name) : templateMaker(context, name);
  if (maker === null) return null;
  const forMs = durationOf(cohortFile.for, [...path, 'for'], issues);
  const limit = Math.min(cohortFile.sessions ?? Number.POSITIVE_INFINITY, maker.available);
  const isWritten = input.lines !== null && !isTrace;
  const parts: CohortParts = {
    base: { name, index, tenant: cohortFile.tenant ?? null },
    key,
    maker,
    limit,
    startMs: durationOf(cohortFile.start, [...path, 'start'], issues, 0),
    forMs,
    written: isWritten ? [...(input.lines?.get(name) ?? [])] : null,
  };
  for (const line of parts.written ?? []) checkLine(line, name, arrival.closed?.agents ?? null, issues);
  const hasClock = process !== 'at_once' && (Number.isFinite(forMs) || arrival.phases !== undefined);
  if (!Number.isFinite(limit) && !hasClock && !isWritten) {
    const hint = process === 'at_once' ? 'add `sessions: 100`' : 'add `sessions: 100` or `for: 10m`';
    issues.push(issue(path, 'WT1004', 'a cohort needs an end', hint));
    return null;
  }
  const known = Number.isFinite(limit) && !hasClock ? limit : null;
  const sessions = parts.written?.length ?? known;
  if (arrival.closed !== undefined) return { cohort: closedCohort(context, arrival.closed, parts), sessions };
  const recorded = isTrace ? recordedSessions(input, index, cohortFile) : null;
  const open = openArrival({ arrival, path: [...path, 'arrival'], recorded, issues }, process);
  return open === null ? null : { cohort: openCohort(open, parts), sessions };
}

/** What open and closed cohorts are made of. */
interface CohortParts {
  readonly base: { name: string; index: number; tenant: string | null };
  readonly key: Key;
  readonly maker: SessionMaker;
  readonly limit: number;
  /** The clock of the cohort begins here. */
  readonly startMs: number;
  readonly forMs: number;
  /** The sessions that a written plan lists, which are then all there are. */
  readonly written: readonly WrittenSession[] | null;
}

function closedCohort(
  { index, issues }: CohortContext,
  closed: NonNullable<NonNullable<CohortFile['arrival']>['closed']>,
  { base, key, maker, limit, startMs, forMs, written }: CohortParts,
): Cohort {
  const { agents } = closed;
  const at = ['traffic', index, 'arrival', 'closed'];
  const think =
    (closed.think === undefined ? null : plainAmount(closed.think, [...at, 'think'], issues)) ?? constant(0);
  const rampMs = durationOf(closed.ramp, [...at, 'ramp'], issues, 0);
  const listed = written === null ? null : Map.groupBy(written, line => line.agent);
  /** The ordinal of an agent's session in the whole plan; undefined where a written one has no more. */
  const ownOf = (agent: number, ordinal: number): number | undefined =>
    listed === null ? ordinal : listed.get(agent)?.[ordinal]?.ordinal;
  return {
    ...base,
    kind: 'closed',
    agents: Math.min(agents, limit),
    session(agent, ordinal, readyMs, log) {
      const own = ownOf(agent, ordinal);
      const plannedMs = Math.max(readyMs, startMs + (rampMs * agent) / agents);
      if (own === undefined || plannedMs > startMs + forMs) return null;
      // Sessions are dealt to agents in turn, so which ones run does not depend on who is done first.
      const number = agent + own * agents;
      if (number >= limit) return null;
      return maker.make(`${base.name}/${agent}.${own}`, extend(key, agent, own + 1), number, plannedMs, log);
    },
    thinkMs: (agent, ordinal) =>
      drawAmount(
        think,
        uniform(extend(extend(key, agent, (ownOf(agent, ordinal) ?? ordinal) + 1), 0x7468696e)),
        false,
      ),
  };
}

function openCohort(
  arrival: OpenArrival,
  { base, key, maker, limit, startMs, forMs, written }: CohortParts,
): Cohort {
  const session = (ordinal: number, plannedMs: number, log?: DrawnValues): PlannedSession =>
    maker.make(`${base.name}/${ordinal}`, extend(key, ordinal), ordinal, plannedMs, log);
  const lines = written?.toSorted((a, b) => a.plannedMs - b.plannedMs || a.ordinal - b.ordinal) ?? null;
  return {
    ...base,
    kind: 'open',
    arrival,
    *sessions(log) {
      if (lines !== null) {
        for (const { ordinal, plannedMs } of lines) yield session(ordinal, plannedMs, log);
        return;
      }
      let ordinal = 0;
      for (const atMs of arrivalTimes(arrival, extendText(key, 'arrival'), { sessions: limit, forMs })) {
        yield session(ordinal++, startMs + atMs, log);
      }
    },
  };
}

/** `cohort/ordinal`, or `cohort/agent.ordinal` where agents are. */
const sessionId = (cohort: string, { agent, ordinal }: WrittenSession): string =>
  agent === null ? `${cohort}/${ordinal}` : `${cohort}/${agent}.${ordinal}`;

/** A line that no session of the cohort would take up; `agents` is null in an open one. */
function checkLine(line: WrittenSession, cohort: string, agents: number | null, issues: Issue[]): void {
  if (agents === null ? line.agent === null : line.agent !== null && line.agent < agents) return;
  const what = agents === null ? 'has no agents' : `has the agents 0 to ${agents - 1}`;
  const message = `the plan lists the session "${sessionId(cohort, line)}", and the cohort ${what}`;
  const hint =
    agents === null ? `write ${cohort}/0` : `write ${cohort}/0.0 for the first session of the first agent`;
  issues.push(issue([], 'WT1302', message, hint));
}

/** Fields that speak of recorded sessions. */
const TRACE_FIELDS = ['timing', 'gap_scale', 'gap_cap', 'scale_tokens', 'copies', 'warm', 'model'] as const;

/** Fields that recorded sessions decide themselves. */
const WORKFLOW_FIELDS = ['tenants', 'users'] as const;

function templateMaker(context: CohortContext, cohort: string): SessionMaker | null {
  const { input, cohortFile, index, root, issues } = context;
  for (const key of TRACE_FIELDS) {
    if (cohortFile[key] === undefined) continue;
    const message = `\`${key}\` is for recorded sessions (\`trace\`)`;
    issues.push(issue(['traffic', index, key], 'WT1005', message, null, { atKey: true }));
  }
  const chosen = workflowsOf(context);
  const owners = ownersOf(context);
  if (chosen === null || owners === null) return null;
  const params = chosen.workflows[0]?.params ?? new Map();
  const given = new Map(input.lines?.get(cohort)?.map(line => [sessionId(cohort, line), line.draws]));
  const faults = compileFaults(input.file.faults ?? []);
  const runaways = new Map(chosen.workflows.map(each => [each, runawaysOf(each, faults)]));
  return {
    available: Number.POSITIVE_INFINITY,
    make(id, key, _ordinal, plannedMs, log) {
      const draws = new Draws(params, { given: given.get(id) ?? null, log: log ?? null });
      const workflow = chosen.workflows[draws.choice(chosen.weights, placeOf(key, 'workflow'))] as Workflow;
      const { tenant, user } = owners(draws, key);
      const tenantKey = extendText(root, `tenant/${tenant ?? ''}`);
      const identity = {
        session: key,
        workflow: extend(root, workflow.key.hi, workflow.key.lo),
        tenant: tenantKey,
        user: extendText(tenantKey, `user/${user ?? ''}`),
        root,
      };
      const runaway = runaways.get(workflow)?.(key, plannedMs) ?? null;
      const segments = new Segments(identity, draws);
      const program = templateProgram(workflow, { key, draws, segments, runaway });
      const priority = priorityOf(context, tenant);
      return { id, cohort, tenant, user, priority, key, plannedMs, program };
    },
  };
}

/** What the cohort hints at, else what its tenant has. */
const priorityOf = ({ cohortFile, input }: CohortContext, tenant: string | null): number =>
  cohortFile.hints?.priority ?? (tenant === null ? 0 : (input.file.tenants?.[tenant]?.priority ?? 0));

/** A decision about a session as a whole. */
const placeOf = (session: Key, what: string) => ({
  key: extendText(session, `session/${what}`),
  path: `session:${what}`,
});

/** The workflows that a session of this cohort may run, by weight. */
function workflowsOf({
  cohortFile,
  index,
  workflows,
  issues,
}: CohortContext): { workflows: Workflow[]; weights: number[] } | null {
  const { workflow: single, mix = {} } = cohortFile;
  const entries: [string, InputPath, number][] =
    single !== undefined
      ? [[single, ['traffic', index, 'workflow'], 1]]
      : Object.entries(mix).map(([name, raw]) => {
          const path = ['traffic', index, 'mix', name];
          return [name, path, weightOf(raw, path, issues)];
        });
  const found: Workflow[] = [];
  for (const [name, path] of entries) {
    const workflow = workflows.get(name);
    if (workflow !== undefined) found.push(workflow);
    else {
      const known = [...workflows.keys()];
      const hint = didYouMean(name, known) ?? `workflows: ${known.join(', ')}`;
      issues.push(issue(path, 'WT1102', `unknown workflow "${name}"`, hint, { atKey: single === undefined }));
    }
  }
  if (found.length < entries.length) return null;
  const weights = entries.map(([, , weight]) => weight);
  return someWeight(weights, ['traffic', index, 'mix'], issues) ? { workflows: found, weights } : null;
}

/** Whether there is anything to choose. */
function someWeight(weights: readonly number[], path: InputPath, issues: Issue[]): boolean {
  if (weights.some(weight => weight > 0)) return true;
  const message = weights.length === 0 ? 'there is nothing to choose from' : 'every weight is 0';
  issues.push(issue(path, 'WT1005', message, 'name at least one with a weight above 0'));
  return false;
}

function weightOf(raw: string | number, path: InputPath, issues: Issue[]): number {
  const parsed = parseScalar(raw, 'ratio');
  if ('value' in parsed) return parsed.value;
  issues.push(issue(path, 'WT1006', parsed.error, parsed.hint));
  return 1;
}

/** More users than this are too many to hold in a table. */
const MAX_USERS = 1_000_000;

type Owners = (draws: Draws, session: Key) => { tenant: string | null; user: string | null };

/** Whose session it is: a tenant by weight, and one of its users. */
function ownersOf({ cohortFile, index, issues }: CohortContext): Owners | null {
  const { tenant: single = null, tenants, users } = cohortFile;
  if (single !== null && tenants !== undefined) {
    issues.push(
      issue(['traffic', index, 'tenants'], 'WT1005', 'a cohort has `tenant` or `tenants`, not both'),
    );
    return null;
  }
  const names = Object.keys(tenants ?? {});
  const weights = names.map(name =>
    weightOf(tenants?.[name] ?? 0, ['traffic', index, 'tenants', name], issues),
  );
  if (tenants !== undefined && !someWeight(weights, ['traffic', index, 'tenants'], issues)) return null;
  const count = typeof users === 'number' ? users : (users?.count ?? 0);
  if (count > MAX_USERS) {
    issues.push(
      issue(['traffic', index, 'users'], 'WT1109', `${count} users; at most ${MAX_USERS} are kept apart`),
    );
    return null;
  }
  const zipf = typeof users === 'object' ? (users.zipf ?? 0) : 0;
  const user: DrawnAmount | null =
    count === 0 ? null : { kind: 'draw', of: zipfOf(count, zipf), min: 1, max: count };
  const scope = { iteration: 0, tokens: () => 0 };
  return (draws, session) => ({
    tenant:
      names.length === 0 ? single : (names[draws.choice(weights, placeOf(session, 'tenant'))] as string),
    user: user === null ? null : `u${draws.amount(user, placeOf(session, 'user'), 'count', true, scope)}`,
  });
}

function traceMaker(context: CohortContext, cohort: string): SessionMaker | null {
  const { input, cohortFile, index, issues } = context;
  for (const key of WORKFLOW_FIELDS) {
    if (cohortFile[key] === undefined) continue;
    const message = `\`${key}\` is for workflows: recorded sessions have their own`;
    issues.push(issue(['traffic', index, key], 'WT1005', message, null, { atKey: true }));
  }
  const sessions = recordedSessions(input, index, cohortFile);
  if (sessions.length === 0) {
    issues.push(issue(['traffic', index, 'trace'], 'WT1301', 'the trace holds no session'));
    return null;
  }
  const timing = cohortFile.timing ?? 'causal';
  if (timing === 'scaled' && cohortFile.gap_scale === undefined) {
    issues.push(
      issue(
        ['traffic', index, 'timing'],
        'WT1004',
        'scaled timing needs a `gap_scale`',
        'e.g. gap_scale: 0.1 for ten times faster',
      ),
    );
  }
  if (timing === 'absolute' && cohortFile.gap_cap !== undefined) {
    const hint = 'use causal timing to cap gaps, or gap_scale to shorten the whole';
    issues.push(issue(['traffic', index, 'gap_cap'], 'WT1005', 'absolute timing has no gaps to cap', hint));
  }
  const options = {
    timing: timing === 'absolute' ? ('absolute' as const) : ('causal' as const),
    gapScale: cohortFile.gap_scale ?? 1,
    gapCapMs: durationOf(cohortFile.gap_cap, ['traffic', index, 'gap_cap'], issues),
    scaleTokens: cohortFile.scale_tokens ?? 1,
    warm: cohortFile.warm ?? false,
    model: cohortFile.model ?? null,
  };
  return {
    available: sessions.length,
    make(_id, _key, ordinal, plannedMs) {
      const session = sessions[ordinal] as RecordedSession;
      const id = `${cohort}/${session.id}`;
      const tenant = cohortFile.tenant ?? session.tenant;
      const program = recordedProgram(session, options);
      const priority = priorityOf(context, tenant);
      return { id, cohort, tenant, user: session.user, priority, key: textKey(id), plannedMs, program };
    },
  };
}

/** The sessions one after the other, then again: ids and blocks of a copy are its own, so it shares with no other. */
const copiesOf = (sessions: readonly RecordedSession[], copies: number): readonly RecordedSession[] =>
  copies === 1
    ? sessions
    : Array.from({ length: copies }, (_, i) =>
        i === 0
          ? sessions
          : sessions.map(session => ({
              ...session,
              id: `${session.id}~${i + 1}`,
              blockScope: `${session.blockScope}~${i + 1}`,
            })),
      ).flat();

/** By their recorded arrival where that decides, else in the trace's order. */
function recordedSessions(
  { traces }: CompileInput,
  index: number,
  { arrival, copies = 1 }: CohortFile,
): readonly RecordedSession[] {
  const sessions = copiesOf(traces.get(index) ?? [], copies);
  if (arrival?.recorded === undefined) return sessions;
  return sessions.toSorted((a, b) => (a.arrivalMs ?? 0) - (b.arrivalMs ?? 0));
}
