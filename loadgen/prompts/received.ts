// What was answered, by the content that the plan has for it: whole it goes back as it came, in part by its words.
import { splitWords } from '../../engines/words.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

/** What a call gave back. */
export interface ReceivedOutput {
  outputText: string;
  reasoningText: string;
  /** Null where the server does not say. */
  tokenIds: readonly number[] | null;
  /** As counted, reasoning included; absent: as many as planned. */
  outputTokens?: number;
  reasoningTokens?: number;
}

/** A stretch of an output's content, from token `from` on, and what was received for it. */
export interface Stretch {
  readonly from: number;
  /** As planned, and as the server counted what it gave. */
  readonly tokens: number;
  readonly countedTokens: number;
  readonly text: string;
  readonly words: readonly string[];
  readonly ids: readonly number[] | null;
}

/** A run of the planned output, and the stretches that were received for it. */
export interface ReceivedRun {
  readonly run: Run;
  readonly stretches: readonly Stretch[];
}

/** The first `reasoningTokens` of the content `output` were planned as reasoning. */
export function receivedRuns(
  output: readonly Run[],
  reasoningTokens: number,
  received: ReceivedOutput,
): ReceivedRun[] {
  const total = output.reduce((sum, run) => sum + run.tokens, 0);
  const counted = received.outputTokens ?? total;
  const countedReasoning =
    received.outputTokens === undefined ? reasoningTokens : (received.reasoningTokens ?? 0);
  const { reasoningText, outputText } = apart(received, reasoningTokens, total);
  const reasoning = side(reasoningText, reasoningTokens, countedReasoning);
  const answer = side(outputText, total - reasoningTokens, counted - countedReasoning);
  let at = 0;
  return output.map(run => {
    const cut = Math.min(Math.max(reasoningTokens - at, 0), run.tokens);
    const ids = (from: number, to: number) =>
      received.tokenIds === null ? null : share(received.tokenIds, from, to, total);
    const begin = at + cut - reasoningTokens;
    const end = at + run.tokens - reasoningTokens;
    const stretches = [
      { from: run.from, ...reasoning(at, at + cut), ids: ids(at, at + cut) },
      { from: run.from + cut, ...answer(begin, end), ids: ids(at + cut, at + run.tokens) },
    ].filter(stretch => stretch.tokens > 0);
    at += run.tokens;
    return { run, stretches };
  });
}

/** Completions do not tell reasoning from answer: a text of as many words as there are tokens is both. */
function apart(
  { reasoningText, outputText }: ReceivedOutput,
  reasoningTokens: number,
  total: number,
): Pick<ReceivedOutput, 'reasoningText' | 'outputText'> {
  const words = reasoningTokens > 0 && reasoningText === '' ? splitWords(outputText) : [];
  if (words.length !== total || total === 0) return { reasoningText, outputText };
  return {
    reasoningText: words.slice(0, reasoningTokens).join(' '),
    outputText: words.slice(reasoningTokens).join(' '),
  };
}

/** One channel of an answer: what was received for its tokens `from` to `to` of `planned`. */
function side(text: string, planned: number, counted: number) {
  const words = splitWords(text);
  return (from: number, to: number): Omit<Stretch, 'from' | 'ids'> => {
    const isWhole = from <= 0 && to >= planned;
    const some = isWhole ? words : share(words, from, to, planned);
    return {
      tokens: Math.max(to, 0) - Math.max(from, 0),
      countedTokens: planned <= 0 ? 0 : (counted * (to - from)) / planned,
      text: isWhole ? text : some.join(' '),
      words: some,
    };
  };
}

/**
 * Items for tokens `from` to `to` of `total`: one each where the counts agree, in proportion where the server gave
 * more or fewer (its words are not its tokens).
 */
export function share<T>(items: readonly T[], from: number, to: number, total: number): readonly T[] {
  if (total <= 0) return [];
  const place = (token: number) => Math.round((token / total) * items.length);
  return items.slice(place(Math.max(from, 0)), place(Math.max(to, 0)));
}

/** A part of a run that lies inside one stretch, or, with `stretch` null, outside of all. */
export interface Piece {
  readonly run: Run;
  readonly stretch: Stretch | null;
}

/** What was received for a piece of a stretch. */
export function heard({ run, stretch }: Piece): { text: string; countedTokens: number } {
  const { from, tokens, countedTokens, text } = stretch!;
  if (run.from === from && run.tokens === tokens) return { text, countedTokens };
  return {
    text: sliceOf(stretch!.words, { run, stretch }).join(' '),
    countedTokens: (countedTokens * run.tokens) / tokens,
  };
}

export const sliceOf = <T>(items: readonly T[], { run, stretch }: Piece): readonly T[] =>
  share(items, run.from - stretch!.from, run.from + run.tokens - stretch!.from, stretch!.tokens);

/** Cuts a run where stretches begin and end. */
export function piecesOf(run: Run, stretches: readonly Stretch[]): Piece[] {
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
