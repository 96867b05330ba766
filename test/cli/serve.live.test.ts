// The page of a replay while it goes on, as a user meets it: an emulator, a replay with --serve and a real browser.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { afterAll, describe, expect, test } from 'vitest';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { emptyFolder, start, write } from './run.ts';

const CHROMIUM = '/usr/bin/chromium';
const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

const DEPLOYMENT = (url: string): string => `
windtunnel: 1
deployment: live
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 512, max_num_seqs: 64 }
    step: { model: affine, base: 4ms, per_token: 50us }
    endpoints: [ { url: ${url}, model: m } ]
`;
/** Fifteen seconds of it. */
const SCENARIO = `
windtunnel: 1
name: watched
models: { m: { model: ministral-3-14b } }
prefixes: { system: { tokens: 600, scope: global } }
workflows:
  chat:
    steps: [ { llm: plan, model: m, prefix: [system], adds: 100, out: 40 }, { llm: answer, adds: 50, out: 60 } ]
traffic:
  - { workflow: chat, arrival: { constant: { rate: 4/s } }, sessions: 60 }
assert: [ rate(error) < 1%, p95(ttft) < 2s ]
`;

describe.skipIf(!existsSync(CHROMIUM) && !process.env.CI)('replay --serve', () => {
  test('a browser sees charts change while the run goes on, and its end', async () => {
    write(folder, 'd.yaml', DEPLOYMENT('http://127.0.0.1:9/v1'));
    write(folder, 'watched.yaml', SCENARIO);
    const emulator = start(['emulate', 'd.yaml', '--port', '0', '--json'], folder);
    let said = '';
    emulator.child.stdout.on('data', chunk => {
      said += String(chunk);
    });
    await emulator.until('"url"');
    const endpoint = `${/"url": "([^"]+)"/.exec(said)![1]}/v1`;
    const browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu'],
    });
    try {
      const args = ['replay', 'watched.yaml', '-d', 'd.yaml', '--endpoint', endpoint, '--out', 'run'];
      const replay = start([...args, '--serve', '0'], folder);
      let told = '';
      replay.child.stderr.on('data', chunk => {
        told += String(chunk);
      });
      await expect.poll(() => /http:\S+/.exec(told)?.[0], { timeout: 20_000 }).toBeDefined();
      const tab = await browser.newPage();
      await tab.goto(/http:\S+/.exec(told)![0], { timeout: 60_000 });
      const chart = 'figure[data-drawn][id$="latency-cdf"] .plot svg';
      await tab.locator('figure[id$="latency-cdf"]').scrollIntoViewIfNeeded();
      await tab.waitForSelector(chart);
      const seen = new Set<string>();
      const look = async (): Promise<number> => {
        seen.add(await tab.locator(chart).innerHTML());
        return seen.size;
      };
      await expect.poll(look, { timeout: 30_000, interval: 300 }).toBeGreaterThanOrEqual(2);
      // It was not over yet.
      expect(replay.child.exitCode).toBeNull();
      expect(await tab.textContent('main')).toContain('the run goes on');
      await tab.waitForSelector('html[data-ended]', { timeout: 60_000 });
      expect(await tab.textContent('main')).not.toContain('the run goes on');
      const ran = await replay.ended;
      expect(ran.code, ran.err).toBe(0);
      const result = JSON.parse(readFileSync(join(folder, 'run', 'result.json'), 'utf8')) as RunResult;
      expect(result.counts.calls).toMatchObject({ planned: 120, ok: 120 });
      expect(readFileSync(join(folder, 'run', 'report.html'), 'utf8')).not.toContain('connect-src');
    } finally {
      await browser.close();
      emulator.child.kill('SIGINT');
      await emulator.ended;
    }
  });
});
