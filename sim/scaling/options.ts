// Options of autoscalers that are not plain numbers: metrics with their targets, and one of a few words.
import { UserError } from '../../scenarios/base/errors.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';
import { METRICS, type Metric, type Target } from './metrics.ts';

/** One of `known`; the first of them where the file says nothing. */
export function wordOption<T extends string>(
  policy: string,
  name: string,
  value: unknown,
  known: readonly [T, ...T[]],
): T {
  if (value === undefined) return known[0];
  const found = known.find(each => each === value);
  if (found !== undefined) return found;
  throw new UserError(`option ${name} of policy ${policy} is ${JSON.stringify(value)}`, {
    hint: didYouMean(String(value), known) ?? `one of ${known.join(', ')}`,
  });
}

const metricOption = (policy: string, name: string, value: unknown): Metric => {
  if (value === undefined)
    throw new UserError(`policy ${policy} needs a ${name}`, { hint: `one of ${METRICS.join(', ')}` });
  return wordOption(policy, name, value, METRICS);
};

function targetOption(policy: string, name: string, value: unknown): number {
  if (typeof value === 'number' && value > 0 && value < Number.POSITIVE_INFINITY) return value;
  throw new UserError(`option ${name} of policy ${policy} is ${JSON.stringify(value)}`, {
    hint: 'expected a number above 0: the value that each replica should have',
  });
}

/** `metric` and `target`, and those under `also`; what is left of the options. */
export function targetOptions(
  policy: string,
  { metric, target, also = {}, ...rest }: Record<string, unknown>,
): { targets: Target[]; rest: Record<string, unknown> } {
  const first = {
    metric: metricOption(policy, 'metric', metric),
    target: targetOption(policy, 'target', target),
  };
  if (typeof also !== 'object' || also === null || Array.isArray(also))
    throw new UserError(`option also of policy ${policy} is ${JSON.stringify(also)}`, {
      hint: 'expected metrics and their targets, such as { kv_usage: 0.8 }',
    });
  const more = Object.entries(also).map(([name, value]) => ({
    metric: metricOption(policy, 'metric', name),
    target: targetOption(policy, `also.${name}`, value),
  }));
  return { targets: [first, ...more], rest };
}
