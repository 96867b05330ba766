// What is left of a live run that is cut off: its log gives back the very run, or what of it had ended.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepare } from '../../engines/prepare.ts';
import { withBooks } from '../../gateway/ledger/books.ts';
import { startClock } from '../../loadgen/clock.ts';
import type { Replay } from '../../loadgen/replay.ts';
import { openRunLog } from '../../loadgen/run-log.ts';
import { runStart } from '../../loadgen/run-start.ts';
import { startReplay } from '../../loadgen/start.ts';
import { publish, publishBesideLog, sha256 } from '../../reports/publish.ts';
import { rebuilt } from '../../reports/rebuild.ts';
import { holdsRunLog, readRunLog } from '../../reports/run-log.ts';
import { summarise } from '../../reports/summary.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { sha256 as digestOf } from '../../scenarios/cli/run-options.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { basisOf, LINE_FILES } from '../../scenarios/formats/run-log.ts';
import { planOf } from '../builders/scenarios.ts';
import { deploymentOf, HEADER } from '../builders/worlds.ts';
import { emulator, type LiveEmulator, liveDeployment } from './live.ts';

const folder = mkdtempSync(join(tmpdir(), 'windtunnel-survival-'));
let server: LiveEmulator;
beforeAll(async () => {
  server = await emulator();
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const scenario = (workflow: string, steps: string, sessions = 6): string => `
windtunnel: 1
seed: 5
models: { main: { model: ministral-3-14b } }
tools: { fetch: { latency: 5ms, result: 10 } }
workflows: { main: { model: main, ${workflow} steps: [ ${steps} ] } }
traffic: [ { workflow: main, arrival: { at_once: true }, sessions: ${sessions} } ]
assert: [ "p50(ttft) < 9s", "count(calls) > 1" ]
`;
const FAN =
  '{ map: fan, over: 3, steps: [ { llm: ask, adds: 20, out: 12 }, fetch ] }, { llm: last, adds: 5, out: 4 }';

/** A run with its log, to the end or to what `during` makes of it. */
async function logged(
  name: string,
  text: string,
  gateway = '',
  during: (replay: Replay) => unknown = () => {},
): Promise<{ out: string; output: RunOutput; lost: string[] }> {
  const out = join(folder, name);
  const plan = planOf(text);
  const deployment = deploymentOf(liveDeployment({ main: [server.url] }, gateway));
  const { poolOf } = prepare(plan, deployment);
  const header = { ...HEADER, world: 'live' as const };
  const start = runStart(header, plan, deployment);
  const log = openRunLog(out, start);
  const replay = startReplay({
    plan,
    deployment,
    poolOf,
    header,
    clock: startClock(),
    environment: {},
    onCall: log.onCall,
    onRecord: log.onRecord,
    listener: log.journal,
  });
  const lost: string[] = [];
  log.follow(replay, reason => {
    lost.push(reason);
    replay.stopReason ??= reason;
    replay.interrupt();
  });
  const running = replay.run();
  await during(replay);
  const output = await running;
  await log.close(output);
  const { books } = start;
  return { out, output: withBooks(output, basisOf(books), digestOf, books.replicas), lost };
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** As `windtunnel report` makes it. */
function again(out: string): RunOutput {
  const log = readRunLog(out);
  const { books } = log.start;
  return withBooks(rebuilt(log), basisOf(books), digestOf, books.replicas);
}

describe('the log of a run that came to its end', () => {
  test('gives the very run: result and digest', async () => {
    const { out, output } = await logged('whole', scenario('', FAN));
    expect(output.calls).toHaveLength(24);
    const result = summarise(output, sha256);
    const rebuiltResult = summarise(again(out), sha256);
    expect(rebuiltResult.digest).toBe(result.digest);
    expect(plain(rebuiltResult)).toEqual(plain(result));
    expect(plain(again(out).calls)).toEqual(plain(output.calls));
  });

  test('the same of a governed run, with calls given up after their session', async () => {
    const text = scenario(
      'cancel: { after: 60ms },',
      '{ map: fan, over: 3, steps: [ { llm: ask, adds: 20, out: 400 } ] }',
    );
    const { out, output } = await logged('governed', text, '{ retry: openai }');
    expect(output.workflows.filter(({ status }) => status === 'cancelled')).toHaveLength(6);
    expect(output.governed?.attempts.length).toBeGreaterThan(0);
    expect(output.workflows.reduce((sum, { promptTokens }) => sum + promptTokens, 0)).toBeGreaterThan(0);
    const result = summarise(output, sha256);
    expect(plain(summarise(again(out), sha256))).toEqual(plain(result));
    expect([...(again(out).audit ?? [])]).toEqual([...(output.audit ?? [])]);
  });

  test('the same of an interrupted one', async () => {
    const { out, output } = await logged(
      'stopped',
      scenario('', `${FAN}, { wait: 1h }`),
      '',
      async replay => {
        await expect.poll(() => replay.progress.callsEnded, { timeout: 5000 }).toBe(24);
        replay.interrupt();
      },
    );
    expect(output.interrupted).toBe(true);
    expect(plain(summarise(again(out), sha256))).toEqual(plain(summarise(output, sha256)));
  });

  test('goes when the results are there, but for calls.jsonl', async () => {
    const { out, output } = await logged('published', scenario('', FAN));
    expect(holdsRunLog(out)).toBe(true);
    await publish(output, { out });
    expect(holdsRunLog(out)).toBe(false);
    expect(readdirSync(out).filter(name => /jsonl$|^run/.test(name))).toEqual(['calls.jsonl']);
    expect(readFileSync(join(out, 'calls.jsonl'), 'utf8').trim().split('\n')).toHaveLength(24);
  });
});

describe('the log of a run that was cut off', () => {
  test('anywhere: what had ended counts, the rest is unfinished, a cut line is left out', async () => {
    const { out, output } = await logged('cut', scenario('', FAN));
    rmSync(join(out, 'run-end.json'));
    const files = Object.values(LINE_FILES).map(name => join(out, name));
    const total = files.reduce((sum, path) => sum + statSync(path).size, 0);
    // Each time the last 7 % of every file are gone, which the log does not promise, but must bear.
    for (let rest = total; rest > 200; rest = files.reduce((sum, path) => sum + statSync(path).size, 0)) {
      const run = again(out);
      const result = summarise(run, sha256);
      const { calls, workflows } = result.counts;
      expect(result.verdict.status).toBe('interrupted');
      expect(calls.ok + calls.error + calls.cancelled + calls.unfinished).toBe(calls.planned);
      expect(workflows.completed + workflows.unfinished).toBe(workflows.planned);
      const names = new Set(run.workflows.map(({ session }) => session));
      for (const call of run.calls) {
        expect(names).toContain(call.session);
        expect(plain(output.calls)).toContainEqual(call);
      }
      for (const path of files) truncateSync(path, Math.floor(statSync(path).size * 0.93));
    }
  });

  test('says when it ended and how much of it had', async () => {
    const { out, output } = await logged('word', scenario('', FAN));
    rmSync(join(out, 'run-end.json'));
    const sessions = join(out, 'workflows.jsonl');
    const lines = readFileSync(sessions, 'utf8').trim().split('\n');
    // Two sessions lose their end, the last line of all its second half.
    const ends = lines.filter(line => line.includes('"completed"'));
    expect(ends).toHaveLength(6);
    truncateSync(sessions, statSync(sessions).size - ends[5]!.length - Math.floor(ends[4]!.length / 2) - 1);
    const run = again(out);
    expect(run.calls).toHaveLength(24);
    expect(run.workflows.filter(({ status }) => status === 'unfinished')).toMatchObject([
      { calls: 4, toolCalls: 3, widthMax: 3, endMs: null, error: 'interrupted' },
      { calls: 4, toolCalls: 3, widthMax: 3, endMs: null, error: 'interrupted' },
    ]);
    const ofEnded = (all: RunOutput) =>
      all.workflows.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
    expect(ofEnded(run)).toBe(ofEnded(output));
    expect(run.header.warnings.join('\n')).toMatch(
      /ended without a word, .+ after its start: 24 calls of 6 sessions of 6 planned had ended, 2 sessions were under way/,
    );
    expect(run.header.warnings.join('\n')).toContain('1 line of its log was cut off');
    // Its results are made beside the log, which stays: it may still be going on.
    const { result } = await publishBesideLog(run, { out });
    expect(result).toMatchObject({ verdict: { status: 'interrupted' }, counts: { calls: { ok: 24 } } });
    expect(holdsRunLog(out)).toBe(true);
    expect(plain(summarise(again(out), sha256))).toEqual(plain(result));
  });

  test('without a line of its sessions still has its calls', async () => {
    const { out, output } = await logged('sessionless', scenario('', FAN));
    for (const name of ['run-end.json', 'workflows.jsonl']) rmSync(join(out, name));
    const { counts, tokens } = summarise(again(out), sha256);
    expect(counts.calls).toMatchObject({ planned: 24, ok: 24 });
    expect(counts.workflows).toMatchObject({ planned: 6, unfinished: 6 });
    expect(tokens).toEqual(summarise(output, sha256).tokens);
  });

  test('before the first call is an empty run', async () => {
    const { out } = await logged('empty', scenario('', FAN));
    for (const name of [...Object.values(LINE_FILES), 'run-end.json']) rmSync(join(out, name));
    expect(summarise(again(out), sha256).counts.workflows.planned).toBe(0);
    appendFileSync(join(out, 'run.json'), '{');
    expect(() => again(out)).toThrow(UserError);
  });
});

describe('a folder that cannot be written any more', () => {
  test('refuses the run before anything is sent', () => {
    const plan = planOf(scenario('', FAN));
    const start = runStart(HEADER, plan, deploymentOf(liveDeployment({ main: [server.url] })));
    writeFileSync(join(folder, 'a-file'), '');
    mkdirSync(join(folder, 'taken', 'nodes.jsonl'), { recursive: true });
    for (const out of ['a-file/run', 'taken']) {
      expect(() => openRunLog(join(folder, out), start)).toThrow(/cannot be written: .*(ENOTDIR|EISDIR)/);
      expect(() => openRunLog(join(folder, out), start)).toThrow(UserError);
    }
  });

  test('stops the run when it vanishes, and the results are written all the same', async () => {
    const { out, output, lost } = await logged(
      'gone',
      scenario('', `${FAN}, { wait: 1h }`),
      '',
      async replay => {
        await expect.poll(() => replay.progress.callsEnded, { timeout: 5000 }).toBe(24);
        rmSync(join(folder, 'gone'), { recursive: true });
      },
    );
    expect(lost).toEqual([expect.stringMatching(/^the loss of .*gone: its files were removed/)]);
    expect(output.interrupted).toBe(true);
    expect(output.header.warnings.join('\n')).toContain('stopped early by the loss of');
    expect(existsSync(out)).toBe(false);
    const { result } = await publish(output, { out });
    expect(result).toMatchObject({ verdict: { status: 'interrupted' }, counts: { calls: { ok: 24 } } });
  });
});
