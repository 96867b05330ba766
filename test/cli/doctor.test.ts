import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type SmallServer, smallServer } from '../builders/openai-server.ts';
import { emptyFolder, start } from './run.ts';

let server: SmallServer;
let closed: string;
beforeAll(async () => {
  server = await smallServer({ key: 'sk-secret-1', models: ['small'] });
  const other = await smallServer();
  closed = other.url;
  await other.close();
});
afterAll(() => server.close());

// Not spawnSync: the server is in this process.
const doctor = async (...args: string[]) => start(['doctor', ...args], emptyFolder()).ended;

describe('doctor', () => {
  test('ends with 104 for what is no address, 1 where nobody is, 99 where nothing can be replayed', async () => {
    for (const wrong of ['localhost:8000', 'ftp://host/v1'])
      expect(await doctor(wrong)).toMatchObject({
        code: 104,
        err: expect.stringContaining('not an http address'),
      });
    const nobody = await doctor(`${closed}/v1`);
    expect(nobody).toMatchObject({ code: 1, out: expect.stringContaining('nothing listens there') });
    const locked = await doctor(`${server.url}/v1`);
    expect(locked).toMatchObject({ code: 99, out: expect.stringContaining('it wants a key (status 401)') });
  });

  test('takes a key by the name of its variable alone, and shows it nowhere', async () => {
    const missing = await doctor(`${server.url}/v1`, '--key-env', 'WINDTUNNEL_TEST_NO_SUCH_KEY');
    expect(missing).toMatchObject({ code: 104, err: expect.stringContaining('the variable is not set') });
    process.env.WINDTUNNEL_TEST_KEY = 'sk-secret-1';
    try {
      for (const extra of [[], ['--json']]) {
        const ran = await doctor(`${server.url}/v1`, '--key-env', 'WINDTUNNEL_TEST_KEY', ...extra);
        expect(ran.code).toBe(0);
        expect(ran.out).toContain('key_env: WINDTUNNEL_TEST_KEY');
        expect(ran.out + ran.err).not.toContain('sk-secret-1');
      }
    } finally {
      delete process.env.WINDTUNNEL_TEST_KEY;
    }
  });

  test('says all of it as one document', async () => {
    const open = await smallServer();
    try {
      const ran = await doctor(open.url, '--json');
      const said = JSON.parse(ran.out) as Record<string, unknown>;
      expect(said).toMatchObject({
        ok: true,
        exitCode: 0,
        endpoint: { url: `${open.url}/v1`, model: 'small', api: 'chat' },
      });
      expect(said.yaml).toContain(`  - url: ${open.url}/v1`);
    } finally {
      await open.close();
    }
  });
});
