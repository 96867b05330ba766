// Before a run: is every address one that may be loaded, are its variables set, whose server is it, and does it answer
// one call of one word? What would fail every call is an error here, with what to change; what may pass is a warning.
import { type Environment, missingVariables, takenBy } from '../engines/endpoint.ts';
import type { DeploymentSpec, Endpoint, HostedModel, PoolSpec } from '../engines/engine.ts';
import { refusedField } from '../engines/wire/errors.ts';
import { parseJson } from '../engines/wire/json.ts';
import { serverOf } from '../engines/wire/servers.ts';
import { UserError } from '../scenarios/base/errors.ts';
import { textKey } from '../scenarios/base/key.ts';
import { type CallResult, type Client, createClient } from './client.ts';
import { startClock } from './clock.ts';
import { Connections, type HowToReach } from './connect.ts';
import type { LongestCall } from './doctor/longest.ts';
import { probe } from './doctor/probe.ts';
import { refuseHosts } from './hosts.ts';
import { PromptWriter } from './prompts.ts';

const CONNECT_TIMEOUT_MS = 3000;
/** A server with a long queue may take longer: that is a warning. */
const TIMEOUT_MS = 10_000;
/** OpenAI's Responses API refuses a limit below. */
const OUTPUT_TOKENS_MIN_OF_RESPONSES = 16;

/** Something that calls may go to. */
export interface FirstTarget {
  /** `pool "main"`. */
  readonly what: string;
  readonly endpoints: readonly Endpoint[];
  /** Of the plan; absent: not known. */
  readonly longest?: LongestCall | undefined;
}

export interface FirstCallOptions {
  readonly deployment: DeploymentSpec;
  readonly targets: readonly FirstTarget[];
  readonly environment: Environment;
  /** For token-id prompts. */
  readonly vocabTokens: number;
}

/** What was found: the deployment with its servers' kinds, and what may go wrong. */
export interface FirstCalls {
  readonly deployment: DeploymentSpec;
  readonly warnings: readonly string[];
}

/** Throws a UserError for the first thing that is wrong. */
export async function firstCalls(options: FirstCallOptions): Promise<FirstCalls> {
  const { deployment, targets, environment } = options;
  const all = targets.flatMap(({ what, endpoints, longest = null }) =>
    endpoints.map(endpoint => ({ what, endpoint, longest })),
  );
  refuseHosts(
    all.map(({ what, endpoint }) => ({ what, url: endpoint.url })),
    deployment.allowHosts,
    deployment.name,
  );
  for (const { what, endpoint } of all) {
    const [missing] = missingVariables(endpoint, environment);
    if (missing === undefined) continue;
    const part = missing === endpoint.keyEnv ? 'its key' : 'a header';
    throw new UserError(`${what} takes ${part} from ${missing}, which is not set`, {
      hint: `export ${missing}=…`,
    });
  }
  const client = createClient({ clock: startClock(), connectTimeoutMs: CONNECT_TIMEOUT_MS });
  const connections = new Connections(environment);
  try {
    const found = new Map<Endpoint, Endpoint>();
    const warnings = new Set<string>();
    // As many at a time as a deployment has: the slowest decides how long this takes.
    await Promise.all(
      all.map(async ({ what, endpoint, longest }) => {
        const caller = { client, how: connections.to(endpoint), longest, ...options };
        const asIs = await withKind(endpoint, caller);
        const warning = await firstCall(what, asIs, caller);
        found.set(endpoint, asIs);
        if (warning !== null) warnings.add(warning);
      }),
    );
    return { deployment: withEndpointsOf(deployment, found), warnings: [...warnings] };
  } finally {
    await client.close();
    await connections.close();
  }
}

function withEndpointsOf(deployment: DeploymentSpec, found: ReadonlyMap<Endpoint, Endpoint>): DeploymentSpec {
  const as = (endpoint: Endpoint): Endpoint => found.get(endpoint) ?? endpoint;
  const pools = deployment.pools.map((pool): PoolSpec => ({ ...pool, endpoints: pool.endpoints.map(as) }));
  const hosted = deployment.hosted.map((model): HostedModel => {
    const { endpoint } = model;
    return { ...model, endpoint: endpoint === null ? null : as(endpoint) };
  });
  return { ...deployment, pools, hosted };
}

interface Caller extends FirstCallOptions {
  readonly client: Client;
  readonly how: Required<HowToReach>;
  readonly longest: LongestCall | null;
}

/** Where the file does not say whose server it is, the server may. */
async function withKind(endpoint: Endpoint, caller: Caller): Promise<Endpoint> {
  if (!endpoint.server.isGuess || endpoint.takes !== null) return endpoint;
  const { client, how } = caller;
  const models = await client.text(endpoint.url, '/models', how);
  const kind = models === null ? null : serverOf(parseJson(models));
  return kind === null ? endpoint : { ...endpoint, server: { kind, isGuess: false } };
}

/** Null: it went well. */
async function firstCall(what: string, endpoint: Endpoint, caller: Caller): Promise<string | null> {
  const { client, how, vocabTokens } = caller;
  const { api, url, model, server } = endpoint;
  const writer = new PromptWriter({ api, vocabTokens });
  const isBounded = api === 'responses' && server.kind === 'hosted';
  const { result } = client.stream({
    baseUrl: url,
    ...how,
    timeoutMs: TIMEOUT_MS,
    wire: {
      model,
      prompt: writer.write([{ key: textKey('first call'), from: 0, tokens: 1 }]),
      outputTokens: isBounded ? OUTPUT_TOKENS_MIN_OF_RESPONSES : 1,
      reasoningTokens: 0,
      takes: takenBy(endpoint),
    },
  });
  const answer = await result;
  const get = (baseUrl: string, path: string) => client.text(baseUrl, path, how);
  const seen = await probe({ endpoint, answer, longest: caller.longest, get });
  if (seen !== null) throw new UserError(`${what}: ${seen.message}`, seen);
  if (answer.outcome === 'ok') return null;
  // A server may say what it was sent.
  const secrets = Object.values(how.headers).flatMap(value => [value, value.replace(/^Bearer /, '')]);
  const message = withoutSecrets(answer.message ?? '', secrets);
  const wrong = problemOf(endpoint, answer, message);
  if (wrong === null) return `${what}: the first call to ${url} failed with ${answer.error}: ${message}`;
  throw new UserError(`${what}: ${wrong.message}`, { hint: wrong.hint, exitCode: wrong.exitCode ?? 1 });
}

export function withoutSecrets(text: string, secrets: readonly string[]): string {
  // The longest first: one may hold another.
  const known = secrets.filter(secret => secret !== '').toSorted((a, b) => b.length - a.length);
  return known.reduce((rest, secret) => rest.replaceAll(secret, '…'), text);
}

interface Problem {
  readonly message: string;
  readonly hint: string;
  /** 1: the server; 104: the file or the command line. */
  readonly exitCode?: number;
}

const BAD_INPUT = 104;
const CERTIFICATE =
  /certificate|UNABLE_TO_|SELF_SIGNED|ERR_TLS_CERT|CERT_HAS_EXPIRED|DEPTH_ZERO|unable to verify/i;

/** What every further call would meet as well; null: that is not known. */
function problemOf(endpoint: Endpoint, { error, httpStatus }: CallResult, message: string): Problem | null {
  const { url } = endpoint;
  switch (error) {
    case 'connect':
      return unreachable(endpoint, message);
    case 'http_401':
    case 'http_403':
      return {
        message: `${url} refuses us (${httpStatus}): ${message}`,
        hint: keyHint(endpoint),
        exitCode: BAD_INPUT,
      };
    case 'http_404':
    case 'http_405':
      return {
        message: `${url} has no such model or path (${httpStatus}): ${message}`,
        hint: `\`model: ${endpoint.model}\` is the name on that server (GET ${url}/models lists them), and the url ends in /v1; \`api: ${endpoint.api}\` must be served there`,
        exitCode: BAD_INPUT,
      };
    case 'http_400':
    case 'http_422':
      return refused(endpoint, message);
    case 'bad_response':
      return {
        message: `${url} does not answer with a stream of \`api: ${endpoint.api}\`: ${message}`,
        hint: 'every figure of a run is read from streams: use a server, or a path, that streams',
      };
    default:
      return null;
  }
}

function unreachable({ url, tls, proxy }: Endpoint, message: string): Problem {
  if (CERTIFICATE.test(message)) {
    return {
      message: `${url} is not trusted: ${message}`,
      hint:
        tls?.caFile == null
          ? 'give the endpoint `tls: { ca_file: authority.pem }`, or for tests `tls: { insecure: true }`'
          : `is ${tls.caFile} the authority of that server, and is its name in the certificate?`,
      exitCode: BAD_INPUT,
    };
  }
  const through = proxy === null ? '' : ' through the proxy';
  return {
    message: `nothing answers at ${url}${through}: ${message}`,
    hint: 'start the server, or `windtunnel emulate DEPLOYMENT`, and check the url (it ends in /v1; http or https)',
  };
}

function keyHint({ keyEnv, headersEnv }: Endpoint): string {
  if (keyEnv !== null) return `is the value of ${keyEnv} a key of that server?`;
  const [header] = Object.entries(headersEnv);
  if (header !== undefined) return `is the value of ${header[1]} right for the header ${header[0]}?`;
  return 'name the environment variable that holds its key: `key_env: NAME`';
}

function refused(endpoint: Endpoint, message: string): Problem {
  const { url, api } = endpoint;
  const field = refusedField({ code: '', message });
  const takes = takenBy(endpoint);
  const ours =
    field === null ? undefined : takes.find(each => (SENT_AS[each] ?? each) === field || each === field);
  if (ours !== undefined) {
    return {
      message: `${url} does not take ${field}: ${message}`,
      hint: `give the endpoint \`takes: [${takes.filter(each => each !== ours).join(', ')}]\`, or its \`server\``,
      exitCode: BAD_INPUT,
    };
  }
  const hint = /vocab|token id/i.test(message)
    ? "give the size of the model's vocabulary with --vocab"
    : `see what \`api: ${api}\` of that server wants, and \`takes\` of the endpoint`;
  return { message: `${url} refuses a call of one word: ${message}`, hint, exitCode: BAD_INPUT };
}

/** Fields whose name on the wire is another. */
const SENT_AS: Readonly<Record<string, string>> = {
  continuous_usage: 'stream_options.continuous_usage_stats',
};
