// What came, was done and went wrong over time. Law: each rate times the length of its slices sums to what the run
// counts in all; tokens are spread evenly over the time in which they were computed.
import type { CallRecord } from '../scenarios/formats/record.ts';
import type { RatePoint } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import { wasServed } from './served.ts';

const SLICES_MAX = 500;
/** Shorter slices show single calls, not rates. */
const SLICE_MS_MIN = 100;

/** One figure over the slices of a run. */
class Series {
  private readonly inSlice: Float64Array;
  /** Change of the amount in each slice from here on. */
  private readonly steps: Float64Array;
  private readonly lengthMs: number;

  constructor(slices: number, lengthMs: number) {
    this.inSlice = new Float64Array(slices);
    this.steps = new Float64Array(slices + 1);
    this.lengthMs = lengthMs;
  }

  private sliceAt(ms: number): number {
    return Math.min(this.inSlice.length - 1, Math.max(0, Math.floor(ms / this.lengthMs)));
  }

  at(ms: number, amount: number): void {
    this.inSlice[this.sliceAt(ms)]! += amount;
  }

  /** Evenly from one instant to the other. */
  over(startMs: number, endMs: number, amount: number): void {
    const first = this.sliceAt(startMs);
    const last = this.sliceAt(endMs);
    if (first === last || endMs <= startMs) {
      this.inSlice[last]! += amount;
      return;
    }
    const perMs = amount / (endMs - startMs);
    this.inSlice[first]! += perMs * ((first + 1) * this.lengthMs - startMs);
    this.inSlice[last]! += perMs * (endMs - last * this.lengthMs);
    this.steps[first + 1]! += perMs * this.lengthMs;
    this.steps[last]! -= perMs * this.lengthMs;
  }

  /** The amount in each slice. */
  totals(): number[] {
    let whole = 0;
    return Array.from(this.inSlice, (own, i) => {
      whole += this.steps[i]!;
      return Math.max(0, own + whole);
    });
  }
}

/** Tokens of the prompt that went through the model, those computed again included. */
export const promptComputedOf = ({ promptTokens, cachedTokens, computedTokens, outputTokens }: CallRecord) =>
  computedTokens === null
    ? Math.max(0, promptTokens - (cachedTokens ?? 0))
    : Math.max(0, computedTokens - Math.max(0, outputTokens - 1));

/** Six digits are enough to draw, and to add up again. */
const rounded = (value: number): number => Number(value.toPrecision(6));

/** When an engine began with a call, as far as is known. */
const beganMs = ({ scheduledMs, firstTokenMs, sentMs, plannedMs }: CallRecord): number =>
  scheduledMs ?? (firstTokenMs === null ? plannedMs : (sentMs ?? firstTokenMs));

/** Slices of equal length, from the start of the run to its end; null of a run that took no time. */
export function ratesOf({ calls, workflows, governed, durationMs }: RunOutput): RatePoint[] | null {
  if (!(durationMs > 0)) return null;
  const slices = Math.max(1, Math.min(SLICES_MAX, Math.floor(durationMs / SLICE_MS_MIN)));
  const lengthMs = durationMs / slices;
  const series = () => new Series(slices, lengthMs);
  const [sessions, wanted, done, prefill, decode] = [series(), series(), series(), series(), series()];
  const [prompt, cached, preemptions, errors, retries] = [series(), series(), series(), series(), series()];
  for (const { startMs } of workflows) sessions.at(startMs, 1);
  for (const call of calls) {
    const { plannedMs, firstTokenMs, endMs, outcome } = call;
    const lastMs = endMs ?? durationMs;
    wanted.at(plannedMs, 1);
    if (outcome === 'ok') done.at(lastMs, 1);
    else if (outcome === 'error') errors.at(lastMs, 1);
    preemptions.over(beganMs(call), lastMs, call.preemptions ?? 0);
    if (call.outputTokens > 0) decode.over(firstTokenMs ?? lastMs, lastMs, call.outputTokens);
    if (!wasServed(call)) continue;
    prefill.over(beganMs(call), firstTokenMs ?? lastMs, promptComputedOf(call));
    if (call.cachedTokens === null) continue;
    prompt.at(beganMs(call), call.promptTokens);
    cached.at(beganMs(call), call.cachedTokens);
  }
  for (const { kind, sentMs, wantedMs } of governed?.attempts ?? [])
    if (kind === 'retry') retries.at(sentMs ?? wantedMs, 1);

  const seconds = lengthMs / 1000;
  const perSec = (of: Series): number[] => of.totals().map(total => rounded(total / seconds));
  const columns = {
    sessionsPerSec: perSec(sessions),
    callsWantedPerSec: perSec(wanted),
    callsDonePerSec: perSec(done),
    prefillTokensPerSec: perSec(prefill),
    decodeTokensPerSec: perSec(decode),
    preemptionsPerSec: perSec(preemptions),
    errorsPerSec: perSec(errors),
    retriesPerSec: perSec(retries),
  };
  const read = prompt.totals();
  const hit = cached.totals();
  const names = Object.keys(columns) as (keyof typeof columns)[];
  return Array.from({ length: slices }, (_, i) => {
    const rates = Object.fromEntries(names.map(name => [name, columns[name][i]!]));
    return {
      atMs: rounded(i * lengthMs),
      ...(rates as Record<keyof typeof columns, number>),
      cacheHitRatio: read[i] === 0 ? null : rounded(hit[i]! / read[i]!),
    };
  });
}
