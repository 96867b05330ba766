// What the live view shows, kept up to date from what has ended since the last look. Pure; its size does not grow with
// the run: the whole run lies in at most 64 intervals of time, which double when they are full.
import { Histogram } from '../base/histogram.ts';
import type { Assertion } from '../formats/assertion.ts';
import { type CallRecord, type TimelineSample, ttftMs, type WorkflowRecord } from '../formats/record.ts';
import type { RunSoFar } from '../formats/run.ts';
import { type Lamp, Lamps } from './lamps.ts';

/** One figure over the run, oldest first; null where nothing is known. */
export interface Series {
  readonly name: string;
  readonly unit: 'count' | 'ms';
  readonly values: readonly (number | null)[];
  /** The latest that says something; null: nothing is known yet. */
  readonly now: number | null;
}

export interface FirstError {
  readonly code: string;
  readonly count: number;
  readonly firstMs: number;
}

export interface LiveState {
  readonly nowMs: number;
  readonly sessionsStarted: number;
  readonly sessionsEnded: number;
  readonly callsEnded: number;
  readonly callsFailed: number;
  readonly series: readonly Series[];
  readonly lamps: readonly Lamp[];
  /** In order of their first. */
  readonly errors: readonly FirstError[];
}

const INTERVALS = 64;
const FIRST_INTERVAL_MS = 250;
/** Beyond, records are sampled: what bounds the cost of the view. A live run with ten looks a second passes it at 2,000
 * calls a second. Errors are always counted. */
const RECORDS_PER_LOOK = 200;

/** One interval of time. */
interface Interval {
  looks: number;
  inFlight: number;
  queue: number;
  /** Looks that saw a queue at all. */
  queueLooks: number;
  outputTokens: number;
  ttft: Histogram;
  /** p95 of `ttft`; undefined: it has changed. */
  ttftMs: number | null | undefined;
}

const empty = (): Interval => ({
  looks: 0,
  inFlight: 0,
  queue: 0,
  queueLooks: 0,
  outputTokens: 0,
  ttft: new Histogram(),
  ttftMs: null,
});

/** Both in one. */
function joined(one: Interval, other: Interval): Interval {
  const ttft = one.ttft;
  if (other.ttft.count > 0) ttft.merge(other.ttft.toCounts());
  return {
    looks: one.looks + other.looks,
    inFlight: one.inFlight + other.inFlight,
    queue: one.queue + other.queue,
    queueLooks: one.queueLooks + other.queueLooks,
    outputTokens: one.outputTokens + other.outputTokens,
    ttft,
    ttftMs: undefined,
  };
}

function p95(interval: Interval): number | null {
  interval.ttftMs ??= interval.ttft.count === 0 ? null : interval.ttft.quantile(0.95);
  return interval.ttftMs;
}

export class LiveWindow {
  private readonly lamps: Lamps;
  private readonly errors = new Map<string, { code: string; count: number; firstMs: number }>();
  private intervals: Interval[] = [empty()];
  private intervalMs = FIRST_INTERVAL_MS;
  private calls = 0;
  private workflows = 0;
  private failed = 0;
  private nowMs = 0;
  private sessionsStarted = 0;
  private activeSessions = 0;

  constructor(assertions: readonly Assertion[]) {
    this.lamps = new Lamps(assertions);
  }

  /** Takes in what has ended since the last time. */
  look(run: RunSoFar): void {
    const { calls, workflows } = run;
    this.nowMs = Math.max(this.nowMs, run.nowMs);
    this.sessionsStarted = run.sessionsStarted;
    this.activeSessions = run.activeSessions;
    const callStride = strideOf(calls.length - this.calls);
    for (; this.calls < calls.length; this.calls++) {
      const call = calls[this.calls] as CallRecord;
      if (call.error !== null) this.countError(call, call.error);
      if (this.calls % callStride === 0) this.callEnded(call, callStride);
    }
    const stride = strideOf(workflows.length - this.workflows);
    for (; this.workflows < workflows.length; this.workflows += stride)
      this.lamps.session(workflows[this.workflows] as WorkflowRecord, stride);
    this.workflows = workflows.length;
    const now = this.at(this.nowMs);
    now.looks++;
    now.inFlight += run.callsInFlight;
    const queue = waiting(run.timeline);
    if (queue !== null) {
      now.queue += queue;
      now.queueLooks++;
    }
  }

  /** `times`: calls that it stands for. */
  private callEnded(call: CallRecord, times: number): void {
    this.lamps.call(call, times);
    const interval = this.at(call.endMs ?? this.nowMs);
    interval.outputTokens += call.outputTokens * times;
    const ttft = ttftMs(call);
    if (ttft === null) return;
    interval.ttft.record(ttft, times);
    interval.ttftMs = undefined;
  }

  private countError({ outcome, endMs }: CallRecord, code: string): void {
    if (outcome === 'cancelled') return;
    if (outcome === 'error') this.failed++;
    const known = this.errors.get(code);
    if (known !== undefined) known.count++;
    else this.errors.set(code, { code, count: 1, firstMs: endMs ?? this.nowMs });
  }

  private at(ms: number): Interval {
    while (ms >= this.intervalMs * INTERVALS) this.double();
    const index = Math.max(0, Math.floor(ms / this.intervalMs));
    while (this.intervals.length <= index) this.intervals.push(empty());
    return this.intervals[index] as Interval;
  }

  private double(): void {
    this.intervalMs *= 2;
    const pairs: Interval[] = [];
    for (let i = 0; i < this.intervals.length; i += 2)
      pairs.push(joined(this.intervals[i] as Interval, this.intervals[i + 1] ?? empty()));
    this.intervals = pairs;
  }

  state(): LiveState {
    const { intervals, intervalMs, nowMs } = this;
    const held = (gauge: (interval: Interval) => number | null): (number | null)[] => {
      let last: number | null = null;
      return intervals.map(interval => {
        last = gauge(interval) ?? last;
        return last;
      });
    };
    const mean = (sum: number, of: number): number | null => (of === 0 ? null : sum / of);
    const lastMs = Math.max(1, nowMs - (intervals.length - 1) * intervalMs);
    const rates = intervals.map(
      ({ outputTokens }, i) => (1000 * outputTokens) / (i === intervals.length - 1 ? lastMs : intervalMs),
    );
    const seriesOf = (name: string, unit: Series['unit'], values: (number | null)[]): Series => ({
      name,
      unit,
      values,
      now: values.findLast(value => value !== null) ?? null,
    });
    return {
      nowMs,
      sessionsStarted: this.sessionsStarted,
      sessionsEnded: this.sessionsStarted - this.activeSessions,
      callsEnded: this.calls,
      callsFailed: this.failed,
      series: [
        seriesOf(
          'in flight',
          'count',
          held(({ inFlight, looks }) => mean(inFlight, looks)),
        ),
        seriesOf(
          'queue',
          'count',
          held(({ queue, queueLooks }) => mean(queue, queueLooks)),
        ),
        seriesOf('TTFT p95', 'ms', intervals.map(p95)),
        // An interval that has only begun says little.
        seriesOf(
          'tokens/s',
          'count',
          lastMs < intervalMs / 2 && rates.length > 1 ? rates.slice(0, -1) : rates,
        ),
      ],
      lamps: this.lamps.lit(),
      errors: [...this.errors.values()],
    };
  }
}

/** A simulation ends more calls between two looks than a display needs: every n-th is looked at. */
const strideOf = (ended: number): number => Math.max(1, Math.ceil(ended / RECORDS_PER_LOOK));

/** Requests that wait at all replicas, at the latest instant they were looked at. */
function waiting(timeline: readonly TimelineSample[]): number | null {
  const last = timeline.at(-1);
  if (last === undefined) return null;
  let sum = 0;
  for (let i = timeline.length - 1; i >= 0; i--) {
    const sample = timeline[i] as TimelineSample;
    if (sample.atMs !== last.atMs) break;
    sum += sample.waitingRequests;
  }
  return sum;
}
