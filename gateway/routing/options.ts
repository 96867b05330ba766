// Options of a routing policy come from a deployment file: an unknown one is refused, never ignored.
import { UserError } from '../../scenarios/base/errors.ts';

/** For a policy that has nothing to set. */
export function refuseOptions(policy: string, options: Record<string, unknown>): void {
  const unknown = Object.keys(options);
  if (unknown.length === 0) return;
  throw new UserError(`routing policy ${policy} has no option ${unknown.join(', ')}`, {
    hint: `${policy} takes no options`,
  });
}
