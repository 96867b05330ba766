// Compiles the traffic of a scenario: open, closed and recorded cohorts, each a lazy list of sessions.
import { arrivalTimes, type OpenArrival } from '../arrivals/arrivals.ts';
import { parseCron } from '../arrivals/cron.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { extend, extendText, type Key, textKey, uniform } from '../base/key.ts';
import { constant, type DrawnAmount, drawAmount, parseAmount } from '../formats/amount.ts';
import type { Cohort, PlannedSession } from '../formats/plan.ts';
import { parseScalar } from '../formats/quantity.ts';
import type { RecordedSession } from '../formats/recorded.ts';
import type { CohortFile, ScenarioFile } from '../formats/scenario.ts';
import { didYouMean } from '../formats/suggest.ts';
import { type DrawnValues, Draws } from './draws.ts';
import type { Workflow } from './program.ts';
import { recordedProgram } from './recorded.ts';
import { Segments } from './segments.ts';
import { templateProgram } from './template.ts';

/** One line of a written plan. */
export interface WrittenSession {
  /** 0 in an open cohort. */
  readonly agent: number;
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

function durationOf(raw: string | undefined, path: InputPath, issues: Issue[]): number {
  if (raw === undefined) return Number.POSITIVE_INFINITY;
  const parsed = parseScalar(raw, 'ms');
  if ('value' in parsed) return parsed.value;
  issues.push(issue(path, 'WT1006', parsed.error, parsed.hint));
  return Number.POSITIVE_INFINITY;
}

/** How the sessions of a cohort are made: by a workflow and a key, or one by one from a trace. */
interface SessionMaker {
  /** Sessions there are, or Infinity. */
  readonly available: number;
  make(id: string, key: Key, ordinal: number, plannedMs: number, log?: DrawnValues): PlannedSession;
}

/** A cohort of the file: when its sessions start, and how each is made. */
export function compileCohort(context: CohortContext): { cohort: Cohort; sessions: number | null } | null {
  const { cohortFile, index, root, issues } = context;
  const path = ['traffic', index];
  if ((cohortFile.workflow === undefined) === (cohortFile.trace === undefined)) {
    issues.push(issue(path, 'WT1005', 'a cohort has either a `workflow` or a `trace`'));
    return null;
  }
  const name = cohortFile.name ?? cohortFile.workflow ?? `trace${index === 0 ? '' : index + 1}`;
  const arrival = cohortFile.arrival ?? (cohortFile.trace === undefined ? {} : { at_once: true as const });
  const kinds = Object.keys(arrival);
  if (kinds.length !== 1) {
    const at = kinds.length === 0 ? path : [...path, 'arrival'];
    const hint = 'e.g. arrival: { poisson: { rate: 0.05/s } } (open) or { closed: { agents: 25 } }';
    issues.push(issue(at, 'WT1005', 'a cohort has exactly one arrival process', hint));
    return null;
  }
  const tenant = cohortFile.tenant ?? null;
  const key = extendText(root, `cohort/${name}`);
  const maker =
    cohortFile.trace === undefined ? templateMaker(context, name, tenant) : traceMaker(context, name, tenant);
  if (maker === null) return null;
  const forMs = durationOf(cohortFile.for, [...path, 'for'], issues);
  const limit = Math.min(cohortFile.sessions ?? Number.POSITIVE_INFINITY, maker.available);
  const written = cohortFile.trace === undefined ? (context.input.lines?.get(name) ?? null) : null;
  const isWritten = context.input.lines !== null && cohortFile.trace === undefined;
  const cohort: CohortParts = {
    base: { name, index, tenant },
    key,
    maker,
    limit,
    forMs,
    written: isWritten ? [...(written ?? [])] : null,
  };
  const endless = !Number.isFinite(limit) && (!Number.isFinite(forMs) || arrival.at_once !== undefined);
  if (endless && !isWritten) {
    const hint = arrival.at_once === undefined ? 'add `sessions: 100` or `for: 10m`' : 'add `sessions: 100`';
    issues.push(issue(path, 'WT1004', 'a cohort needs an end', hint));
    return null;
  }
  const known = Number.isFinite(limit) && !Number.isFinite(forMs) ? limit : null;
  const sessions = cohort.written?.length ?? known;
  if (arrival.closed !== undefined)
    return { cohort: closedCohort(context, arrival.closed, cohort), sessions };
  const open = openArrival(context, arrival, maker);
  return open === null ? null : { cohort: openCohort(open, cohort), sessions };
}

/** What open and closed cohorts are made of. */
interface CohortParts {
  readonly base: { name: string; index: number; tenant: string | null };
  readonly key: Key;
  readonly maker: SessionMaker;
  readonly limit: number;
  readonly forMs: number;
  /** The sessions that a written plan lists, which are then all there are. */
  readonly written: readonly WrittenSession[] | null;
}

function closedCohort(
  { index, issues }: CohortContext,
  closed: NonNullable<NonNullable<CohortFile['arrival']>['closed']>,
  { base, key, maker, limit, forMs, written }: CohortParts,
): Cohort {
  const { agents } = closed;
  const at = ['traffic', index, 'arrival', 'closed', 'think'];
  const think = (closed.think === undefined ? null : plainAmount(closed.think, at, issues)) ?? constant(0);
  const listed = written === null ? null : Map.groupBy(written, line => line.agent);
  return {
    ...base,
    kind: 'closed',
    agents: Math.min(agents, limit),
    session(agent, ordinal, readyMs, log) {
      const own = listed === null ? ordinal : listed.get(agent)?.[ordinal]?.ordinal;
      if (own === undefined || readyMs > forMs) return null;
      // Sessions are dealt to agents in turn, so which ones run does not depend on who is done first.
      const number = agent + own * agents;
      if (number >= limit) return null;
      return maker.make(`${base.name}/${agent}.${own}`, extend(key, agent, own + 1), number, readyMs, log);
    },
    thinkMs: (agent, ordinal) =>
      drawAmount(think, uniform(extend(extend(key, agent, ordinal + 1), 0x7468696e)), false),
  };
}

function openCohort(arrival: OpenArrival, { base, key, maker, limit, forMs, written }: CohortParts): Cohort {
  const session = (ordinal: number, plannedMs: number, log?: DrawnValues): PlannedSession =>
    maker.make(`${base.name}/${ordinal}`, extend(key, ordinal), ordinal, plannedMs, log);
  const lines = written?.toSorted((a, b) => a.plannedMs - b.plannedMs || a.ordinal - b.ordinal) ?? null;
  return {
    ...base,
    kind: 'open',
    *sessions(log) {
      if (lines !== null) {
        for (const { ordinal, plannedMs } of lines) yield session(ordinal, plannedMs, log);
        return;
      }
      let ordinal = 0;
      for (const atMs of arrivalTimes(arrival, extendText(key, 'arrival'), { sessions: limit, forMs })) {
        yield session(ordinal++, atMs, log);
      }
    },
  };
}

/** An amount where nothing has run yet that an expression could speak of. */
function plainAmount(raw: unknown, path: InputPath, issues: Issue[]): DrawnAmount | null {
  const amount = parseAmount(raw, 'ms', path, issues);
  if (amount === null || amount.kind === 'draw') return amount;
  issues.push(
    issue(
      path,
      'WT1005',
      'an expression cannot stand here',
      'write a duration or a distribution, such as { median: 20s, p90: 60s }',
    ),
  );
  return null;
}

/** `cohort/ordinal`, or `cohort/agent.ordinal` where agents are. */
const sessionId = (
  cohort: string,
  { agent, ordinal }: WrittenSession,
  file: CohortFile | undefined,
): string => (file?.arrival?.closed === undefined ? `${cohort}/${ordinal}` : `${cohort}/${agent}.${ordinal}`);

function templateMaker(context: CohortContext, cohort: string, tenant: string | null): SessionMaker | null {
  const { input, cohortFile, index, root, workflows, issues } = context;
  const name = cohortFile.workflow as string;
  const workflow = workflows.get(name);
  for (const key of ['timing', 'gap_scale', 'gap_cap', 'scale_tokens', 'warm', 'model'] as const) {
    if (cohortFile[key] !== undefined) {
      issues.push(
        issue(['traffic', index, key], 'WT1005', `\`${key}\` is for recorded sessions (\`trace\`)`, null, {
          atKey: true,
        }),
      );
    }
  }
  if (workflow === undefined) {
    const known = [...workflows.keys()];
    issues.push(
      issue(
        ['traffic', index, 'workflow'],
        'WT1102',
        `unknown workflow "${name}"`,
        didYouMean(name, known) ?? `workflows: ${known.join(', ')}`,
      ),
    );
    return null;
  }
  const workflowKey = extend(root, workflow.key.hi, workflow.key.lo);
  const tenantKey = extendText(root, `tenant/${tenant ?? ''}`);
  const given = new Map(
    input.lines?.get(cohort)?.map(line => [sessionId(cohort, line, input.file.traffic[index]), line.draws]),
  );
  return {
    available: Number.POSITIVE_INFINITY,
    make(id, key, _ordinal, plannedMs, log) {
      const draws = new Draws(workflow.params, {
        given: given.get(id) ?? null,
        log: log ?? null,
      });
      const segments = new Segments({ session: key, workflow: workflowKey, tenant: tenantKey, root }, draws);
      return { id, cohort, tenant, key, plannedMs, program: templateProgram(workflow, key, draws, segments) };
    },
  };
}

function traceMaker(context: CohortContext, cohort: string, tenant: string | null): SessionMaker | null {
  const { input, cohortFile, index, issues } = context;
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
      return { id, cohort, tenant, key: textKey(id), plannedMs, program: recordedProgram(session, options) };
    },
  };
}

/** By their recorded arrival where that decides, else in the trace's order. */
function recordedSessions(
  { traces }: CompileInput,
  index: number,
  { arrival }: CohortFile,
): readonly RecordedSession[] {
  const sessions = traces.get(index) ?? [];
  if (arrival?.recorded === undefined) return sessions;
  return sessions.toSorted((a, b) => (a.arrivalMs ?? 0) - (b.arrivalMs ?? 0));
}

function openArrival(
  { index, input, issues }: CohortContext,
  arrival: NonNullable<CohortFile['arrival']>,
  maker: SessionMaker,
): OpenArrival | null {
  const path = ['traffic', index, 'arrival'];
  if (arrival.at_once !== undefined) return { kind: 'at-once' };
  if (arrival.recorded !== undefined) {
    const atMs = recordedSessions(input, index, input.file.traffic[index] as CohortFile).map(
      session => session.arrivalMs,
    );
    if (maker.available === Number.POSITIVE_INFINITY || atMs.some(each => each === null)) {
      issues.push(
        issue(
          [...path, 'recorded'],
          'WT1005',
          'these sessions have no recorded arrivals',
          'use at_once, poisson or closed',
        ),
      );
      return null;
    }
    return { kind: 'recorded', atMs: atMs as number[] };
  }
  if (arrival.cron !== undefined) {
    const cron = typeof arrival.cron === 'string' ? { at: arrival.cron } : arrival.cron;
    const parsed = parseCron(cron.at);
    if ('error' in parsed) {
      issues.push(
        issue(
          [...path, 'cron'],
          'WT1005',
          `cannot read the cron line "${cron.at}": ${parsed.error}`,
          'e.g. "0 9 * * 1-5"',
        ),
      );
      return null;
    }
    const jitterMs =
      cron.jitter === undefined ? null : plainAmount(cron.jitter, [...path, 'cron', 'jitter'], issues);
    return { kind: 'cron', minutesOfWeek: parsed.minutesOfWeek, size: cron.size ?? 1, jitterMs };
  }
  const kind = arrival.poisson !== undefined ? 'poisson' : 'constant';
  const rate = parseScalar(arrival[kind]?.rate, 'perSec');
  if ('error' in rate || rate.value <= 0) {
    const [message, hint] =
      'error' in rate ? [rate.error, rate.hint] : ['a rate must be above 0', 'e.g. 0.05/s'];
    issues.push(issue([...path, kind, 'rate'], 'WT1006', message, hint));
    return null;
  }
  return { kind, perSec: rate.value };
}
