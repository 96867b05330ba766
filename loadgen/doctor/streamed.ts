// One tiny streamed call in a dialect, and what its stream shows that a replay must know of.
import type { StreamDelta } from '../../engines/wire/delta.ts';
import { dialectOf } from '../../engines/wire/dialect.ts';
import { errorOfBody, refusedField } from '../../engines/wire/errors.ts';
import type { WireApi, WireField, WirePrompt } from '../../engines/wire/request.ts';
import { PUBLISHED_FIELDS } from '../../engines/wire/servers.ts';
import { SseParser } from '../sse.ts';
import { type Answer, type Ask, hasAnswered } from './ask.ts';

export interface Streamed {
  /** Null: no answer at all; `error` says why. */
  status: number | null;
  /** What went wrong, in the server's words; null: it answered with a stream. */
  error: string | null;
  isStream: boolean;
  /** What was sent beyond the published API, and was not refused. */
  takes: readonly WireField[];
  /** Events with tokens. */
  pieces: number;
  /** As `usage` has it; null without usage. */
  promptTokens: number | null;
  outputTokens: number | null;
  cachedTokens: number | null;
  /** Usage on every event with a token. */
  hasContinuousUsage: boolean;
  hasTokenIds: boolean;
  /** The first event of the answer has no token. */
  startsWithRole: boolean;
  finishReason: string | null;
  hasDone: boolean;
  /** From the first piece to the last, ms; `reads`: how many pieces there were. */
  spreadMs: number;
  reads: number;
  tookMs: number;
}

export interface StreamQuestion {
  baseUrl: string;
  model: string;
  prompt: WirePrompt;
  outputTokens: number;
  takes: readonly WireField[];
  headers: Readonly<Record<string, string>>;
}

/** A field that is refused is left out, and asked again without. */
const REFUSALS_MAX = 6;

export async function askStreamed(ask: Ask, question: StreamQuestion): Promise<Streamed> {
  let { takes } = question;
  for (let round = 0; ; round++) {
    const answer = await ask(question.baseUrl + dialectOf(question.prompt.api).path, {
      method: 'POST',
      headers: { accept: 'text/event-stream', ...question.headers },
      body: bodyOf(question, takes),
    });
    if (!hasAnswered(answer)) return { ...NOTHING, error: answer.failed };
    const isRefused = answer.status === 400 || answer.status === 422;
    if (!isRefused || takes.length === 0 || round >= REFUSALS_MAX) return readStream(answer, question, takes);
    takes = withoutRefused(takes, answer.body);
  }
}

/** The JSON of the call. */
export function bodyOf(
  { model, prompt, outputTokens }: Pick<StreamQuestion, 'model' | 'prompt' | 'outputTokens'>,
  takes: readonly WireField[],
): string {
  return dialectOf(prompt.api).body({ model, prompt, outputTokens, reasoningTokens: 0, takes });
}

/** Without the field that the server names; without all but the published ones where it names none of ours. */
function withoutRefused(takes: readonly WireField[], body: string): readonly WireField[] {
  const refused = refusedField(errorOfBody(body));
  const named = takes.filter(
    field => field === refused || (refused?.startsWith(WIRE_NAMES[field] ?? field) ?? false),
  );
  if (named.length > 0) return takes.filter(field => !named.includes(field));
  const published = takes.filter(field => PUBLISHED_FIELDS.includes(field));
  return published.length < takes.length ? published : [];
}

/** Fields whose name on the wire is another. */
const WIRE_NAMES: Partial<Record<WireField, string>> = {
  continuous_usage: 'stream_options.continuous_usage',
};

const NOTHING: Streamed = {
  status: null,
  error: null,
  isStream: false,
  takes: [],
  pieces: 0,
  promptTokens: null,
  outputTokens: null,
  cachedTokens: null,
  hasContinuousUsage: false,
  hasTokenIds: false,
  startsWithRole: false,
  finishReason: null,
  hasDone: false,
  spreadMs: 0,
  reads: 0,
  tookMs: 0,
};

function readStream(answer: Answer, { prompt }: StreamQuestion, takes: readonly WireField[]): Streamed {
  const { status, headers, body, pieces, tookMs } = answer;
  const base = { ...NOTHING, status, takes, tookMs, reads: pieces.length };
  if (status !== 200) {
    const { code, message } = errorOfBody(body);
    const words = message === '' ? code : message;
    return { ...base, error: words === '' ? `status ${status}` : words.slice(0, 300) };
  }
  if (!/^text\/event-stream/i.test(headers['content-type'] ?? ''))
    return {
      ...base,
      error: `it answers with ${headers['content-type'] ?? 'something'} instead of a stream`,
    };
  const deltas = deltasOf(prompt.api, body);
  const usages = deltas.map(({ usage }) => usage).filter(usage => usage !== null);
  const last = usages.at(-1) ?? null;
  const answered = deltas.filter(({ hasChoice }) => hasChoice);
  const withTokens = deltas.filter(({ hasToken }) => hasToken);
  const error = deltas.find(delta => delta.error !== null)?.error;
  return {
    ...base,
    isStream: true,
    error:
      error == null
        ? withTokens.length === 0 && last?.completionTokens !== 0
          ? 'the stream holds no token'
          : null
        : `${error.code} ${error.message}`.trim(),
    pieces: withTokens.length,
    promptTokens: last?.promptTokens ?? null,
    outputTokens: last?.completionTokens ?? null,
    cachedTokens: usages.map(({ cachedTokens }) => cachedTokens).findLast(tokens => tokens !== null) ?? null,
    hasContinuousUsage: withTokens.length > 0 && withTokens.every(({ usage }) => usage !== null),
    hasTokenIds: deltas.some(({ tokenIds }) => tokenIds !== null && tokenIds.length > 0),
    startsWithRole: answered[0]?.hasToken === false,
    finishReason: deltas.map(({ finishReason }) => finishReason).findLast(reason => reason !== null) ?? null,
    hasDone: deltas.some(({ done }) => done),
    spreadMs: (pieces.at(-1)?.atMs ?? 0) - (pieces[0]?.atMs ?? 0),
  };
}

export function deltasOf(api: WireApi, body: string): StreamDelta[] {
  const read = dialectOf(api).reader();
  const deltas: StreamDelta[] = [];
  const parser = new SseParser(({ event, data }) => {
    const delta = read(data, event);
    if (delta !== null) deltas.push(delta);
  });
  parser.push(Buffer.from(body));
  parser.end();
  return deltas;
}
