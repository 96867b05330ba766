// Asks the servers of a live run how they read text, before it begins. Never more than 24 short calls to one of them, and
// none to a server of somebody else, who would bill them.
import { takenBy } from '../../engines/endpoint.ts';
import type { Endpoint } from '../../engines/engine.ts';
import { isObject, parseJson } from '../../engines/wire/json.ts';
import type { WirePrompt } from '../../engines/wire/request.ts';
import { serverOf } from '../../engines/wire/servers.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { type CallResult, type Client, createClient, type HowToReach } from '../client.ts';
import { startClock } from '../clock.ts';
import { Connections } from '../connect.ts';
import type { SenderSetup, SenderTarget } from '../sender.ts';
import { learnIds, learnWording, type Server, usualWording } from './learn.ts';
import { OWN_WORDS, USUAL_VOCAB_TOKENS, type Wording, type Wordings, wordingName } from './wording.ts';

/** A server that takes longer for a call of one token is not asked any more. */
const ANSWER_LIMIT_MS = 5_000;

/** One wording for each API of each target, from its first endpoint that tells. */
export async function learnWordings(setup: SenderSetup): Promise<Wordings> {
  const client = createClient({ clock: startClock(setup.zero), connectTimeoutMs: ANSWER_LIMIT_MS });
  const connections = new Connections(setup.environment);
  const asked = (endpoint: Endpoint) => new Asked(client, endpoint, connections.to(endpoint));
  try {
    const learnt = await Promise.all(
      setup.targets.flatMap(target =>
        [...Map.groupBy(target.endpoints, ({ api }) => api)].map(async ([api, endpoints]) => {
          const servers = endpoints.map(asked);
          return [wordingName(target.name, api), await learn(servers, target, setup)] as const;
        }),
      ),
    );
    return Object.fromEntries(learnt);
  } finally {
    await client.close();
    await connections.close();
  }
}

async function learn(
  servers: readonly Asked[],
  { isHosted }: SenderTarget,
  { vocabTokens }: SenderSetup,
): Promise<Wording> {
  for (const server of servers) {
    const { api } = server.endpoint;
    const isOurs = await server.isOurs();
    if (api === 'tokens') return idsOf(server, { isSilent: isOurs || isHosted, given: vocabTokens });
    if (isOurs) return OWN_WORDS;
    if (isHosted) return usualWording(api, wantsLead(server.endpoint), 'asking would be billed');
    const wording = await learnWording(server, { api, wantsLead: wantsLead(server.endpoint) });
    if (wording !== null) return wording;
  }
  const { endpoint } = servers[0]!;
  return usualWording(endpoint.api, wantsLead(endpoint), 'the server counts no tokens of a short call');
}

/** Nothing forces the length of its answers. */
function wantsLead(endpoint: Endpoint): boolean {
  const takes = takenBy(endpoint);
  return !takes.includes('min_tokens') && !takes.includes('ignore_eos');
}

class Asked implements Server {
  readonly endpoint: Endpoint;
  private readonly client: Client;
  private readonly how: HowToReach;

  constructor(client: Client, endpoint: Endpoint, how: HowToReach) {
    this.client = client;
    this.endpoint = endpoint;
    this.how = how;
  }

  async isOurs(): Promise<boolean> {
    const models = await within(this.client.text(this.endpoint.url, '/models', this.how));
    return models !== null && serverOf(parseJson(models)) === 'windtunnel';
  }

  /** However the call ended: one token may be half a character, and no text. */
  async count(prompt: WirePrompt): Promise<number | null> {
    return (await this.call(prompt)).promptTokens;
  }

  async tokenize(text: string): Promise<readonly number[] | null> {
    const { url, model } = this.endpoint;
    // Of vLLM and SGLang `prompt` and `add_special_tokens`, of llama.cpp the others.
    const names = { prompt: text, content: text, add_special_tokens: false, add_special: false };
    const json = JSON.stringify({ model, ...names });
    const root = url.replace(/\/v1$/, '');
    const answer = await within(this.client.text(root, '/tokenize', this.how, json));
    const body = answer === null ? null : parseJson(answer);
    const ids = isObject(body) ? body.tokens : null;
    return Array.isArray(ids) && ids.length > 0 && ids.every(Number.isInteger) ? ids : null;
  }

  /** It says that it has no such token: vLLM inside of a stream that began well. */
  async refuses(id: number): Promise<boolean> {
    const { outcome, message } = await this.call({ api: 'tokens', tokenIds: [id] });
    return outcome === 'error' && /vocab|token[ _]id|out of range/i.test(message ?? '');
  }

  private call(prompt: WirePrompt): Promise<CallResult> {
    const { url, model } = this.endpoint;
    const takes = takenBy(this.endpoint);
    const wire = { model, prompt, outputTokens: 1, reasoningTokens: 0, takes };
    return this.client.stream({ baseUrl: url, wire, timeoutMs: ANSWER_LIMIT_MS, ...this.how }).result;
  }
}

interface WantedIds {
  /** It is not to be asked. */
  readonly isSilent: boolean;
  readonly given: number | undefined;
}

/** A size that was given is tried; else the server's own ids are taken, or a size that it does not refuse. */
async function idsOf(server: Asked, { isSilent, given }: WantedIds): Promise<Wording> {
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
  const size = await vocabularyOf(server, wanted);
  if (given === undefined) return below(size);
  const { model, url } = server.endpoint;
  throw new UserError(`--vocab ${given}: ${model} at ${url} has ${size} tokens`, {
    hint: `--vocab ${size}, or leave it out: it is read from the server`,
  });
}

/** By halving: how many ids a server has that refuses id `tooMany` - 1. */
async function vocabularyOf(server: Asked, tooMany: number): Promise<number> {
  let [has, hasNot] = [1, tooMany - 1];
  while (hasNot - has > 1) {
    const id = Math.floor((has + hasNot) / 2);
    if (await server.refuses(id)) hasNot = id;
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
