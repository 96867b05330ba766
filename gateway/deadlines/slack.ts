// Deadlines of steps: what is left until the workflow's deadline is split over what is still to do, in proportion to
// expected time (workflows/compile-slack.ts). A step that is late leaves less to all that come after it.

/**
 * When a step's call should have ended, ms of the run: after its share of what is left until the workflow's deadline. The
 * deadline itself where no share is known, or none is left to split.
 */
export function stepDeadlineMs(nowMs: number, deadlineMs: number, slackShare: number | null): number {
  if (slackShare === null || deadlineMs <= nowMs || deadlineMs === Number.POSITIVE_INFINITY)
    return deadlineMs;
  return nowMs + (deadlineMs - nowMs) * slackShare;
}
