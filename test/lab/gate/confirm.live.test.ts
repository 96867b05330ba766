// A live gate end to end on two emulators: a regression that stays fails; one that is gone when it is replayed does not.
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { emptyFolder, start, windtunnel, write } from '../../cli/run.ts';

const SCENARIO = `
windtunnel: 1
seed: 3
models: { main: { model: ministral-3-14b } }
workflows:
  main:
    model: main
    steps: [ { llm: ask, adds: 200, out: 15 }, { llm: again, adds: 100, out: 15 } ]
traffic: [ { workflow: main, arrival: { poisson: { rate: 10/s } }, sessions: 60 } ]
`;

const deployment = (base: string, url: string | null): string => `
windtunnel: 1
deployment: box
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 4096, kv_blocks: 4096, block_size: 16, max_num_batched_tokens: 2048, max_num_seqs: 64 }
    step: { model: affine, base: ${base}, per_token: 20us }
    ${url === null ? '' : `endpoints: [ { url: ${url}, model: ministral-3-14b } ]`}
`;

let folder = '';
const running: (() => Promise<void>)[] = [];
beforeAll(() => {
  folder = emptyFolder();
  write(folder, 's.yaml', SCENARIO);
});
afterAll(async () => {
  for (const close of running) await close();
  rmSync(folder, { recursive: true });
});

/** An emulator with steps of `base`, on a port of its own or the one given. */
async function emulator(base: string, port = 0) {
  const file = `emulated-${base}.yaml`;
  write(folder, file, deployment(base, null));
  const { child, ended, until } = start(['emulate', file, '--port', String(port), '--json'], folder);
  let out = '';
  child.stdout.on('data', chunk => {
    out += String(chunk);
  });
  await until('"url"');
  const url = /"url": "([^"]+)"/.exec(out)![1]!;
  const close = async (): Promise<void> => {
    child.kill('SIGINT');
    await ended;
  };
  running.push(close);
  return { url: `${url}/v1`, port: Number(new URL(url).port), close };
}

const run = (...args: string[]) => windtunnel([...args, '--quiet'], folder);

test('what a second run shows as well fails the build; what it does not show is not settled', async () => {
  const fast = await emulator('8ms');
  write(folder, 'd.yaml', deployment('8ms', fast.url));
  const before = await start(['replay', 's.yaml', '-d', 'd.yaml', '--out', 'base', '--quiet'], folder).ended;
  // A client that others kept waiting says so (3); what its figures say of the server is enough here.
  expect([0, 3], before.err).toContain(before.code);
  expect(run('baseline', 'save', 'base', '--name', 'box')).toMatchObject({ code: 0, err: '' });
  await fast.close();

  const slow = await emulator('20ms', fast.port);
  const after = await start(['replay', 's.yaml', '-d', 'd.yaml', '--out', 'slow', '--quiet'], folder).ended;
  expect([0, 3], after.err).toContain(after.code);
  const gate = ['compare', 'slow', '--gate', '--baseline', 'box', '--quiet'];
  const stays = await start([...gate, '--out', 'stays'], folder).ended;
  expect(stays.out).toContain('a second run shows the same');
  expect(stays.code).toBe(99);
  expect(existsSync(join(folder, 'stays-again/result.json'))).toBe(true);
  await slow.close();

  // Faster than the baseline: whatever else this machine does, it does not look slower.
  const well = await emulator('3ms', fast.port);
  const gone = await start([...gate, '--out', 'gone'], folder).ended;
  expect(gone.out).toContain('a second run does not show it');
  expect(gone.out).toContain('GATE NOT SETTLED');
  expect(gone.code).toBe(0);
  await well.close();
});
