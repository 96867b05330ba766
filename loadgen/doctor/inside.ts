// What a server is like inside, as far as a few requests show: how it counts tokens, whether it finds prefixes again,
// whether it stops when a client leaves, and what it tells of itself.
import { METRICS_PATHS } from '../../engines/metrics/index.ts';
import { readServer, type ServerReading } from '../../engines/metrics/read.ts';
import { dialectOf } from '../../engines/wire/dialect.ts';
import { isObject, parseJson } from '../../engines/wire/json.ts';
import type { WireField, WirePrompt } from '../../engines/wire/request.ts';
import { wordsOfRuns } from '../../engines/words.ts';
import { textKey } from '../../scenarios/base/key.ts';
import { type Ask, hasAnswered } from './ask.ts';
import { rootOf } from './bases.ts';
import { askStreamed, bodyOf, deltasOf, type Streamed } from './streamed.ts';

/** A server that is asked, and what goes with every request. */
export interface Patient {
  ask: Ask;
  baseUrl: string;
  model: string;
  headers: Readonly<Record<string, string>>;
  /** Mixed into prompts, so that no earlier visit is found in a cache. */
  salt: string;
}

/** Our own words, one token each where the plan counts them. */
export const words = (salt: string, count: number): string =>
  wordsOfRuns([{ key: textKey(salt), from: 0, tokens: count }]);

// ---- metrics ------------------------------------------------------------------------------------------------------

export interface Told {
  path: string;
  reading: ServerReading;
  version: string | null;
}

/** Null: no metrics that we know. */
export async function readMetrics(patient: Patient): Promise<Told | null> {
  const root = rootOf(patient.baseUrl);
  for (const path of METRICS_PATHS) {
    const reading = await readAt(patient, path);
    if (reading === null) continue;
    const { version } = reading.engine;
    const answer =
      version === null ? null : await patient.ask(root + version.path, { headers: patient.headers });
    const payload = answer !== null && hasAnswered(answer) ? parseJson(answer.body) : null;
    const said = isObject(payload) && version !== null ? payload[version.key] : null;
    return { path, reading, version: typeof said === 'string' ? said : null };
  }
  return null;
}

async function readAt(
  { ask, baseUrl, model, headers }: Patient,
  path: string,
): Promise<ServerReading | null> {
  const answer = await ask(rootOf(baseUrl) + path, { headers });
  return hasAnswered(answer) && answer.status === 200 ? readServer(answer.body, model) : null;
}

// ---- tokens -------------------------------------------------------------------------------------------------------

const COUNTED_WORDS = 50;

export interface Tokenizing {
  /** How it was counted: `/tokenize`, or the usage of tiny calls. */
  by: 'tokenize' | 'usage';
  /** Tokens of one of our words. */
  perWord: number;
  /** Tokens of a chat's template around one message; null: not known. */
  templateTokens: number | null;
}

/** By /tokenize of vLLM, SGLang or llama.cpp. Null: there is none. */
export async function tokenizing(patient: Patient): Promise<Tokenizing | null> {
  const text = words(patient.salt, COUNTED_WORDS);
  const plain = await tokensOf(patient, { prompt: text, content: text, add_special_tokens: false });
  if (plain === null) return null;
  const messages = [{ role: 'user', content: text }];
  const chat = await tokensOf(patient, { messages, add_generation_prompt: true });
  return {
    by: 'tokenize',
    perWord: plain / COUNTED_WORDS,
    templateTokens: chat === null ? null : chat - plain,
  };
}

async function tokensOf({ ask, baseUrl, model, headers }: Patient, body: object): Promise<number | null> {
  const answer = await ask(`${rootOf(baseUrl)}/tokenize`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ model, ...body }),
  });
  if (!hasAnswered(answer) || answer.status !== 200) return null;
  const payload = parseJson(answer.body);
  if (!isObject(payload)) return null;
  if (typeof payload.count === 'number') return payload.count;
  return Array.isArray(payload.tokens) && payload.tokens.length > 0 ? payload.tokens.length : null;
}

/** By the usage of two chats that differ in length alone. Null: no usage. */
export function tokenizingByUsage(
  short: Streamed,
  shortWords: number,
  long: Streamed,
  longWords: number,
): Tokenizing | null {
  if (short.promptTokens === null || long.promptTokens === null || longWords <= shortWords) return null;
  const perWord = (long.promptTokens - short.promptTokens) / (longWords - shortWords);
  return { by: 'usage', perWord, templateTokens: Math.round(short.promptTokens - perWord * shortWords) };
}

/** A replay's ids are below this unless it is told otherwise. */
export const USUAL_VOCABULARY = 32_000;

/** The least token id that it refuses in a prompt; null: it takes all that a replay sends. */
export async function vocabulary(patient: Patient, takes: readonly WireField[]): Promise<number | null> {
  const isTaken = async (id: number): Promise<boolean> => {
    const prompt: WirePrompt = { api: 'tokens', tokenIds: [id] };
    const { isStream, error } = await askStreamed(patient.ask, {
      ...patient,
      prompt,
      outputTokens: 1,
      takes,
    });
    // vLLM says it inside of a 200.
    return isStream && error === null;
  };
  if (await isTaken(USUAL_VOCABULARY - 1)) return null;
  let taken = 100;
  let refused = USUAL_VOCABULARY - 1;
  while (refused - taken > 1) {
    const middle = Math.floor((taken + refused) / 2);
    if (await isTaken(middle)) taken = middle;
    else refused = middle;
  }
  return refused;
}

// ---- prefix cache -------------------------------------------------------------------------------------------------

export interface PrefixSeen {
  /** Of the second of two equal prompts; null: nothing shows. */
  hitTokens: number | null;
  promptTokens: number | null;
  by: 'usage' | 'metrics' | null;
  second: Streamed;
}

/** The same prompt twice. `told`: where its counters are. */
export async function prefixSeen(
  patient: Patient,
  prompt: WirePrompt,
  takes: readonly WireField[],
  told: Told | null,
): Promise<PrefixSeen> {
  const call = { ...patient, prompt, outputTokens: 1, takes };
  const first = await askStreamed(patient.ask, call);
  const before = told === null ? null : await readAt(patient, told.path);
  const second = await askStreamed(patient.ask, call);
  const after = told === null ? null : await readAt(patient, told.path);
  const promptTokens = second.promptTokens ?? first.promptTokens;
  // Zero of both may be a server that always says 0; its metrics know better.
  if ((second.cachedTokens ?? 0) > 0)
    return { hitTokens: second.cachedTokens, promptTokens, by: 'usage', second };
  const [was, is] = [before?.counters.prefixHitTokens ?? null, after?.counters.prefixHitTokens ?? null];
  if (was !== null && is !== null) return { hitTokens: is - was, promptTokens, by: 'metrics', second };
  const by = second.cachedTokens === null ? null : 'usage';
  return { hitTokens: second.cachedTokens, promptTokens, by, second };
}

// ---- cancelling ---------------------------------------------------------------------------------------------------

/** Enough to be seen running, and ended soon where nobody ends it. */
const LEFT_TOKENS = 400;
const LOOK_MS = 50;
const GONE_LIMIT_MS = 3000;

export type Cancelling =
  | { kind: 'stops'; afterMs: number }
  | { kind: 'goes on' }
  /** It was over before it could be left, others use the server, or nothing shows what runs. */
  | { kind: 'unknown'; why: string };

/** Leaves a long call after its first token, and looks whether the server still runs it. */
export async function cancelling(
  patient: Patient,
  prompt: WirePrompt,
  takes: readonly WireField[],
  told: Told | null,
): Promise<Cancelling> {
  if (told === null) return { kind: 'unknown', why: 'it shows no metrics' };
  const runningNow = async (): Promise<number | null> => {
    const reading = await readAt(patient, told.path);
    const { runningRequests, waitingRequests } = reading?.gauges ?? {};
    return runningRequests == null ? null : runningRequests + (waitingRequests ?? 0);
  };
  const before = await runningNow();
  if (before === null) return { kind: 'unknown', why: 'its metrics do not show what runs' };
  if (before > 0) return { kind: 'unknown', why: 'others are using it now' };
  const { api } = prompt;
  const answer = await patient.ask(patient.baseUrl + dialectOf(api).path, {
    method: 'POST',
    headers: { accept: 'text/event-stream', ...patient.headers },
    body: bodyOf({ model: patient.model, prompt, outputTokens: LEFT_TOKENS }, takes),
    isEnough: body => deltasOf(api, body).some(({ hasToken }) => hasToken),
  });
  const leftMs = performance.now();
  if (!hasAnswered(answer) || answer.status !== 200)
    return { kind: 'unknown', why: 'it refused a long answer' };
  if (deltasOf(api, answer.body).some(({ done, finishReason }) => done || finishReason !== null))
    return { kind: 'unknown', why: 'its answer came in one piece' };
  for (;;) {
    const running = await runningNow();
    const afterMs = performance.now() - leftMs;
    if (running === 0) return { kind: 'stops', afterMs };
    if (afterMs > GONE_LIMIT_MS) return { kind: 'goes on' };
    await new Promise(resolve => setTimeout(resolve, LOOK_MS));
  }
}
