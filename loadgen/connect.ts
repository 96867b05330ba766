// How connections to an endpoint are opened: TLS options for our own HTTP/1.1, or a dispatcher of undici where a proxy or
// HTTP/2 stands between.
import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import { Agent, type Dispatcher, EnvHttpProxyAgent, ProxyAgent } from 'undici';
import { type Environment, secretHeaders } from '../engines/endpoint.ts';
import type { Endpoint, Reach } from '../engines/engine.ts';
import { UserError } from '../scenarios/base/errors.ts';

/** Of node:tls, as undici's buildConnector takes them; empty for plain HTTP. */
export interface TlsOptions {
  ca?: string[];
  cert?: string;
  key?: string;
  rejectUnauthorized?: boolean;
}

export interface Connection {
  readonly connectOptions: TlsOptions;
  /** Null: connections are ours to open, with `connectOptions`. */
  readonly dispatcher: Dispatcher | null;
  close(): Promise<void>;
}

/** What a request to a server carries, and over what. */
export interface HowToReach {
  headers?: Readonly<Record<string, string>>;
  /** Absent: directly, as the system trusts. */
  connection?: Connection;
}

/** The connections of a run: endpoints that are reached alike share one. */
export class Connections {
  private readonly environment: Environment;
  private readonly byName = new Map<string, Connection>();

  constructor(environment: Environment) {
    this.environment = environment;
  }

  to(endpoint: Endpoint): Required<HowToReach> {
    const { environment } = this;
    const name = JSON.stringify([endpoint.tls, endpoint.proxy, endpoint.http2]);
    const connection =
      this.byName.get(name) ?? connectionOf(endpoint, environment, path => readFileSync(path, 'utf8'));
    this.byName.set(name, connection);
    return { headers: secretHeaders(endpoint, environment), connection };
  }

  async close(): Promise<void> {
    await Promise.all([...this.byName.values()].map(connection => connection.close()));
  }
}

/** Longest until a connection is there, tunnel included. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Below uvicorn's 5 s, so that the server never closes first. */
const KEEP_ALIVE_MS = 4_000;

/** No limit of undici's own: stalls are the caller's to notice. */
const PATIENT = {
  bodyTimeout: 0,
  headersTimeout: 0,
  keepAliveTimeout: KEEP_ALIVE_MS,
  connections: null,
} as const;

/** `readFile` throws what is wrong with a file; a UserError says which one. */
export function connectionOf(
  { tls, proxy, http2 }: Reach,
  environment: Environment,
  readFile: (path: string) => string,
): Connection {
  const connectOptions = tlsOptions(tls, readFile);
  const dispatcher = dispatcherOf({ proxy, http2 }, connectOptions, environment);
  return {
    connectOptions,
    dispatcher,
    close: async () => {
      // Not close(), which would wait for streams that never end.
      await dispatcher?.destroy();
    },
  };
}

function tlsOptions(tls: Reach['tls'], readFile: (path: string) => string): TlsOptions {
  if (tls === null) return {};
  const read = (key: string, path: string): string => {
    try {
      return readFile(path);
    } catch (error) {
      throw new UserError(`tls.${key}: ${path} cannot be read: ${(error as Error).message}`, {
        hint: 'give the path of a PEM file, from where the command runs',
      });
    }
  };
  return {
    ...(tls.caFile === null ? {} : { ca: [...getCACertificates(), read('ca_file', tls.caFile)] }),
    ...(tls.certFile === null ? {} : { cert: read('cert_file', tls.certFile) }),
    ...(tls.keyFile === null ? {} : { key: read('key_file', tls.keyFile) }),
    ...(tls.insecure ? { rejectUnauthorized: false } : {}),
  };
}

function dispatcherOf(
  { proxy, http2 }: Pick<Reach, 'proxy' | 'http2'>,
  tls: TlsOptions,
  environment: Environment,
): Dispatcher | null {
  if (proxy === null && !http2) return null;
  const connect = { ...tls, allowH2: http2, timeout: CONNECT_TIMEOUT_MS };
  if (proxy === null) return new Agent({ ...PATIENT, allowH2: http2, connect });
  const tunnel = {
    ...PATIENT,
    allowH2: http2,
    connect,
    requestTls: connect,
    connectTimeout: CONNECT_TIMEOUT_MS,
    proxyTunnel: true,
  };
  if (proxy !== 'env') return new ProxyAgent({ ...tunnel, uri: proxy });
  const [httpProxy, httpsProxy, noProxy] = ['http_proxy', 'https_proxy', 'no_proxy'].map(
    name => environment[name] ?? environment[name.toUpperCase()] ?? '',
  ) as [string, string, string];
  for (const each of [httpProxy, httpsProxy]) {
    // The value may hold a password: it is not shown.
    if (each !== '' && !/^https?:$/.test(URL.parse(each)?.protocol ?? ''))
      throw new UserError('`proxy: env`: HTTPS_PROXY or HTTP_PROXY is no http address', {
        hint: 'e.g. export HTTPS_PROXY=http://proxy.example.com:3128',
      });
  }
  return new EnvHttpProxyAgent({ ...tunnel, httpProxy, httpsProxy, noProxy });
}
