// Asks the servers of a live run how they read text, before it begins. Never more than 24 short calls to one of them, and
// none to a server of somebody else, who would bill them.
import { readFileSync } from 'node:fs';
import { secretHeaders, takenBy } from '../../engines/endpoint.ts';
import type { Endpoint } from '../../engines/engine.ts';
import { isObject, parseJson } from '../../engines/wire/json.ts';
import type { WirePrompt } from '../../engines/wire/request.ts';
import { serverOf } from '../../engines/wire/servers.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { type Client, createClient, type HowToReach } from '../client.ts';
import { startClock } from '../clock.ts';
import { connectionOf } from '../connect.ts';
import type { SenderSetup, SenderTarget } from '../sender.ts';
import { learnIds, learnWording, type Server, usualWording } from './learn.ts';
import { OWN_WORDS, USUAL_VOCAB_TOKENS, type Wording, type Wordings, wordingName } from './wording.ts';

/** A server that takes longer for a call of one token is not asked any more. */
const ANSWER_LIMIT_MS = 5_000;

/** One wording for each API of each target, from its first endpoint that tells. */
export async function learnWordings(setup: SenderSetup): Promise<Wordings> {
  const client = createClient({ clock: startClock(setup.zero), connectTimeoutMs: ANSWER_LIMIT_MS });
  try {
    const learnt = await Promise.all(
      setup.targets.flatMap(target =>
        [...Map.groupBy(target.endpoints, ({ api }) => api).values()].map(async endpoints => {
          const { api } = endpoints[0]!;
          return [wordingName(target.name, api), await learn(client, target, endpoints, setup)] as const;
        }),
      ),
    );
    return Object.fromEntries(learnt);
  } finally {
    await client.close();
  }
}

async function learn(
  client: Client,
  target: SenderTarget,
  endpoints: readonly Endpoint[],
  setup: SenderSetup,
): Promise<Wording> {
  for (const endpoint of endpoints) {
    const wording = await learnFrom(client, target, endpoint, setup);
    if (wording !== null) return wording;
  }
  const { api } = endpoints[0]!;
  return usualWording(api, wantsLead(endpoints[0]!), 'the server counts no tokens of a short call');
}

/** Null: the endpoint does not tell. */
async function learnFrom(
  client: Client,
  { isHosted }: SenderTarget,
  endpoint: Endpoint,
  { environment, vocabTokens }: SenderSetup,
): Promise<Wording | null> {
  const { api, url } = endpoint;
  const connection = connectionOf(endpoint, environment, path => readFileSync(path, 'utf8'));
  try {
    const how: HowToReach = { headers: secretHeaders(endpoint, environment), connection };
    const server = serverAt(client, endpoint, how);
    const models = await within(client.text(url, '/models', how));
    const isOurs = models !== null && serverOf(parseJson(models)) === 'windtunnel';
    if (api === 'tokens') {
      const isSilent = isOurs || isHosted;
      return await idsOf(server, endpoint, { isSilent, given: vocabTokens });
    }
    if (isOurs) return OWN_WORDS;
    if (isHosted) return usualWording(api, wantsLead(endpoint), 'asking would be billed');
    return await learnWording(server, { api, wantsLead: wantsLead(endpoint) });
  } finally {
    await connection.close();
  }
}

/** Nothing forces the length of its answers. */
function wantsLead(endpoint: Endpoint): boolean {
  const takes = takenBy(endpoint);
  return !takes.includes('min_tokens') && !takes.includes('ignore_eos');
}

function serverAt(client: Client, endpoint: Endpoint, how: HowToReach): Server & { refuses: Refuses } {
  const { url, model } = endpoint;
  const call = (prompt: WirePrompt) =>
    client.stream({
      baseUrl: url,
      wire: { model, prompt, outputTokens: 1, reasoningTokens: 0, takes: takenBy(endpoint) },
      timeoutMs: ANSWER_LIMIT_MS,
      ...how,
    }).result;
  return {
    // However the call ended: one token may be half a character, and no text.
    count: async prompt => (await call(prompt)).promptTokens,
    tokenize: async text => {
      // Of vLLM and SGLang `prompt` and `add_special_tokens`, of llama.cpp the others.
      const names = { prompt: text, content: text, add_special_tokens: false, add_special: false };
      const json = JSON.stringify({ model, ...names });
      const root = url.replace(/\/v1$/, '');
      const answer = await within(client.text(root, '/tokenize', how, json));
      const body = answer === null ? null : parseJson(answer);
      const ids = isObject(body) ? body.tokens : null;
      return Array.isArray(ids) && ids.length > 0 && ids.every(Number.isInteger) ? ids : null;
    },
    refuses: async id => {
      // vLLM says so inside of a stream that began well.
      const { outcome, message } = await call({ api: 'tokens', tokenIds: [id] });
      return outcome === 'error' && /vocab|token[ _]id|out of range/i.test(message ?? '');
    },
  };
}

/** Whether a server says that it has no such token. */
type Refuses = (id: number) => Promise<boolean>;

interface WantedIds {
  /** It is not to be asked. */
  readonly isSilent: boolean;
  readonly given: number | undefined;
}

/** A size that was given is tried; else the server's own ids are taken, or a size that it does not refuse. */
async function idsOf(
  server: Server & { refuses: Refuses },
  { url, model }: Endpoint,
  { isSilent, given }: WantedIds,
): Promise<Wording> {
  const wanted = given ?? USUAL_VOCAB_TOKENS;
  const below = (vocabTokens: number): Wording => ({
    ...OWN_WORDS,
    vocabTokens,
    how: `token ids below ${vocabTokens}`,
  });
  if (isSilent) return below(wanted);
  const ids = given === undefined ? await learnIds(server) : null;
  if (ids !== null)
    return { ...OWN_WORDS, ids, how: `token ids: ${ids.length} that /tokenize of the server gave for words` };
  if (!(await server.refuses(wanted - 1))) return below(wanted);
  const size = await vocabularyOf(server.refuses, wanted);
  if (given === undefined) return below(size);
  throw new UserError(`--vocab ${given}: ${model} at ${url} has ${size} tokens`, {
    hint: `--vocab ${size}, or leave it out: it is read from the server`,
  });
}

/** By halving: how many ids a server has that refuses id `tooMany` - 1. */
async function vocabularyOf(refuses: Refuses, tooMany: number): Promise<number> {
  let [has, hasNot] = [1, tooMany - 1];
  while (hasNot - has > 1) {
    const id = Math.floor((has + hasNot) / 2);
    if (await refuses(id)) hasNot = id;
    else has = id;
  }
  return hasNot;
}

/** A server that does not answer has nothing to say. */
function within<T>(answer: Promise<T | null>): Promise<T | null> {
  let timer: NodeJS.Timeout;
  const late = new Promise<null>(resolve => {
    timer = setTimeout(() => resolve(null), ANSWER_LIMIT_MS);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
