// The answer of a run in three sentences: what came out, why (the bottleneck, with its evidence), what to try next.
import type { CriticalPath, TimelineSample } from '../scenarios/formats/record.ts';
import type { AssertionResult, RunResult } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import { CRITICAL_PARTS, totalMs } from './critical-path.ts';
import { plural, showCount, showMs, showRatio, showValue } from './numbers.ts';
import { shareOfSamples } from './timeline.ts';

/** From this share of its blocks on, a replica is about to preempt or make prefixes homeless. */
const KV_FULL_RATIO = 0.95;
/** Below this share, KV pressure or queueing is not worth a clause. */
const WORTH_SAYING = 0.05;

type Facts = Pick<RunResult, 'counts' | 'metrics' | 'criticalPath' | 'durationMs' | 'tokens'>;

export const PART_NAMES: Record<keyof CriticalPath, string> = {
  queueMs: 'waiting in a queue',
  prefillMs: 'prefill (until the first token)',
  decodeMs: 'decode',
  toolMs: 'tools',
  humanMs: 'people',
  waitMs: 'planned waits',
  retryMs: 'retries',
  limitMs: 'rate limits',
  coldMs: 'cold starts',
  transferMs: 'KV transfers and the network',
  otherMs: 'gaps outside any step, and calls of which only start and end are known',
};

/** The largest part of the summed critical path; null when no workflow completed. */
export function largestPart(path: CriticalPath): { part: keyof CriticalPath; share: number } | null {
  const allMs = totalMs(path);
  if (!(allMs > 0)) return null;
  const part = CRITICAL_PARTS.reduce((best, candidate) => (path[candidate] > path[best] ? candidate : best));
  return { part, share: path[part] / allMs };
}

const queueShareOf = (path: CriticalPath): number => path.queueMs / (totalMs(path) || 1);

/** Clauses that back the bottleneck: memory pressure, preemptions, errors. */
function evidence({ counts, criticalPath }: Facts, timeline: readonly TimelineSample[]): string[] {
  const clauses: string[] = [];
  const fullShare = shareOfSamples(timeline, ({ kvUsedRatio }) => kvUsedRatio >= KV_FULL_RATIO) ?? 0;
  if (fullShare >= WORTH_SAYING)
    clauses.push(`KV cache over ${showRatio(KV_FULL_RATIO)} full for ${showRatio(fullShare)} of the time`);
  if (counts.preemptions > 0) clauses.push(plural(counts.preemptions, 'preemption'));
  const waitingShare = shareOfSamples(timeline, ({ waitingRequests }) => waitingRequests > 0) ?? 0;
  if (waitingShare >= WORTH_SAYING) clauses.push(`requests queued for ${showRatio(waitingShare)} of the run`);
  const queueShare = queueShareOf(criticalPath);
  if (queueShare >= WORTH_SAYING && largestPart(criticalPath)?.part !== 'queueMs')
    clauses.unshift(`${showRatio(queueShare)} is ${PART_NAMES.queueMs}`);
  const [error] = Object.entries(counts.errors).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  if (error !== undefined) clauses.push(`${plural(error[1], 'call')} ended with ${error[0]}`);
  return clauses;
}

function whyOf(facts: Facts, timeline: readonly TimelineSample[]): string {
  const largest = largestPart(facts.criticalPath);
  const clauses = evidence(facts, timeline);
  if (largest === null) {
    const because = clauses.length === 0 ? '' : `: ${clauses.join(', ')}`;
    return `no workflow completed, so there is no critical path to attribute${because}`;
  }
  const text = `${showRatio(largest.share)} of the critical path is ${PART_NAMES[largest.part]}`;
  return clauses.length === 0 ? text : `${text}; ${clauses.join(', ')}`;
}

/** A cache full for this share of the time holds back everything else. */
const KV_FULL_MUCH = 0.2;

/** Waiting for this share of the time says more than what follows it. */
const QUEUE_MUCH = 0.2;

/** Preemptions per call from which recomputation costs more than it tells. */
const PREEMPTED_MIN = 0.01;

/** What usually moves each part; the first thing to try, not a promise. */
const REMEDIES: Record<keyof CriticalPath, string> = {
  queueMs:
    'add replicas or lower the rate: more work comes than is done; raise max_num_seqs if the KV cache has room',
  prefillMs: 'put stable prompt segments first and route by session, so that prefixes hit the cache',
  decodeMs: 'shorten the outputs on the critical path, or give those steps a faster model or smaller batches',
  toolMs: 'speed up or parallelise the tools on the critical path; more GPUs would not help',
  humanMs: 'people set the pace; more GPUs would not help',
  waitMs: 'planned waits set the pace; more GPUs would not help',
  retryMs: 'find out why attempts fail: what is tried again is paid for and waited for twice',
  limitMs: 'raise the limit, spread the calls over more keys or providers, or slow the arrivals down',
  coldMs: 'keep replicas or sandboxes warm, or scale up earlier',
  transferMs: 'bring prefill and decode, or client and server, closer together',
  otherMs:
    'look at the gaps in the waterfall: time there belongs to no step (client lag, retries, rate limits)',
};

/** What a failed promise on the time of single calls asks for, whatever the workflows spend their time on. */
function missedPart(facts: Facts, assertions: readonly AssertionResult[]): keyof CriticalPath | null {
  const missed = assertions.filter(({ pass }) => pass === false).map(({ text }) => text);
  const isOfCalls = missed.length > 0 && missed.every(text => /\b(ttft|queue|tpot|itl)\b/.test(text));
  if (!isOfCalls) return null;
  if (missed.some(text => /\b(tpot|itl)\b/.test(text))) return 'decodeMs';
  return facts.criticalPath.queueMs > facts.criticalPath.prefillMs ? 'queueMs' : 'prefillMs';
}

function nextOf(
  facts: Facts,
  timeline: readonly TimelineSample[],
  assertions: readonly AssertionResult[],
): string {
  const kvFullShare = shareOfSamples(timeline, ({ kvUsedRatio }) => kvUsedRatio >= KV_FULL_RATIO) ?? 0;
  const preempts = facts.counts.preemptions > facts.counts.calls.planned * PREEMPTED_MIN;
  if (kvFullShare >= KV_FULL_MUCH || (preempts && kvFullShare >= WORTH_SAYING)) {
    return 'give the KV cache room: more replicas, more GPU memory for it, or fewer agents at once';
  }
  if (queueShareOf(facts.criticalPath) >= QUEUE_MUCH) return REMEDIES.queueMs;
  const missed = missedPart(facts, assertions);
  if (missed !== null) return REMEDIES[missed];
  const largest = largestPart(facts.criticalPath);
  return largest === null ? 'look at the errors first, then run again' : REMEDIES[largest.part];
}

const judged = ({ text, value, unit }: AssertionResult): string =>
  `${text} came out at ${showValue(value, unit)}`;

function completedText({ planned, completed }: RunResult['counts']['workflows']): string {
  if (planned === 0) return 'no workflow started';
  if (planned !== completed) return `${showCount(completed)} of ${plural(planned, 'workflow')} completed`;
  return planned === 1 ? 'the workflow completed' : `all ${showCount(planned)} workflows completed`;
}

function headlineOf(facts: Facts, assertions: readonly AssertionResult[]): string {
  const { workflows } = facts.counts;
  const { makespan, ttft } = facts.metrics;
  const failed = assertions.filter(({ pass }) => pass === false);
  const times = [
    makespan === undefined ? '' : `workflow p95 ${showMs(makespan.p95)}`,
    ttft === undefined ? '' : `TTFT p95 ${showMs(ttft.p95)}`,
  ].filter(text => text !== '');
  const outcome = [completedText(workflows), ...times].join(', ');
  if (failed.length > 0) {
    const which = failed.length === 1 ? '' : 'first ';
    return `${failed.length} of ${plural(assertions.length, 'assertion')} failed: ${which}${judged(failed[0]!)}`;
  }
  const held = assertions.filter(({ pass }) => pass === true).length;
  return held === 0
    ? outcome
    : `${held === assertions.length ? `all ${held}` : `${held} of ${assertions.length}`} assertions hold; ${outcome}`;
}

/** Interrupted beats invalid beats failed: the first says that the others were judged on part of a run. */
export function verdictOf(
  output: RunOutput,
  facts: Facts,
  assertions: readonly AssertionResult[],
): RunResult['verdict'] {
  const why = whyOf(facts, output.timeline);
  const next = nextOf(facts, output.timeline, assertions);
  const headline = headlineOf(facts, assertions);
  if (output.interrupted) {
    return {
      status: 'interrupted',
      headline: `stopped after ${showMs(facts.durationMs)}: ${headline}`,
      why,
      next: `run it to the end: ${output.header.command}`,
    };
  }
  if (!output.valid) {
    return {
      status: 'invalid',
      headline: `not a measurement of the server: ${output.invalidReason ?? 'our own client was the bottleneck'}`,
      why,
      next: 'lower the rate, or add client workers, and run again',
    };
  }
  // A system under test that completes nothing has failed, whatever was asserted.
  const nothing = facts.counts.workflows.planned > 0 && facts.counts.workflows.completed === 0;
  if (nothing || assertions.some(({ pass }) => pass === false))
    return { status: 'fail', headline, why, next };
  return { status: assertions.some(({ pass }) => pass === true) ? 'pass' : 'done', headline, why, next };
}
