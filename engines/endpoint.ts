// Live addresses of a deployment file, with what is not said filled in; and what a call to one carries.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { EndpointFile, ServerHint } from '../scenarios/formats/deployment/endpoint.ts';
import type { ServerKind, WireField } from '../scenarios/formats/wire.ts';
import type { Endpoint } from './engine.ts';
import { apiKey, bearer } from './wire/credentials.ts';
import { dialectOf } from './wire/dialect.ts';
import { fieldsOf } from './wire/servers.ts';

/** Where nothing is said: the header by which routers keep a session together, and servers that do not know it do nothing. */
export const USUAL_HINTS: readonly ServerHint[] = ['session'];

/** `usual`: whose server it is where the file does not say. */
export function resolveEndpoint(
  { url, ...file }: EndpointFile & { url: string },
  model: string,
  usual: ServerKind,
): Endpoint {
  const { tls } = file;
  return {
    url: url.replace(/\/+$/, ''),
    model,
    keyEnv: file.key_env ?? null,
    headersEnv: file.headers_env ?? {},
    api: file.api ?? 'chat',
    server: { kind: file.server ?? usual, isGuess: file.server === undefined },
    takes: file.takes ?? null,
    hints: file.hints ?? USUAL_HINTS,
    tls:
      tls === undefined
        ? null
        : {
            caFile: tls.ca_file ?? null,
            certFile: tls.cert_file ?? null,
            keyFile: tls.key_file ?? null,
            insecure: tls.insecure ?? false,
          },
    proxy: file.proxy ?? null,
    http2: file.http2 ?? false,
  };
}

/** Fields beyond the published API that a call to it may have. */
export const takenBy = ({ takes, server }: Pick<Endpoint, 'takes' | 'server'>): readonly WireField[] =>
  takes ?? fieldsOf(server.kind);

/** A priority that its server would refuse or not know. */
export function hintIssues(endpoint: Endpoint, path: InputPath): Issue[] {
  if (!endpoint.hints.includes('priority') || takenBy(endpoint).includes('priority')) return [];
  const message = `the server is told a priority, and ${endpoint.server.kind} takes none of vLLM's kind`;
  return [issue([...path, 'hints'], 'WT1005', message, 'leave the hint out, or mend `server` or `takes`')];
}

/** Values of variables by name, such as of the process. */
export type Environment = Readonly<Record<string, string | undefined>>;

const PROXY_VARIABLES = ['http_proxy', 'https_proxy', 'no_proxy'];

/** The variables that an endpoint names, those of its proxy included. */
export const variablesOf = ({ keyEnv, headersEnv, proxy }: Endpoint): string[] => [
  ...(keyEnv === null ? [] : [keyEnv]),
  ...Object.values(headersEnv),
  ...(proxy === 'env' ? PROXY_VARIABLES.flatMap(name => [name, name.toUpperCase()]) : []),
];

/** Those of them that nobody has set. */
export const missingVariables = (
  { keyEnv, headersEnv }: Pick<Endpoint, 'keyEnv' | 'headersEnv'>,
  environment: Environment,
): string[] =>
  [...(keyEnv === null ? [] : [keyEnv]), ...Object.values(headersEnv)].filter(
    name => (environment[name] ?? '') === '',
  );

/** What every request to an endpoint carries: its key in the dialect's way, and the headers of its variables. */
export function secretHeaders(
  { api, keyEnv, headersEnv, server }: Pick<Endpoint, 'api' | 'keyEnv' | 'headersEnv' | 'server'>,
  environment: Environment,
): Record<string, string> {
  const headers: Record<string, string> = {};
  const key = keyEnv === null ? undefined : environment[keyEnv];
  if (key !== undefined && key !== '') {
    Object.assign(headers, dialectOf(api).keyHeader(key));
    // vLLM and others look for a bearer whatever the dialect; Anthropic takes a key or a bearer, not both.
    if (api === 'messages' && server.kind !== 'hosted') Object.assign(headers, bearer(key), apiKey(key));
  }
  for (const [name, variable] of Object.entries(headersEnv)) {
    const value = environment[variable];
    if (value !== undefined && value !== '') headers[name.toLowerCase()] = value;
  }
  return headers;
}
