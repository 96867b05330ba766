// Budgets that no session can keep, and timeouts that most attempts would end in.

import { quantile } from '../../scenarios/base/distributions.ts';
import type { InputPath } from '../../scenarios/base/issue.ts';
import { parseAmount } from '../../scenarios/formats/amount.ts';
import { type Dimension, parseScalar } from '../../scenarios/formats/quantity.ts';
import { eachRawStep } from '../../scenarios/formats/steps.ts';
import {
  defineLint,
  type Finding,
  percent,
  shortCount,
  shortMs,
  type WalkedCall,
  type WalkedSession,
} from '../../scenarios/lint/lint.ts';
import { callUsd } from '../prices.ts';
import { type LabContext, quantileOf, smallest } from './context.ts';

type Budget = Readonly<Record<string, unknown>>;

interface Measure {
  /** What a call used. */
  of(call: WalkedCall): number;
  /** What it reserves before it is sent. */
  claim(call: WalkedCall): number;
  readonly words: string;
}

export const budgets = defineLint('WT2010', function* (context: LabContext): Generator<Finding> {
  for (const name of context.workflows.keys()) {
    const budget = context.file.workflows?.[name]?.budget;
    if (budget === undefined) continue;
    const path = ['workflows', name, 'budget'];
    yield* tokenBudgets(context, context.walksOf(name), budget, path);
    yield* countBudgets(context, name, budget, path);
    yield* wallBudget(context, name, budget, path);
  }
  for (const [name, tenant] of Object.entries(context.file.tenants ?? {})) {
    const walks = context.walks.filter(({ session }) => session.tenant === name);
    for (const key of ['budget', 'user_budget'] as const)
      if (tenant[key] !== undefined) yield* tokenBudgets(context, walks, tenant[key], ['tenants', name, key]);
  }
});

const limitOf = (budget: Budget, key: string, dimension: Dimension): number | null => {
  const parsed = budget[key] === undefined ? null : parseScalar(budget[key], dimension);
  return parsed !== null && 'value' in parsed ? parsed.value : null;
};

/** What a budget of tokens or money must hold at the least: one call, the smallest of the walked sessions. */
function* tokenBudgets(
  context: LabContext,
  walks: readonly WalkedSession[],
  budget: Budget,
  path: InputPath,
): Generator<Finding> {
  const calls = walks.flatMap(({ calls }) => calls);
  const firsts = walks.flatMap(({ calls: [first] }) => first ?? []);
  const allowed = (call: WalkedCall): number => call.rules?.maxOutputTokens ?? call.outputTokens;
  const measures: Record<string, Measure> = {
    input_tokens: { of: call => call.promptTokens, claim: call => call.promptTokens, words: 'prompt' },
    output_tokens: { of: call => call.outputTokens, claim: allowed, words: 'output' },
    tokens: {
      of: call => call.promptTokens + call.outputTokens,
      claim: call => call.promptTokens + allowed(call),
      words: 'call',
    },
  };
  for (const [key, { of, claim, words }] of Object.entries(measures)) {
    const limit = limitOf(budget, key, 'tokens');
    const least = smallest(calls.map(of));
    const leastClaim = smallest(firsts.map(claim));
    if (limit === null || calls.length === 0 || limit >= Math.max(least, leastClaim)) continue;
    yield {
      path: [...path, key],
      message:
        limit < least
          ? `${key} ${shortCount(limit)} holds no call: the smallest ${words} of the first sessions has ${shortCount(least)} tokens`
          : `${key} ${shortCount(limit)} holds no first call: it reserves at least ${shortCount(leastClaim)} tokens, the most that its answer may have`,
      hint:
        limit < least
          ? 'raise it above what a session uses; `check` prints the mean'
          : 'raise it, or give the step a `max_tokens`',
    };
  }
  const usd = limitOf(budget, 'usd', 'usd');
  // At best every prompt token comes from a cache.
  const costs = calls.flatMap(call => {
    const price = context.priceOf(call.model);
    return price === null ? [] : [callUsd(call, call.promptTokens, price)];
  });
  const cheapest = smallest(costs);
  if (usd !== null && costs.length > 0 && usd < cheapest) {
    yield {
      path: [...path, 'usd'],
      message: `${usd} USD pays for no call: the cheapest of the first sessions costs ${cheapest.toPrecision(2)} USD even with its whole prompt cached`,
      hint: 'raise it above what a session costs; `check` prints the list price',
    };
  }
}

function* countBudgets(
  context: LabContext,
  workflow: string,
  budget: Budget,
  path: InputPath,
): Generator<Finding> {
  const walks = context.walksOf(workflow);
  if (walks.length === 0) return;
  const shape = context.shapes.find(each => each.workflow === workflow);
  const counts: Record<string, { usual: number; each: number[]; words: string }> = {
    llm_calls: {
      usual: shape?.callsExpected ?? shape?.callsMean ?? 0,
      each: walks.map(({ calls }) => calls.length),
      words: 'calls',
    },
    tool_calls: {
      usual: shape?.toolCallsMean ?? 0,
      each: walks.map(({ toolCalls }) => toolCalls),
      words: 'tool calls',
    },
  };
  for (const [key, { usual, each, words }] of Object.entries(counts)) {
    const limit = limitOf(budget, key, 'count');
    if (limit === null || limit >= usual) continue;
    const over = each.filter(count => count > limit).length / each.length;
    yield {
      path: [...path, key],
      message: `${key} ${shortCount(limit)} is below the ${shortCount(usual)} ${words} expected of a session: ${percent(over)} of the first ${each.length} sessions need more`,
      hint: 'raise it, or bound the loops and fan-outs of the workflow',
    };
  }
}

function* wallBudget(
  context: LabContext,
  workflow: string,
  budget: Budget,
  path: InputPath,
): Generator<Finding> {
  const limit = limitOf(budget, 'wall', 'ms');
  const usual = limit === null ? null : quantileOf(context.withoutCallsMs(workflow), 0.5);
  if (limit === null || usual === null || usual <= limit) return;
  yield {
    path: [...path, 'wall'],
    message: `wall ${shortMs(limit)} is too short for tools and people alone: half of the sessions need ${shortMs(usual)} without any call`,
    hint: 'raise it above the time of tools, people and calls together',
  };
}

// ---- timeouts -------------------------------------------------------------------------------------------------

export const timeouts = defineLint('WT2011', function* ({ file, workflows }: LabContext): Generator<Finding> {
  const tools = file.tools ?? {};
  for (const [name, tool] of Object.entries(tools))
    yield* tooShort(tool.timeout, tool.latency, name, ['tools', name, 'timeout']);
  for (const workflow of workflows.keys()) {
    const found: Finding[] = [];
    eachRawStep(file.workflows?.[workflow]?.steps, ['workflows', workflow, 'steps'], (step, at) => {
      const { tool, timeout } = (typeof step === 'object' && step !== null ? step : {}) as Record<
        string,
        unknown
      >;
      const latency = typeof tool === 'string' ? tools[tool]?.latency : undefined;
      if (latency !== undefined) found.push(...tooShort(timeout, latency, String(tool), [...at, 'timeout']));
    });
    yield* found;
  }
});

/** A duration as a file writes it. */
const writtenMs = (ms: number): string => (ms < 1000 ? `${Math.ceil(ms)}ms` : `${Math.ceil(ms / 100) / 10}s`);

function* tooShort(timeout: unknown, latency: unknown, tool: string, path: InputPath): Generator<Finding> {
  const attempt =
    typeof timeout === 'object' && timeout !== null ? (timeout as { attempt?: unknown }).attempt : timeout;
  const limit = attempt === undefined ? null : parseScalar(attempt, 'ms');
  const amount = parseAmount(latency, 'ms', [], []);
  if (limit === null || 'error' in limit || amount?.kind !== 'draw') return;
  const median = Math.min(Math.max(quantile(amount.of, 0.5), amount.min), amount.max);
  if (median <= limit.value) return;
  yield {
    path,
    message: `most attempts of "${tool}" end in the timeout: ${shortMs(limit.value)}, where half of them take ${shortMs(median)} or more`,
    hint: `write ${writtenMs(Math.min(quantile(amount.of, 0.99), amount.max))} or more, which 99 of 100 keep`,
  };
}
