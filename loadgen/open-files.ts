// Whether this machine lets a run have as many sockets as it needs: a call beyond the limit fails as `client_limit`, and
// the run is not valid.
import { readFileSync } from 'node:fs';
import type { Plan } from '../scenarios/formats/plan.ts';
import { sessionsTogether } from './first-wave.ts';

/** Open beside the calls' sockets: logs, looks at metrics, Node's own. */
const OTHER_FILES = 64;

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

/** What to know before the run; each session needs a socket, and one for each further call of a fan-out. */
export function openFilesWarnings(plan: Pick<Plan, 'cohorts'>, max = openFilesMax()): string[] {
  if (max === null) return [];
  const sessions = sessionsTogether(plan);
  if (sessions + OTHER_FILES <= max) return [];
  return [
    `${sessions} sessions at once need as many sockets and more, and this process may have ${max} files open: ` +
      'calls beyond that fail as client_limit; raise it with `ulimit -n` (`ulimit -Hn` shows how far)',
  ];
}
