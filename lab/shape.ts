// The unrolled shape of a scenario before anything runs: how many calls, how wide, how long the longest chain, how many
// tokens, how much of the prompts an infinite cache would hold, and what they cost at list price.

import { quantileSorted } from '../scenarios/base/statistics.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import { expectedCalls } from '../scenarios/lint/expected.ts';
import type { WalkedSession } from '../scenarios/lint/lint.ts';
import type { Workflow } from '../scenarios/workflows/program.ts';
import { callUsd, type Price } from './prices.ts';
import { walkedSessions } from './sample.ts';

export interface WorkflowShape {
  workflow: string;
  sessionsSampled: number;
  /** Expected calls of one session, from the text; null where it depends on results (a count from tokens()). */
  callsExpected: number | null;
  callsMin: number;
  callsMean: number;
  callsMax: number;
  toolCallsMean: number;
  promptTokensMean: number;
  promptTokensMax: number;
  outputTokensMean: number;
  reasoningTokensMean: number;
  widthMax: number;
  /** Calls one after the other in the longest chain of the median session. */
  chainCalls: number;
  /** Tools, people and waits along that chain, ms. */
  chainToolMs: number;
  /** Share of prompt tokens that an infinite cache of 16-token blocks would hold, over the sampled sessions. */
  cacheableRatio: number;
  /** USD of one session at list price, with that cache and without one; null where a price is missing. */
  usdCached: number | null;
  usdUncached: number | null;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** What the sampled sessions of one workflow add up to. */
interface Group {
  walked: WalkedSession[];
  cachedTokens: number;
  promptTokens: number;
  usd: { cached: number; uncached: number } | null;
}

/** The shape of every workflow that the plan's traffic uses. */
export function shapeOf(
  plan: Plan,
  workflows: ReadonlyMap<string, Workflow>,
  priceOf: (model: string) => Price | null,
  walks: readonly WalkedSession[] = walkedSessions(plan),
): WorkflowShape[] {
  const groups = new Map<string, Group>();
  for (const walked of walks) {
    const name = walked.session.program.workflow;
    const group: Group = groups.get(name) ?? {
      walked: [],
      cachedTokens: 0,
      promptTokens: 0,
      usd: { cached: 0, uncached: 0 },
    };
    groups.set(name, group);
    group.walked.push(walked);
    for (const call of walked.calls) {
      const { cachedTokens } = call;
      group.cachedTokens += cachedTokens;
      group.promptTokens += call.promptTokens;
      const price = priceOf(call.model);
      if (price === null) group.usd = null;
      else if (group.usd !== null) {
        group.usd.cached += callUsd(call, cachedTokens, price);
        group.usd.uncached += callUsd(call, 0, price);
      }
    }
  }
  return [...groups].map(([workflow, group]) => {
    const { walked } = group;
    const calls = walked.map(each => each.calls.length);
    const perSession = (value: (each: WalkedSession) => number): number => mean(walked.map(value));
    const sum = (each: WalkedSession, value: (call: WalkedSession['calls'][number]) => number): number =>
      each.calls.reduce((total, call) => total + value(call), 0);
    const chains = walked.map(each => each.chain);
    const template = workflows.get(workflow);
    return {
      workflow,
      sessionsSampled: walked.length,
      callsExpected: template === undefined ? null : expectedCalls(template.steps, template.params),
      callsMin: Math.min(...calls),
      callsMean: mean(calls),
      callsMax: Math.max(...calls),
      toolCallsMean: perSession(each => each.toolCalls),
      promptTokensMean: perSession(each => sum(each, call => call.promptTokens)),
      promptTokensMax: walked.reduce(
        (most, each) => each.calls.reduce((longest, call) => Math.max(longest, call.promptTokens), most),
        0,
      ),
      outputTokensMean: perSession(each => sum(each, call => call.outputTokens)),
      reasoningTokensMean: perSession(each => sum(each, call => call.reasoningTokens)),
      widthMax: Math.max(...walked.map(each => each.widthMax)),
      chainCalls: quantileSorted(
        chains.map(each => each.calls).sort((a, b) => a - b),
        0.5,
      ),
      chainToolMs: quantileSorted(
        chains.map(each => each.toolMs).sort((a, b) => a - b),
        0.5,
      ),
      cacheableRatio: group.promptTokens === 0 ? 0 : group.cachedTokens / group.promptTokens,
      usdCached: group.usd === null ? null : group.usd.cached / walked.length,
      usdUncached: group.usd === null ? null : group.usd.uncached / walked.length,
    };
  });
}
