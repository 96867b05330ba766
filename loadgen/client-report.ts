// How our own client kept up in a run, and whether its figures can be believed.
import { Histogram, type HistogramCounts } from '../scenarios/base/histogram.ts';
import { deviation, mean, quantile } from '../scenarios/base/statistics.ts';
import { type ClientReport, lagLimitMs, type Spread } from '../scenarios/formats/measured.ts';
import { type CallRecord, lagMs, ttftMs, type WorkflowRecord } from '../scenarios/formats/record.ts';
import type { SenderReport } from './sender.ts';

/** What the process did from the start of the run to its end. */
export interface ClientUse {
  readonly wallMs: number;
  readonly cpuUs: { readonly user: number; readonly system: number };
  readonly inFlightMax: number;
}

export function clientReport(
  calls: readonly CallRecord[],
  workflows: readonly WorkflowRecord[],
  senders: readonly SenderReport[],
  { wallMs, cpuUs, inFlightMax }: ClientUse,
): Omit<ClientReport, 'serverInFlightMax'> {
  const firsts = firstCalls(calls);
  return {
    workers: senders.length,
    lagMs: spreadOf(numbers(calls.map(lagMs))),
    sessionLagMs: spreadOf(numbers(firsts.map(lagMs))),
    loopDelayMs: worstOf(senders.map(({ loopDelayMs }) => loopDelayMs)),
    cpuCores: wallMs > 0 ? (cpuUs.user + cpuUs.system) / 1e3 / wallMs : 0,
    chunks: senders.reduce((sum, { chunks }) => sum + chunks, 0),
    chunkGapMs: mergedCounts(senders.map(({ chunkGapMs }) => chunkGapMs)),
    rate: rateOf(workflows, firsts),
    inFlightMax,
    socketsOpened: senders.reduce((sum, { socketsOpened }) => sum + socketsOpened, 0),
  };
}

export function mergedCounts(all: readonly HistogramCounts[]): HistogramCounts {
  const merged = new Histogram();
  for (const counts of all) merged.merge(counts);
  return merged.toCounts();
}

/** Why the run says more about our client than about the server; null when it does not. */
export function lagProblem(calls: readonly CallRecord[]): string | null {
  const lags = numbers(calls.map(lagMs));
  const ttfts = numbers(calls.map(ttftMs));
  if (lags.length === 0) return null;
  const lagP99 = quantile(lags, 0.99);
  const limit = lagLimitMs(ttfts.length === 0 ? 0 : quantile(ttfts, 0.5));
  if (lagP99 <= limit) return null;
  return `our client sent late: lag p99 ${lagP99.toFixed(0)} ms, above ${limit.toFixed(0)} ms (the larger of 50 ms and 5 % of the median TTFT)`;
}

/** Calls that failed because this machine had no more of something: they say nothing of the server. */
export function ourOwnProblem(calls: readonly CallRecord[]): string | null {
  const failed = calls.filter(({ error }) => error === 'client_limit').length;
  if (failed === 0) return null;
  return `${failed} calls could not be sent by this machine: it ran out of file descriptors, ports or memory for sockets; raise \`ulimit -n\``;
}

const numbers = (values: readonly (number | null)[]): number[] => values.filter(value => value !== null);

function spreadOf(values: readonly number[]): Spread {
  if (values.length === 0) return { n: 0, p50: 0, p95: 0, p99: 0, max: 0 };
  const [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1].map(q => quantile(values, q)) as [
    number,
    number,
    number,
    number,
  ];
  return { n: values.length, p50, p95, p99, max };
}

/** Of the thread whose p99 is the highest. */
function worstOf(all: readonly HistogramCounts[]): Spread {
  const spreads = all.map(counts => {
    if (counts.count === 0) return spreadOf([]);
    const histogram = Histogram.from(counts);
    const [p50, p95, p99] = [0.5, 0.95, 0.99].map(q => histogram.quantile(q)) as [number, number, number];
    return { n: counts.count, p50, p95, p99, max: counts.max };
  });
  return spreads.reduce((worst, each) => (each.p99 > worst.p99 ? each : worst), spreadOf([]));
}

/** The earliest call of each session that was sent. */
function firstCalls(calls: readonly CallRecord[]): CallRecord[] {
  const firsts = new Map<string, CallRecord>();
  for (const call of calls) {
    if (call.sentMs === null) continue;
    const first = firsts.get(call.session);
    if (first === undefined || call.sentMs < (first.sentMs as number)) firsts.set(call.session, call);
  }
  return [...firsts.values()];
}

/** Session starts as planned, and shifted by how late the first call of each was sent. */
function rateOf(workflows: readonly WorkflowRecord[], firsts: readonly CallRecord[]): ClientReport['rate'] {
  const late = new Map(firsts.map(call => [call.session, lagMs(call) ?? 0]));
  const planned = workflows.filter(({ session }) => late.has(session));
  const wanted = startsOf(planned.map(({ plannedMs }) => plannedMs));
  const done = startsOf(planned.map(({ session, plannedMs }) => plannedMs + late.get(session)!));
  if (wanted === null || done === null) return null;
  return {
    plannedPerSec: wanted.perSec,
    achievedPerSec: done.perSec,
    plannedCv: wanted.cv,
    achievedCv: done.cv,
  };
}

/** Rate and coefficient of variation of the gaps between starts; null with fewer than three. */
function startsOf(startsMs: number[]): { perSec: number; cv: number } | null {
  if (startsMs.length < 3) return null;
  startsMs.sort((a, b) => a - b);
  const gaps = startsMs.slice(1).map((start, i) => start - startsMs[i]!);
  const gapMs = mean(gaps);
  if (gapMs <= 0) return null;
  return { perSec: 1000 / gapMs, cv: deviation(gaps) / gapMs };
}
