// How many cases make one job: enough that the queue costs little, few enough that the end of a sweep is shared evenly
// and a dead worker takes little with it.

/** What a job should take. A round through Redis costs about a millisecond. */
const JOB_MS = 1500;
const CASES_MAX = 500;

/** `caseMs`: mean of the last cases, null before the first; `left`: not sent yet; `slots`: cases that run at once. */
export function casesPerJob(of: { caseMs: number | null; left: number; slots: number }): number {
  const { caseMs, left, slots } = of;
  if (caseMs === null) return Math.min(1, left);
  const byTime = Math.floor(JOB_MS / Math.max(caseMs, 0.01));
  // What is left goes in two rounds at least, so that nobody waits long for the last.
  const byTail = Math.ceil(left / (2 * slots));
  return Math.min(left, Math.max(1, Math.min(byTime, byTail, CASES_MAX)));
}

/** Jobs that are out at once: one in work and one in wait for each slot, and two for a worker that joins. */
export const jobsOut = (slots: number): number => 2 * slots + 2;
