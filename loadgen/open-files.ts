// Whether this machine lets a run have as many sockets as it needs: a call beyond the limit fails as `client_limit`, and
// the run is not valid.
import { readFileSync } from 'node:fs';
import type { Cohort, Plan } from '../scenarios/formats/plan.ts';

/** Open beside the calls' sockets: logs, looks at metrics, Node's own. */
const OTHER_FILES = 64;
/** A plan with more sessions at its start is not counted further. */
const COUNTED_MAX = 100_000;

/** Files, sockets among them, that this process may have open; null: unlimited, or the system does not say (not Linux). */
export function openFilesMax(limits = limitsOf()): number | null {
  const max = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return max === undefined ? null : Number(max);
}

function limitsOf(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}

/** Sessions that are under way together whatever the server does: agents of a loop, and all that start at once. */
function together(cohort: Cohort): number {
  if (cohort.kind === 'closed') return cohort.agents;
  if (cohort.arrival.kind !== 'at-once') return 0;
  let count = 0;
  for (const _ of cohort.sessions()) if (++count >= COUNTED_MAX) break;
  return count;
}

/** What to know before the run; each session needs a socket, and one for each further call of a fan-out. */
export function openFilesWarnings({ cohorts }: Pick<Plan, 'cohorts'>, max = openFilesMax()): string[] {
  if (max === null) return [];
  const sessions = cohorts.reduce((sum, cohort) => sum + together(cohort), 0);
  if (sessions + OTHER_FILES <= max) return [];
  return [
    `${sessions} sessions at once need as many sockets and more, and this process may have ${max} files open: ` +
      'calls beyond that fail as client_limit; raise it with `ulimit -n` (`ulimit -Hn` shows how far)',
  ];
}
