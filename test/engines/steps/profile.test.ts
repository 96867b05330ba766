import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { addSequence, decodeLoad, emptyLoad } from '../../../engines/step-load.ts';
import { createStep } from '../../../engines/step-models.ts';
import { profileStep } from '../../../engines/steps/profile.ts';
import { readProfile } from '../../../scenarios/cli/engine-profile.ts';
import { resolveSource } from '../../../scenarios/cli/resolve.ts';
import type { EngineProfile } from '../../../scenarios/formats/engine-profile.ts';

const profile: EngineProfile = {
  windtunnel_profile: 1,
  name: 'my-server',
  measured: {
    engine: 'vllm 0.19.0',
    model: 'qwen3-32b',
    gpu: 'h100-80gb-sxm',
    gpus: 2,
    at: '2026-11-20',
    by: 'windtunnel calibrate 0.1.0',
  },
  step: {
    base_ms: 12,
    per_decode_us: 40,
    per_context_token_us: 0.0625,
    per_prefill_us: 100,
    per_prefill_token_us: 50,
    per_prefill_context_token_us: 0.5,
    per_pair_us: 0.001,
    per_sample_us: 10,
  },
  range: { decodes: 128, context_tokens: 32_768, prefill_tokens: 2048 },
  expected_error: { ttft: 0.08, tpot: 0.021, e2e: null },
};

describe('the step of a calibrated profile', () => {
  const step = profileStep(profile);

  it('is the sum of its terms, in whole nanoseconds', () => {
    const load = emptyLoad();
    for (let i = 0; i < 16; i++) addSequence(load, 999, 1, true);
    addSequence(load, 500, 1000, true);
    addSequence(load, 0, 24, false);
    const pairs = 1000 * 500 + (1000 * 1001) / 2 + (24 * 25) / 2;
    const us =
      12_000 + 16 * 40 + 16_000 * 0.0625 + 2 * 100 + 1024 * 50 + (1500 + 24) * 0.5 + pairs * 0.001 + 17 * 10;
    expect(step.stepNs(load)).toBeCloseTo(us * 1000, -1);
  });

  it('gives a step of decodes as its line', () => {
    const line = step.decodeLine(16, 16_000);
    expect(line).toEqual({
      interceptUnits: (12_000_000 + 16 * 50_000) * 1024,
      slopeUnits: 62.5 * 1024,
      untilContextTokens: Number.POSITIVE_INFINITY,
    });
    expect(step.stepNs(decodeLoad(16, 16_000))).toBe(12_000_000 + 16 * 50_000 + 16_000 * 62.5);
  });

  it('says what it was measured on, its error, and what lies beyond it', () => {
    expect(step.evidence).toBe(
      'profile "my-server": vllm 0.19.0, qwen3-32b on 2 x h100-80gb-sxm, measured 2026-11-20 by windtunnel calibrate 0.1.0; mean error: TTFT 8 %, TPOT 2.1 %; tried up to 128 decodes, 32768 tokens of context and 2048 prompt tokens a step',
    );
    expect(step.trust?.outOfRange(decodeLoad(128, 128 * 1000))).toBeNull();
    expect(step.trust?.outOfRange(decodeLoad(129, 129 * 1000))).toBe('129 sequences decode, tried up to 128');
    const unknown = { ttft: null, tpot: null, e2e: null };
    expect(profileStep({ ...profile, expected_error: unknown }).evidence).toContain(
      'its error was not measured',
    );
  });

  it('is what a pool gets, whose file was read', () => {
    const setup = { model: null, gpu: null, tensorParallel: 1, weights: 'bf16', kv: 'bf16' } as const;
    const made = createStep({ model: 'profile', file: profile }, setup, []);
    expect(made.step?.name).toBe('profile');
    const unread = createStep({ model: 'profile', file: 'my.json' }, setup, ['pools', 'main']);
    expect(unread.issues[0]).toMatchObject({ code: 'WT1001', path: ['pools', 'main', 'step', 'file'] });
  });
});

describe('a profile file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-profile-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const written = (content: unknown): string => {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    writeFileSync(join(folder, 'my.json'), text);
    return 'my.json';
  };
  const messages = (file: string): string[] =>
    readProfile(file, folder, ['step', 'file']).issues.map(({ code, message }) => `${code} ${message}`);

  it('is read from the folder of the deployment that names it', () => {
    written(profile);
    writeFileSync(
      join(folder, 'deployment.yaml'),
      'windtunnel: 1\ndeployment: mine\npools:\n  main:\n    model: qwen3-32b\n    step: { model: profile, file: my.json }\n',
    );
    const source = resolveSource(join(folder, 'deployment.yaml'), 'deployments');
    expect(source.issues).toEqual([]);
    expect(source.value).toMatchObject({ pools: { main: { step: { model: 'profile', file: profile } } } });
  });

  it('is refused by file and key', () => {
    expect(messages('none.json')).toEqual(['WT1001 there is no file none.json']);
    expect(messages(written('{'))[0]).toMatch(/^WT1002 my\.json: /);
    expect(messages(written({ ...profile, windtunnel_profile: 2 }))[0]).toMatch(
      /my\.json: windtunnel_profile: /,
    );
    const mistyped = { ...profile, step: { base_ms: 12, per_decod_us: 40 } };
    expect(messages(written(mistyped))).toEqual([
      'WT1003 my.json: step.per_decod_us: unknown key "per_decod_us"',
    ]);
    expect(messages(written({ ...profile, step: { base_ms: -1 } }))[0]).toMatch(
      /^WT1005 my\.json: step\.base_ms: /,
    );
    const { range: _, ...without } = profile;
    expect(messages(written(without))).toEqual(['WT1004 my.json: range: missing key "range"']);
    const dated = { ...profile, measured: { ...profile.measured, at: 'yesterday' } };
    expect(messages(written(dated))[0]).toMatch(/my\.json: measured\.at: /);
  });
});
