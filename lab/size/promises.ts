// What a deployment must keep: the scenario's own lines, those of the command line, and the SLOs of its steps.

import { UserError } from '../../scenarios/base/errors.ts';
import type { Issue } from '../../scenarios/base/issue.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import { parseAssertion } from '../../scenarios/formats/assertions.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';

/** Where nobody says anything: a person waits for the first token, then reads. */
export const DEFAULT_PROMISES = ['p95(ttft) < 2s', 'p95(tpot) < 50ms'] as const;
/** Fast answers to the few that get one are no promise kept. */
const NO_FAILURES = 'rate(error) < 1%';

export interface Promises {
  /** Lines for `assert:` of the scenario, those of the command line last. */
  readonly lines: readonly string[];
  /** What the reader must know of them, a sentence each. */
  readonly notes: readonly string[];
}

function parsed(line: string): Assertion {
  const issues: Issue[] = [];
  const assertion = parseAssertion(line, [], issues);
  if (assertion !== null) return assertion;
  const [{ message, hint } = { message: 'it cannot be read', hint: null }] = issues;
  throw new UserError(`--slo "${line}": ${message}`, { hint: hint ?? 'e.g. --slo "p95(ttft) < 2s"' });
}

/** A code of its own, or a part of the calls, leaves other failures free. */
const isOfAllFailures = ({ subject, filter }: Assertion): boolean =>
  subject.kind === 'rate' &&
  subject.code === 'error' &&
  Object.values(filter).every(each => each === undefined);

/** `given`: of the command line. The plan has the scenario's own lines and the SLOs of its steps. */
export function promisesOf({ assertions }: Pick<Plan, 'assertions'>, given: readonly string[]): Promises {
  const notes: string[] = [];
  const isCount = ({ subject }: Assertion): boolean => subject.kind === 'count';
  const ofSteps = assertions.filter(({ subject }) => subject.kind === 'attainment');
  const own = assertions.filter(assertion => !ofSteps.includes(assertion));
  const left = [...own, ...given.map(parsed)].filter(isCount);
  if (left.length > 0)
    notes.push(
      `left out, since a count depends on how long one looks: ${left.map(({ text }) => text).join(', ')}`,
    );
  const asked = [...own, ...given.map(parsed)].filter(assertion => !isCount(assertion));
  const lines = [...new Set(asked.map(({ text }) => text))];
  const bounds = asked.some(({ subject }) => subject.kind !== 'rate' && subject.kind !== 'cache_hit');
  if (!bounds && ofSteps.length === 0) {
    lines.push(...DEFAULT_PROMISES);
    notes.push(
      `nothing bounds a latency, so ${DEFAULT_PROMISES.join(' and ')} are taken; --slo says otherwise`,
    );
  }
  if (!asked.some(isOfAllFailures)) lines.push(NO_FAILURES);
  return { lines, notes };
}
