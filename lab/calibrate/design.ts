// The experiments of a calibration: each setting tells some costs of the step form apart. They run in rounds, in another
// order each, until the time is over, so that a drift of the machine meets all of them alike. Pure.
import { extend, type Key, uniform } from '../../scenarios/base/key.ts';

/** What is found out of a server before it is measured. */
export interface Limits {
  maxModelTokens: number;
  maxBatchedTokens: number;
  maxSequences: number;
  blockTokens: number;
  kvBlocks: number;
  prefixCaching: boolean;
}

/** Experiments whose times are sums of costs. */
export const KINDS = ['prefill', 'cached', 'decode', 'mixed'] as const;
export type Kind = (typeof KINDS)[number];
/** And those that tell how requests queue. */
const ALL_KINDS = [...KINDS, 'burst'] as const;

export type Setting =
  /** One prompt alone, nothing of it cached. */
  | { kind: 'prefill'; promptTokens: number }
  /** A prompt whose start the server has just computed. */
  | { kind: 'cached'; prefixTokens: number; tailTokens: number }
  /** So many streams, and nothing else, over so much context each. */
  | { kind: 'decode'; streams: number; contextTokens: number }
  /** Prompts that join streams which decode. */
  | { kind: 'mixed'; streams: number; promptTokens: number }
  /** Prompts that come at once to an idle engine. */
  | { kind: 'burst'; prompts: number; promptTokens: number };

/** Rough times of a server, to plan by. */
export interface Pace {
  stepMs: number;
  prefillTokenMs: number;
}

/** Steps of a window in which streams decode. */
export const WINDOW_STEPS = 40;
/** Prompts that join one after the other in a mixed experiment. */
export const JOINERS = 4;
/** Prompt of the streams that they join, and what those would generate at most: they are ended before. */
export const BESIDE_TOKENS = 48;
export const BESIDE_TOKENS_MAX = 4000;

export const settingName = (setting: Setting): string => {
  switch (setting.kind) {
    case 'prefill':
      return `prefill ${setting.promptTokens}`;
    case 'cached':
      return `cached ${setting.prefixTokens} + ${setting.tailTokens}`;
    case 'decode':
      return `decode ${setting.streams} x ${setting.contextTokens}`;
    case 'mixed':
      return `mixed ${setting.streams} + ${setting.promptTokens}`;
    case 'burst':
      return `burst ${setting.prompts} x ${setting.promptTokens}`;
  }
};

/** What a setting takes, ms. */
export function costMs(setting: Setting, { stepMs, prefillTokenMs }: Pace): number {
  switch (setting.kind) {
    case 'prefill':
      return stepMs + setting.promptTokens * prefillTokenMs;
    case 'cached':
      return 2 * stepMs + (setting.prefixTokens + 2 * setting.tailTokens) * prefillTokenMs;
    case 'decode':
      // Batches are dearer than one stream.
      return (
        setting.streams * setting.contextTokens * prefillTokenMs +
        WINDOW_STEPS * stepMs * (1 + setting.streams / 16)
      );
    case 'mixed':
      return (
        setting.streams * BESIDE_TOKENS * prefillTokenMs +
        JOINERS * (setting.promptTokens * prefillTokenMs + 4 * stepMs * (1 + setting.streams / 16))
      );
    case 'burst':
      return setting.prompts * (setting.promptTokens * prefillTokenMs + stepMs);
  }
}

/**
 * All settings that this server can take, of each kind those first that tell most: the extremes, then what lies between.
 */
export function settings(limits: Limits): Setting[] {
  const { maxModelTokens, maxBatchedTokens: budget, maxSequences, blockTokens, kvBlocks } = limits;
  const longest = maxModelTokens - 8;
  const wholes = (values: readonly number[]): number[] => [
    ...new Set(values.map(value => Math.max(1, Math.min(longest, Math.floor(value))))),
  ];
  const tail = Math.min(32, Math.floor(longest / 4));
  const prefixes = limits.prefixCaching
    ? wholes([longest - tail, budget, longest / 2, budget / 2].map(n => n - (Math.floor(n) % blockTokens)))
    : [];
  const kvTokens = kvBlocks * blockTokens * 0.8;
  const room = 2 * WINDOW_STEPS + 2 * blockTokens;
  const contexts = wholes([32, Math.min(512, longest / 4), Math.min(2048, longest / 2)]);
  const joined = [4, 16, 1].map(n => Math.min(n, Math.floor(maxSequences / 2))).filter(n => n >= 1);
  return [
    ...wholes([budget, 16, longest, budget / 4, 2 * budget, 64, budget / 2, 4 * budget, 128, 256]).map(
      (promptTokens): Setting => ({ kind: 'prefill', promptTokens }),
    ),
    ...prefixes
      .filter(tokens => tokens >= blockTokens && tokens + tail <= longest)
      .map((prefixTokens): Setting => ({ kind: 'cached', prefixTokens, tailTokens: tail })),
    ...byRank(streamsUpTo(maxSequences), contexts)
      .filter(([streams, contextTokens]) => streams * (contextTokens + room) <= kvTokens)
      .map(([streams, contextTokens]): Setting => ({ kind: 'decode', streams, contextTokens })),
    ...byRank([...new Set(joined)], wholes([128, budget / 2, 16, 1.5 * budget])).map(
      ([streams, promptTokens]): Setting => ({ kind: 'mixed', streams, promptTokens }),
    ),
    ...[
      [8, 128],
      [4, 256],
      [16, 16],
    ]
      .filter(([prompts, tokens]) => prompts! <= maxSequences && tokens! <= longest)
      .map(([prompts, tokens]): Setting => ({ kind: 'burst', prompts: prompts!, promptTokens: tokens! })),
  ];
}

/** 1, the limit, about its root, and then the other powers of two. */
function streamsUpTo(limit: number): number[] {
  const powers = [];
  for (let power = 1; power < limit; power *= 2) powers.push(power);
  const middle = powers[Math.floor(powers.length / 2)] ?? 1;
  return [...new Set([1, limit, middle, ...powers.toReversed()])];
}

/** Pairs, those first that are of the first of both. */
function byRank<A, B>(as: readonly A[], bs: readonly B[]): [A, B][] {
  return as
    .flatMap((a, i) => bs.map((b, j) => ({ pair: [a, b] as [A, B], rank: i + j })))
    .sort((x, y) => x.rank - y.rank)
    .map(({ pair }) => pair);
}

/** Rounds that the middle of the repeats needs, so that a hiccup or two do not move it. */
const ROUNDS_MIN = 6;
/** Settings of a kind that stay, whatever they cost: two make a slope. */
const SETTINGS_MIN = 2;

/** The settings of which so many rounds fit into the time: kinds take turns, and what is too dear is passed over. */
export function affordable(all: readonly Setting[], pace: Pace, budgetMs: number): Setting[] {
  const kinds = ALL_KINDS.map(kind => all.filter(each => each.kind === kind));
  const kept: Setting[] = [];
  let leftMs = budgetMs / ROUNDS_MIN;
  for (let turn = 0; kinds.some(list => turn < list.length); turn++)
    for (const list of kinds) {
      const setting = list[turn];
      if (setting === undefined) continue;
      const ms = costMs(setting, pace);
      if (ms > leftMs && turn >= SETTINGS_MIN) continue;
      kept.push(setting);
      leftMs -= ms;
    }
  return kept;
}

/** One round: every setting once, in an order of its own. */
export function shuffled(kept: readonly Setting[], key: Key, round: number): Setting[] {
  const order = [...kept];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(uniform(extend(key, round, i)) * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
