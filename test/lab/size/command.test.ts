// `windtunnel size` as a user runs it: the answer and its exit code, the same from any number of threads.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { SizeResult } from '../../../scenarios/formats/size.ts';
import { emptyFolder, start, windtunnel, write } from '../../cli/run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() => {
  write(folder, 'chat.yaml', CHAT);
});

const CHAT = `
windtunnel: 1
name: chat
seed: 5
models: { m: { model: ministral-3-14b } }
workflows: { main: { steps: [ { llm: reply, adds: { median: 400, p90: 1200, max: 4000 }, out: { median: 60, p90: 150, max: 400 } } ] } }
traffic: [ { workflow: main, arrival: { poisson: { rate: 10/s } }, sessions: 50 } ]
assert: [ 'p95(ttft) < 600ms', 'p95(tpot) < 40ms' ]
`;
const SMALL = ['--gpu', 'rtx-pro-6000', '--tp', '1', '--replicas', '1..6', '--seeds', '3'];
const size = (out: string, ...more: string[]) =>
  windtunnel(['size', 'chat.yaml', ...SMALL, '--out', out, ...more], folder);
const answerOf = (out: string): SizeResult =>
  JSON.parse(readFileSync(join(folder, out, 'size.json'), 'utf8')) as SizeResult;

describe('windtunnel size', () => {
  test('answers the same bytes from one thread and from two', () => {
    const [one, two] = ['1', '2'].map(jobs => size('same', '--jobs', jobs, '--json'));
    expect(one!.code).toBe(0);
    const command = (text: string): string => text.replaceAll(/--jobs \d/g, '--jobs');
    expect(command(two!.out)).toBe(command(one!.out));
    const { answer, promises, isInterrupted } = JSON.parse(one!.out) as SizeResult;
    expect(answer).toMatchObject({ verdict: 'kept', seeds: 3 });
    expect(promises).toEqual(['p95(ttft) < 600ms', 'p95(tpot) < 40ms', 'rate(error) < 1%']);
    expect(isInterrupted).toBe(false);
  }, 240_000);

  test('writes a deployment that every command takes, and it keeps the promises', () => {
    if (answerOf('same').answer === null) throw new Error('it was sized above');
    const simulated = windtunnel(
      ['simulate', 'chat.yaml', '-d', 'same/deployment.yaml', '--set', 'traffic.0.sessions=600', '--quiet'],
      folder,
    );
    expect(simulated.err + simulated.out).not.toMatch(/error/);
    expect(simulated.code).toBe(0);
  }, 120_000);

  test('of a promise that cannot be kept says how close one gets and what it would take, and exits with 99', () => {
    const { code, out } = size('impossible', '--slo', 'p95(ttft) < 1ms');
    expect(code).toBe(99);
    expect(out).toMatch(/^✗ Nothing that was tried keeps every promise; .* comes closest/);
    expect(out).toMatch(/p95\(ttft\) < 1ms would be kept from \d.* on, where 1 ms is promised/);
    expect(out).toMatch(/faster GPUs/);
    expect(answerOf('impossible')).toMatchObject({ answer: null, closest: { verdict: 'broken' } });
  }, 120_000);

  test('that is interrupted keeps what there is, and exits with 105', async () => {
    const { child, ended } = start(
      ['size', 'chat.yaml', '--seeds', '5', '--load', '4', '--out', 'stopped'],
      folder,
    );
    // Written just before the search begins.
    await vi.waitUntil(() => existsSync(join(folder, 'stopped', 'inputs', 'base.json')), 60_000);
    child.kill('SIGINT');
    const { code, out } = await ended;
    expect(code).toBe(105);
    expect(out).toMatch(/^✗ Interrupted before there was an answer/);
    expect(answerOf('stopped')).toMatchObject({ isInterrupted: true, answer: null });
  }, 120_000);

  test.each<[string, string[], RegExp]>([
    ['a promise', ['--slo', 'p95(tfft) < 2s'], /unknown metric "tfft"/],
    ['a GPU', ['--gpu', 'h10000'], /--gpu h10000: the catalogue has no such GPU/],
    ['a budget', ['--budget', '40'], /--budget 40: expected USD for a time/],
    ['a load', ['--load', '0'], /--load 0: expected a number above 0/],
    ['threads', ['--jobs', '0'], /--jobs 0: expected a whole number above 0/],
    ['a setting of the scenario', ['--vary', 'params.x=1,2'], /params\.x/],
  ])(
    'refuses %s that is none, with what to write instead',
    (_, args, what) => {
      const { code, err } = windtunnel(['size', 'chat.yaml', ...args, '--out', 'refused'], folder);
      expect(err).toMatch(what);
      expect(code).toBe(104);
    },
    120_000,
  );
});
