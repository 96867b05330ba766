// A calibration of an emulator whose costs and limits are known, over real sockets: with and without /metrics.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { calibrate, type Outcome } from '../../../lab/calibrate/calibrate.ts';
import { createTarget } from '../../../lab/calibrate/target.ts';
import { type EmulatorProcess, startEmulatorProcess } from '../../../lab/emulator-process.ts';
import type { EngineProfile } from '../../../scenarios/formats/engine-profile.ts';
import { emptyFolder, start } from '../../cli/run.ts';

const LIMITS = {
  maxModelTokens: 2048,
  maxBatchedTokens: 384,
  maxSequences: 12,
  blockTokens: 32,
  kvBlocks: 301,
};
const STEP = {
  base_ms: 12,
  per_decode_us: 700,
  per_context_token_us: 1,
  per_prefill_token_us: 150,
  per_pair_us: 0.05,
};
const PROFILE: EngineProfile = {
  windtunnel_profile: 1,
  name: 'known',
  measured: { engine: 'emulator', model: 'known', gpu: 'none', at: '2026-11-20', by: 'test' },
  step: STEP,
  range: { decodes: 12, context_tokens: 2048, prefill_tokens: 384 },
  expected_error: { ttft: null, tpot: null, e2e: null },
};

const MEASURE = `windtunnel: 1
name: measure
models:
  m: { model: known }
workflows:
  one:
    steps:
      - { llm: call, adds: 1000, out: 4 }
traffic:
  - { workflow: one, arrival: { closed: { agents: 1 } }, sessions: 4 }
`;

const folder = mkdtempSync(join(tmpdir(), 'windtunnel-calibrate-'));
let emulator: EmulatorProcess;
beforeAll(async () => {
  writeFileSync(join(folder, 'known.profile.json'), JSON.stringify(PROFILE));
  writeFileSync(
    join(folder, 'known.yaml'),
    `windtunnel: 1
deployment: known
pools:
  main:
    model: known
    limits: { max_model_len: 2048, max_num_batched_tokens: 384, max_num_seqs: 12, block_size: 32, kv_blocks: 301, async_scheduling: false }
    step: { model: profile, file: known.profile.json }
    endpoints: [{ url: http://127.0.0.1:1/v1, model: known }]
`,
  );
  emulator = await startEmulatorProcess(join(folder, 'known.yaml'));
});
afterAll(async () => {
  await emulator.close();
  rmSync(folder, { recursive: true });
});

async function calibrated(seconds: number, isBlackBox: boolean): Promise<Outcome> {
  const target = createTarget({
    baseUrl: emulator.baseUrl,
    model: 'known',
    api: 'tokens',
    key: null,
    salt: `${Math.random()}`,
  });
  const text: typeof target.text = (path, beside) =>
    isBlackBox && path !== '/models' ? Promise.resolve(null) : target.text(path, beside);
  try {
    return await calibrate({
      target: { ...target, text },
      seconds,
      isQuick: true,
      given: isBlackBox ? { maxModelTokens: LIMITS.maxModelTokens } : {},
      onProgress: () => {},
      isStopped: () => false,
    });
  } finally {
    await target.close();
  }
}

const near = (found: number, truth: number, ratio: number, what: string): void =>
  expect(Math.abs(found / truth - 1), `${what}: ${found}, in truth ${truth}`).toBeLessThan(ratio);

describe('an emulator with known costs', () => {
  test('gives its costs and limits', async () => {
    const { limits, origins, fit } = await calibrated(60, false);
    expect(limits).toEqual({ ...LIMITS, prefixCaching: true });
    expect(origins.blockTokens).toBe('read from /metrics');
    expect(origins.maxSequences).toContain('found');
    const { costs } = fit;
    near(costs.base + costs.decode, STEP.base_ms + STEP.per_decode_us / 1e3, 0.06, 'a step of one stream');
    near(costs.base + 12 * costs.decode, STEP.base_ms + 12 * (STEP.per_decode_us / 1e3), 0.06, 'a full step');
    near(costs.prefill_token, STEP.per_prefill_token_us / 1e3, 0.15, 'a prompt token');
    // All that a prompt of 1,000 tokens costs, however it is shared among the terms.
    const pairs = (1000 * 1001) / 2;
    const known = (1000 * STEP.per_prefill_token_us + pairs * STEP.per_pair_us) / 1e3;
    near(1000 * costs.prefill_token + pairs * costs.pair, known, 0.08, 'a prompt of 1,000 tokens');
    for (const { kind, unseenRatio } of fit.kinds) expect(unseenRatio, kind).toBeLessThan(0.1);
  });

  test('gives them without /metrics too', async () => {
    const { limits, origins, fit } = await calibrated(40, true);
    expect(limits).toEqual({ ...LIMITS, prefixCaching: true });
    expect(origins.kvBlocks).toContain('found by what was still cached');
    expect(origins.blockTokens).toContain('found by cached tokens');
    near(fit.costs.base + fit.costs.decode, 12.7, 0.06, 'a step of one stream');
  });

  test('as a command writes a profile and a deployment that simulates as they are', async () => {
    const out = emptyFolder();
    const ran = await start(
      [
        'calibrate',
        emulator.baseUrl,
        '--model',
        'known',
        '--minutes',
        '0.4',
        '--out',
        'cal',
        '--name',
        'mine',
      ],
      out,
    ).ended;
    expect(ran.code, ran.out + ran.err).toBe(0);
    expect(ran.out.split('\n')[0]).toMatch(/^known: a step costs 1\d(\.\d+)? ms, /);
    expect(ran.out).toContain('next: windtunnel validate SCENARIO -d cal/mine.deployment.yaml');
    const profile = JSON.parse(readFileSync(join(out, 'cal', 'mine.profile.json'), 'utf8')) as EngineProfile;
    near(profile.step.base_ms, STEP.base_ms, 0.1, 'the base of the profile');
    const deployment = readFileSync(join(out, 'cal', 'mine.deployment.yaml'), 'utf8');
    expect(deployment).toContain('async_scheduling: false');
    writeFileSync(join(out, 'measure.yaml'), MEASURE);
    const simulated = await start(
      ['simulate', 'measure.yaml', '-d', 'cal/mine.deployment.yaml', '--json', '--out', 'sim'],
      out,
    ).ended;
    expect(simulated.code, simulated.err).toBe(0);
    const { header, metrics } = JSON.parse(simulated.out);
    expect(header.evidence.join('\n')).toContain('profile "mine"');
    // By hand: three steps of 384, 384 and 232 tokens, and the way there.
    near(metrics.ttft.mean, 3 * 12 + 150 + 0.05 * 0.5005 * 1000, 0.1, 'a prompt of 1,000 tokens');
    rmSync(out, { recursive: true });
  });
});
