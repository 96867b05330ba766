// What a server can do, found out by a few tiny requests before any load.
//
//   reach ─▶ model ─▶ metrics ─▶ each API ─▶ streams ─▶ tokens ─▶ prefix cache ─▶ cancelling ─▶ endpoint
import { bearer } from '../../engines/wire/credentials.ts';
import type { WirePrompt } from '../../engines/wire/request.ts';
import { ALL_FIELDS, fieldsOf } from '../../engines/wire/servers.ts';
import { EXIT } from '../../scenarios/base/errors.ts';
import type { ServerKind, WireApi, WireField } from '../../scenarios/formats/wire.ts';
import { type Ask, hasAnswered, offersHttp2 } from './ask.ts';
import type { Diagnosis, Finding, FoundEndpoint } from './diagnosis.ts';
import {
  APIS,
  answerTokens,
  apiFindings,
  cancelFinding,
  type Found,
  isWell,
  metricsFinding,
  modelFindings,
  noModel,
  noStream,
  noWayIn,
  prefixFinding,
  streamFindings,
  tokensFinding,
  vocabularyFinding,
} from './findings.ts';
import {
  cancelling,
  type Patient,
  prefixSeen,
  readMetrics,
  type Told,
  tokenizing,
  tokenizingByUsage,
  vocabulary,
  words,
} from './inside.ts';
import { reach } from './reach.ts';
import { askStreamed, type Streamed } from './streamed.ts';

export interface DiagnoseOptions {
  url: string;
  /** Null: the first that it lists. */
  model: string | null;
  keyEnv: string | null;
  /** Never shown. */
  key: string | null;
  ask: Ask;
  /** Of this visit. */
  salt: string;
}

/** Twice the largest KV block that we know (128 tokens), at one token a word. */
const LONG_WORDS = 300;
const SKEW_LIMIT_MS = 2000;
const HTTP2_LIMIT_MS = 3000;

/** Never throws for what a server does: that is a finding. */
export async function diagnose(options: DiagnoseOptions): Promise<Diagnosis> {
  const { key } = options;
  const diagnosis = await examine(options);
  // A server may repeat the key in what it says of it.
  const withoutKey = (text: string): string => (key === null ? text : text.replaceAll(key, '…'));
  return {
    ...diagnosis,
    findings: diagnosis.findings.map(finding => ({ ...finding, says: withoutKey(finding.says) })),
  };
}

async function examine(options: DiagnoseOptions): Promise<Diagnosis> {
  const { ask, url, key } = options;
  const headers: Record<string, string> = key === null ? {} : { ...bearer(key), 'x-api-key': key };
  const findings: Finding[] = [];
  const end = (exitCode: number): Diagnosis => ({
    asked: url,
    findings,
    endpoint: null,
    contextTokens: null,
    exitCode,
  });

  // 1. the way in
  const reached = await reach(ask, url, headers);
  if (reached.kind !== 'found') {
    findings.push(noWayIn(reached, options));
    return end(reached.kind === 'unreachable' ? EXIT.internal : EXIT.failed);
  }
  findings.push(...(await wayIn(reached, options)));

  // 2. the model
  const { baseUrl, models } = reached;
  const model = options.model ?? models?.[0]?.id ?? null;
  const listed = models?.find(({ id }) => id === model);
  if (model === null || (models !== null && listed === undefined)) {
    findings.push(noModel(model, reached));
    return end(EXIT.failed);
  }
  const contextTokens = listed?.contextTokens ?? null;
  findings.push(...modelFindings(model, reached, contextTokens, options.model === null));

  // 3. what it tells of itself
  const patient: Patient = { ask, baseUrl, model, headers, salt: options.salt };
  const told = await readMetrics(patient);
  const server = reached.server ?? serverKindOf(told);
  findings.push(metricsFinding(told));

  // 4. each API, by a tiny stream
  const streams = await askApis(patient, server === null ? ALL_FIELDS : fieldsOf(server));
  findings.push(...apiFindings(streams));
  const best = bestOf(streams);
  if (best === null) {
    findings.push(noStream(streams, options));
    return { ...end(EXIT.failed), contextTokens };
  }
  const stream = streams.get(best) as Streamed;
  findings.push(...streamFindings(best, stream, streams));

  // 5. tokens, prefixes, clients that leave
  const { takes } = stream;
  const long = longPrompt(best, options.salt);
  const prefix = await prefixSeen(patient, long, takes, told);
  const byUsage =
    best === 'tokens' ? null : tokenizingByUsage(stream, SHORT_WORDS, prefix.second, LONG_WORDS);
  findings.push(tokensFinding((await tokenizing(patient)) ?? byUsage, streams));
  if (best === 'tokens') findings.push(vocabularyFinding(await vocabulary(patient, takes)));
  findings.push(prefixFinding(prefix));
  findings.push(cancelFinding(await cancelling(patient, shortPrompt(best, options.salt), takes, told)));

  // 6. what to write
  const usual = server === null ? null : fieldsOf(server);
  const isUsual = usual?.every(field => takes.includes(field)) ?? takes.length === ALL_FIELDS.length;
  const endpoint: FoundEndpoint = {
    url: baseUrl,
    model,
    keyEnv: options.keyEnv,
    api: best,
    server,
    takes: isUsual ? null : takes,
  };
  const isFatal = findings.some(({ state }) => state === 'fatal');
  return { asked: url, findings, endpoint, contextTokens, exitCode: isFatal ? EXIT.failed : EXIT.ok };
}

async function wayIn(reached: Found, { ask, url, key, keyEnv }: DiagnoseOptions): Promise<Finding[]> {
  const { baseUrl, difference, first, second } = reached;
  const findings: Finding[] = [];
  const http2 = await offersHttp2(baseUrl, HTTP2_LIMIT_MS);
  const keeps = second?.reused === true;
  const protocol = http2 === true ? '; HTTP/2 offered' : '';
  findings.push({
    name: 'reachable',
    state: 'found',
    says: `answers in ${(second ?? first).tookMs.toFixed(0)} ms${protocol}`,
  });
  findings.push(
    difference === null
      ? { name: 'path', state: 'found', says: baseUrl }
      : {
          name: 'path',
          state: 'missing',
          says: `${url}: ${difference}`,
          costs: 'every call would fail',
          write: `url: ${baseUrl}`,
        },
  );
  findings.push(
    keeps || second === null
      ? {
          name: 'keep-alive',
          state: keeps ? 'found' : 'unknown',
          says: keeps ? 'connections stay open' : 'not tried',
        }
      : {
          name: 'keep-alive',
          state: 'missing',
          says: 'each request opens a connection',
          costs: 'each TTFT holds the opening of a connection',
          write: 'let the server, or the proxy before it, keep connections open',
        },
  );
  findings.push(await keyFinding(baseUrl, { ask, key, keyEnv }));
  const date = Date.parse(String(first.headers.date ?? ''));
  if (Number.isNaN(date)) findings.push({ name: 'clock', state: 'unknown', says: 'it sends no Date' });
  else {
    // The header is in whole seconds, cut off.
    const skewMs = date + 500 - first.receivedUnixMs;
    findings.push(
      Math.abs(skewMs) < SKEW_LIMIT_MS
        ? { name: 'clock', state: 'found', says: 'as ours, within 2 s' }
        : {
            name: 'clock',
            state: 'missing',
            says: `${(Math.abs(skewMs) / 1000).toFixed(0)} s ${skewMs < 0 ? 'behind' : 'ahead of'} ours`,
            costs: 'its logs and our records do not line up; latencies are measured here alone and are right',
          },
    );
  }
  return findings;
}

/** Whether the key was looked at. */
async function keyFinding(
  baseUrl: string,
  { ask, key, keyEnv }: Pick<DiagnoseOptions, 'ask' | 'key' | 'keyEnv'>,
): Promise<Finding> {
  if (key === null) return { name: 'key', state: 'found', says: 'none wanted to list models' };
  const without = await ask(`${baseUrl}/models`);
  const isWanted = hasAnswered(without) && (without.status === 401 || without.status === 403);
  return {
    name: 'key',
    state: 'found',
    says: isWanted ? `the one in ${keyEnv} is accepted` : `nothing refused the one in ${keyEnv}`,
  };
}

function serverKindOf(told: Told | null): ServerKind | null {
  const engine = told?.reading.engine.engine;
  if (engine === undefined) return null;
  return engine === 'triton' ? 'tensorrt-llm' : (engine as ServerKind);
}

const SHORT_WORDS = 4;
/** In no vocabulary is this a special token. */
const TOKEN_IDS = { from: 20, to: 1000 };

function promptOf(api: WireApi, text: string, tokens: number): WirePrompt {
  switch (api) {
    case 'tokens':
      return {
        api,
        tokenIds: Array.from(
          { length: tokens },
          (_, i) => TOKEN_IDS.from + ((i * 7) % (TOKEN_IDS.to - TOKEN_IDS.from)),
        ),
      };
    case 'completions':
      return { api, text };
    default:
      return { api, messages: [{ role: 'user', content: text }] };
  }
}
const shortPrompt = (api: WireApi, salt: string): WirePrompt =>
  promptOf(api, words(salt, SHORT_WORDS), SHORT_WORDS);

/** Token ids begin with the visit's own, so that none of another visit is found. */
function longPrompt(api: WireApi, salt: string): WirePrompt {
  const prompt = promptOf(api, words(`${salt} long`, LONG_WORDS), LONG_WORDS);
  if (!('tokenIds' in prompt)) return prompt;
  const own = [...salt].slice(-12).map(letter => TOKEN_IDS.from + (letter.charCodeAt(0) % 200));
  return { ...prompt, tokenIds: [...own, ...prompt.tokenIds.slice(own.length)] };
}

async function askApis(patient: Patient, takes: readonly WireField[]): Promise<Map<WireApi, Streamed>> {
  const streams = new Map<WireApi, Streamed>();
  for (const api of APIS) {
    const outputTokens = answerTokens(api);
    const prompt = shortPrompt(api, patient.salt);
    streams.set(api, await askStreamed(patient.ask, { ...patient, prompt, outputTokens, takes }));
  }
  return streams;
}

/** Token ids give exact prompts where a server takes and returns them; else chats, as agents send them. */
function bestOf(streams: ReadonlyMap<WireApi, Streamed>): WireApi | null {
  const tokens = streams.get('tokens');
  if (isWell(tokens) && tokens?.hasTokenIds === true) return 'tokens';
  return (
    (['chat', 'completions', 'tokens', 'responses', 'messages'] as const).find(api =>
      isWell(streams.get(api)),
    ) ?? null
  );
}
