// A real redis-server on a free loopback port, with or without persistence, a password, TLS: REAL-ENGINES.md.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Redis } from 'ioredis';
import type { Certificates } from './certificates.ts';

const EXECUTABLE = process.env.WINDTUNNEL_REDIS ?? 'redis-server';

/** Where Redis is missing its tests are skipped, visibly; in CI they must run. */
export const noRedis = !process.env.CI && spawnSync(EXECUTABLE, ['--version']).status !== 0;

export interface RedisOptions {
  /** When what was written is on disk; absent: never. */
  fsync?: 'always' | 'everysec';
  password?: string;
  certificates?: Certificates;
}

export interface RedisServer {
  readonly url: string;
  /** Everything it holds, and what it logged and wrote to disk, as one text; unpacked where it is compressed. */
  everything(): Promise<string>;
  /** For looking inside. */
  inside(): Redis;
  /** SIGKILL: as a machine that loses power, but for what the kernel has. */
  kill(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

export async function startRedis({ fsync, password, certificates }: RedisOptions = {}): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-redis-'));
  const port = await freePort();
  const tls =
    certificates === undefined
      ? ['--port', String(port)]
      : `--port 0 --tls-port ${port} --tls-auth-clients no --tls-ca-cert-file ${certificates.path('ca')} --tls-cert-file ${certificates.path('server')} --tls-key-file ${certificates.path('server-key')}`.split(
          ' ',
        );
  const log = join(folder, 'log.txt');
  const args = [
    ...tls,
    ...['--bind', '127.0.0.1', '--save', '', '--dir', folder, '--logfile', log, '--loglevel', 'verbose'],
    ...(fsync === undefined ? [] : ['--appendonly', 'yes', '--appendfsync', fsync]),
    ...(password === undefined ? [] : ['--requirepass', password]),
  ];
  let child: ChildProcess | null = null;
  const opened: Redis[] = [];
  const inside = (): Redis => {
    const made = new Redis({
      host: '127.0.0.1',
      port,
      ...(password !== undefined && { password }),
      ...(certificates !== undefined && { tls: { ca: certificates.pem('ca') } }),
      retryStrategy: () => 50,
      maxRetriesPerRequest: null,
    });
    made.on('error', () => {});
    opened.push(made);
    return made;
  };
  const start = async (): Promise<void> => {
    child = spawn(EXECUTABLE, args, { stdio: 'ignore' });
    const probe = inside();
    await probe.ping();
    probe.disconnect();
  };
  const kill = async (): Promise<void> => {
    const ended = new Promise(resolve => child?.once('close', resolve));
    child?.kill('SIGKILL');
    await ended;
    child = null;
  };
  await start();
  return {
    url: `redis${certificates === undefined ? '' : 's'}://127.0.0.1:${port}`,
    inside,
    kill,
    start,
    async everything() {
      const redis = inside();
      const parts: string[] = [];
      for (const key of (await redis.keys('*')).toSorted())
        parts.push(key, JSON.stringify(await contentOf(redis, key)));
      redis.disconnect();
      const written = spawnSync('sh', ['-c', `cat ${folder}/log.txt ${folder}/appendonlydir/* 2>/dev/null`], {
        encoding: 'latin1',
        maxBuffer: 1 << 28,
      });
      const text = [...parts, existsSync(log) ? readFileSync(log, 'utf8') : '', written.stdout].join('\n');
      return [text, ...[...text.matchAll(/gzip\.([\w+/=]+)/g)].map(([, packed]) => unpacked(packed!))].join(
        '\n',
      );
    },
    async close() {
      for (const each of opened) each.disconnect();
      if (child !== null) await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const unpacked = (packed: string): string => {
  try {
    return gunzipSync(Buffer.from(packed, 'base64')).toString();
  } catch {
    return '';
  }
};

async function contentOf(redis: Redis, key: string): Promise<unknown> {
  const kind = await redis.type(key);
  if (kind === 'string') return redis.get(key);
  if (kind === 'hash') return redis.hgetall(key);
  if (kind === 'list') return redis.lrange(key, 0, -1);
  if (kind === 'set') return redis.smembers(key);
  if (kind === 'zset') return redis.zrange(key, 0, -1);
  if (kind === 'stream') return redis.xrange(key, '-', '+');
  return null;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}
