import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { resolveDeployment } from '../../engines/deploy.ts';
import { addSequence, decodeLoad, emptyLoad } from '../../engines/step-load.ts';
import { parseDeployment } from '../../scenarios/formats/deployment/deployment.ts';
import { formatIssues, issuesToJson, parseSource } from '../../scenarios/formats/source.ts';

const library = join(import.meta.dirname, '../../scenarios/library/deployments');
const routingPolicies = ['round-robin', 'least-outstanding', 'session-affinity'];

function resolve(text: string, file = 'd.yaml') {
  const source = parseSource(text, file);
  const parsed = parseDeployment(source);
  expect(formatIssues(parsed.issues, source, { colour: false })).toBe('');
  const resolved = resolveDeployment(parsed.file!, 'abc', { routingPolicies });
  const issues = issuesToJson(resolved.issues, source).map(each => [
    each.line,
    each.column,
    each.code,
    each.message,
    each.hint,
  ]);
  return { deployment: resolved.deployment, issues };
}

const pool = (lines: string) =>
  `windtunnel: 1\ndeployment: test\npools:\n  main:\n${lines.replace(/^/gm, '    ')}\n`;

describe('the deployments of the library', () => {
  it.each(readdirSync(library))('%s resolves without an issue and says what it rests on', file => {
    const text = readFileSync(join(library, file), 'utf8');
    const { deployment, issues } = resolve(text, file);
    expect(issues).toEqual([]);
    expect(deployment?.name).toBe(file.replace('.yaml', ''));
    expect(text).toMatch(/^# /);
    expect(text).toMatch(/^description: \S/m);
    expect(deployment!.pools.length + deployment!.hosted.length).toBeGreaterThan(0);
    for (const each of deployment?.pools ?? []) {
      expect(
        each.evidence.some(line => line.startsWith(`${each.name}: `) && line.includes('KV blocks')),
      ).toBe(true);
      expect(each.evidence.some(line => line.includes('step time: '))).toBe(true);
      expect(each.limits.kvBlocks * each.limits.blockTokens).toBeGreaterThanOrEqual(
        each.limits.maxModelTokens,
      );
    }
  });

  const main = (file: string) => resolve(readFileSync(join(library, file), 'utf8')).deployment!.pools[0]!;
  const prefill = (tokens: number) => {
    const load = emptyLoad();
    addSequence(load, 0, tokens, true);
    return load;
  };
  const decode = (batch: number, context: number) => decodeLoad(batch, batch * context);

  it('emulated takes half a second for a prompt of 2k tokens, in steps of 512, and decodes in 8 to 15 ms', () => {
    const { step, limits } = main('emulated.yaml');
    expect(limits.maxBatchedTokens).toBe(512);
    const chunksMs = 3 * (step.stepNs(prefill(512)) / 1e6) + step.stepNs(prefill(464)) / 1e6;
    expect(Math.round(chunksMs)).toBe(532);
    expect([1, 16].map(batch => Math.round(step.stepNs(decode(batch, 4000)) / 1e6))).toEqual([8, 15]);
  });

  it('laptop-vllm-cpu is within 7 % of what was measured there', () => {
    const { step } = main('laptop-vllm-cpu.yaml');
    const seconds = [128, 1024].map(tokens => step.stepNs(prefill(tokens)) / 1e9);
    const threeChunks = 3 * 0.0143 + 3000 * 0.0017;
    for (const [got, measured] of [
      [seconds[0]!, 0.23],
      [seconds[1]!, 1.7],
      [threeChunks, 5.5],
    ] as const) {
      expect(Math.abs(got / measured - 1)).toBeLessThan(0.07);
    }
  });
});

describe('resolving a deployment', () => {
  it('fills in the defaults', () => {
    const { deployment, issues } = resolve(
      pool('model: llama-3.1-8b\ngpu: h100-80gb-sxm\nendpoints: [{ url: "http://a/v1/", model: m }]'),
    );
    expect(issues).toEqual([]);
    expect(deployment).toMatchObject({
      sha256: 'abc',
      routing: { policy: 'least-outstanding', options: {} },
    });
    expect(deployment?.pools[0]).toMatchObject({
      replicas: 1,
      tensorParallel: 1,
      usdPerGpuHour: 2.29,
      endpoints: [{ url: 'http://a/v1', model: 'm', keyEnv: null, api: 'chat' }],
    });
    expect(deployment?.pools[0]?.evidence.join('\n')).toContain('2.29 USD per GPU-hour: Verda');
  });

  it('takes the options of a policy apart from its name', () => {
    const text = `${pool('model: llama-3.1-8b\ngpu: h100-80gb-sxm')}routing: { policy: session-affinity, fallback: 3 }\n`;
    expect(resolve(text).deployment?.routing).toEqual({
      policy: 'session-affinity',
      options: { fallback: 3 },
    });
  });

  it('needs nothing of the catalogue without a GPU', () => {
    const { deployment } = resolve(
      pool('model: tiny\nstep: { model: affine, base: 1ms }\nlimits: { kv_blocks: 8, max_model_len: 64 }'),
    );
    expect(deployment?.pools[0]).toMatchObject({ modelId: 'tiny', gpuId: null, usdPerGpuHour: null });
    expect(deployment?.pools[0]?.evidence.at(-1)).toBe('main: tiny is not in the catalogue: no list price');
  });

  it.each([
    [
      'model: lama-3.1-8b\ngpu: h100-80gb-sxm',
      [
        5,
        12,
        'WT1201',
        'the catalogue has no model "lama-3.1-8b"',
        'did you mean "llama-3.1-8b"? `windtunnel catalog` lists every model',
      ],
    ],
    [
      'model: llama-3.1-8b\ngpu: h100',
      [
        6,
        10,
        'WT1201',
        'the catalogue has no GPU "h100"',
        'did you mean "h100-80gb-sxm"? `windtunnel catalog` lists every GPU',
      ],
    ],
    [
      'model: mistral-medium-3.5\ngpu: b300-sxm',
      [
        5,
        12,
        'WT1202',
        'the catalogue has no "kvBytesPerTokenBf16" for mistral-medium-3.5, needed for the KV blocks',
        'give limits.kv_blocks',
      ],
    ],
    [
      'model: mistral-medium-3.5\ngpu: b300-sxm',
      [
        5,
        12,
        'WT1202',
        'the catalogue has no "headDim" for mistral-medium-3.5, needed for the roofline step',
        'give `step: { model: affine, … }`',
      ],
    ],
    [
      'model: llama-3.1-8b\ngpu: a100-80gb-sxm\nprecision: { weights: fp8 }',
      [7, 27, 'WT1005', 'fp8 weights need FP8 tensor cores; a100-80gb-sxm (Ampere) has none', 'use bf16'],
    ],
  ])('refuses %j at its place', (lines, expected) => {
    const { deployment, issues } = resolve(pool(lines));
    expect(deployment).toBeNull();
    expect(issues).toContainEqual(expected);
  });

  it('prices the models of a provider: as given, else as the catalogue lists them', () => {
    const { deployment, issues } = resolve(`windtunnel: 1
deployment: api
providers:
  anthropic:
    models:
      frontier: { model: claude-opus-5-5, max_model_len: 200k }
      mine: { price: { in: 3, cached_in: 0.3, out: 15 } }
      mistral-small-4: {}
`);
    expect(issues).toEqual([]);
    expect(deployment?.pools).toEqual([]);
    expect(deployment?.hosted).toEqual([
      {
        name: 'frontier',
        provider: 'anthropic',
        modelId: 'claude-opus-5-5',
        price: { in: 4, cachedIn: 0.2, cacheWrite: 5, out: 20 },
        maxModelTokens: 200_000,
      },
      {
        name: 'mine',
        provider: 'anthropic',
        modelId: 'mine',
        price: { in: 3, cachedIn: 0.3, cacheWrite: 3, out: 15 },
        maxModelTokens: null,
      },
      {
        name: 'mistral-small-4',
        provider: 'anthropic',
        modelId: 'mistral-small-4',
        price: { in: 0.15, cachedIn: 0.015, cacheWrite: expect.any(Number), out: 0.6 },
        maxModelTokens: 262_144,
      },
    ]);
  });

  it('refuses a hosted model that nobody can price', () => {
    const text = 'windtunnel: 1\ndeployment: api\nproviders:\n  p:\n    models:\n';
    expect(resolve(`${text}      claude-opus-55: {}\n`).issues).toEqual([
      [
        6,
        7,
        'WT1201',
        'the catalogue has no price of "claude-opus-55"',
        'did you mean "claude-opus-5-5"? `windtunnel catalog` lists every price; or give `price`',
      ],
    ]);
    expect(resolve(`${text}      big: { model: llama-3.1-70b }\n`).issues[0]?.slice(2)).toEqual([
      'WT1202',
      'the catalogue has no "price" for llama-3.1-70b, needed for the cost of a call',
      'give `price: { in: …, out: … }`',
    ]);
  });

  const split = (model: string, prefill: string, decode: string) =>
    pool(
      `model: ${model}\ngpu: h100-80gb-sxm\nlimits: { max_model_len: 32768 }\n` +
        `prefill: { ${prefill} }\ndecode: { ${decode} }\nlink: { bandwidth: 50GB/s }`,
    );

  it('checks both halves of a disaggregated pool, each at its place', () => {
    const fp8 = 'precision: { weights: fp8 }';
    const { deployment, issues } = resolve(
      split('llama-3.1-70b', `tensor_parallel: 2, ${fp8}`, `tensor_parallel: 4, replicas: 3, ${fp8}`),
    );
    expect(issues).toEqual([]);
    // The decode half holds the whole sequence and stands for the pool.
    expect(deployment?.pools[0]).toMatchObject({ tensorParallel: 4, replicas: 3 });
    expect(deployment?.pools[0]?.evidence.join('\n')).toContain('tensor_parallel 2');
    const one = resolve(split('llama-3.1-70b', fp8, `tensor_parallel: 4, ${fp8}`)).issues;
    expect(one.map(each => each.slice(0, 3))).toEqual([[8, 3 + 2, 'WT1203']]);
    expect(resolve(split('lama', fp8, fp8)).issues).toHaveLength(1);
  });

  it('spreads weights over pipeline stages, and experts over data-parallel ranks', () => {
    const fits = (rest: string) =>
      resolve(pool(`${rest}\nlimits: { max_model_len: 8192 }`)).issues.length === 0;
    const llama = 'model: llama-3.1-70b\ngpu: h100-80gb-sxm';
    expect(fits(llama)).toBe(false);
    expect(fits(`${llama}\npipeline_parallel: 2`)).toBe(true);
    const deepseek = 'model: deepseek-r1\ngpu: h200-141gb-sxm\nprecision: { weights: fp8 }\ndata_parallel: 8';
    expect(fits(deepseek)).toBe(false);
    expect(fits(`${deepseek}\nexpert_parallel: true`)).toBe(true);
  });

  it('refuses an unknown routing policy with the nearest', () => {
    const base = pool('model: llama-3.1-8b\ngpu: h100-80gb-sxm');
    const hint = 'did you mean "round-robin"?';
    expect(resolve(`${base}routing: roundrobin2\n`).issues).toEqual([
      [7, 10, 'WT1102', 'unknown routing policy "roundrobin2"', hint],
    ]);
    expect(resolve(`${base}routing: { policy: xyz }\n`).issues[0]).toEqual([
      7,
      20,
      'WT1102',
      'unknown routing policy "xyz"',
      `known policies: ${routingPolicies.join(', ')}`,
    ]);
  });
});
