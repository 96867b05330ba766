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
    const [key = '', value = ''] = arg.split('=').map(each => each.trim());
    if (!FILTERS.includes(key as (typeof FILTERS)[number])) {
      return fail(`unknown filter "${key}"`, didYouMean(key, FILTERS) ?? `filters: ${FILTERS.join(', ')}`);
    }
    filter[key as (typeof FILTERS)[number]] = value;
  }
  const subject = parseSubject(fn, first);
  if ('message' in subject) return fail(subject.message, subject.hint);
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
  if (fn === 'cache_hit') return { kind: 'cache_hit' };
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
        hint: didYouMean(first ?? '', METRICS) ?? `metrics: ${METRICS.join(', ')}`,
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
