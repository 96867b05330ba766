// Turns a prompt's runs into what an endpoint takes: messages, text or token ids. Content the plan names becomes words
// or ids that the server reads as so many tokens; the output of an earlier call becomes what was really received.
// Rule: the server counts as many prompt tokens as the runs hold, and equal content is equal text.
import { type ChatMessage, type TextPart, textOfMessage, type WirePrompt } from '../engines/wire/request.ts';
import { knownIdOf, spelled, tokenIdOf } from '../engines/words.ts';
import type { CacheBreakpoint, CacheControl } from '../gateway/context/server-hints.ts';
import { extend, type Key, keyText, textKey } from '../scenarios/base/key.ts';
import type { PromptPart, Run } from '../scenarios/formats/prompt.ts';
import { CountedPrompts, PrefixName } from './prompts/counted.ts';
import {
  heard,
  piecesOf,
  type ReceivedOutput,
  receivedRuns,
  type Stretch,
  sliceOf,
} from './prompts/received.ts';
import { OWN_WORDS, type Wording } from './prompts/wording.ts';

export type { ReceivedOutput };

export interface PromptWriterOptions {
  api: WirePrompt['api'];
  /** Mixed into all planned content, so that an earlier run's cache on the same server is not found again. */
  salt?: string;
  /** Size of the model's vocabulary; ids are drawn from [10, vocabTokens - 10). Only for `tokens`. */
  vocabTokens?: number;
}

/** Whose prompts share no cache with others: nobody's, those of each run, of each session, of each call. */
export const CACHE_BUSTS = ['none', 'run', 'session', 'call'] as const;
export type CacheBust = (typeof CACHE_BUSTS)[number];

/** Whose prompt it is. */
export interface PromptPlace {
  /** Its counts decide how its later prompts go on; null: nothing is remembered. */
  readonly session: string | null;
  /** Words at the very beginning are drawn from it, so that no cache has what follows; null: none. */
  readonly marker: string | null;
}

const NOWHERE: PromptPlace = { session: null, marker: null };

/** A message as it is put together: stretches of its text, each ended by a mark but the last. */
interface Draft {
  readonly role: ChatMessage['role'];
  readonly parts: { text: string; mark: CacheControl | null }[];
}

/** A part of a prompt that is of one role, and the mark at its end. */
interface Passage {
  readonly run: Run;
  readonly role: Draft['role'];
  readonly mark: CacheControl | null;
}

/** Characters of prefix text kept, so that shared prefixes are not spelled anew for every call. */
const CACHED_CHARS_MAX = 32_000_000;
/** Shorter runs are not worth a place there. */
const CACHED_TOKENS_MIN = 64;
/** Two markers agree by chance once in 10^7 times even with the smallest vocabulary. */
const MARKER_TOKENS = 4;

export class PromptWriter {
  private readonly api: WirePrompt['api'];
  private readonly salt: Key | null;
  private wording: Wording = OWN_WORDS;
  /** Its words, each with a space before it. */
  private spaced: readonly string[] | null = null;
  private readonly received = new Map<string, Stretch[]>();
  private readonly counts = new CountedPrompts();
  private readonly texts = new Map<string, string>();
  private cachedChars = 0;

  constructor({ api, salt = '', vocabTokens }: PromptWriterOptions) {
    this.api = api;
    this.salt = salt === '' ? null : textKey(salt);
    if (vocabTokens !== undefined) this.speak({ ...OWN_WORDS, vocabTokens });
  }

  /** From now on; before the first prompt, since the same content is other text then. */
  speak(wording: Wording): void {
    this.wording = wording;
    this.spaced = wording.words === null ? null : wording.words.map(word => ` ${word}`);
    this.texts.clear();
    this.cachedChars = 0;
  }

  /**
   * Remembers what was received for the content `output`, of which the first `reasoningTokens` were planned as
   * reasoning. Later prompts with runs of that content send it back.
   */
  registerOutput(output: readonly Run[], reasoningTokens: number, received: ReceivedOutput): void {
    for (const { run, stretches } of receivedRuns(output, reasoningTokens, received)) {
      const key = keyText(run.key);
      this.received.set(key, [...(this.received.get(key) ?? []), ...stretches]);
    }
  }

  /** Frees what `registerOutput` keeps; when a session has ended. */
  forgetOutput(output: readonly Run[]): void {
    for (const run of output) this.received.delete(keyText(run.key));
  }

  /** The server counted `tokens` for the prompt of these runs; what follows it in the session is corrected by that. */
  counted(session: string, runs: readonly Run[], tokens: number): void {
    this.counts.add(session, runs, tokens);
  }

  /** Frees what `counted` keeps. */
  forgetSession(session: string): void {
    this.counts.forget(session);
  }

  /**
   * `parts` tell where prefix segments end and where history is; without them there is no system message. Messages carry
   * marks where `breakpoints` are.
   */
  write(
    runs: readonly Run[],
    parts: readonly PromptPart[] = [],
    breakpoints: readonly CacheBreakpoint[] = [],
    place: PromptPlace = NOWHERE,
  ): WirePrompt {
    const { api } = this;
    if (api === 'tokens') return { api, tokenIds: this.tokenIds(runs, place.marker) };
    if (place.session !== null) this.counts.open(place.session);
    const messages = this.drafts(this.passages(runs, parts, breakpoints), place).map(messageOf);
    return api === 'completions'
      ? { api, text: messages.map(textOfMessage).reduce(joinWords, '') }
      : { api, messages };
  }

  /**
   * Prefix segments are the system's, received outputs in the history the assistant's, all else is the user's. The role
   * depends on the content only, so that a longer prompt starts like the shorter one before it.
   */
  private passages(
    runs: readonly Run[],
    parts: readonly PromptPart[],
    breakpoints: readonly CacheBreakpoint[],
  ): Passage[] {
    const passages: Passage[] = [];
    let at = 0;
    for (const run of cutAt(runs, boundaries(parts))) {
      const segment = segmentAt(parts, at);
      at += run.tokens;
      const isOutput = this.received.has(keyText(run.key)) && (segment === null || segment === 'history');
      const isPrefix = segment !== null && !['history', 'reads', 'input'].includes(segment);
      const role = isOutput ? 'assistant' : isPrefix ? 'system' : 'user';
      const mark = breakpoints.find(({ atToken }) => atToken === at)?.cache_control ?? null;
      const last = passages.at(-1);
      // Where a part ends inside of a run nothing ends for who writes it.
      if (last?.role === role && last.mark === null && isNext(last.run, run))
        passages[passages.length - 1] = {
          ...last,
          run: { ...last.run, tokens: last.run.tokens + run.tokens },
          mark,
        };
      else passages.push({ run, role, mark });
    }
    return passages;
  }

  /**
   * Content in words. The template's tokens are a debt: planned content pays by beginning so many tokens later, the
   * shared prefix as much in every prompt. What was received may be more or less than planned: what follows it pays.
   */
  private drafts(passages: readonly Passage[], { session, marker }: PromptPlace): Draft[] {
    const { frame, wordTokens } = this.wording;
    const drafts: Draft[] = [];
    const beginning = new PrefixName();
    let planned = 0;
    let sent = 0;
    for (const { run, role, mark } of passages) {
      const pieces = piecesOf(run, this.received.get(keyText(run.key)) ?? []);
      const isSilent = pieces.every(piece => piece.stretch !== null && heard(piece).text === '');
      if (!isSilent && drafts.at(-1)?.role !== role) {
        if (drafts.length > 0 && session !== null) sent = this.counts.at(session, beginning, sent);
        const opening = drafts.length === 0 ? this.opening(marker) : { text: '', tokens: 0 };
        sent += opening.tokens;
        // The system's message is shared: of the template it pays for no more than stands before its own end.
        const isOwing =
          this.api === 'completions'
            ? drafts.length === 0
            : role !== 'system' && drafts.every(draft => draft.role === 'system');
        if (isOwing) sent += frame.promptTokens;
        if (role === 'system') sent += frame.systemTokens;
        if (role === 'assistant') sent += frame.exchangeTokens;
        drafts.push({ role, parts: [{ text: opening.text, mark: null }] });
      }
      let text = '';
      for (const piece of pieces) {
        if (piece.stretch === null) {
          const [from, to] = wordsFor(piece.run, sent - planned, wordTokens);
          text = joinWords(text, this.plannedText(piece.run.key, from, to));
          sent += (to - from) * wordTokens;
        } else {
          const said = heard(piece);
          text = joinWords(text, said.text);
          sent += said.countedTokens;
        }
        planned += piece.run.tokens;
      }
      addTo(drafts, text, mark);
      beginning.push(run);
    }
    return drafts;
  }

  /** What stands before all content. */
  private opening(marker: string | null): { text: string; tokens: number } {
    const { lead, wordTokens } = this.wording;
    const mark = marker === null ? '' : spelled(this.markerKey(marker), 0, MARKER_TOKENS, this.spaced);
    const markTokens = marker === null ? 0 : MARKER_TOKENS * wordTokens;
    return { text: joinWords(mark, lead?.text ?? ''), tokens: markTokens + (lead?.tokens ?? 0) };
  }

  private markerKey(marker: string): Key {
    return this.salted(textKey(`marker ${marker}`));
  }

  /** Words `from` to `to` of planned content. */
  private plannedText(key: Key, from: number, to: number): string {
    if (to - from < CACHED_TOKENS_MIN) return spelled(this.salted(key), from, to, this.spaced);
    const name = `${keyText(key)}/${from}/${to}`;
    const known = this.texts.get(name);
    if (known !== undefined) {
      // Most recently used goes last: the first is the next to be dropped.
      this.texts.delete(name);
      this.texts.set(name, known);
      return known;
    }
    const text = spelled(this.salted(key), from, to, this.spaced);
    this.texts.set(name, text);
    this.cachedChars += text.length;
    for (const [oldest, old] of this.texts) {
      if (this.cachedChars <= CACHED_CHARS_MAX) break;
      this.texts.delete(oldest);
      this.cachedChars -= old.length;
    }
    return text;
  }

  private salted(key: Key): Key {
    const { salt } = this;
    return salt === null ? key : extend(key, salt.hi, salt.lo);
  }

  private tokenIds(runs: readonly Run[], marker: string | null): number[] {
    const ids: number[] = [];
    for (const run of runs) {
      for (const piece of piecesOf(run, this.received.get(keyText(run.key)) ?? [])) {
        const kept = piece.stretch?.ids ?? null;
        if (kept !== null) ids.push(...sliceOf(kept, piece));
        else this.pushIds(ids, piece.run);
      }
    }
    if (marker === null) return ids;
    const mark: number[] = [];
    this.pushIds(mark, { key: textKey(`marker ${marker}`), from: 0, tokens: MARKER_TOKENS });
    return ids.map((id, i) => mark[i] ?? id);
  }

  private pushIds(ids: number[], { key, from, tokens }: Run): void {
    const { ids: known, vocabTokens } = this.wording;
    const salted = this.salted(key);
    for (let i = from; i < from + tokens; i++)
      ids.push(known === null ? tokenIdOf(salted, i, vocabTokens) : knownIdOf(salted, i, known));
  }
}

/**
 * The words for a run of planned content that has to pay a debt of tokens, which may be negative: all but its last word
 * can be paid. Where words cost more than a token they are spread so that runs which go on do too.
 */
function wordsFor({ from, tokens }: Run, debt: number, wordTokens: number): [from: number, to: number] {
  const paid = Math.min(debt, tokens - 1);
  const end = wordAt(from + tokens, wordTokens);
  return [Math.min(wordAt(from + paid, wordTokens), end - 1), end];
}

/** The first word at or behind a token. */
const wordAt = (token: number, wordTokens: number): number => Math.ceil(token / wordTokens - 1e-6);

/** Goes on with the last message, in a part of its own behind a mark. */
function addTo(drafts: readonly Draft[], text: string, mark: CacheControl | null): void {
  const draft = drafts.at(-1);
  if (draft === undefined || text === '') return;
  const part = draft.parts.at(-1)!;
  if (part.mark !== null) draft.parts.push({ text, mark });
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

/** What brings its own white space came so from the server, and goes back so. */
const joinWords = (a: string, b: string): string =>
  a === '' || b === '' || /^\s/.test(b) || /\s$/.test(a) ? a + b : `${a} ${b}`;

const isNext = (a: Run, b: Run): boolean =>
  a.key.hi === b.key.hi && a.key.lo === b.key.lo && a.from + a.tokens === b.from;

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
