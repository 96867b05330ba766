// The answer of a run in three sentences: what came out, why (the bottleneck, with its evidence), what to try next.
import type { CriticalPath } from '../scenarios/formats/record.ts';
import type { AssertionResult, Bottleneck, RunResult, Suggestion } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import { missFact } from './cache-misses.ts';
import { CRITICAL_PARTS, totalMs } from './critical-path.ts';
import { plural, showCount, showMs, showRatio, showValue } from './numbers.ts';
import { failuresOf, kvFullRatio, shareText, suggestionText } from './suggestions.ts';

/** Below this share, KV pressure or queueing is not worth a clause. */
const WORTH_SAYING = 0.05;

type WhyFacts = Pick<RunResult, 'counts' | 'criticalPath' | 'durationMs' | 'cacheMisses'> & {
  readonly bottleneck: Bottleneck;
};
type Facts = WhyFacts & Pick<RunResult, 'metrics'> & { readonly suggestions: readonly Suggestion[] };

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

/** When pools had more than they could do, and what else backs the cause. */
function evidence(facts: WhyFacts): string[] {
  const { counts, criticalPath, bottleneck, durationMs } = facts;
  const clauses: string[] = [];
  const missed = missFact(facts);
  if (missed !== null && criticalPath.prefillMs >= WORTH_SAYING * totalMs(criticalPath)) clauses.push(missed);
  const queueShare = criticalPath.queueMs / (totalMs(criticalPath) || 1);
  if (queueShare >= WORTH_SAYING && largestPart(criticalPath)?.part !== 'queueMs')
    clauses.push(`${showRatio(queueShare)} is ${PART_NAMES.queueMs}`);
  const kvFull = kvFullRatio({ bottleneck, durationMs });
  if (kvFull >= WORTH_SAYING) clauses.push(`KV cache full for ${showRatio(kvFull)} of the time`);
  else if (bottleneck.saturatedRatio >= WORTH_SAYING)
    clauses.push(`more to do than could be done for ${showRatio(bottleneck.saturatedRatio)} of the time`);
  if (counts.preemptions > 0) clauses.push(plural(counts.preemptions, 'preemption'));
  const [error] = Object.entries(counts.errors).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  if (error !== undefined) clauses.push(`${plural(error[1], 'call')} ended with ${error[0]}`);
  return clauses;
}

/** Where people or planned waits set the pace, what makes up the rest. */
function restOf(path: CriticalPath, part: keyof CriticalPath): string[] {
  if (part !== 'humanMs' && part !== 'waitMs') return [];
  const rest = largestPart({ ...path, humanMs: 0, waitMs: 0 });
  return rest === null ? [] : [`of the rest, ${showRatio(rest.share)} is ${PART_NAMES[rest.part]}`];
}

function whyOf(facts: WhyFacts): string {
  const largest = largestPart(facts.criticalPath);
  const clauses = evidence(facts);
  if (largest === null) {
    const because = clauses.length === 0 ? '' : `: ${clauses.join(', ')}`;
    return `no workflow completed, so there is no critical path to attribute${because}`;
  }
  const where = shareText(facts.bottleneck, largest.part);
  const text = `${showRatio(largest.share)} of the critical path is ${PART_NAMES[largest.part]}${where}`;
  const failures = failuresOf(facts.counts);
  if (failures !== null) {
    const { planned, failed } = facts.counts.workflows;
    const first = `${showCount(failed)} of ${plural(planned, 'workflow')} failed, and ${plural(failures.calls, 'call')} ended with ${failures.error}`;
    return [first, `of the others ${text}`, ...clauses.slice(0, -1)].join('; ');
  }
  return [text, ...restOf(facts.criticalPath, largest.part), ...clauses].join('; ');
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
  const why = whyOf(facts);
  const next = facts.suggestions.slice(0, 1).map(suggestionText).join('');
  const headline = headlineOf(facts, assertions);
  if (output.interrupted) {
    return {
      status: 'interrupted',
      headline: `stopped after ${showMs(facts.durationMs)}: ${headline}`,
      why,
      next: `run it to the end: ${output.header.command}`,
    };
  }
  if (output.isPartial === true) {
    return {
      status: 'invalid',
      headline: `a part of the run is missing: ${output.invalidReason ?? 'a shard was lost'}`,
      why,
      next: `run it again: ${output.header.command}`,
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
