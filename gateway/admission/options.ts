// Options of an admission policy: numbers, switches, and choices among names. An unknown one is refused, never ignored.
import { UserError } from '../../scenarios/base/errors.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';

/** A number with its default and its range (from 0 on), a switch with its default, or names of which the first is it. */
export type OptionSpec =
  | { usual: number; least?: number; most?: number }
  | { usual: boolean }
  | readonly [string, ...string[]];

type Values<S extends Record<string, OptionSpec>> = {
  [K in keyof S]: S[K] extends readonly (infer Name)[]
    ? Name
    : S[K] extends { usual: boolean }
      ? boolean
      : number;
};

function refuse(policy: string, name: string, value: unknown, expected: string): never {
  throw new UserError(`option ${name} of policy ${policy} is ${JSON.stringify(value)}`, {
    hint: `expected ${expected}`,
  });
}

function readNumber(policy: string, name: string, value: unknown, spec: { least?: number; most?: number }) {
  const { least = 0, most = Number.POSITIVE_INFINITY } = spec;
  if (typeof value === 'number' && value >= least && value <= most) return value;
  const from = least === Number.NEGATIVE_INFINITY ? '' : ` from ${least}`;
  return refuse(policy, name, value, `a number${from}${Number.isFinite(most) ? ` to ${most}` : ''}`);
}

/** What is given, and the defaults of the rest; throws UserError for what the policy does not have. */
export function readOptions<const S extends Record<string, OptionSpec>>(
  policy: string,
  options: Record<string, unknown>,
  specs: S,
): Values<S> {
  const names = Object.keys(specs);
  const unknown = Object.keys(options).find(name => !Object.hasOwn(specs, name));
  if (unknown !== undefined) {
    const hint =
      names.length === 0
        ? `${policy} takes no options`
        : (didYouMean(unknown, names) ?? `it has ${names.join(', ')}`);
    throw new UserError(`policy ${policy} has no option ${unknown}`, { hint });
  }
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries<OptionSpec>(specs)) {
    const value = options[name];
    if ('usual' in spec) {
      if (value === undefined) values[name] = spec.usual;
      else if (typeof spec.usual === 'number') values[name] = readNumber(policy, name, value, spec);
      else if (typeof value === 'boolean') values[name] = value;
      else refuse(policy, name, value, 'true or false');
    } else if (value === undefined || spec.includes(value as string)) values[name] = value ?? spec[0];
    else refuse(policy, name, value, `one of ${spec.join(', ')}`);
  }
  return values as Values<S>;
}
