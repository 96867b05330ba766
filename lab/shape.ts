// The unrolled shape of a scenario before anything runs: how many calls, how wide, how long the longest chain, how many
// tokens, how much of the prompts an infinite cache would hold, and what they cost at list price.

import { sampleSessions } from '../engines/prepare.ts';
import { evaluate } from '../scenarios/base/expression.ts';
import { quantileSorted } from '../scenarios/base/statistics.ts';
import { type Amount, meanAmount } from '../scenarios/formats/amount.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type { NodeRecord } from '../scenarios/formats/record.ts';
import type { Step, Workflow } from '../scenarios/workflows/program.ts';
import { type Walked, walk } from '../scenarios/workflows/walk.ts';
import { blockHashes } from '../sim/reference/block-hash.ts';
import type { Price } from './prices.ts';

/** Nominal length of a call while walking, ms: only the order of things depends on it. */
const NOMINAL_CALL_MS = 2000;
const CACHE_BLOCK_TOKENS = 16;
export const SHAPE_SESSIONS = 100;

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

/** Expected value of an amount from the text alone. */
function expected(amount: Amount, whole: boolean, params: ReadonlyMap<string, Amount>): number | null {
  if (amount.kind === 'draw') return meanAmount(amount, whole);
  let known = true;
  const value = evaluate(amount.expression, {
    name: name => {
      const param = params.get(name);
      if (param === undefined || param.kind === 'expression') {
        known = false;
        return 0;
      }
      // Rounding happens where the parameter is used; over a distribution it leaves the mean where it was.
      return meanAmount(param, whole && amount.expression.kind === 'name');
    },
    tokens: () => {
      known = false;
      return 0;
    },
  });
  return known ? Math.min(Math.max(value, amount.min), amount.max) : null;
}

/** Expected LLM calls of a list of steps, or null where only a run can tell. */
export function expectedCalls(steps: readonly Step[], params: ReadonlyMap<string, Amount>): number | null {
  let sum = 0;
  for (const step of steps) {
    const calls = callsOf(step, params);
    if (calls === null) return null;
    sum += calls;
  }
  return sum;
}

const times = (count: number | null, calls: number | null): number | null =>
  count === null || calls === null ? null : count * calls;

function callsOf(step: Step, params: ReadonlyMap<string, Amount>): number | null {
  switch (step.verb) {
    case 'llm':
      return 1;
    case 'tool':
    case 'human':
    case 'wait':
      return 0;
    case 'map':
      if (step.join !== 'all') return null;
      return times(
        expected(step.over as Amount, true, params),
        expectedCalls(step.branches[0] ?? [], params),
      );
    case 'parallel': {
      if (step.join !== 'all') return null;
      const branches = step.branches.map(branch => expectedCalls(branch, params));
      return branches.reduce<number | null>(
        (sum, each) => (sum === null || each === null ? null : sum + each),
        0,
      );
    }
    case 'repeat': {
      const inner = expectedCalls(step.steps, params);
      if (step.stopRatio === null) {
        const count = expected(step.times as Amount, true, params);
        return times(count === null ? null : Math.min(count, step.max), inner);
      }
      let passes = 0;
      for (let pass = 0, going = 1; pass < step.max; pass++, going *= 1 - step.stopRatio) passes += going;
      return times(passes, inner);
    }
    case 'branch': {
      const total = step.cases.reduce((sum, each) => sum + (each.weight ?? 0), 0);
      if (total === 0) return null;
      let sum = 0;
      for (const each of step.cases) {
        const calls = expectedCalls(each.steps, params);
        if (calls === null) return null;
        sum += (calls * (each.weight ?? 0)) / total;
      }
      return sum;
    }
    case 'agent':
      return expectedCalls(step.steps, params);
  }
}

/** The longest chain: back from the last node along what released it. */
function chain(nodes: readonly NodeRecord[]): { calls: number; toolMs: number } {
  const byPath = new Map(
    nodes
      .filter(node => node.status === 'completed' || node.status === 'failed')
      .map(node => [node.call, node]),
  );
  let last: NodeRecord | undefined;
  for (const node of byPath.values()) if (last === undefined || node.endMs > last.endMs) last = node;
  let calls = 0;
  let toolMs = 0;
  for (let node = last; node !== undefined; node = node.cause === null ? undefined : byPath.get(node.cause)) {
    if (node.kind === 'llm') calls++;
    else toolMs += node.endMs - node.startMs;
  }
  return { calls, toolMs };
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** What the sampled sessions of one workflow add up to. */
interface Group {
  walked: Walked[];
  cachedTokens: number;
  promptTokens: number;
  usd: { cached: number; uncached: number } | null;
}

/** The shape of every workflow that the plan's traffic uses. */
export function shapeOf(
  plan: Plan,
  workflows: ReadonlyMap<string, Workflow>,
  priceOf: (model: string) => Price | null,
): WorkflowShape[] {
  const seen = new Set<string>();
  const groups = new Map<string, Group>();
  for (const session of sampleSessions(plan, SHAPE_SESSIONS)) {
    const name = session.program.workflow;
    const group: Group = groups.get(name) ?? {
      walked: [],
      cachedTokens: 0,
      promptTokens: 0,
      usd: { cached: 0, uncached: 0 },
    };
    groups.set(name, group);
    const walked = walk(session, () => NOMINAL_CALL_MS);
    group.walked.push(walked);
    for (const call of walked.calls) {
      const hashes = blockHashes([...call.prompt, ...call.output], CACHE_BLOCK_TOKENS);
      const full = Math.floor((call.promptTokens - 1) / CACHE_BLOCK_TOKENS);
      let hits = 0;
      while (hits < full && seen.has(hashes[hits] as string)) hits++;
      for (const hash of hashes) seen.add(hash);
      const cachedTokens = hits * CACHE_BLOCK_TOKENS;
      group.cachedTokens += cachedTokens;
      group.promptTokens += call.promptTokens;
      const price = priceOf(call.model);
      if (price === null) group.usd = null;
      else if (group.usd !== null) {
        const out = (call.outputTokens * price.out) / 1e6;
        group.usd.cached +=
          ((call.promptTokens - cachedTokens) * price.in + cachedTokens * price.cachedIn) / 1e6 + out;
        group.usd.uncached += (call.promptTokens * price.in) / 1e6 + out;
      }
    }
  }
  return [...groups].map(([workflow, group]) => {
    const { walked } = group;
    const calls = walked.map(each => each.calls.length);
    const perSession = (value: (each: Walked) => number): number => mean(walked.map(value));
    const sum = (each: Walked, value: (call: Walked['calls'][number]) => number): number =>
      each.calls.reduce((total, call) => total + value(call), 0);
    const chains = walked.map(each => chain(each.nodes));
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
