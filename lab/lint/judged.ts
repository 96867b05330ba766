// Assertions and SLOs that have nothing to judge, and targets that no engine could meet.

import type { InputPath } from '../../scenarios/base/issue.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import { parseAssertion } from '../../scenarios/formats/assertions.ts';
import { parseScalar } from '../../scenarios/formats/quantity.ts';
import { closest } from '../../scenarios/formats/suggest.ts';
import { defineLint, type Finding, percent, shortMs, type WalkedCall } from '../../scenarios/lint/lint.ts';
import { plainName } from '../../scenarios/workflows/around.ts';
import { eachStep } from '../../scenarios/workflows/program.ts';
import { type LabContext, quantileOf } from './context.ts';

/** A written assertion and where it stands. */
interface Line {
  readonly assertion: Assertion;
  readonly path: InputPath;
}

const linesOf = ({ file }: LabContext): Line[] =>
  (file.assert ?? []).flatMap((text, index) => {
    const path = ['assert', index];
    const assertion = parseAssertion(text, path, []);
    return assertion === null ? [] : [{ assertion, path }];
  });

// ---- nothing to judge -----------------------------------------------------------------------------------------

export const nothingToJudge = defineLint('WT2014', function* (context: LabContext): Generator<Finding> {
  const reached = reachedCalls(context);
  for (const { assertion, path } of linesOf(context)) {
    const why = withoutValue(assertion, context, reached);
    if (why !== null) yield { path, ...why };
  }
  yield* unjudgedSlos(context);
});

type Why = Pick<Finding, 'message' | 'hint'>;

function withoutValue(
  { subject, filter, text }: Assertion,
  context: LabContext,
  reached: ReachedCall[],
): Why | null {
  const filters = Object.entries(filter) as [keyof ReachedCall, string][];
  if ('metric' in subject && subject.metric === 'itl' && filters.length > 0) {
    return {
      message: `"${text}" judges nothing: gaps between tokens are kept for the whole run only, not by ${filters[0]?.[0]}`,
      hint: 'take the filter out, or write an `slo: { itl: … }` into the step',
    };
  }
  if (subject.kind === 'rate') return unknownReason(subject.code, text);
  // A trace names its own steps, roles and models.
  if (context.file.traffic.some(cohort => cohort.trace !== undefined)) return null;
  const ofTools = subject.kind === 'count' && subject.what === 'tool_calls';
  const matching = reached.filter(
    each => each.isTool === ofTools && filters.every(([key, wanted]) => each[key] === wanted),
  );
  if (filters.length > 0 && matching.length === 0) {
    const [last] = filters.filter(([key, wanted]) => !reached.some(each => each[key] === wanted));
    const what = last === undefined ? 'all of its filters' : `${last[0]}=${last[1]}`;
    return {
      message: `"${text}" judges nothing: no call of the traffic has ${what}`,
      hint: hintFor(last?.[0], reached),
    };
  }
  const needsTwo = 'metric' in subject && (subject.metric === 'tpot' || subject.metric === 'itl');
  const calls = sampledCalls(context, filter);
  if (needsTwo && calls.length > 0 && calls.every(call => call.outputTokens < 2)) {
    return {
      message: `"${text}" judges nothing: these calls give one token each, and there is no time between tokens`,
      hint: 'judge ttft or e2e',
    };
  }
  return null;
}

function hintFor(key: keyof ReachedCall | undefined, reached: readonly ReachedCall[]): string {
  if (key === undefined) return 'take one of the filters out';
  const there = [...new Set(reached.map(each => each[key]).filter(each => typeof each === 'string'))];
  return there.length === 0 ? `no step has a ${key}` : `${key}s of the traffic: ${there.join(', ')}`;
}

/** What a call of the traffic may be filtered by. */
interface ReachedCall {
  readonly cohort: string;
  readonly workflow: string;
  readonly role: string | null;
  readonly step: string;
  readonly model: string;
  readonly isTool: boolean;
}

/** Every kind of call that some session may make, also in cases that are rarely taken. */
function reachedCalls({ file, plan, workflows }: LabContext): ReachedCall[] {
  const reached: ReachedCall[] = [];
  for (const { name: cohort, index } of plan.cohorts) {
    const { workflow: single, mix = {} } = file.traffic[index] ?? {};
    for (const workflow of [single ?? [], Object.keys(mix)].flat()) {
      eachStep(workflows.get(workflow)?.steps ?? [], step => {
        const base = { cohort, workflow, step: plainName(step.name), role: null, model: '', isTool: false };
        if (step.verb === 'llm') {
          reached.push({ ...base, role: step.role, model: step.model });
          if (step.compactAt !== null)
            reached.push({ ...base, role: 'summarizer', model: step.compactAt.by.model });
        } else if (step.verb === 'compact') reached.push({ ...base, role: 'summarizer', model: step.model });
        else if (step.verb === 'tool') reached.push({ ...base, isTool: true });
      });
    }
  }
  return reached;
}

function sampledCalls(
  { walks }: LabContext,
  { workflow, cohort, role, step, model }: Assertion['filter'],
): WalkedCall[] {
  const fits = (wanted: string | undefined, value: string | null): boolean =>
    wanted === undefined || wanted === value;
  return walks
    .filter(({ session }) => fits(workflow, session.program.workflow) && fits(cohort, session.cohort))
    .flatMap(({ calls }) => calls)
    .filter(call => fits(role, call.role) && fits(step, call.step) && fits(model, call.model));
}

/** Reasons and outcomes that records give. */
const REASONS = [
  'error',
  'cancelled',
  'unfinished',
  'timeout',
  'connect',
  'bad_request',
  'bad_response',
  'stream_error',
  'stream_cut',
  'interrupted',
  'too_long',
];

function unknownReason(code: string, text: string): Why | null {
  const isHttp = /^[45]\d\d$/.test(code) || /^http_[45]\d\d$/.test(code);
  if (isHttp || REASONS.includes(code)) return null;
  const near = closest(code, REASONS);
  return {
    message: `"${text}" is always 0: no call ends with "${code}"`,
    hint:
      near === null
        ? `an HTTP error such as 429 or 503, or ${REASONS.join(', ')}`
        : `did you mean "${near}"?`,
  };
}

/** A workflow that only runs as a sub-agent has no session of its own. */
function* unjudgedSlos({ file, workflows }: LabContext): Generator<Finding> {
  const started = new Set(
    file.traffic.flatMap(({ workflow, mix = {} }) => [workflow ?? [], Object.keys(mix)].flat()),
  );
  for (const name of workflows.keys()) {
    if (file.workflows?.[name]?.slo === undefined || started.has(name)) continue;
    yield {
      path: ['workflows', name, 'slo'],
      message: `the slo of "${name}" judges nothing: it only runs as a sub-agent, inside the sessions of others`,
      hint: 'write the slo into its steps, or into the workflow that calls it',
    };
  }
}

// ---- targets that cannot be met ---------------------------------------------------------------------------------

export const impossibleTargets = defineLint('WT2015', function* (context: LabContext): Generator<Finding> {
  for (const { assertion, path } of linesOf(context)) {
    const share = shareUnderTest(assertion);
    const { workflow } = assertion.filter;
    if (share === null || workflow === undefined) continue;
    yield* beyondTarget(context, { workflow, share, targetMs: assertion.target, path });
  }
  for (const workflow of context.workflows.keys()) {
    const { e2e, success } = context.file.workflows?.[workflow]?.slo ?? {};
    const target = e2e === undefined ? null : parseScalar(e2e, 'ms');
    const share = success === undefined ? null : parseScalar(success, 'ratio');
    if (target === null || 'error' in target) continue;
    yield* beyondTarget(context, {
      workflow,
      share: share !== null && 'value' in share ? share.value : 0.95,
      targetMs: target.value,
      path: ['workflows', workflow, 'slo', 'e2e'],
    });
  }
});

/** The share of sessions that must be within the target of an assertion on the time of whole workflows; else null. */
function shareUnderTest({ subject, op, filter }: Assertion): number | null {
  if (op !== '<' && op !== '<=') return null;
  if (filter.role !== undefined || filter.step !== undefined || filter.model !== undefined) return null;
  if (!('metric' in subject) || (subject.metric !== 'makespan' && subject.metric !== 'e2e')) return null;
  if (subject.kind === 'quantile') return subject.quantile;
  return subject.kind === 'max' ? 1 : null;
}

function* beyondTarget(
  context: LabContext,
  { workflow, share, targetMs, path }: { workflow: string; share: number; targetMs: number; path: InputPath },
): Generator<Finding> {
  const alone = quantileOf(context.withoutCallsMs(workflow), share);
  if (alone === null || alone <= targetMs) return;
  const sessions = context.walksOf(workflow).length;
  yield {
    path,
    message:
      `no engine can meet ${shortMs(targetMs)}: tools and people alone take ${shortMs(alone)} or more in the ` +
      `slowest ${percent(Math.max(1 - share, 1 / sessions))} of the first ${sessions} sessions of "${workflow}"`,
    hint: 'raise the target, or make the tools faster or fewer',
  };
}
