// What a serving engineer does with a staging server, by the commands of docs/live.md, on a real vLLM: replay of a chain, a
// fan-out, a loop and a recorded session, calibration, validation, k6.
import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServerReport } from '../../scenarios/formats/measured.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { ValidationResult } from '../../scenarios/formats/validation.ts';
import { hasVllm, startVllm } from '../builders/vllm.ts';
import { emptyFolder, type Ran, ROOT, start, write } from './run.ts';

const VLLM_TEST_MS = 1_200_000;
const SESSION = join(ROOT, 'scenarios', 'library', 'traces', 'claude-code-session.json');

const SCENARIO = `
windtunnel: 1
name: three
seed: 7
models: { m: { model: tiny } }
prefixes: { rules: { tokens: 256, scope: global } }
tools: { look: { latency: 100ms, result: 60 } }
workflows:
  chain:
    prefix: [rules]
    model: m
    steps: [ { llm: plan, adds: 80, out: 12 }, look, { llm: act, adds: =tokens(look), out: 12 } ]
  fan:
    prefix: [rules]
    model: m
    steps: [ { map: parts, over: 3, steps: [ { llm: part, adds: 100, out: 10 } ] }, { llm: join, adds: 40, out: 16 } ]
  loop:
    prefix: [rules]
    model: m
    steps: [ { repeat: turns, times: 3, steps: [ { llm: turn, adds: 60, out: 8 }, look ] } ]
traffic:
  - { workflow: chain, arrival: { poisson: { rate: 1/s } }, sessions: 4 }
  - { workflow: fan, arrival: { poisson: { rate: 1/s } }, sessions: 4 }
  - { workflow: loop, arrival: { poisson: { rate: 1/s } }, sessions: 4 }
`;
/** Of all sessions. */
const CALLS = 4 * 2 + 4 * 4 + 4 * 3;

describe.skipIf(!hasVllm)('a staging vLLM (set WINDTUNNEL_VLLM to its executable)', () => {
  const folder = emptyFolder();
  let url = '';
  beforeAll(async () => {
    ({ url } = await startVllm());
    write(folder, 'three.yaml', SCENARIO);
    copyFileSync(SESSION, join(folder, 'session.json'));
    write(
      folder,
      'staging.yaml',
      `
windtunnel: 1
deployment: staging
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 4096, kv_blocks: 2048, block_size: 128, max_num_batched_tokens: 1024, max_num_seqs: 32 }
    step: { model: affine, base: 10ms, per_token: 400us }
    endpoints: [ { url: ${url}, model: tiny, api: tokens } ]
`,
    );
  }, VLLM_TEST_MS);
  afterAll(() => rmSync(folder, { recursive: true }));

  const run = (...args: string[]): Promise<Ran> => start(args, folder).ended;
  async function replayed(...args: string[]): Promise<RunResult> {
    const ran = await run('replay', ...args, '--json');
    // 3: this machine was too busy to say anything of times; what was sent is the same.
    expect([0, 3], ran.err).toContain(ran.code);
    return JSON.parse(ran.out) as RunResult;
  }
  const serverOf = ({ measured }: RunResult): ServerReport => measured!.servers[0]!;

  test(
    'replays a chain, a fan-out and a loop: every call and token is counted by the server too',
    async () => {
      const result = await replayed('three.yaml', '-d', 'staging.yaml');
      expect(result.counts.calls).toMatchObject({ ok: CALLS, error: 0 });
      expect(result.counts.workflows).toMatchObject({ completed: 12 });
      const server = serverOf(result);
      expect([server.engine, server.requestsFinished]).toEqual(['vllm', CALLS]);
      expect([server.promptTokens, server.outputTokens]).toEqual([
        result.tokens.prompt,
        result.tokens.output,
      ]);
      // The shared prefix has two whole blocks of 128 tokens.
      expect(server.prefixHitTokens).toBeGreaterThanOrEqual((CALLS - 12) * 128);
    },
    VLLM_TEST_MS,
  );

  test(
    'replays a recorded Claude Code session, shrunk',
    async () => {
      const result = await replayed(
        'session.json',
        '-d',
        'staging.yaml',
        '--scale-tokens',
        '0.02',
        '--gap-cap',
        '300ms',
      );
      expect(result.counts.calls).toMatchObject({ ok: 8, error: 0 });
      expect(serverOf(result).prefixHitTokens).toBeGreaterThan(0);
    },
    VLLM_TEST_MS,
  );

  test(
    'k6 sends the same calls; what it cannot see comes from the server',
    async () => {
      const result = await replayed('three.yaml', '-d', 'staging.yaml', '--driver', 'k6', '--vocab', '4096');
      expect(result.counts.calls).toMatchObject({ ok: CALLS, error: 0 });
      expect(result.metrics.ttft).toBeUndefined();
      expect(serverOf(result).latencies.ttft?.count).toBe(CALLS);
    },
    VLLM_TEST_MS,
  );

  test(
    'validates: counts and tokens are equal, and times are judged',
    async () => {
      const ran = await run('validate', 'three.yaml', '-d', 'staging.yaml', '--repeats', '2', '--json');
      expect([0, 3, 99], ran.err).toContain(ran.code);
      const { comparisons, verdict } = JSON.parse(ran.out) as ValidationResult;
      // Our own client was late in every run: nothing is said of anybody.
      if (ran.code === 3) {
        expect(verdict.headline).toContain('Not valid');
        return;
      }
      const row = (metric: string) => comparisons[0]!.rows.find(each => each.metric === metric)!;
      expect(row('calls ok')).toMatchObject({ predicted: CALLS, measured: CALLS });
      for (const metric of ['prompt tokens', 'output tokens']) expect(row(metric).errorRatio).toBe(0);
      for (const metric of ['mean TTFT', 'mean TPOT', 'mean E2E', 'mean workflow time'])
        expect(row(metric)).toMatchObject({ predicted: expect.any(Number), measured: expect.any(Number) });
      expect(verdict.headline.length).toBeGreaterThan(10);
    },
    VLLM_TEST_MS,
  );
});
