// Live runs that are cut off, in processes of their own: signals, a full disk, too few files, a server that is killed and
// comes back. Whatever happens, what had ended is there, and `windtunnel report` shows it.
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { workflowText } from '../builders/scenarios.ts';
import { emptyFolder, ROOT, start, write } from '../cli/run.ts';
import { liveDeployment } from './live.ts';

const folder = emptyFolder();
let served: Awaited<ReturnType<typeof emulate>>;
beforeAll(async () => {
  write(folder, 'd.yaml', liveDeployment({ main: [] }));
  // Each of 12 sessions: one call, and then a long time nothing.
  const steps = '[ { llm: quick, adds: 10, out: 4 }, { wait: 10m }, { llm: late, adds: 10, out: 4 } ]';
  write(folder, 'long.yaml', workflowText(steps, '', 12));
  write(folder, 'wide.yaml', workflowText('[ { llm: slow, adds: 10, out: 300 } ]', '', 120));
  served = await emulate();
});
afterAll(async () => {
  await served.stop();
  rmSync(folder, { recursive: true });
});

/** The emulator in a process of its own. */
async function emulate(port = 0) {
  const running = start(['emulate', 'd.yaml', '--port', `${port}`, '--json'], folder);
  let out = '';
  running.child.stdout.on('data', chunk => {
    out += String(chunk);
  });
  await running.until('"url"');
  const url = `${/"url": "([^"]+)"/.exec(out)?.[1]}/v1`;
  const stop = async (signal: NodeJS.Signals = 'SIGINT') => {
    running.child.kill(signal);
    await running.ended;
  };
  return { url, stop };
}

const replay = (scenario: string, out: string, ...more: string[]) =>
  start(['replay', scenario, '-d', 'd.yaml', '--endpoint', served.url, '--out', out, ...more], folder);

/** Lines that are on the disk. */
const linesOf = (out: string, name: string): number => {
  const path = join(folder, out, name);
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0;
};

const resultOf = (out: string): RunResult =>
  JSON.parse(readFileSync(join(folder, out, 'result.json'), 'utf8'));

const allCalls = (out: string) =>
  expect.poll(() => linesOf(out, 'calls.jsonl'), { timeout: 30_000, interval: 50 }).toBe(12);

describe('a run that is ended by', () => {
  test('SIGKILL leaves its log, and `report` makes its results', async () => {
    const running = replay('long.yaml', 'killed');
    await allCalls('killed');
    running.child.kill('SIGKILL');
    expect((await running.ended).code).toBe(null);
    expect(existsSync(join(folder, 'killed/result.json'))).toBe(false);

    const reported = await start(['report', 'killed', '--json'], folder).ended;
    expect(reported.code, reported.err).toBe(0);
    expect(JSON.parse(reported.out)).toMatchObject({ runs: 1 });
    const { verdict, counts, header, cost } = resultOf('killed');
    expect(verdict.status).toBe('interrupted');
    expect(counts.calls).toMatchObject({ planned: 12, ok: 12 });
    expect(counts.workflows).toMatchObject({ planned: 12, unfinished: 12 });
    expect(header.warnings.join('\n')).toMatch(
      /the run ended without a word, .* 12 calls of 12 sessions of 12 planned had ended, 12 sessions were under way/,
    );
    expect(header.command).toContain('replay long.yaml');
    expect(cost).toBeDefined();
    expect(existsSync(join(folder, 'killed/report.html'))).toBe(true);

    // The next run of that folder is another one.
    const next = await replay('wide.yaml', 'killed', '--set', 'traffic.0.sessions=2').ended;
    expect([0, 3], next.err).toContain(next.code);
    expect(resultOf('killed').counts.calls).toMatchObject({ planned: 2, ok: 2 });
    expect(readdirSync(join(folder, 'killed')).filter(name => /jsonl$|^run/.test(name))).toEqual([
      'calls.jsonl',
    ]);
  });

  test('SIGTERM is reported like one ended by Ctrl-C, and --json is one document', async () => {
    const running = replay('long.yaml', 'terminated', '--json');
    await allCalls('terminated');
    running.child.kill('SIGTERM');
    const ran = await running.ended;
    expect(ran.code, ran.err).toBe(105);
    expect(JSON.parse(ran.out).verdict.status).toBe('interrupted');
    expect(resultOf('terminated').counts.workflows).toMatchObject({ unfinished: 12 });
  });

  test('Ctrl-C twice ends at once with 105; nothing of its log is lost', async () => {
    const running = replay('long.yaml', 'twice', '--json');
    await allCalls('twice');
    running.child.kill('SIGINT');
    await running.until('draining');
    running.child.kill('SIGINT');
    const ran = await running.ended;
    expect(ran.code, ran.err).toBe(105);
    expect(linesOf('twice', 'calls.jsonl')).toBe(12);
    const reported = await start(['report', 'twice'], folder).ended;
    expect(reported.code, reported.err).toBe(0);
    expect(resultOf('twice').counts).toMatchObject({
      calls: { ok: 12 },
      workflows: { planned: 12, unfinished: 12 },
    });
  });
});

test('too few files: said before the run, counted as client_limit, not valid, and what to do', async () => {
  const args = ['replay', 'wide.yaml', '-d', 'd.yaml', '--endpoint', served.url, '--out', 'files', '--json'];
  const command = [process.execPath, join(ROOT, 'bin', 'windtunnel.js'), ...args].join(' ');
  const child = spawn('sh', ['-c', `ulimit -n 64; exec ${command}`], { cwd: folder });
  let out = '';
  let err = '';
  child.stdout.on('data', chunk => {
    out += String(chunk);
  });
  child.stderr.on('data', chunk => {
    err += String(chunk);
  });
  const code = await new Promise(resolve => child.on('close', resolve));
  expect(code, err).toBe(3);
  expect(err).toContain(
    '120 sessions at once need as many sockets and more, and this process may have 64 files',
  );
  const result = JSON.parse(out) as RunResult;
  expect(result.counts.errors.client_limit).toBeGreaterThan(50);
  expect(result.counts.calls.ok).toBeGreaterThan(0);
  expect(result.verdict.status).toBe('invalid');
  expect(result.verdict.headline).toContain('ulimit -n');
});

/** Every write to it fails as a full disk does. */
const FULL = '/dev/full';
const hasFull = (() => {
  try {
    closeSync(openSync(FULL, 'w'));
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!hasFull)('a disk that is full (Linux: /dev/full)', () => {
  test('stops the run; where the results still fit they are written and say why', async () => {
    mkdirSync(join(folder, 'full'));
    write(join(folder, 'full'), 'run.json', '{}');
    symlinkSync(FULL, join(folder, 'full/nodes.jsonl'));
    const ran = await replay('long.yaml', 'full').ended;
    expect(ran.code, ran.err).toBe(105);
    expect(ran.err).toMatch(/the run stops: a full disk: no space is left for .*full/);
    const { counts, header } = resultOf('full');
    expect(counts.calls).toMatchObject({ planned: 12, ok: 12 });
    expect(header.warnings.join('\n')).toContain('stopped early by a full disk');
  });

  test('ends with 1 where they do not fit, keeps the log and says how to go on', async () => {
    mkdirSync(join(folder, 'fuller'));
    write(join(folder, 'fuller'), 'run.json', '{}');
    symlinkSync(FULL, join(folder, 'fuller/nodes.jsonl'));
    symlinkSync(FULL, join(folder, 'fuller/calls.parquet'));
    const ran = await replay('long.yaml', 'fuller').ended;
    expect(ran.code, ran.err).toBe(1);
    expect(ran.err).toMatch(/error: the results do not fit into .*fuller: .*ENOSPC/);
    expect(ran.err).toMatch(/hint: make room, then `windtunnel report .*fuller`/);
    expect(ran.err).not.toContain('internal error');
    expect(linesOf('fuller', 'calls.jsonl')).toBe(12);

    // Read, it is zeros without an end.
    for (const name of ['calls.parquet', 'nodes.jsonl']) rmSync(join(folder, 'fuller', name));
    const reported = await start(['report', 'fuller'], folder).ended;
    expect(reported.code, reported.err).toBe(0);
    expect(resultOf('fuller').counts.calls).toMatchObject({ planned: 12, ok: 12 });
  });
});

describe('a server that is killed and comes back', () => {
  test('loses the calls it had, shows as restarted, and serves later ones; the others go on', async () => {
    const port = await freePort();
    let struck = await emulate(port);
    const spared = await emulate();
    const agents = (workflow: string) =>
      `{ workflow: ${workflow}, arrival: { closed: { agents: 3, think: 50ms } }, sessions: 60 }`;
    write(
      folder,
      'two.yaml',
      `
windtunnel: 1
deployment: two
pools:
  main: { model: ministral-3-14b, limits: { max_model_len: 65536, kv_blocks: 4096, max_num_batched_tokens: 512, max_num_seqs: 64 },
          step: { model: affine, base: 4ms, per_token: 20us }, endpoints: [ { url: ${struck.url}, model: main } ] }
  spare: { model: ministral-3-14b, limits: { max_model_len: 65536, kv_blocks: 4096, max_num_batched_tokens: 512, max_num_seqs: 64 },
           step: { model: affine, base: 4ms, per_token: 20us }, endpoints: [ { url: ${spared.url}, model: main } ] }
`,
    );
    write(
      folder,
      'pair.yaml',
      `
windtunnel: 1
seed: 3
models: { main: { model: ministral-3-14b }, spare: { model: ministral-3-14b } }
workflows:
  struck: { model: main, steps: [ { llm: ask, adds: 20, out: 80 } ] }
  spared: { model: spare, steps: [ { llm: ask, adds: 20, out: 80 } ] }
traffic: [ ${agents('struck')}, ${agents('spared')} ]
`,
    );
    const args = ['replay', 'pair.yaml', '-d', 'two.yaml', '--out', 'restarted', '--stall', '5s'];
    const running = start(args, folder);
    await expect.poll(() => linesOf('restarted', 'calls.jsonl'), { timeout: 30_000 }).toBeGreaterThan(8);
    await struck.stop('SIGKILL');
    struck = await emulate(port);
    const ran = await running.ended;
    await Promise.all([struck.stop(), spared.stop()]);
    expect([0, 3], ran.err).toContain(ran.code);
    const { counts, byWorkflow, measured } = resultOf('restarted');
    expect(byWorkflow.map(({ group, workflows }) => [group, workflows])).toEqual([
      ['spared', 60],
      ['struck', 60],
    ]);
    expect(counts.calls.planned).toBe(120);
    expect(counts.calls.ok + counts.calls.error).toBe(120);
    expect(counts.calls.ok).toBeGreaterThan(60);
    expect(Object.keys(counts.errors).sort()).toEqual(expect.arrayContaining(['connect', 'stream_cut']));
    expect(counts.errors.stream_cut).toBeLessThanOrEqual(3);
    expect(measured?.servers.map(({ pool, restarted }) => [pool, restarted]).sort()).toEqual([
      ['main', true],
      ['spare', false],
    ]);
  });
});

/** One that nobody listens at now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}
