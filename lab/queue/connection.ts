// A connection to the Redis of a queue. Where it is comes from the command line, who we are from the environment only: a
// command line can be seen by everybody on the machine. Nothing that is printed, thrown or stored holds a credential.
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { Redis, RedisOptions } from 'ioredis';
import { UserError } from '../../scenarios/base/errors.ts';
import { type Signer, signerOf } from './sign.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Until the first answer. */
const CONNECT_MS = 5_000;
/** A ping without an answer for so long: the machine may be gone without a word, and connections are opened anew. */
const SILENCE_MS = 20_000;
const PING_EVERY_MS = 5_000;
const RETRY_MS_MAX = 1_000;

export interface QueueConnection {
  /** For commands; while Redis is away they wait. */
  readonly redis: Redis;
  /** A further connection of the same kind, for commands that block; closed with this one. */
  another(): Redis;
  readonly bullmq: typeof import('bullmq');
  readonly signer: Signer;
  /** The address without credentials. */
  readonly shown: string;
  /** For how long Redis has been away; 0 while it answers. */
  awayMs(): number;
  /** Told of each loss and return, e.g. to say so. */
  onChange(listen: (isAway: boolean) => void): void;
  close(): Promise<void>;
}

/** Opens it and waits for an answer; a UserError within seconds where there is none. */
export async function openConnection(url: string, env: Environment = process.env): Promise<QueueConnection> {
  const where = addressOf(url);
  const signer = signerOf(env.WINDTUNNEL_QUEUE_KEY);
  const options = redisOptions(where, env);
  const { bullmq, RedisClient } = await packages();
  const opened: Redis[] = [];
  const listeners: ((isAway: boolean) => void)[] = [];
  let awaySinceMs: number | null = null;
  const known = (made: Redis): Redis => {
    // Without a listener the driver prints what it was sent.
    made.on('error', () => {});
    opened.push(made);
    return made;
  };
  const open = (): Redis => known(new RedisClient(options));
  const redis = open();
  await firstAnswer(redis, where);
  // BullMQ makes one of its own to wait on.
  const duplicate = redis.duplicate.bind(redis);
  redis.duplicate = override => known(duplicate(override));
  const pings = pinging(redis, () => {
    for (const each of opened) if (each.status === 'ready') each.disconnect(true);
  });
  redis.on('close', () => {
    if (awaySinceMs !== null) return;
    awaySinceMs = performance.now();
    for (const listen of listeners) listen(true);
  });
  redis.on('ready', () => {
    if (awaySinceMs === null) return;
    awaySinceMs = null;
    for (const listen of listeners) listen(false);
  });
  return {
    redis,
    another: open,
    bullmq,
    signer,
    shown: where.shown,
    awayMs: () => (awaySinceMs === null ? 0 : performance.now() - awaySinceMs),
    onChange: listen => {
      listeners.push(listen);
    },
    async close() {
      listeners.length = 0;
      clearInterval(pings);
      for (const each of opened) each.disconnect();
    },
  };
}

/** A lost machine closes nothing: its silence is noticed by pings. */
function pinging(redis: Redis, onSilence: () => void): NodeJS.Timeout {
  let askedMs: number | null = null;
  return setInterval(() => {
    if (redis.status !== 'ready') askedMs = null;
    else if (askedMs === null) {
      askedMs = performance.now();
      const answered = (): void => {
        askedMs = null;
      };
      redis.ping().then(answered, answered);
    } else if (performance.now() - askedMs > SILENCE_MS) {
      askedMs = null;
      onSilence();
    }
  }, PING_EVERY_MS).unref();
}

interface Address {
  readonly host: string;
  readonly port: number;
  readonly database: number;
  readonly isTls: boolean;
  readonly shown: string;
}

const FORM = 'write redis://HOST:PORT, or rediss://HOST:PORT for TLS';

/** Refuses credentials without repeating them. */
export function addressOf(text: string): Address {
  const url = URL.parse(text);
  // A password may hold what ends a URL, so that the text itself is looked at, too.
  if (/@/.test(text) || (url !== null && (url.username !== '' || url.password !== '')))
    throw new UserError(
      '--queue: a user or password in the address can be seen by everybody on this machine',
      {
        hint: 'put them into WINDTUNNEL_QUEUE_USER and WINDTUNNEL_QUEUE_PASSWORD, and write redis://HOST:PORT',
      },
    );
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === '')
    throw new UserError(`--queue ${text}: no address of a Redis`, { hint: FORM });
  if (url.search !== '' || url.hash !== '' || !/^\/?\d*$/.test(url.pathname))
    throw new UserError(`--queue ${text}: only a number of a database may follow the port`, { hint: FORM });
  const port = url.port === '' ? 6379 : Number(url.port);
  const database = Number(url.pathname.slice(1));
  const shown = `${url.protocol}//${url.hostname}:${port}${database === 0 ? '' : `/${database}`}`;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { host, port, database, isTls: url.protocol === 'rediss:', shown };
}

function redisOptions({ host, port, database, isTls }: Address, env: Environment): RedisOptions {
  const tls = tlsOptions(isTls, env);
  const { WINDTUNNEL_QUEUE_USER: username = '', WINDTUNNEL_QUEUE_PASSWORD: password = '' } = env;
  if (username !== '' && password === '')
    throw new UserError('WINDTUNNEL_QUEUE_USER is set, and WINDTUNNEL_QUEUE_PASSWORD is not');
  return {
    host,
    port,
    db: database,
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
    ...(tls !== null && { tls }),
    lazyConnect: true,
    // Commands wait until Redis is back; who waits decides for how long.
    maxRetriesPerRequest: null,
    retryStrategy: times => Math.min(50 * 2 ** Math.min(times, 10), RETRY_MS_MAX),
    connectTimeout: CONNECT_MS,
    keepAlive: 10_000,
    disconnectTimeout: 200,
  };
}

function tlsOptions(isTls: boolean, env: Environment): ConnectionOptions | null {
  if ((env.WINDTUNNEL_QUEUE_TLS_INSECURE ?? '') !== '')
    throw new UserError('WINDTUNNEL_QUEUE_TLS_INSECURE: certificates are always checked', {
      hint: 'take it out, and name the authority of the server in WINDTUNNEL_QUEUE_CA (a PEM file)',
    });
  const ca = env.WINDTUNNEL_QUEUE_CA ?? '';
  if (!isTls) {
    if (ca === '') return null;
    throw new UserError('WINDTUNNEL_QUEUE_CA is set, and --queue says redis://, which is not encrypted', {
      hint: 'write rediss://, or take WINDTUNNEL_QUEUE_CA out',
    });
  }
  if (ca === '') return {};
  try {
    return { ca: readFileSync(ca, 'utf8') };
  } catch (error) {
    throw new UserError(`WINDTUNNEL_QUEUE_CA: cannot read ${ca}: ${(error as Error).message}`, {
      hint: 'name a PEM file of the authority that signed the certificate of Redis',
    });
  }
}

/** Optional peers: only a queue needs them. */
async function packages() {
  try {
    const [bullmq, { Redis: RedisClient }] = await Promise.all([import('bullmq'), import('ioredis')]);
    return { bullmq, RedisClient };
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UserError('a queue needs two packages that are not installed: bullmq and ioredis', {
      hint: 'npm install --no-save bullmq@6 ioredis@5, in the folder of windtunnel',
    });
  }
}

/** One attempt, not the driver's endless ones. */
async function firstAnswer(redis: Redis, { shown, isTls }: Address): Promise<void> {
  const problem = await new Promise<string | null>(resolve => {
    const timer = setTimeout(() => resolve(`no answer within ${CONNECT_MS / 1000} s`), CONNECT_MS);
    const settle = (words: string | null): void => {
      clearTimeout(timer);
      resolve(words);
    };
    redis.on('error', error => settle(wordsOf(error)));
    redis
      .connect()
      .then(() => redis.ping())
      .then(
        () => settle(null),
        error => settle(wordsOf(error)),
      );
  });
  if (problem === null) return;
  redis.disconnect();
  throw new UserError(`the queue at ${shown}: ${problem}`, { hint: hintFor(problem, isTls) });
}

/** Both addresses of a name that refuse make an error without words of its own. */
const wordsOf = (error: Error & { code?: string }): string =>
  error.message || (error.code ?? 'no connection');

function hintFor(problem: string, isTls: boolean): string {
  if (/WRONGPASS|invalid (username|password)/i.test(problem))
    return 'mend WINDTUNNEL_QUEUE_PASSWORD (and WINDTUNNEL_QUEUE_USER, where Redis has users)';
  if (/NOAUTH|Authentication required/i.test(problem)) return 'set WINDTUNNEL_QUEUE_PASSWORD';
  if (/without any password configured/i.test(problem))
    return 'this Redis has no password: unset WINDTUNNEL_QUEUE_PASSWORD';
  if (/NOPERM/i.test(problem)) return 'the user may not do this: see docs/scale-out.md for what it needs';
  if (isTls) return 'is it a Redis with TLS? Name its authority in WINDTUNNEL_QUEUE_CA';
  return 'is Redis running there? redis-cli -h HOST -p PORT ping; a Redis with TLS needs rediss://';
}
