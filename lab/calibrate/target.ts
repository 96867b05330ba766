// The server under calibration: calls of exact lengths with content of their own, and what its other addresses say.
import type { WireApi } from '../../engines/wire/dialect.ts';
import { dialectOf } from '../../engines/wire/dialect.ts';
import { type CallHandle, type CallResult, type Client, createClient } from '../../loadgen/client.ts';
import { type Clock, startClock } from '../../loadgen/clock.ts';
import { learnWording } from '../../loadgen/prompts/learn.ts';
import { PromptWriter } from '../../loadgen/prompts.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { extend, type Key, textKey } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

export interface TargetOptions {
  /** Up to and including /v1. */
  baseUrl: string;
  model: string;
  api: WireApi;
  key: string | null;
  /** Prompts of two calibrations have nothing in common. */
  salt: string;
}

/** What a call asks for. */
export interface Ask {
  /** Tokens that nobody has sent before. */
  tokens: number;
  /** In front of them: a content that other calls have too. */
  prefix?: { name: string; tokens: number };
  outputTokens: number;
  onFirstToken?: () => void;
  /** At each read with tokens: how many there are so far. */
  onTokens?: (tokens: number) => void;
}

export interface Target {
  readonly options: TargetOptions;
  readonly clock: Clock;
  /** Prompt tokens sent so far. */
  readonly sentTokens: number;
  /** How the server reads text, so that prompts have the lengths that are asked for. Before the first call. */
  learn(): Promise<void>;
  send(ask: Ask): CallHandle;
  /** A call that must succeed. */
  call(ask: Ask): Promise<CallResult>;
  /** The body of a GET; null when it fails. `/metrics` and the like lie beside /v1. */
  text(path: string, beside?: 'v1' | 'root'): Promise<string | null>;
  pause(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** Ids of prompts are below it: every vocabulary has them. */
const VOCAB_TOKENS = 1000;
const CALL_TIMEOUT_MS = 300_000;

export function createTarget(options: TargetOptions): Target {
  const { baseUrl, model, api, key, salt } = options;
  const clock = startClock();
  const client: Client = createClient({ clock, timeoutMs: CALL_TIMEOUT_MS });
  const writer = new PromptWriter({ api, salt, vocabTokens: VOCAB_TOKENS });
  const root: Key = textKey(`calibrate/${salt}`);
  const dialect = dialectOf(api);
  const how = { headers: { ...dialect.headers, ...(key === null ? {} : dialect.keyHeader(key)) } };
  const rootUrl = baseUrl.replace(/\/v1$/, '');
  let calls = 0;
  let sentTokens = 0;

  function send({ tokens, prefix, outputTokens, onFirstToken, onTokens }: Ask): CallHandle {
    const own: Run = { key: extend(root, 1, ++calls), from: 0, tokens };
    const runs: Run[] =
      prefix === undefined
        ? [own]
        : [{ key: extend(textKey(prefix.name), 2), from: 0, tokens: prefix.tokens }, own];
    sentTokens += tokens + (prefix?.tokens ?? 0);
    return client.stream({
      baseUrl,
      ...how,
      wire: {
        model,
        prompt: writer.write(runs.filter(run => run.tokens > 0)),
        outputTokens,
        reasoningTokens: 0,
      },
      ...(onFirstToken === undefined ? {} : { onFirstToken }),
      ...(onTokens === undefined ? {} : { onTokens }),
    });
  }

  async function learn(): Promise<void> {
    if (api === 'tokens') return;
    const wording = await learnWording(
      {
        count: async prompt => {
          const wire = { model, prompt, outputTokens: 1, reasoningTokens: 0 };
          return (await client.stream({ baseUrl, ...how, wire }).result).promptTokens;
        },
        tokenize: async text => {
          const json = JSON.stringify({ model, prompt: text, add_special_tokens: false });
          const { tokens } = (jsonOf(await client.text(rootUrl, '/tokenize', how, json)) ?? {}) as {
            tokens?: unknown;
          };
          return Array.isArray(tokens) && tokens.length > 0 ? tokens : null;
        },
      },
      { api, wantsLead: false },
    );
    if (wording !== null) writer.speak(wording);
  }

  return {
    options,
    learn,
    clock,
    get sentTokens() {
      return sentTokens;
    },
    send,
    call: async ask => answered(await send(ask).result, ask),
    text: (path, beside = 'v1') => client.text(beside === 'v1' ? baseUrl : rootUrl, path, how),
    pause: ms => new Promise(resolve => setTimeout(resolve, ms)),
    close: () => client.close(),
  };
}

export function jsonOf(text: string | null): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return null;
  }
}

/** The result of a call that went well; else a UserError that says what the server said. */
export function answered(
  result: CallResult,
  { tokens, prefix, outputTokens }: Pick<Ask, 'tokens' | 'prefix' | 'outputTokens'>,
): CallResult {
  if (result.outcome === 'ok' && result.firstTokenMs !== null) return result;
  const what = `a call with ${tokens + (prefix?.tokens ?? 0)} prompt and ${outputTokens} output tokens failed`;
  throw new UserError(`${what}: ${result.error}: ${result.message}`, {
    hint: HINTS[result.error ?? ''] ?? 'see what the server logs',
    exitCode: 1,
  });
}

const HINTS: Readonly<Record<string, string>> = {
  connect: 'start the server, and check the URL (it ends in /v1)',
  http_401: 'name the variable that holds the key: --key-env NAME',
  http_403: 'name the variable that holds the key: --key-env NAME',
  http_404: 'check --model, and that the URL ends in /v1',
  http_400: 'the server refuses such a prompt: try another --api',
  too_long: 'give the window that the server really has: --limits max_model_len=N',
};
