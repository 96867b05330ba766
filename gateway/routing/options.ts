// Options of a policy come from a deployment file: an unknown one is refused, never ignored.
import { UserError } from '../../scenarios/base/errors.ts';
import { didYouMean, show } from '../../scenarios/formats/suggest.ts';

/** For a policy that has nothing to set. */
export function refuseOptions(policy: string, options: Record<string, unknown>): void {
  const unknown = Object.keys(options);
  if (unknown.length === 0) return;
  throw new UserError(`policy ${policy} has no option ${unknown.join(', ')}`, {
    hint: `${policy} takes no options`,
  });
}

/**
 * The numbers that a policy can be given, with its defaults; refuses what is not there or lies outside. `besides` names
 * options that are read otherwise.
 */
export function numberOptions<T extends Record<string, number>>(
  policy: string,
  options: Record<string, unknown>,
  defaults: T,
  { most = {}, besides = [] }: { most?: Partial<Record<keyof T, number>>; besides?: readonly string[] } = {},
): T {
  const known = [...Object.keys(defaults), ...besides];
  const values: Record<string, number> = { ...defaults };
  for (const [name, value] of Object.entries(options)) {
    if (!known.includes(name)) {
      const hint = didYouMean(name, known) ?? `it has ${known.join(', ')}`;
      throw new UserError(`policy ${policy} has no option ${name}`, { hint });
    }
    if (besides.includes(name)) continue;
    const limit = most[name as keyof T] ?? Number.POSITIVE_INFINITY;
    if (typeof value !== 'number' || !(value >= 0) || value > limit) {
      const range = limit === Number.POSITIVE_INFINITY ? 'from 0 on' : `from 0 to ${limit}`;
      throw new UserError(`option ${name} of policy ${policy} is ${show(value)}`, {
        hint: `expected a number ${range}`,
      });
    }
    values[name] = value;
  }
  return values as T;
}

/** One of a few words; the first is the default. */
export function choiceOption<const T extends string | boolean>(
  policy: string,
  options: Record<string, unknown>,
  name: string,
  choices: readonly T[],
): T {
  const value = Object.hasOwn(options, name) ? options[name] : choices[0];
  const choice = choices.find(each => each === value);
  if (choice !== undefined) return choice;
  throw new UserError(`option ${name} of policy ${policy} is ${show(value)}`, {
    hint: `expected one of ${choices.join(', ')}`,
  });
}
