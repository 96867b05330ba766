// Parses assertion lines: `p95(e2e, workflow=ingest) < 8s`, `rate(429) < 1%`, `cache_hit(role=worker) > 60%`.
import type { InputPath, Issue } from '../base/issue.ts';
import { issue } from '../base/issue.ts';
import type { AssertedMetric, Assertion, AssertionFunction } from './assertion.ts';
import { parseScalar } from './quantity.ts';
import { didYouMean } from './suggest.ts';

const METRICS: readonly AssertedMetric[] = ['ttft', 'itl', 'tpot', 'e2e', 'queue', 'makespan'];
const COUNTS = ['calls', 'workflows', 'tool_calls'] as const;
const FILTERS = ['workflow', 'cohort', 'role', 'step', 'model'] as const;
const LINE = /^\s*([a-z_]+|p\d{1,2}(?:\.\d+)?)\s*\(([^()]*)\)\s*(<=|>=|==|<|>)\s*(\S+)\s*$/;

/** What a call has and a session has not. */
const CALL_FILTERS = ['role', 'step', 'model'] as const;

const isOfSessions = (subject: AssertionFunction): boolean =>
  ('metric' in subject && subject.metric === 'makespan') ||
  (subject.kind === 'count' && subject.what === 'workflows');

/** One line, or null with its issue noted. */
export function parseAssertion(text: string, path: InputPath, issues: Issue[]): Assertion | null {
  const fail = (message: string, hint: string | null): null => {
    issues.push(issue(path, 'WT1107', message, hint));
    return null;
  };
  const match = LINE.exec(text);
  if (!match) return fail(`cannot read the assertion "${text}"`, 'e.g. p95(e2e, workflow=ingest) < 8s');
  const [, fn = '', inside = '', op = '', rawTarget = ''] = match;
  const args = inside
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== '');
  const first = args[0]?.includes('=') === false ? args.shift() : undefined;
  const filter: Assertion['filter'] = {};
  for (const arg of args) {
    const [key = '', value = '', ...more] = arg.split('=').map(each => each.trim());
    if (!FILTERS.includes(key as (typeof FILTERS)[number])) {
      return fail(`unknown filter "${key}"`, didYouMean(key, FILTERS) ?? `filters: ${FILTERS.join(', ')}`);
    }
    if (more.length > 0 || Object.hasOwn(filter, key))
      return fail(`a filter is one name and one value, got "${inside.trim()}"`, `e.g. ${key}=${value}`);
    filter[key as (typeof FILTERS)[number]] = value;
  }
  const subject = parseSubject(fn, first);
  if ('message' in subject) return fail(subject.message, subject.hint);
  const unmet = isOfSessions(subject) ? CALL_FILTERS.find(key => filter[key] !== undefined) : undefined;
  if (unmet !== undefined)
    return fail(`"${first}" is of whole sessions, which have no ${unmet}`, 'filters: workflow, cohort');
  const dimension =
    subject.kind === 'rate' || subject.kind === 'cache_hit'
      ? 'ratio'
      : subject.kind === 'count'
        ? 'count'
        : 'ms';
  const target = parseScalar(rawTarget, dimension);
  if ('error' in target) return fail(target.error, target.hint);
  return { text: text.trim(), subject, filter, op: op as Assertion['op'], target: target.value };
}

function parseSubject(
  fn: string,
  first: string | undefined,
): AssertionFunction | { message: string; hint: string | null } {
  const known = ['p50', 'p90', 'p95', 'p99', 'mean', 'max', 'rate', 'cache_hit', 'count'];
  if (fn === 'cache_hit')
    return first === undefined
      ? { kind: 'cache_hit' }
      : { message: `cache_hit() takes filters only, got "${first}"`, hint: `e.g. cache_hit(role=${first})` };
  if (fn === 'rate')
    return first === undefined
      ? { message: 'rate() needs a code', hint: 'e.g. rate(429) < 1%' }
      : { kind: 'rate', code: first };
  if (fn === 'count') {
    const what = COUNTS.find(each => each === first);
    return what === undefined
      ? { message: `count() takes ${COUNTS.join(', ')}`, hint: null }
      : { kind: 'count', what };
  }
  const metric = METRICS.find(each => each === first);
  if (/^p\d/.test(fn) || fn === 'mean' || fn === 'max') {
    if (metric === undefined) {
      return {
        message: `unknown metric "${first ?? ''}"`,
        hint:
          didYouMean(first ?? '', METRICS) ??
          `metrics: ${METRICS.join(', ')}; the time of a workflow is e2e with its name: p95(e2e, workflow=NAME)`,
      };
    }
    return fn === 'mean' || fn === 'max'
      ? { kind: fn, metric }
      : { kind: 'quantile', quantile: Number(fn.slice(1)) / 100, metric };
  }
  return {
    message: `unknown function "${fn}"`,
    hint: didYouMean(fn, known) ?? `functions: ${known.join(', ')}`,
  };
}
