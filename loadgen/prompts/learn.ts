// How a server reads text, found out by asking it: its tokenizer where it shows one, else its counts of a few calls.
//
//   words that all cost the same ─▶ what the template costs ─▶ what a call for long answers costs
//
// Rule: equal answers give an equal wording, whoever asks.

import type { ChatMessage, WireApi, WirePrompt } from '../../engines/wire/request.ts';
import { spelled, wordsOfRuns } from '../../engines/words.ts';
import { textKey } from '../../scenarios/base/key.ts';
import { candidateWords, commonWords, pairs } from './candidates.ts';
import { type Frame, NO_FRAME, OWN_WORDS, type Wording } from './wording.ts';

/** What can be asked of a server. */
export interface Server {
  /** Its count of a prompt, by a call for one token; null: it failed, or was not counted. */
  count(prompt: WirePrompt): Promise<number | null>;
  /** Ids of a text, without special ones; null: it shows no tokenizer. */
  tokenize(text: string): Promise<readonly number[] | null>;
}

/** Below it contents would be equal by chance too often. */
const WORDS_MIN = 64;
const WORDS_MAX = 4096;
/** Of a text by which a vocabulary is tried. */
const TRIED_WORDS = 256;
/** Of a message by which a template is measured, and of a longer one. */
const MESSAGE_WORDS = 16;
const LONG_WORDS = 144;
/** A word that costs more than this beside a whole number of tokens is not of one cost. */
const COST_TOLERANCE = 0.005;

const LEAD =
  'Give a very long answer: go on and on in full sentences, and do not stop before you are cut off.';

export interface Wanted {
  readonly api: WireApi;
  /** Nothing forces the length of answers there. */
  readonly wantsLead: boolean;
}

/** Words, with what each costs. */
interface Words {
  readonly words: readonly string[];
  readonly wordTokens: number;
  readonly from: string;
}

/** For text. Null: the server does not count. */
export async function learnWording(server: Server, { api, wantsLead }: Wanted): Promise<Wording | null> {
  const own = wordsOfRuns([{ key: textKey('own words'), from: 0, tokens: 2 * MESSAGE_WORDS }]);
  const counted = await server.count(promptOf(api, [own]));
  if (counted === null) return null;
  if (counted === 2 * MESSAGE_WORDS) return OWN_WORDS;
  const words = (await wordsByTokenizer(server)) ?? (await wordsByCount(server, api));
  if (words === null) return null;
  return framed(server, api, words, wantsLead);
}

/**
 * Candidates are tokenized in two requests, each behind a line break, once with a space before it and once without: as
 * in the middle of a text, and at its beginning.
 */
async function wordsByTokenizer(server: Server): Promise<Words | null> {
  const candidates = await candidateWords();
  const inside = await costs(server, candidates, '\n ');
  const first = inside === null ? null : await costs(server, candidates, '\n');
  if (inside === null || first === null) return null;
  for (let cost = 1; cost <= 4; cost++) {
    const some = candidates.filter((_, i) => inside[i] === cost && first[i] === cost).slice(0, WORDS_MAX);
    if (some.length < WORDS_MIN) continue;
    const tried = await server.tokenize(sample(some, 'tried', TRIED_WORDS));
    const wordTokens = (tried?.length ?? 0) / TRIED_WORDS;
    const from = `/tokenize of the server: ${some.length} words`;
    if (wordTokens > 0) return { words: some, wordTokens: nearly(wordTokens), from };
  }
  return null;
}

/** Tokens of each word behind `separator`, whose first token is that of the line break; null: they cannot be told apart. */
async function costs(
  server: Server,
  words: readonly string[],
  separator: string,
): Promise<readonly number[] | null> {
  const ids = await server.tokenize(separator + words.join(separator));
  if (ids === null) return null;
  const tokens: number[] = [];
  for (const id of ids) {
    if (id === ids[0]) tokens.push(0);
    else tokens[tokens.length - 1]!++;
  }
  return tokens.length === words.length ? tokens : null;
}

/** Without a tokenizer: groups of words by what the server counts for them. */
async function wordsByCount(server: Server, api: WireApi): Promise<Words | null> {
  const common = await groupsByCount(server, api, commonWords());
  if (common === null) return null;
  const best = alike(common) ?? alike((await groupsByCount(server, api, pairs())) ?? []);
  if (best !== null) return best;
  const words = common.flatMap(group => group.words);
  const wordTokens = common.reduce((sum, group) => sum + group.wordTokens, 0) / common.length;
  return { words, wordTokens, from: `its counts: ${words.length} words, not all of one length` };
}

const GROUPS = 8;
const GROUP_WORDS = 32;
/** Each word of a group so often. */
const TURNS = 4;

interface Group {
  readonly words: readonly string[];
  readonly wordTokens: number;
}

async function groupsByCount(server: Server, api: WireApi, all: readonly string[]): Promise<Group[] | null> {
  // Neighbours, which may begin alike, go to different groups.
  const groups = Array.from({ length: GROUPS }, (_, group) =>
    Array.from({ length: GROUP_WORDS }, (_, i) => all[i * GROUPS + group]!),
  );
  const count = (words: readonly string[], turns: number) =>
    server.count(promptOf(api, [Array.from({ length: turns }, () => words.join(' ')).join(' ')]));
  const twice = await count(groups[0]!, 2 * TURNS);
  const counts: number[] = [];
  for (const words of groups) {
    const counted = await count(words, TURNS);
    if (counted === null || twice === null) return null;
    counts.push(counted);
  }
  const frameTokens = 2 * counts[0]! - twice!;
  const perGroup = TURNS * GROUP_WORDS;
  return groups.map((words, i) => ({ words, wordTokens: (counts[i]! - frameTokens) / perGroup }));
}

/** Those of the cheapest whole number of tokens, if there are enough of them. */
function alike(groups: readonly Group[]): Words | null {
  for (let cost = 1; cost <= 4; cost++) {
    const words = groups
      .filter(({ wordTokens }) => Math.abs(wordTokens - cost) < COST_TOLERANCE)
      .flatMap(group => group.words);
    if (words.length >= WORDS_MIN)
      return { words, wordTokens: cost, from: `its counts: ${words.length} words` };
  }
  return null;
}

/** What the template adds, by the counts of messages of known length. */
async function framed(
  server: Server,
  api: WireApi,
  { words, wordTokens, from }: Words,
  wantsLead: boolean,
): Promise<Wording | null> {
  const text = (name: string, count = MESSAGE_WORDS) => sample(words, name, count);
  const count = (contents: readonly string[], system = false) =>
    server.count(promptOf(api, contents, system));
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(name => text(name));
  const one = await count([a!]);
  const long = await count([text('long', LONG_WORDS)]);
  if (one === null || long === null) return null;
  const perWord = nearly((long - one) / (LONG_WORDS - MESSAGE_WORDS));
  const message = perWord * MESSAGE_WORDS;
  const leading = wantsLead ? await count([`${LEAD} ${a}`]) : null;
  const system = api === 'completions' ? null : await count([b!, a!], true);
  const exchange = api === 'completions' ? null : await count([a!, c!, d!]);
  const frame: Frame = {
    promptTokens: Math.round(one - message),
    systemTokens: system === null ? 0 : Math.round(system - one - message),
    exchangeTokens: exchange === null ? 0 : Math.round(exchange - one - 2 * message),
  };
  return {
    ...OWN_WORDS,
    words,
    wordTokens: Math.abs(perWord / wordTokens - 1) < COST_TOLERANCE ? wordTokens : perWord,
    frame,
    lead: leading === null ? null : { text: LEAD, tokens: leading - one },
    how: `by ${from}${costText(perWord)}, ${frameText(api, frame)}`,
  };
}

const costText = (wordTokens: number): string =>
  wordTokens === 1 ? ' of one token each' : ` of ${Number(wordTokens.toFixed(2))} tokens each`;

const frameText = (api: WireApi, { promptTokens, systemTokens, exchangeTokens }: Frame): string =>
  api === 'completions'
    ? `${promptTokens} tokens before the text`
    : `template ${promptTokens} tokens, ${systemTokens} for a system message and ${exchangeTokens} an exchange`;

/** What tokenizers of GPT and Llama do with common words and a usual template, where nobody may be asked. */
export function usualWording(api: WireApi, wantsLead: boolean, why: string): Wording {
  const words = commonWords();
  const frame = api === 'completions' ? NO_FRAME : { promptTokens: 7, systemTokens: 4, exchangeTokens: 8 };
  return {
    ...OWN_WORDS,
    words,
    frame,
    lead: wantsLead ? { text: LEAD, tokens: 22 } : null,
    how: `assumed, since ${why}: common words of one token each, ${frameText(api, frame)}`,
  };
}

/** Ids that texts of the server have, of which none is special; null: it shows no tokenizer. */
export async function learnIds(server: Server): Promise<readonly number[] | null> {
  const candidates = await candidateWords();
  const ids = await server.tokenize(candidates.join(' '));
  if (ids === null) return null;
  const known = [...new Set(ids)].sort((a, b) => a - b);
  return known.length < WORDS_MIN ? null : known;
}

/** Messages in turn of the user and the assistant, behind one of the system where there is one; or their text. */
function promptOf(api: WireApi, contents: readonly string[], system = false): WirePrompt {
  if (api === 'completions') return { api, text: contents.join(' ') };
  if (api === 'tokens') throw new Error('token ids are no text');
  const first = system ? 1 : 0;
  const messages = contents.map((content, i): ChatMessage => {
    if (system && i === 0) return { role: 'system', content };
    return { role: (i - first) % 2 === 0 ? 'user' : 'assistant', content };
  });
  return { api, messages };
}

const sample = (words: readonly string[], name: string, count: number): string =>
  spelled(
    textKey(`sample ${name}`),
    0,
    count,
    words.map(word => ` ${word}`),
  );

/** A whole number where it is meant to be one. */
const nearly = (cost: number): number =>
  Math.abs(cost - Math.round(cost)) < COST_TOLERANCE * cost ? Math.round(cost) : cost;
