// A plan in one number, the same on every machine that computes the same: the scenario as it was read, and all that the
// first sessions of each cohort draw. Where files lie has no part in it.
import { createHash } from 'node:crypto';
import { sampleSessions } from '../../engines/prepare.ts';
import type { LoadedScenario } from '../../scenarios/cli/load.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { toText } from './plain-text.ts';

const SESSIONS_OF_COHORT = 5;

/** SHA-256, hexadecimal; null where there is no plan. */
export function planDigest({ file, compiled }: LoadedScenario): string | null {
  const plan = compiled?.plan ?? null;
  if (plan === null) return null;
  const hash = createHash('sha256').update(toText(file));
  for (const session of sampleSessions(plan, SESSIONS_OF_COHORT)) {
    const { calls, makespanMs } = walk(session);
    hash.update(toText([session.id, session.key, session.plannedMs, calls, makespanMs]));
  }
  return hash.digest('hex');
}
