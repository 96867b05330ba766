// What the doctor says of each thing that it looked at: found, missing and at what cost, or unknown. Pure.
import type { WireApi } from '../../engines/wire/request.ts';
import { PUBLISHED_FIELDS } from '../../engines/wire/servers.ts';
import type { Finding } from './diagnosis.ts';
import { type Cancelling, type PrefixSeen, type Tokenizing, type Told, USUAL_VOCABULARY } from './inside.ts';
import { namesText, otherModels, type Reached } from './reach.ts';
import type { Streamed } from './streamed.ts';

export type Found = Extract<Reached, { kind: 'found' }>;
/** The name of the variable, and its value, which is never shown. */
export interface Key {
  keyEnv: string | null;
  key: string | null;
}

/** A stream that took longer and came in one piece was held up by something between. */
const BUFFERED_MS = 300;
/** Our words and the server's tokens are one thing within this. */
const WORD_RATIO = 0.02;

/** In order of asking. */
export const APIS: readonly WireApi[] = ['chat', 'completions', 'tokens', 'responses', 'messages'];

/** Asked for beyond what an answer would have, so that a forced length shows. OpenAI's responses refuse less than 16. */
export const answerTokens = (api: WireApi): number => (api === 'responses' ? 16 : 24);

export const isWell = (stream: Streamed | undefined): boolean =>
  stream?.isStream === true && stream.error === null;

const API_NAMES: Record<WireApi, string> = {
  chat: 'chat completions',
  completions: 'completions',
  tokens: 'token-id prompts',
  responses: 'responses',
  messages: 'messages',
};

export function noKey(status: number, { key, keyEnv }: Key): Finding {
  return key === null
    ? {
        name: 'key',
        state: 'fatal',
        says: `it wants a key (status ${status})`,
        write: 'export NAME=…, pass --key-env NAME, and write `key_env: NAME` into the endpoint',
      }
    : {
        name: 'key',
        state: 'fatal',
        says: `it refuses the key in ${keyEnv} (status ${status})`,
        write: `export ${keyEnv}=… with a key of this server`,
      };
}

export function noWayIn(reached: Exclude<Reached, Found>, options: Key): Finding {
  switch (reached.kind) {
    case 'unreachable':
      return {
        name: 'reachable',
        state: 'fatal',
        says: reached.why,
        write: 'start the server, and check host, port and http or https',
      };
    case 'refused':
      return noKey(reached.status, options);
    case 'elsewhere':
      return {
        name: 'path',
        state: 'fatal',
        says: `something answers (status ${reached.status}), but no OpenAI API: neither /models nor /chat/completions is below the URL, nor below /v1`,
        write: 'give the base URL, which ends in /v1 at most servers',
      };
  }
}

export function noModel(model: string | null, { models }: Found): Finding {
  const write = 'pass --model NAME, and write `model: NAME` into the endpoint';
  if (model === null)
    return {
      name: 'model',
      state: 'fatal',
      says: models === null ? 'it lists no models' : 'it lists no model',
      write,
    };
  return { name: 'model', state: 'fatal', says: `no "${model}": ${otherModels(model, models ?? [])}`, write };
}

export function modelFindings(
  model: string,
  { models }: Found,
  contextTokens: number | null,
  isFirst: boolean,
): Finding[] {
  const others = (models ?? []).map(({ id }) => id).filter(id => id !== model);
  const beside = others.length === 0 ? '' : `; also ${namesText(others)}`;
  const chosen = isFirst && others.length > 0 ? ' (the first; --model takes another)' : '';
  return [
    models === null
      ? { name: 'model', state: 'unknown', says: `"${model}", taken as given: it lists no models` }
      : { name: 'model', state: 'found', says: `"${model}"${chosen}${beside}` },
    contextTokens === null
      ? {
          name: 'context',
          state: 'unknown',
          says: 'it does not say how long a prompt may be',
          costs: 'a plan with prompts that are too long is noticed only when they fail',
        }
      : { name: 'context', state: 'found', says: `${count(contextTokens)} tokens` },
  ];
}

export function metricsFinding(told: Told | null): Finding {
  if (told === null)
    return {
      name: 'metrics',
      state: 'missing',
      says: 'none that we know at /metrics, /v1/metrics or /prometheus/metrics',
      costs:
        'no queue, batch and KV use over time; no latencies of the server beside ours; routers that read load see nothing',
      write:
        'SGLang: --enable-metrics; llama.cpp: --metrics; trtllm-serve: return_perf_metrics; vLLM and NIM have them always',
    };
  const { engine, gauges, latencies } = told.reading;
  const version = told.version === null ? '' : ` ${told.version}`;
  const kv =
    gauges.kvBlocks === null || gauges.blockTokens === null
      ? 'KV cache not shown'
      : `KV cache of ${count(gauges.kvBlocks)} blocks x ${gauges.blockTokens} tokens`;
  const histograms = Object.keys(latencies).length === 0 ? '; no histograms of latencies yet' : '';
  return {
    name: 'metrics',
    state: 'found',
    says: `${engine.engine}${version} at ${told.path}; ${kv}${histograms}`,
  };
}

export function apiFindings(streams: ReadonlyMap<WireApi, Streamed>): Finding[] {
  const [there, absent] = [
    APIS.filter(api => isWell(streams.get(api))),
    APIS.filter(api => !isWell(streams.get(api))),
  ];
  const why = ({ status, error }: Streamed): string =>
    status === 404 || status === 405 || status === 501 ? 'not there' : (error ?? 'no stream');
  const findings: Finding[] = [
    {
      name: 'APIs',
      state: there.length > 0 ? 'found' : 'missing',
      says: there.length === 0 ? 'none that streams' : there.map(api => API_NAMES[api]).join(', '),
    },
  ];
  for (const api of absent) {
    findings.push({
      name: API_NAMES[api],
      state: 'missing',
      says: why(streams.get(api) as Streamed),
      ...(api === 'tokens'
        ? {
            costs: 'prompts are text: their lengths are as exact as its tokenizer lets us correct them',
            write: 'api: chat',
          }
        : {}),
    });
  }
  return findings;
}

export function noStream(streams: ReadonlyMap<WireApi, Streamed>, options: Key): Finding {
  const status = streams.get('chat')?.status ?? 0;
  if (status === 401 || status === 403) return noKey(status, options);
  const answered = [...streams.values()].find(({ status }) => status === 200);
  const refused = streams.get('chat')?.error ?? 'no answer';
  return {
    name: 'streaming',
    state: 'fatal',
    says: answered === undefined ? `no API answers: ${refused}` : (answered.error ?? 'no stream'),
    write: 'stream: true must give text/event-stream: mend the server, or the proxy before it',
  };
}

export function streamFindings(
  best: WireApi,
  stream: Streamed,
  streams: ReadonlyMap<WireApi, Streamed>,
): Finding[] {
  const isBuffered = stream.reads === 1 && stream.pieces > 1 && stream.tookMs > BUFFERED_MS;
  const chat = streams.get('chat');
  const findings: Finding[] = [
    isBuffered
      ? {
          name: 'streaming',
          state: 'missing',
          says: `all tokens come in one piece, after ${stream.tookMs.toFixed(0)} ms`,
          costs: 'TTFT and ITL are those of whatever holds the stream back',
          write: 'let the proxy before it pass streams on (nginx: proxy_buffering off)',
        }
      : {
          name: 'streaming',
          state: 'found',
          says: `${stream.pieces} pieces with tokens in ${stream.reads} reads`,
        },
  ];
  if (isWell(chat))
    findings.push({
      name: 'first event',
      state: 'found',
      says:
        chat?.startsWithRole === true
          ? 'of a chat it holds the role alone, which is no token'
          : 'of a chat it holds a token',
    });
  findings.push(
    stream.outputTokens === null
      ? {
          name: 'usage',
          state: 'fatal',
          says: 'the stream ends without usage',
          costs: 'tokens would be counted by pieces, of which one may hold several',
          write:
            'use a release that knows stream_options.include_usage: a replay does not start without usage',
        }
      : { name: 'usage', state: 'found', says: 'at the end of the stream' },
    stream.hasContinuousUsage
      ? { name: 'continuous usage', state: 'found', says: 'on every piece' }
      : {
          name: 'continuous usage',
          state: 'missing',
          says: 'not on every piece',
          costs:
            'a piece with several tokens counts as one gap: token ITL is known from the whole answer only',
        },
    stream.outputTokens === answerTokens(best)
      ? {
          name: 'forced lengths',
          state: 'found',
          says: `${stream.outputTokens} tokens asked for, as many given`,
        }
      : stream.outputTokens === null
        ? { name: 'forced lengths', state: 'unknown', says: 'nothing counts its tokens' }
        : {
            name: 'forced lengths',
            state: 'missing',
            says: `${answerTokens(best)} tokens asked for, ${stream.outputTokens} given`,
            costs: "answers end where the model likes: output lengths are not the plan's",
            write: 'nothing: compare runs by tokens, not by calls',
          },
  );
  const tokens = streams.get('tokens');
  if (isWell(tokens))
    findings.push(
      tokens?.hasTokenIds === true
        ? { name: 'token ids', state: 'found', says: 'returned with the answer' }
        : {
            name: 'token ids',
            state: 'missing',
            says: 'taken in prompts, not returned with answers',
            costs: 'later prompts of a session cannot send back what was answered, id by id',
          },
    );
  const refused = PUBLISHED_FIELDS.filter(field => !stream.takes.includes(field));
  if (refused.length > 0)
    findings.push({
      name: 'fields',
      state: 'missing',
      says: `refuses ${refused.join(', ')}`,
      costs: 'no usage',
    });
  return findings;
}

export function tokensFinding(found: Tokenizing | null, streams: ReadonlyMap<WireApi, Streamed>): Finding {
  if (found === null)
    return {
      name: 'tokenizer',
      state: 'unknown',
      says: 'neither /tokenize nor usage shows how it counts',
      costs: 'prompt lengths are not known',
    };
  const { by, perWord, templateTokens } = found;
  const how = by === 'tokenize' ? '/tokenize' : 'usage';
  const template = templateTokens === null ? '' : `; a chat adds ${templateTokens}`;
  const says = `${perWord.toFixed(2)} tokens for a word of ours, by ${how}${template}`;
  if (Math.abs(perWord - 1) <= WORD_RATIO) return { name: 'tokenizer', state: 'found', says };
  const takesIds = isWell(streams.get('tokens'));
  return {
    name: 'tokenizer',
    state: 'missing',
    says,
    costs: 'a second or so before a replay, which learns the words of this tokenizer first',
    write: takesIds
      ? 'api: tokens, for exact lengths'
      : by === 'tokenize'
        ? 'nothing: lengths are met by /tokenize'
        : 'nothing: lengths are met by usage',
  };
}

export function vocabularyFinding(vocabTokens: number | null): Finding {
  return vocabTokens === null
    ? { name: 'vocabulary', state: 'found', says: `takes ids up to ${count(USUAL_VOCABULARY - 1)}` }
    : {
        name: 'vocabulary',
        state: 'found',
        says: `refuses ids from ${count(vocabTokens)} on; a replay keeps below`,
      };
}

export function prefixFinding({ hitTokens, promptTokens, by }: PrefixSeen): Finding {
  const name = 'prefix cache';
  if (hitTokens === null || by === null)
    return {
      name,
      state: 'unknown',
      says: 'neither usage nor metrics show hits',
      costs: 'hit ratios are not known; TTFT holds their effect all the same',
      write: 'vLLM: --enable-prompt-tokens-details; SGLang: --enable-cache-report',
    };
  const of = promptTokens === null ? '' : ` of ${count(promptTokens)}`;
  if (hitTokens > 0) {
    const says = `the same prompt again: ${count(hitTokens)}${of} tokens found, by ${by}`;
    return by === 'usage'
      ? { name, state: 'found', says }
      : {
          name,
          state: 'found',
          says: `${says} alone`,
          costs: 'hits are known of each server, not of each call',
          write: 'vLLM: --enable-prompt-tokens-details; SGLang: --enable-cache-report',
        };
  }
  return {
    name,
    state: 'missing',
    says: `the same prompt again: nothing of ${promptTokens === null ? 'it' : `${count(promptTokens)} tokens`} found`,
    costs: 'every call prefills its whole prompt',
    write: 'vLLM: --enable-prefix-caching; SGLang: without --disable-radix-cache',
  };
}

export function cancelFinding(seen: Cancelling): Finding {
  const name = 'cancelling';
  switch (seen.kind) {
    case 'stops':
      return { name, state: 'found', says: `${seen.afterMs.toFixed(0)} ms after a client left nothing ran` };
    case 'goes on':
      return {
        name,
        state: 'missing',
        says: 'a call whose client left still ran after 3 s',
        costs: 'cancelled and timed out calls go on taking GPU time',
        write: 'let the proxy before it pass on that clients leave',
      };
    case 'unknown':
      return { name, state: 'unknown', says: seen.why };
  }
}

const count = (value: number): string => String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
