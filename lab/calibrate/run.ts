// Sends the experiments and turns what came back into times and what they consist of. Only the differences of
// times of one stream are used where they can be: what lies between the engine and us is the same in both.
import type { CallHandle, CallResult } from '../../loadgen/client.ts';
import { mean } from '../../scenarios/base/statistics.ts';
import {
  BESIDE_TOKENS,
  BESIDE_TOKENS_MAX,
  JOINERS,
  type Limits,
  type Setting,
  settingName,
  WINDOW_STEPS,
} from './design.ts';
import type { Observation } from './fit.ts';
import { type Ask, answered, type Target } from './target.ts';
import { type Counts, countsOf, promptSteps } from './terms.ts';

/** The first token of a prompt that joined a batch: it waited for the running step, and in a pipeline for one more. */
export interface Join {
  name: string;
  ttftMs: number;
  decodes: number;
  contextTokens: number;
  promptTokens: number;
}

/** Prompts that came at once: the mean time to their first tokens. */
export interface Burst {
  name: string;
  prompts: number;
  promptTokens: number;
  ttftMs: number;
}

export interface Measured {
  observations: Observation[];
  joins: Join[];
  bursts: Burst[];
}

const nothing = (): Measured => ({ observations: [], joins: [], bursts: [] });

export interface RunOptions {
  target: Target;
  limits: Limits;
  round: number;
  /** Between 0 and 1, for the phase at which prompts join. */
  random: () => number;
  /** A decode step, roughly, ms. */
  stepMs: number;
}

const ttftMs = ({ firstTokenMs, sentMs }: CallResult): number => firstTokenMs! - sentMs;

export async function measure(setting: Setting, options: RunOptions): Promise<Measured> {
  switch (setting.kind) {
    case 'prefill':
      return prefill(setting, options);
    case 'cached':
      return cached(setting, options);
    case 'decode':
      return decode(setting, options);
    case 'mixed':
      return mixed(setting, options);
    case 'burst':
      return burst(setting, options);
  }
}

async function burst(setting: Setting & { kind: 'burst' }, { target }: RunOptions): Promise<Measured> {
  const { prompts, promptTokens } = setting;
  const results = await Promise.all(
    Array.from({ length: prompts }, () => target.call({ tokens: promptTokens, outputTokens: 1 })),
  );
  const meanOf = (of: (result: CallResult) => number): number => mean(results.map(of));
  const found: Burst = {
    name: settingName(setting),
    prompts,
    promptTokens: Math.round(meanOf(result => result.promptTokens ?? promptTokens)),
    ttftMs: meanOf(ttftMs),
  };
  return { ...nothing(), bursts: [found] };
}

/** The way and the steps of a prompt on an idle engine. */
function aloneCounts(
  { promptTokens, cachedTokens }: { promptTokens: number; cachedTokens: number },
  { limits }: RunOptions,
): Counts {
  const steps = promptSteps({ promptTokens, cachedTokens, budgetTokens: limits.maxBatchedTokens });
  return countsOf(steps, { calls: 1, promptTokens });
}

async function prefill(setting: Setting & { kind: 'prefill' }, options: RunOptions): Promise<Measured> {
  const { target, round } = options;
  const result = await target.call({ tokens: setting.promptTokens, outputTokens: 1 });
  const promptTokens = result.promptTokens ?? setting.promptTokens;
  const counts = aloneCounts({ promptTokens, cachedTokens: 0 }, options);
  const name = settingName(setting);
  return {
    ...nothing(),
    observations: [{ kind: 'prefill', name, round, measuredMs: ttftMs(result), counts }],
  };
}

/** Two prompts with a start that a third has left in the cache. */
async function cached(setting: Setting & { kind: 'cached' }, options: RunOptions): Promise<Measured> {
  const { target, round, limits } = options;
  const { prefixTokens, tailTokens } = setting;
  const prefix = { name: `${target.options.salt}/${settingName(setting)}/${round}`, tokens: prefixTokens };
  const whole = prefixTokens + tailTokens;
  await target.call({ tokens: tailTokens, prefix, outputTokens: 1 });
  const observations: Observation[] = [];
  for (let i = 0; i < 2; i++) {
    const result = await target.call({ tokens: tailTokens, prefix, outputTokens: 1 });
    const promptTokens = result.promptTokens ?? whole;
    // A template in front of the prompt moves where blocks end.
    const shared = promptTokens - tailTokens;
    const cachedTokens =
      result.cachedTokens ??
      Math.floor(Math.min(shared, promptTokens - 1) / limits.blockTokens) * limits.blockTokens;
    observations.push({
      kind: 'cached',
      name: settingName(setting),
      round,
      measuredMs: ttftMs(result),
      counts: aloneCounts({ promptTokens, cachedTokens }, options),
    });
  }
  return { ...nothing(), observations };
}

/** Streams side by side, the last of them the first to end: between its own first and last token nobody comes or goes. */
async function decode(setting: Setting & { kind: 'decode' }, options: RunOptions): Promise<Measured> {
  const { target, limits, round } = options;
  const { streams, contextTokens } = setting;
  const filling = Math.ceil((streams * contextTokens) / limits.maxBatchedTokens) + streams;
  const handles = Array.from({ length: streams }, (_, i) =>
    target.send({
      tokens: contextTokens,
      outputTokens: WINDOW_STEPS + (i === streams - 1 ? 0 : filling + 2 * (streams - 1 - i)),
    }),
  );
  const ask: Ask = { tokens: contextTokens, outputTokens: WINDOW_STEPS };
  const results = (await Promise.all(handles.map(({ result }) => result))).map(each => answered(each, ask));
  const last = results.reduce((a, b) => (b.firstTokenMs! > a.firstTokenMs! ? b : a));
  const fromMs = last.firstTokenMs!;
  const toMs = last.lastTokenMs!;
  const steps = last.outputTokens - 1;
  if (steps < 1 || toMs <= fromMs) return nothing();
  let decodes = 0;
  let contextSum = 0;
  for (const each of results) {
    // Where a stream ended before the window did, it counts for its share of it.
    const within =
      Math.max(0, Math.min(each.lastTokenMs!, toMs) - Math.max(each.firstTokenMs!, fromMs)) / (toMs - fromMs);
    const before =
      ((fromMs - each.firstTokenMs!) / Math.max(1e-9, each.lastTokenMs! - each.firstTokenMs!)) *
      each.outputTokens;
    decodes += within;
    contextSum +=
      within * ((each.promptTokens ?? contextTokens) + Math.max(0, before) + (steps * within) / 2 + 1);
  }
  const counts: Counts = {
    ...countsOf([], { calls: 0, promptTokens: 0 }),
    base: 1,
    decode: decodes,
    context_token: contextSum,
  };
  const name = settingName(setting);
  return {
    ...nothing(),
    observations: [{ kind: 'decode', name, round, measuredMs: (toMs - fromMs) / steps, counts }],
  };
}

/** When a stream gave how many tokens in all. */
interface Read {
  atMs: number;
  tokens: number;
}

/** Prompts that join streams one after the other: each is the steps of its chunks, between two tokens of a stream. */
async function mixed(setting: Setting & { kind: 'mixed' }, options: RunOptions): Promise<Measured> {
  const { target, limits, random } = options;
  const { streams, promptTokens } = setting;
  const longest = Math.min(limits.maxModelTokens - BESIDE_TOKENS - 8, BESIDE_TOKENS_MAX);
  const reads: Read[] = [];
  const begun = Promise.withResolvers<void>();
  let first = 0;
  const beside = Array.from({ length: streams }, (_, i) =>
    target.send({
      tokens: BESIDE_TOKENS,
      outputTokens: longest,
      onFirstToken: () => {
        first += 1;
        if (first === streams) begun.resolve();
      },
      ...(i === 0 ? { onTokens: tokens => reads.push({ atMs: target.clock.nowMs(), tokens }) } : {}),
    }),
  );
  try {
    const failed = Promise.race(beside.map(({ result }) => result)).then(result => {
      answered(result, { tokens: BESIDE_TOKENS, outputTokens: longest });
    });
    await Promise.race([begun.promise, failed]);
    const joined: { result: CallResult; contextTokens: number }[] = [];
    for (let i = 0; i < JOINERS; i++) {
      await target.pause((1 + random()) * options.stepMs);
      const result = await target.call({ tokens: promptTokens, outputTokens: 1 });
      joined.push({ result, contextTokens: streams * BESIDE_TOKENS + generated(beside) });
    }
    // The stream's token of the last one's step may be read after it.
    await target.pause(options.stepMs);
    return joinedSteps({ joined, reads, setting, options });
  } finally {
    for (const handle of beside) handle.abort();
    await Promise.all(beside.map(({ result }) => result));
  }
}

const generated = (handles: readonly CallHandle[]): number =>
  handles.reduce((sum, { outputTokens }) => sum + outputTokens, 0);

function joinedSteps(of: {
  joined: readonly { result: CallResult; contextTokens: number }[];
  reads: readonly Read[];
  setting: Setting & { kind: 'mixed' };
  options: RunOptions;
}): Measured {
  const { joined, reads, setting, options } = of;
  const { streams } = setting;
  const name = settingName(setting);
  const measured = nothing();
  for (const { result, contextTokens } of joined) {
    const promptTokens = result.promptTokens ?? setting.promptTokens;
    measured.joins.push({ name, ttftMs: ttftMs(result), decodes: streams, contextTokens, promptTokens });
    const steps = promptSteps({
      promptTokens,
      cachedTokens: 0,
      budgetTokens: options.limits.maxBatchedTokens,
      decodes: streams,
    });
    // Its first token and one of the stream come out of the same step.
    const end = reads.findLast(each => each.atMs <= result.firstTokenMs! + options.stepMs / 3);
    if (end === undefined) continue;
    const start = reads.find(({ tokens }) => tokens === end.tokens - steps.length);
    // Reads that came late come together: they tell no time.
    if (start === undefined || end.atMs - start.atMs < options.stepMs / 2) continue;
    const own = countsOf(steps, { calls: 0, promptTokens: 0 });
    measured.observations.push({
      kind: 'mixed',
      name,
      round: options.round,
      measuredMs: end.atMs - start.atMs,
      counts: {
        ...own,
        decode: own.decode + streams * steps.length,
        context_token: own.context_token + contextTokens * steps.length,
      },
    });
  }
  return measured;
}
