// Finds the limits of a server by what it does, where it does not say them: blocks by hits that come in steps, the token
// budget by the steps of a long prompt, the batch by who gets tokens at once, the cache by what is still in it.
import { UserError } from '../../scenarios/base/errors.ts';
import { quantile } from '../../scenarios/base/statistics.ts';
import type { Limits, Pace } from './design.ts';
import { type Facts, runningRequests } from './facts.ts';
import { answered, type Target } from './target.ts';

/** Where a limit comes from, in words: `read from /metrics`, `found by …`, `assumed: …`, `given`. */
export type Origins = Record<keyof Limits, string>;

export interface Probed {
  limits: Limits;
  origins: Origins;
  pace: Pace;
}

export interface ProbeOptions {
  target: Target;
  facts: Facts;
  /** By the user: nothing of it is probed. */
  given: Partial<Limits>;
  isQuick: boolean;
  /** What it does now, for the progress line. */
  onProbe: (what: string) => void;
}

/** vLLM's defaults, for what can be neither read nor found. */
const USUAL = { blockTokens: 16, maxBatchedTokens: 8192, maxSequences: 256, kvTokens: 262_144 } as const;

export async function probe(options: ProbeOptions): Promise<Probed> {
  const { target, facts, given, onProbe } = options;
  const origins = Object.fromEntries(Object.keys(given).map(name => [name, 'given'])) as Origins;
  const limits: Partial<Limits> = { ...given };
  const settle = <K extends keyof Limits>(name: K, value: Limits[K], origin: string): void => {
    if (limits[name] !== undefined) return;
    limits[name] = value;
    origins[name] = origin;
  };
  if (facts.maxModelTokens !== null) settle('maxModelTokens', facts.maxModelTokens, 'read from /models');
  if (facts.blockTokens !== null) settle('blockTokens', facts.blockTokens, 'read from /metrics');
  if (facts.kvBlocks !== null) settle('kvBlocks', facts.kvBlocks, 'read from /metrics');
  if (facts.prefixCaching !== null) settle('prefixCaching', facts.prefixCaching, 'read from /metrics');
  if (limits.maxModelTokens === undefined)
    throw new UserError(`${target.options.baseUrl}/models does not say how long the context may be`, {
      hint: 'say it: --limits max_model_len=N',
    });
  onProbe('its pace');
  const pace = await paceOf(target, limits.maxModelTokens);
  if (limits.prefixCaching === undefined || limits.blockTokens === undefined) {
    onProbe('its KV blocks');
    const found = await probeBlocks(target, limits.maxModelTokens);
    settle('prefixCaching', found.prefixCaching, `found by sending a prompt again`);
    if (found.blockTokens === null) settle('blockTokens', USUAL.blockTokens, "assumed: vLLM's default");
    else settle('blockTokens', found.blockTokens, 'found by cached tokens that come in steps');
  }
  const known = limits as Pick<Limits, 'maxModelTokens' | 'blockTokens' | 'prefixCaching'>;
  if (limits.maxBatchedTokens === undefined) {
    onProbe('its token budget');
    const budget = await probeBudget(target, known.maxModelTokens);
    if (budget !== null) settle('maxBatchedTokens', budget, 'found by the steps of long prompts');
    else {
      const usual = Math.max(USUAL.maxBatchedTokens, known.maxModelTokens);
      settle('maxBatchedTokens', usual, 'assumed: the longest prompt goes into one step');
    }
  }
  if (limits.maxSequences === undefined) {
    onProbe('its batch');
    const { most, isLimit } = await probeSequences(options, limits.maxBatchedTokens!);
    if (isLimit) settle('maxSequences', most, 'found by how many got tokens at once');
    else
      settle(
        'maxSequences',
        Math.max(USUAL.maxSequences, most),
        `assumed: ${most} ran at once, and no more were tried`,
      );
  }
  if (limits.kvBlocks === undefined) {
    onProbe('its KV cache');
    const found = known.prefixCaching ? await probeCapacity(options, known, pace) : null;
    if (found?.kvBlocks != null)
      settle('kvBlocks', found.kvBlocks, `found by what was still cached after ${found.filledTokens} tokens`);
    else {
      const tokens = Math.max(USUAL.kvTokens, 2 * known.maxModelTokens, 2 * (found?.filledTokens ?? 0));
      const more =
        found === null ? 'prefixes are not cached' : `${found.filledTokens} tokens were all still cached`;
      settle('kvBlocks', Math.ceil(tokens / known.blockTokens), `assumed: ${more}`);
    }
  }
  return { limits: limits as Limits, origins, pace };
}

/** Two prompts and a stream: also the warm-up. */
async function paceOf(target: Target, maxModelTokens: number): Promise<Pace> {
  const long = Math.min(512, Math.floor(maxModelTokens / 2));
  const first = async (tokens: number): Promise<number> => {
    const result = await target.call({ tokens, outputTokens: 1 });
    return result.firstTokenMs! - result.sentMs;
  };
  await target.call({ tokens: 16, outputTokens: 8 });
  await first(long);
  const shortMs = Math.min(await first(16), await first(16));
  const longMs = Math.min(await first(long), await first(long));
  const stream = await target.call({ tokens: 16, outputTokens: 17 });
  return {
    stepMs: Math.max(
      0.1,
      (stream.lastTokenMs! - stream.firstTokenMs!) / Math.max(1, stream.outputTokens - 1),
    ),
    prefillTokenMs: Math.max(0.0001, (longMs - shortMs) / (long - 16)),
  };
}

// ---- KV blocks --------------------------------------------------------------------------------------------------

/** Prompts that are sent twice: the tokens found are whole blocks. */
async function probeBlocks(
  target: Target,
  maxModelTokens: number,
): Promise<{ prefixCaching: boolean; blockTokens: number | null }> {
  const longest = Math.min(2100, maxModelTokens - 8);
  const hits: number[] = [];
  let saysHits = false;
  let [coldMs, warmMs] = [0, 0];
  for (const tokens of [
    longest,
    Math.floor(longest * 0.62),
    Math.floor(longest * 0.37),
    Math.floor(longest * 0.15),
  ]) {
    const prefix = { name: `${target.options.salt}/blocks/${tokens}`, tokens };
    const cold = await target.call({ tokens: 0, prefix, outputTokens: 1 });
    const warm = await target.call({ tokens: 0, prefix, outputTokens: 1 });
    coldMs += cold.firstTokenMs! - cold.sentMs;
    warmMs += warm.firstTokenMs! - warm.sentMs;
    if (warm.cachedTokens === null) continue;
    saysHits = true;
    if (warm.cachedTokens > 0) hits.push(warm.cachedTokens);
  }
  if (!saysHits) return { prefixCaching: warmMs < 0.6 * coldMs, blockTokens: null };
  return { prefixCaching: hits.length > 0, blockTokens: hits.length === 0 ? null : hits.reduce(divisor) };
}

const median = (values: readonly number[]): number => quantile(values, 0.5);

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));

// ---- token budget -----------------------------------------------------------------------------------------------

/** Budgets that people set, tried first. */
const COMMON = [256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768];

/**
 * A stream decodes while a long prompt is computed: the tokens that it gives meanwhile are the prompt's steps. The budget
 * is the longest prompt of one step and the stream's token. Null: the longest prompt goes into one step.
 */
async function probeBudget(target: Target, maxModelTokens: number): Promise<number | null> {
  const longest = maxModelTokens - 8;
  const beside = { tokens: 16, outputTokens: Math.min(4000, maxModelTokens - 24) };
  const stepsOf = (tokens: number): Promise<number | null> => stepsBeside({ target, beside }, tokens);
  const most = await stepsOf(longest);
  if (most === null || most < 2) return null;
  let fits = Math.ceil(longest / most) - 1;
  let isOver = Math.floor(longest / (most - 1)) + 1;
  for (const budget of COMMON.filter(each => each - 1 >= fits && each - 1 < isOver)) {
    if ((await stepsOf(budget - 1)) === 1 && (await stepsOf(budget)) === 2) return budget;
  }
  while (isOver - fits > 1) {
    const middle = Math.floor((fits + isOver) / 2);
    if ((await stepsOf(middle)) === 1) fits = middle;
    else isOver = middle;
  }
  return fits + 1;
}

/** What most of some answers say: hiccups look like steps, and tokens that are read together hide them. */
async function stepsBeside(counting: Counting, tokens: number): Promise<number | null> {
  const seen: number[] = [];
  for (let i = 0; i < 7; i++) {
    const steps = await countSteps(counting, tokens);
    if (steps === null) continue;
    seen.push(steps);
    if (seen.filter(each => each === steps).length === 3) return steps;
  }
  return seen.length === 0 ? null : median(seen);
}

interface Counting {
  target: Target;
  /** The stream that counts. */
  beside: { tokens: number; outputTokens: number };
}

/** Two tokens of one step may be read so far apart. */
const SAME_STEP_MS = 25;

async function countSteps({ target, beside }: Counting, tokens: number): Promise<number | null> {
  const reads: { atMs: number; tokens: number }[] = [];
  const begun = Promise.withResolvers<void>();
  const stream = target.send({
    ...beside,
    onTokens: count => {
      reads.push({ atMs: target.clock.nowMs(), tokens: count });
      if (count > 12) begun.resolve();
    },
  });
  try {
    const failed = stream.result.then(result => {
      answered(result, beside);
    });
    await Promise.race([begun.promise, failed]);
    const joined = await target.call({ tokens, outputTokens: 1 });
    await target.pause(SAME_STEP_MS);
    const atMs = joined.firstTokenMs!;
    const gaps = reads.slice(1).map((read, i) => ({ ...read, gapMs: read.atMs - reads[i]!.atMs }));
    const usualMs = median(gaps.filter(each => each.atMs < joined.sentMs).map(({ gapMs }) => gapMs));
    // The stream's token of the step that gave the prompt its own.
    const end = reads.findLast(each => each.atMs <= atMs + usualMs / 3);
    if (end === undefined) return null;
    const after = gaps.filter(each => each.atMs > joined.sentMs && each.atMs <= end.atMs);
    const most = Math.max(...after.map(({ gapMs }) => gapMs));
    // Chunks grow dearer with what they look back on: the first may take a fifth of the last.
    const long = after.find(
      ({ gapMs }) => gapMs > Math.max(1.5 * usualMs, usualMs + 0.15 * (most - usualMs)),
    );
    return long === undefined ? null : Math.max(1, end.tokens - long.tokens + 1);
  } finally {
    stream.abort();
    await stream.result;
  }
}

// ---- batch ------------------------------------------------------------------------------------------------------

/** More streams at once than may run: those that get tokens before the first ends are the batch. */
async function probeSequences(
  { target, isQuick, facts }: ProbeOptions,
  budget: number,
): Promise<{ most: number; isLimit: boolean }> {
  let most = 0;
  for (let asked = 48; asked <= (isQuick ? 192 : 768); asked *= 4) {
    const { ran, running } = await runAtOnce(target, asked, budget, facts.hasMetrics);
    most = running ?? ran;
    if (most < asked) return { most, isLimit: true };
  }
  return { most, isLimit: false };
}

async function runAtOnce(
  target: Target,
  asked: number,
  budget: number,
  hasMetrics: boolean,
): Promise<{ ran: number; running: number | null }> {
  // Long enough that all who may run do before the first ends, however slowly their requests are taken.
  const outputTokens = Math.max(120, 3 * asked);
  let ran = 0;
  let lastMs = target.clock.nowMs();
  const handles = Array.from({ length: asked }, () =>
    target.send({
      tokens: Math.min(16, budget),
      outputTokens,
      onFirstToken: () => {
        ran += 1;
        lastMs = target.clock.nowMs();
      },
    }),
  );
  let isOver = false;
  const first = Promise.race(handles.map(({ result }) => result)).then(() => {
    isOver = true;
  });
  // Nobody new for long after the last: the batch is full.
  const startMs = target.clock.nowMs();
  while (!isOver && ran < asked) {
    await Promise.race([first, target.pause(20)]);
    const nowMs = target.clock.nowMs();
    const waitedMs = nowMs - lastMs;
    if (ran > 0 && waitedMs > Math.max(500, (nowMs - startMs) / 2)) break;
  }
  const got = ran;
  const running = hasMetrics && !isOver ? await runningRequests(target) : null;
  for (const handle of handles) handle.abort();
  await Promise.all(handles.map(({ result }) => result));
  return { ran: got, running };
}

// ---- cache ------------------------------------------------------------------------------------------------------

/** Tokens that are sent at most, so that a large cache does not take an hour. */
const FILL_SHARE_MS = { quick: 20_000, whole: 90_000 } as const;

/**
 * Fills the cache with prompts of whole blocks and looks from the newest to the oldest which are still there: engines
 * evict the oldest first, and of a prompt its end first. One block more holds the token that is never cached.
 */
async function probeCapacity(
  { target, isQuick }: ProbeOptions,
  { maxModelTokens, blockTokens }: Pick<Limits, 'maxModelTokens' | 'blockTokens'>,
  { prefillTokenMs, stepMs }: Pace,
): Promise<{ kvBlocks: number | null; filledTokens: number }> {
  const blocks = Math.max(1, Math.floor(Math.min(4096, maxModelTokens - 8) / blockTokens));
  const tokens = blocks * blockTokens + 1;
  const perPromptMs = tokens * prefillTokenMs + stepMs;
  const most = Math.floor(FILL_SHARE_MS[isQuick ? 'quick' : 'whole'] / perPromptMs);
  const prompt = (i: number) => ({
    tokens: 0,
    prefix: { name: `${target.options.salt}/fill/${i}`, tokens },
    outputTokens: 1,
  });
  /** Prompts, the one that was used last at the end. */
  let used: number[] = [];
  for (let until = 8; ; until *= 2) {
    for (let i = used.length; i < Math.min(until, most); i++) {
      await target.call(prompt(i));
      used.push(i);
    }
    let held = 1;
    const filledTokens = used.length * tokens;
    for (const i of used.toReversed()) {
      const hit = hitBlocks(await target.call(prompt(i)), blocks, blockTokens, perPromptMs);
      held += hit;
      if (hit < blocks) return { kvBlocks: held, filledTokens };
    }
    if (used.length >= most) return { kvBlocks: null, filledTokens };
    // To look at a prompt is to use it.
    used = used.toReversed();
  }
}

/** By what the server says, else by whether the prompt took the time of computing it. */
function hitBlocks(
  result: { cachedTokens: number | null; firstTokenMs: number | null; sentMs: number },
  blocks: number,
  blockTokens: number,
  perPromptMs: number,
): number {
  if (result.cachedTokens !== null) return Math.floor(result.cachedTokens / blockTokens);
  return result.firstTokenMs! - result.sentMs < perPromptMs / 2 ? blocks : 0;
}
