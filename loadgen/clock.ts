// The only reader of wall time in the load generator: monotonic milliseconds from one zero, which is anchored to the
// wall once and never moved, so that no NTP step bends a latency.

/** Zero of a run. Plain data: pass it to a worker process of the same machine and both read the same time. */
export interface ClockZero {
  /** Milliseconds of the machine's monotonic clock at zero. */
  monotonicMs: number;
  /** Milliseconds since 1970 at zero. */
  unixMs: number;
}

export interface Clock {
  readonly zero: ClockZero;
  /** Milliseconds since zero, fractional, never going back. */
  nowMs(): number;
}

const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** A clock that starts now, or that shares the zero of another one. */
export function startClock(zero: ClockZero = { monotonicMs: monotonicMs(), unixMs: Date.now() }): Clock {
  // performance.now() is the same monotonic clock from another zero, and cheaper to read than hrtime.
  const offsetMs = performance.now() - (monotonicMs() - zero.monotonicMs);
  return { zero, nowMs: () => performance.now() - offsetMs };
}
