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
} from '../../scenarios/lint/lint.ts';
import { callUsd } from '../prices.ts';
import { type LabContext, quantileOf, smallest } from './context.ts';

type Budget = Readonly<Record<string, unknown>>;

export const budgets = defineLint('WT2010', function* (context: LabContext): Generator<Finding> {
  for (const name of context.workflows.keys()) {
    const budget = context.file.workflows?.[name]?.budget;
    if (budget === undefined) continue;
    const path = ['workflows', name, 'budget'];
    yield* tokenBudgets(context, name, budget, path);
    yield* countBudgets(context, name, budget, path);
    yield* wallBudget(context, name, budget, path);
  }
});

const limitOf = (budget: Budget, key: string, dimension: Dimension): number | null => {
  const parsed = budget[key] === undefined ? null : parseScalar(budget[key], dimension);
  return parsed !== null && 'value' in parsed ? parsed.value : null;
};

/** What a budget of tokens or money must hold at the least: one call, the smallest of the walked sessions. */
function* tokenBudgets(
  context: LabContext,
  workflow: string,
  budget: Budget,
  path: InputPath,
): Generator<Finding> {
  const calls = context.walksOf(workflow).flatMap(({ calls }) => calls);
  const measures: Record<string, { of(call: WalkedCall): number; words: string }> = {
    input_tokens: { of: call => call.promptTokens, words: 'prompt' },
    output_tokens: { of: call => call.outputTokens, words: 'output' },
    tokens: { of: call => call.promptTokens + call.outputTokens, words: 'call' },
  };
  for (const [key, { of, words }] of Object.entries(measures)) {
    const limit = limitOf(budget, key, 'tokens');
    const least = smallest(calls.map(of));
    if (limit === null || calls.length === 0 || limit >= least) continue;
    yield {
      path: [...path, key],
      message: `${key} ${shortCount(limit)} holds no call: the smallest ${words} of the first sessions has ${shortCount(least)} tokens`,
      hint: 'raise it above what a session uses; `check` prints the mean',
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
