// Reaching Redis: credentials by environment only, clear words within seconds, TLS that is checked.
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressOf, type Environment, openConnection } from '../../../lab/queue/connection.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import { type Certificates, makeCertificates } from '../../builders/certificates.ts';
import { noRedis, type RedisServer, startRedis } from '../../builders/redis.ts';
import { emptyFolder, windtunnel } from '../../cli/run.ts';

const PASSWORD = 'pa55word/of:a@queue';

async function refusal(url: string, env: Environment = {}): Promise<UserError> {
  const startMs = performance.now();
  const error = await openConnection(url, env).then(
    async connection => {
      await connection.close();
      return null;
    },
    (thrown: unknown) => thrown,
  );
  expect(performance.now() - startMs).toBeLessThan(8000);
  if (!(error instanceof UserError)) throw new Error(`expected a UserError, got ${inspect(error)}`);
  expect(error.exitCode).toBe(104);
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(PASSWORD);
  return error;
}

describe('an address', () => {
  test('is a Redis, a port and a database', () => {
    expect(addressOf('redis://queue')).toMatchObject({
      host: 'queue',
      port: 6379,
      database: 0,
      isTls: false,
    });
    expect(addressOf('rediss://[::1]:7000/2')).toMatchObject({
      host: '::1',
      port: 7000,
      database: 2,
      isTls: true,
    });
  });

  test.each(['queue:6379', 'http://queue', 'redis://', 'redis://queue/x', 'redis://queue?db=1', ''])(
    'is not %j',
    text => {
      expect(() => addressOf(text)).toThrow(UserError);
    },
  );

  test('with a credential is refused without repeating it, where the environment could have it', () => {
    for (const text of [
      `redis://:${PASSWORD}@queue`,
      'redis://me@queue',
      'redis://:pa#ss@queue',
      ':pa55@x',
    ]) {
      const words = (() => {
        try {
          return addressOf(text) && '';
        } catch (error) {
          return inspect(error);
        }
      })();
      expect(words).toContain('WINDTUNNEL_QUEUE_PASSWORD');
      expect(words).not.toMatch(/pa55|me@|pa#ss/);
    }
  });
});

describe('a connection', () => {
  test('to nothing fails within seconds, as bad input', async () => {
    const error = await refusal('redis://127.0.0.1:1');
    expect(error.message).toMatch(/redis:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/);
    expect(error.hint).toContain('is Redis running there?');
    expect((await refusal('redis://no-such-host.invalid')).message).toMatch(/ENOTFOUND|EAI_AGAIN/);
  });

  test('is refused on the command line in the same way', () => {
    const { code, err, out } = windtunnel(
      ['worker', '--queue', 'redis://127.0.0.1:1', '--json'],
      emptyFolder(),
    );
    expect(code).toBe(104);
    expect(err).toMatch(/ECONNREFUSED/);
    expect(JSON.parse(out)).toMatchObject({ ok: false });
    const inside = windtunnel(['worker', '--queue', `redis://:${PASSWORD}@127.0.0.1:1`], emptyFolder());
    expect(inside.code).toBe(104);
    expect(inside.err + inside.out).not.toContain(PASSWORD);
    expect(windtunnel(['worker', '--queue', 'redis://127.0.0.1:1', '--jobs', '0'], emptyFolder()).code).toBe(
      104,
    );
  });

  test('never trusts a certificate that is not checked', async () => {
    const insecure = await refusal('rediss://queue', { WINDTUNNEL_QUEUE_TLS_INSECURE: '1' });
    expect(insecure.message).toMatch(/always checked/);
    expect((await refusal('redis://queue', { WINDTUNNEL_QUEUE_CA: 'ca.pem' })).message).toMatch(
      /not encrypted/,
    );
    expect((await refusal('rediss://queue', { WINDTUNNEL_QUEUE_CA: 'absent.pem' })).message).toMatch(
      /absent\.pem/,
    );
  });
});

describe.skipIf(noRedis)('a connection to a real Redis', () => {
  let redis: RedisServer;
  let encrypted: RedisServer;
  let certificates: Certificates;
  beforeAll(async () => {
    certificates = makeCertificates();
    redis = await startRedis({ password: PASSWORD });
    encrypted = await startRedis({ certificates });
    const inside = redis.inside();
    await inside.call('ACL', 'SETUSER', 'runner', 'on', `>${PASSWORD}2`, '~windtunnel:*', '+@all');
  });
  afterAll(async () => {
    await redis.close();
    await encrypted.close();
    certificates.remove();
  });

  test('takes user and password from the environment', async () => {
    for (const env of [
      { WINDTUNNEL_QUEUE_PASSWORD: PASSWORD },
      { WINDTUNNEL_QUEUE_USER: 'runner', WINDTUNNEL_QUEUE_PASSWORD: `${PASSWORD}2` },
    ]) {
      const connection = await openConnection(redis.url, env);
      expect(await connection.redis.ping()).toBe('PONG');
      expect(connection.shown).toBe(redis.url);
      await connection.close();
    }
  });

  test('with a wrong password, a wrong user or none says which variable to set', async () => {
    const wrong = await refusal(redis.url, { WINDTUNNEL_QUEUE_PASSWORD: `${PASSWORD}x` });
    expect(wrong.message).toMatch(/WRONGPASS/);
    expect(wrong.hint).toContain('mend WINDTUNNEL_QUEUE_PASSWORD');
    const user = { WINDTUNNEL_QUEUE_USER: 'nobody', WINDTUNNEL_QUEUE_PASSWORD: PASSWORD };
    expect((await refusal(redis.url, user)).message).toMatch(/WRONGPASS/);
    expect((await refusal(redis.url)).hint).toBe('set WINDTUNNEL_QUEUE_PASSWORD');
    expect((await refusal(redis.url, { WINDTUNNEL_QUEUE_USER: 'runner' })).message).toMatch(
      /PASSWORD is not/,
    );
  });

  test('is encrypted where the address says so, and checks who answers', async () => {
    const connection = await openConnection(encrypted.url, { WINDTUNNEL_QUEUE_CA: certificates.path('ca') });
    expect(await connection.redis.ping()).toBe('PONG');
    await connection.close();
    expect((await refusal(encrypted.url)).message).toMatch(/certificate/i);
    expect((await refusal(encrypted.url.replace('rediss', 'redis'))).hint).toMatch(/needs rediss/);
    expect((await refusal(redis.url.replace('redis', 'rediss'))).hint).toMatch(/a Redis with TLS\?/);
  });
});
