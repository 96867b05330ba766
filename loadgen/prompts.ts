// Turns a prompt's runs into what an endpoint takes: chat messages, text or token ids. Content the plan names becomes
// words or ids of the one-word-one-token vocabulary; the output of an earlier call becomes what was really received.
// Rule: on the emulator the server counts as many prompt tokens as the runs hold.
import type { ChatMessage, TextPart, WirePrompt } from '../engines/openai.ts';
import { splitWords, tokenIdOf, wordsOfRuns } from '../engines/words.ts';
import type { CacheBreakpoint, CacheControl } from '../gateway/context/server-hints.ts';
import { extend, type Key, keyText, textKey } from '../scenarios/base/key.ts';
import type { PromptPart, Run } from '../scenarios/formats/prompt.ts';

/** What a call gave back. */
export interface ReceivedOutput {
  outputText: string;
  reasoningText: string;
  /** Null where the server does not say. */
  tokenIds: readonly number[] | null;
}

export interface PromptWriterOptions {
  api: WirePrompt['api'];
  /** Mixed into all planned content, so that an earlier run's cache on the same server is not found again. */
  salt?: string;
  /** Size of the model's vocabulary; ids are drawn from [10, vocabTokens - 10). Only for `tokens`. */
  vocabTokens?: number;
}

/** A stretch of an output's content, from token `from` on, and what was received for it. */
interface Stretch {
  from: number;
  tokens: number;
  words: readonly string[];
  ids: readonly number[] | null;
}

/** A message as it is put together: stretches of its text, each ended by a mark but the last. */
interface Draft {
  readonly role: ChatMessage['role'];
  readonly parts: { text: string; mark: CacheControl | null }[];
}

/** Characters of prefix text kept, so that shared prefixes are not spelled anew for every call. */
const CACHED_CHARS_MAX = 32_000_000;
/** Shorter runs are not worth a place there. */
const CACHED_TOKENS_MIN = 64;

export class PromptWriter {
  private readonly api: WirePrompt['api'];
  private readonly vocabTokens: number;
  private readonly salt: Key | null;
  private readonly received = new Map<string, Stretch[]>();
  private readonly texts = new Map<string, string>();
  private cachedChars = 0;

  constructor({ api, salt = '', vocabTokens = 32_000 }: PromptWriterOptions) {
    this.api = api;
    this.vocabTokens = vocabTokens;
    this.salt = salt === '' ? null : textKey(salt);
  }

  /**
   * Remembers what was received for the content `output`, of which the first `reasoningTokens` were planned as
   * reasoning. Later prompts with runs of that content send it back.
   */
  registerOutput(output: readonly Run[], reasoningTokens: number, received: ReceivedOutput): void {
    const reasoning = splitWords(received.reasoningText);
    const answer = splitWords(received.outputText);
    const total = output.reduce((sum, run) => sum + run.tokens, 0);
    let at = 0;
    for (const run of output) {
      const cut = Math.min(Math.max(reasoningTokens - at, 0), run.tokens);
      const ids = (from: number, to: number) =>
        received.tokenIds === null ? null : share(received.tokenIds, from, to, total);
      const stretches = [
        {
          from: run.from,
          tokens: cut,
          words: share(reasoning, at, at + cut, reasoningTokens),
          ids: ids(at, at + cut),
        },
        {
          from: run.from + cut,
          tokens: run.tokens - cut,
          words: share(
            answer,
            at + cut - reasoningTokens,
            at + run.tokens - reasoningTokens,
            total - reasoningTokens,
          ),
          ids: ids(at + cut, at + run.tokens),
        },
      ].filter(stretch => stretch.tokens > 0);
      const key = keyText(run.key);
      this.received.set(key, [...(this.received.get(key) ?? []), ...stretches]);
      at += run.tokens;
    }
  }

  /** Frees what `registerOutput` keeps; when a session has ended. */
  forgetOutput(output: readonly Run[]): void {
    for (const run of output) this.received.delete(keyText(run.key));
  }

  /**
   * `parts` tell where prefix segments end and where history is; without them there is no system message. Chats carry
   * marks where `breakpoints` are.
   */
  write(
    runs: readonly Run[],
    parts: readonly PromptPart[] = [],
    breakpoints: readonly CacheBreakpoint[] = [],
  ): WirePrompt {
    if (this.api === 'chat') return { api: 'chat', messages: this.messages(runs, parts, breakpoints) };
    if (this.api === 'completions') return { api: 'completions', text: this.text(runs) };
    return { api: 'tokens', tokenIds: this.tokenIds(runs) };
  }

  /**
   * Prefix segments make the system message, received outputs in the history are the assistant's, all else is the
   * user's. The role depends on the content only, so that a longer prompt starts like the shorter one before it.
   */
  private messages(
    runs: readonly Run[],
    parts: readonly PromptPart[],
    breakpoints: readonly CacheBreakpoint[],
  ): ChatMessage[] {
    const drafts: Draft[] = [];
    let at = 0;
    for (const piece of cutAt(runs, boundaries(parts))) {
      const segment = segmentAt(parts, at);
      at += piece.tokens;
      const isOutput = this.received.has(keyText(piece.key)) && (segment === null || segment === 'history');
      const isPrefix = segment !== null && !['history', 'reads', 'input'].includes(segment);
      const role = isOutput ? 'assistant' : isPrefix ? 'system' : 'user';
      const content = this.textOf(piece);
      const mark = breakpoints.find(({ atToken }) => atToken === at)?.cache_control ?? null;
      addTo(drafts, role, content, mark);
    }
    return drafts.map(messageOf);
  }

  private text(runs: readonly Run[]): string {
    return runs.map(run => this.textOf(run)).reduce(joinWords, '');
  }

  private textOf(run: Run): string {
    const stretches = this.received.get(keyText(run.key));
    if (stretches === undefined) return this.plannedText(run);
    return piecesOf(run, stretches)
      .map(piece =>
        piece.stretch === null
          ? wordsOfRuns([this.salted(piece.run)])
          : slice(piece.stretch.words, piece).join(' '),
      )
      .reduce(joinWords, '');
  }

  private plannedText(run: Run): string {
    if (run.tokens < CACHED_TOKENS_MIN) return wordsOfRuns([this.salted(run)]);
    const name = `${keyText(run.key)}/${run.from}/${run.tokens}`;
    const known = this.texts.get(name);
    if (known !== undefined) {
      // Most recently used goes last: the first is the next to be dropped.
      this.texts.delete(name);
      this.texts.set(name, known);
      return known;
    }
    const text = wordsOfRuns([this.salted(run)]);
    this.texts.set(name, text);
    this.cachedChars += text.length;
    for (const [oldest, old] of this.texts) {
      if (this.cachedChars <= CACHED_CHARS_MAX) break;
      this.texts.delete(oldest);
      this.cachedChars -= old.length;
    }
    return text;
  }

  private salted(run: Run): Run {
    const { salt } = this;
    return salt === null ? run : { ...run, key: extend(run.key, salt.hi, salt.lo) };
  }

  private tokenIds(runs: readonly Run[]): number[] {
    const ids: number[] = [];
    for (const run of runs) {
      for (const piece of piecesOf(run, this.received.get(keyText(run.key)) ?? [])) {
        const kept = piece.stretch?.ids ?? null;
        if (kept !== null) ids.push(...slice(kept, piece));
        else pushPlannedIds(ids, this.salted(piece.run), this.vocabTokens);
      }
    }
    return ids;
  }
}

/** Goes on with the last message where it is of the same role, in a part of its own behind a mark. */
function addTo(drafts: Draft[], role: Draft['role'], text: string, mark: CacheControl | null): void {
  if (text === '') return;
  const last = drafts.at(-1);
  if (last?.role !== role) {
    drafts.push({ role, parts: [{ text, mark }] });
    return;
  }
  const part = last.parts.at(-1)!;
  if (part.mark !== null) last.parts.push({ text, mark });
  else {
    part.text = joinWords(part.text, text);
    part.mark = mark;
  }
}

/** Plain text where nothing is marked: what every server takes. */
function messageOf({ role, parts }: Draft): ChatMessage {
  const [first] = parts;
  // Only what is marked has another part behind it.
  if (first!.mark === null) return { role, content: first!.text };
  const partOf = ({ text, mark }: Draft['parts'][number]): TextPart =>
    mark === null ? { type: 'text', text } : { type: 'text', text, cache_control: mark };
  return { role, content: parts.map(partOf) };
}

const joinWords = (a: string, b: string): string => (a === '' ? b : b === '' ? a : `${a} ${b}`);

function pushPlannedIds(ids: number[], { key, from, tokens }: Run, vocabTokens: number): void {
  for (let i = from; i < from + tokens; i++) ids.push(tokenIdOf(key, i, vocabTokens));
}

/**
 * Items for tokens `from` to `to` of `total`: one each where the counts agree, in proportion where the server gave
 * more or fewer (its words are not its tokens).
 */
function share<T>(items: readonly T[], from: number, to: number, total: number): readonly T[] {
  if (total <= 0) return [];
  const place = (token: number) => Math.round((token / total) * items.length);
  return items.slice(place(Math.max(from, 0)), place(Math.max(to, 0)));
}

/** A part of a run that lies inside one stretch, or, with `stretch` null, outside of all. */
interface Piece {
  run: Run;
  stretch: Stretch | null;
}

const slice = <T>(items: readonly T[], { run, stretch }: Piece): readonly T[] =>
  share(items, run.from - stretch!.from, run.from + run.tokens - stretch!.from, stretch!.tokens);

/** Cuts a run where stretches begin and end. */
function piecesOf(run: Run, stretches: readonly Stretch[]): Piece[] {
  const pieces: Piece[] = [];
  const end = run.from + run.tokens;
  let at = run.from;
  while (at < end) {
    const from = at;
    const stretch = stretches.find(s => s.from <= from && from < s.from + s.tokens) ?? null;
    const next = stretches.reduce((least, s) => (s.from > from ? Math.min(least, s.from) : least), end);
    at = stretch === null ? next : Math.min(end, stretch.from + stretch.tokens);
    pieces.push({ run: { key: run.key, from, tokens: at - from }, stretch });
  }
  return pieces;
}

/** Where parts end, in tokens from the start. */
function boundaries(parts: readonly PromptPart[]): number[] {
  let at = 0;
  return parts.map(part => {
    at += part.tokens;
    return at;
  });
}

function segmentAt(parts: readonly PromptPart[], token: number): string | null {
  let end = 0;
  for (const part of parts) {
    end += part.tokens;
    if (token < end) return part.segment;
  }
  return null;
}

/** The runs, cut at the given tokens as well. */
function cutAt(runs: readonly Run[], cuts: readonly number[]): Run[] {
  const pieces: Run[] = [];
  let at = 0;
  for (const run of runs) {
    let { from, tokens } = run;
    for (const cut of cuts) {
      if (cut <= at || cut >= at + tokens) continue;
      pieces.push({ key: run.key, from, tokens: cut - at });
      from += cut - at;
      tokens -= cut - at;
      at = cut;
    }
    pieces.push({ key: run.key, from, tokens });
    at += tokens;
  }
  return pieces;
}
