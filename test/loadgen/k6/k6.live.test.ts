// The real k6 on exported plans, against the emulator in a process of its own. WINDTUNNEL_K6 names its executable.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepare } from '../../../engines/prepare.ts';
import { type EmulatorProcess, startEmulatorProcess } from '../../../lab/emulator-process.ts';
import { startClock } from '../../../loadgen/clock.ts';
import { writeExport } from '../../../loadgen/export/command.ts';
import { exportK6 } from '../../../loadgen/export/k6.ts';
import { k6Driver } from '../../../loadgen/k6/driver.ts';
import { type StartOptions, startReplay } from '../../../loadgen/start.ts';
import { quantile } from '../../../scenarios/base/statistics.ts';
import { type CallRecord, lagMs } from '../../../scenarios/formats/record.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import { planOf } from '../../builders/scenarios.ts';
import { deploymentOf, HEADER } from '../../builders/worlds.ts';
import { windtunnel } from '../../cli/run.ts';
import { LIVE_DEPLOYMENT } from './ideal.ts';

const K6 = process.env.WINDTUNNEL_K6 ?? '';
/** In CI a missing part is a failure: nothing is skipped there. */
const hasK6 = existsSync(K6) || process.env.CI === 'true';

const SCENARIO = (assert = ''): string => `
windtunnel: 1
seed: 5
models: { m: { model: ministral-3-14b } }
prefixes: { system: { tokens: 400, scope: global }, mine: { tokens: 120, scope: task } }
tools: { fetch: { latency: 80ms, result: 60 } }
workflows:
  chain:
    prefix: [system]
    steps: [ { llm: first, role: planner, adds: 40, out: 12 }, { tool: fetch }, { llm: second, adds: =tokens(fetch), out: 8 } ]
  fan-out:
    steps:
      - { llm: plan, prefix: [system], adds: 30, out: 10 }
      - { map: parts, over: 4, max_parallel: 3, steps: [ { llm: look, prefix: [system, mine], adds: 25, out: 9 }, { llm: deeper, adds: 6, out: 5 } ] }
      - { llm: merge, adds: 20, reads: [deeper], out: 15 }
  loop:
    prefix: [system]
    steps: [ { llm: draft, adds: 50, out: 20 }, { repeat: pass, times: 3, steps: [ { llm: judge, adds: 10, out: 6, reasoning: 5 }, { llm: revise, adds: 4, out: 20 } ] } ]
traffic:
  - { workflow: chain, arrival: { poisson: { rate: 4/s } }, sessions: 8 }
  - { workflow: fan-out, arrival: { constant: { rate: 1/s } }, sessions: 3 }
  - { workflow: loop, arrival: { closed: { agents: 2, think: 200ms } }, sessions: 4 }
${assert}`;

const folder = (): string => mkdtempSync(join(tmpdir(), 'windtunnel-k6-'));

describe.skipIf(!hasK6)('k6 on an exported plan', () => {
  let emulator: EmulatorProcess;
  let deploymentText = '';
  beforeAll(async () => {
    const file = join(folder(), 'deployment.yaml');
    writeFileSync(file, LIVE_DEPLOYMENT());
    emulator = await startEmulatorProcess(file);
    deploymentText = LIVE_DEPLOYMENT(emulator.baseUrl);
  });
  afterAll(() => emulator?.close());

  const optionsOf = (text: string): StartOptions => {
    const plan = planOf(text);
    const deployment = deploymentOf(deploymentText);
    const { poolOf } = prepare(plan, deployment);
    const salt = `${process.pid} ${performance.now()}`;
    return { plan, deployment, poolOf, header: HEADER, clock: startClock(), environment: process.env, salt };
  };
  const written = (text: string): string => {
    const { plan, deployment, poolOf } = optionsOf(text);
    const out = folder();
    writeExport(out, exportK6({ plan, deployment, poolOf, sessionsMax: null, options: {} }));
    return out;
  };
  const k6 = (out: string, ...args: string[]) => spawnSync(K6, args, { cwd: out, encoding: 'utf8' });

  test('makes the calls of our own driver: the same tokens, in the same order, at the same instants', async () => {
    const ours = await startReplay(optionsOf(SCENARIO())).run();
    const theirs = await k6Driver(folder())(optionsOf(SCENARIO())).run();
    // A busy machine is told of, and changes nothing below.
    expect(theirs.invalidReason ?? '').toMatch(/^$|sent late/);
    const told = ({
      session,
      call,
      promptTokens,
      outputTokens,
      reasoningTokens,
      outcome,
      parts,
    }: CallRecord) =>
      JSON.stringify({ session, call, promptTokens, outputTokens, reasoningTokens, outcome, parts });
    expect(theirs.calls.map(told).sort()).toEqual(ours.calls.map(told).sort());
    expect(theirs.calls).toHaveLength(8 * 2 + 3 * 10 + 4 * 7);
    const orderOf = ({ calls }: RunOutput, workflow: string) => {
      const own = calls
        .filter(each => each.workflow === workflow)
        .toSorted((a, b) => a.plannedMs - b.plannedMs);
      const sessions = [...Map.groupBy(own, ({ session }) => session)].sort(([a], [b]) => (a < b ? -1 : 1));
      return sessions.map(([, each]) => each.map(({ call }) => call));
    };
    expect(orderOf(theirs, 'chain')).toEqual(orderOf(ours, 'chain'));
    expect(orderOf(theirs, 'loop')).toEqual(orderOf(ours, 'loop'));
    const startsOf = ({ workflows }: RunOutput) =>
      workflows
        .filter(({ cohort }) => cohort !== 'loop')
        .map(({ session, plannedMs }) => `${session} ${plannedMs.toFixed(3)}`)
        .sort();
    expect(startsOf(theirs)).toEqual(startsOf(ours));
    const statuses = ({ nodes }: RunOutput) =>
      nodes.map(({ session, call, kind, status }) => `${session} ${call} ${kind} ${status}`).sort();
    expect(statuses(theirs)).toEqual(statuses(ours));
    const lags = theirs.calls.map(lagMs).filter(lag => lag !== null);
    expect(Math.min(...lags)).toBeGreaterThanOrEqual(0);
    expect(quantile(lags, 0.5)).toBeLessThan(20);
    // What k6 does not see comes from the server.
    expect(theirs.calls.every(({ firstTokenMs }) => firstTokenMs === null)).toBe(true);
    const [server] = theirs.measured!.servers;
    expect(server!.latencies.ttft!.count).toBe(theirs.calls.length);
    expect(theirs.header.evidence.join(' ')).toContain("only in the servers' own histograms");
  });

  test('is inspected and archived as it stands', () => {
    const out = written(SCENARIO());
    expect(k6(out, 'inspect', 'script.ts').status).toBe(0);
    const archived = k6(out, 'archive', 'script.ts');
    expect(archived.status, archived.stderr).toBe(0);
    expect(readFileSync(join(out, 'archive.tar')).includes('plan.json')).toBe(true);
  });

  test('an assertion that fails is a threshold that fails, with exit code 99', () => {
    const missed = written(SCENARIO('assert: [ "p95(e2e, step=merge) < 1ms", "rate(error) < 1%" ]'));
    const ran = k6(missed, 'run', '--quiet', 'script.ts');
    expect(ran.status, ran.stderr).toBe(99);
    expect(ran.stderr).toContain('windtunnel_call_ms{step:merge}');
    const kept = written(SCENARIO('assert: [ "p95(e2e, step=merge) < 1m", "count(calls) == 74" ]'));
    expect(k6(kept, 'run', '--quiet', 'script.ts').status).toBe(0);
  });

  test('an interrupt ends k6 and keeps what is there', async () => {
    const run = k6Driver(folder())(optionsOf(SCENARIO().replace('sessions: 8', 'sessions: 400')));
    const running = run.run();
    while (run.progress.callsEnded < 5) await new Promise(resolve => setTimeout(resolve, 20));
    run.interrupt();
    const { interrupted, calls, workflows, invalidReason } = await running;
    expect(interrupted).toBe(true);
    expect(invalidReason ?? '').toMatch(/^$|sent late/);
    expect(calls.length).toBeGreaterThanOrEqual(5);
    expect(workflows.some(({ status }) => status === 'unfinished')).toBe(true);
  });

  test('a server that is not there fails every call, and the run is told of', async () => {
    const options = optionsOf(SCENARIO());
    const gone = deploymentOf(LIVE_DEPLOYMENT('http://127.0.0.1:9/v1'));
    const { calls, workflows } = await k6Driver(folder())({ ...options, deployment: gone }).run();
    expect(new Set(calls.map(({ error }) => error))).toEqual(new Set(['connect']));
    expect(new Set(workflows.map(({ status }) => status))).toEqual(new Set(['failed']));
  });

  test('`replay --driver k6` writes a run with a report', () => {
    const out = folder();
    writeFileSync(join(out, 'scenario.yaml'), SCENARIO('assert: [ "count(calls) == 74" ]'));
    writeFileSync(join(out, 'deployment.yaml'), deploymentText);
    const ran = windtunnel(
      ['replay', 'scenario.yaml', '-d', 'deployment.yaml', '--driver', 'k6', '--out', 'run', '--quiet'],
      out,
    );
    // 3: not valid, on a machine that is too busy to send in time.
    expect([0, 3], ran.err).toContain(ran.code);
    expect(ran.out).toContain('74/74 calls');
    for (const file of ['report.html', 'result.json', 'k6/script.ts', 'k6/plan.json', 'k6/k6.txt'])
      expect(existsSync(join(out, 'run', file)), file).toBe(true);
  });
});
