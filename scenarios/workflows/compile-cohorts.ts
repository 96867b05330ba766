// Compiles the traffic of a scenario: open, closed and recorded cohorts, each a lazy list of sessions.
import { arrivalTimes, type OpenArrival } from '../arrivals/arrivals.ts';
import { parseCron } from '../arrivals/cron.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { extend, extendText, type Key, textKey, uniform } from '../base/key.ts';
import { constant, drawAmount, parseAmount } from '../formats/amount.ts';
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

export interface CompileInput {
  readonly file: ScenarioFile;
  readonly sha256: string;
  /** Used where the file has no name. */
  readonly name: string;
  /** Sessions of the trace that a cohort names; read by the caller, since this is pure. */
  readonly traces: ReadonlyMap<number, readonly RecordedSession[]>;
  /** Sessions of a plan that was written out, which decide then; null takes all from the seed. */
  readonly lines: ReadonlyMap<string, { readonly plannedMs: number; readonly draws: DrawnValues }> | null;
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
  const tenant = cohortFile.tenant ?? null;
  const cohortKey = extendText(root, `cohort/${name}`);
  const maker =
    cohortFile.trace === undefined ? templateMaker(context, name, tenant) : traceMaker(context, name, tenant);
  if (maker === null) return null;
  const base = { name, index, tenant };
  const forMs = durationOf(cohortFile.for, [...path, 'for'], issues);
  const limit = Math.min(cohortFile.sessions ?? Number.POSITIVE_INFINITY, maker.available);
  const bounded = Number.isFinite(limit) ? limit : null;
  const written = cohortFile.trace === undefined ? writtenSessions(context.input, name) : null;
  const closed = cohortFile.arrival?.closed;
  if (closed !== undefined) {
    if (!Number.isFinite(limit) && !Number.isFinite(forMs)) {
      issues.push(issue(path, 'WT1004', 'a closed cohort needs an end', 'add `sessions: 100` or `for: 10m`'));
    }
    const think =
      closed.think === undefined
        ? constant(0)
        : (parseAmount(closed.think, 'ms', [...path, 'arrival', 'closed', 'think'], issues) ?? constant(0));
    const { agents } = closed;
    const cohort: Cohort = {
      ...base,
      kind: 'closed',
      agents: Math.min(agents, limit),
      session(agent, ordinal, readyMs, log) {
        // Sessions are dealt to agents in turn, so which ones run does not depend on who is done first.
        const number = agent + ordinal * agents;
        if (number >= limit || readyMs > forMs) return null;
        const id = `${name}/${agent}.${ordinal}`;
        if (written !== null && !written.some(line => line.id === id)) return null;
        return maker.make(id, extend(cohortKey, agent, ordinal + 1), number, readyMs, log);
      },
      thinkMs: (agent, ordinal) =>
        think.kind === 'draw'
          ? drawAmount(think, uniform(extend(extend(cohortKey, agent, ordinal + 1), 0x7468696e)), false)
          : 0,
    };
    return { cohort, sessions: Number.isFinite(forMs) ? null : bounded };
  }
  const arrival = openArrival(context, maker);
  if (arrival === null) return null;
  if (!Number.isFinite(limit) && !Number.isFinite(forMs)) {
    issues.push(issue(path, 'WT1004', 'open arrivals need an end', 'add `sessions: 100` or `for: 10m`'));
    return null;
  }
  const cohort: Cohort = {
    ...base,
    kind: 'open',
    *sessions(log) {
      if (written !== null) {
        for (const { id, ordinal, plannedMs } of written) {
          yield maker.make(id, extend(cohortKey, ordinal), ordinal, plannedMs, log);
        }
        return;
      }
      let ordinal = 0;
      for (const atMs of arrivalTimes(arrival, extendText(cohortKey, 'arrival'), {
        sessions: limit,
        forMs,
      })) {
        yield maker.make(`${name}/${ordinal}`, extend(cohortKey, ordinal), ordinal, atMs, log);
        ordinal++;
      }
    },
  };
  return { cohort, sessions: Number.isFinite(forMs) ? null : bounded };
}

/** The sessions of a cohort that a written plan lists, by their start; null where there is no such plan. */
function writtenSessions(
  { lines }: CompileInput,
  cohort: string,
): { id: string; ordinal: number; plannedMs: number }[] | null {
  if (lines === null) return null;
  const prefix = `${cohort}/`;
  const sessions = [...lines]
    .filter(([id]) => id.startsWith(prefix))
    .map(([id, { plannedMs }]) => ({ id, ordinal: Number(id.slice(prefix.length)), plannedMs }));
  return sessions.sort((a, b) => a.plannedMs - b.plannedMs || a.ordinal - b.ordinal);
}

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
  return {
    available: Number.POSITIVE_INFINITY,
    make(id, key, _ordinal, plannedMs, log) {
      const draws = new Draws(workflow.params, {
        given: input.lines?.get(id)?.draws ?? null,
        log: log ?? null,
      });
      const segments = new Segments({ session: key, workflow: workflowKey, tenant: tenantKey, root }, draws);
      return { id, cohort, tenant, key, plannedMs, program: templateProgram(workflow, key, draws, segments) };
    },
  };
}

function traceMaker(context: CohortContext, cohort: string, tenant: string | null): SessionMaker | null {
  const { input, cohortFile, index, issues } = context;
  const sessions = input.traces.get(index);
  if (sessions === undefined || sessions.length === 0) {
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

function openArrival(context: CohortContext, maker: SessionMaker): OpenArrival | null {
  const { cohortFile, index, input, issues } = context;
  const path = ['traffic', index, 'arrival'];
  const arrival = cohortFile.arrival ?? (cohortFile.trace === undefined ? {} : { at_once: true as const });
  const kinds = Object.keys(arrival);
  if (kinds.length !== 1) {
    issues.push(
      issue(
        kinds.length === 0 ? ['traffic', index] : path,
        'WT1005',
        'a cohort has exactly one arrival process',
        'e.g. arrival: { poisson: { rate: 0.05/s } } (open) or { closed: { agents: 25 } }',
      ),
    );
    return null;
  }
  if (arrival.at_once !== undefined) return { kind: 'at-once' };
  if (arrival.recorded !== undefined) {
    const atMs = (input.traces.get(index) ?? []).map(session => session.arrivalMs);
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
      cron.jitter === undefined ? null : parseAmount(cron.jitter, 'ms', [...path, 'cron', 'jitter'], issues);
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
