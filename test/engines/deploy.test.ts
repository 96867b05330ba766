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
      endpoints: [{ url: 'http://a/v1', model: 'm', keyEnv: null, api: 'chat', hints: ['session'] }],
    });
    expect(deployment?.pools[0]?.evidence.join('\n')).toContain('2.29 USD per GPU-hour: Verda');
  });

  it('tells a server priorities only where it schedules by them, as vLLM refuses them otherwise', () => {
    const text = (limits: string) =>
      pool(
        `model: llama-3.1-8b\ngpu: h100-80gb-sxm\n${limits}endpoints: [{ url: http://a/v1, model: m, hints: [session, priority] }]`,
      );
    const { deployment, issues } = resolve(text('limits: { scheduling_policy: priority }\n'));
    expect(issues).toEqual([]);
    expect(deployment?.pools[0]?.endpoints[0]?.hints).toEqual(['session', 'priority']);
    expect(resolve(text('')).issues).toEqual([
      [
        7,
        54,
        'WT1005',
        'the server is told a priority, and the pool schedules by arrival',
        'give the pool limits.scheduling_policy: priority, as the server has it',
      ],
    ]);
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
        'did you mean "llama-3.1-8b"? `windtunnel catalog` lists every model; `windtunnel catalog add config.json` adds one',
      ],
    ],
    [
      'model: llama-3.1-8b\ngpu: h100',
      [
        6,
        10,
        'WT1201',
        'the catalogue has no GPU "h100"',
        'did you mean "h100-80gb-sxm"? `windtunnel catalog` lists every GPU; or give `gpu_figures`',
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
        api: null,
        endpoint: null,
      },
      {
        name: 'mine',
        provider: 'anthropic',
        modelId: 'mine',
        price: { in: 3, cachedIn: 0.3, cacheWrite: 3, out: 15 },
        maxModelTokens: null,
        api: null,
        endpoint: null,
      },
      {
        name: 'mistral-small-4',
        provider: 'anthropic',
        modelId: 'mistral-small-4',
        price: { in: 0.15, cachedIn: 0.015, cacheWrite: expect.any(Number), out: 0.6 },
        maxModelTokens: 262_144,
        api: null,
        endpoint: null,
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

  const split = (model: string, prefill: string, decode: string, link = 'bandwidth: 50GB/s') =>
    pool(
      `model: ${model}\ngpu: h100-80gb-sxm\nlimits: { max_model_len: 32768 }\n` +
        `prefill: { ${prefill} }\ndecode: { ${decode} }\nlink: { ${link} }`,
    );

  it('checks both halves of a disaggregated pool, each at its place', () => {
    const fp8 = 'precision: { weights: fp8 }';
    const one = resolve(split('llama-3.1-70b', fp8, `tensor_parallel: 4, ${fp8}`)).issues;
    expect(one.map(each => each.slice(0, 3))).toEqual([[8, 3 + 2, 'WT1203']]);
    expect(resolve(split('lama', fp8, fp8)).issues).toHaveLength(1);
  });

  it('makes the decode half the pool, with the prefill half behind its link', () => {
    const { deployment, issues } = resolve(
      split(
        'llama-3.1-8b',
        'replicas: 2, tensor_parallel: 2',
        'gpu: h200-141gb-sxm, replicas: 3',
        'bandwidth: 400Gbit/s, latency: 10us, overlap: true, local_below: 512',
      ),
    );
    expect(issues).toEqual([]);
    const main = deployment?.pools[0];
    expect(main).toMatchObject({
      gpuId: 'h200-141gb-sxm',
      replicas: 3,
      tensorParallel: 1,
      kvBytesPerToken: 131_072,
      disaggregation: {
        prefill: { replicas: 2, gpuId: 'h100-80gb-sxm', tensorParallel: 2 },
        linkBytesPerSec: 50e9,
        linkLatencyMs: 0.01,
        overlapLayers: 32,
        firstToken: 'decode',
        localBelowTokens: 512,
      },
    });
    expect(main!.disaggregation!.prefill.limits.kvBlocks).not.toBe(main!.limits.kvBlocks);
    expect(main!.evidence.join('\n')).toMatch(/^main: prefill: \d+ KV blocks/);
    const trtLlm = resolve(
      `${split('llama-3.1-8b', 'replicas: 1', 'replicas: 1')}    engine: tensorrt-llm\n`,
    );
    expect(trtLlm.deployment?.pools[0]?.disaggregation?.firstToken).toBe('prefill');
  });

  it('refuses halves whose blocks do not fit each other', () => {
    const { issues } = resolve(
      split('llama-3.1-8b', 'precision: { kv: fp8 }', 'limits: { block_size: 32, max_model_len: 4096 }'),
    );
    expect(issues.map(each => each[3])).toEqual([
      'prefill keeps KV in fp8, decode in bf16: blocks cannot be handed over',
      'blocks of 16 tokens cannot become blocks of 32',
    ]);
  });

  it('spreads weights over pipeline stages, and experts over data-parallel ranks', () => {
    const fits = (rest: string) =>
      resolve(pool(`${rest}\nlimits: { max_model_len: 8192 }`)).issues.length === 0;
    const llama = 'model: llama-3.1-70b\ngpu: h100-80gb-sxm';
    expect(fits(llama)).toBe(false);
    expect(fits(`${llama}\npipeline_parallel: 2`)).toBe(true);
    // The ranks of a dense model are copies.
    expect(fits(`${llama}\ndata_parallel: 8`)).toBe(false);
    const deepseek = 'model: deepseek-r1\ngpu: h200-141gb-sxm\nprecision: { weights: fp8 }';
    expect(fits(deepseek)).toBe(false);
    expect(fits(`${deepseek}\ndata_parallel: 8`)).toBe(true);
  });

  it('carries ranks, stages, drafts and tiers; ranks with experts step together', () => {
    const of = (model: string) =>
      resolve(
        pool(`model: ${model}
gpu: h100-80gb-sxm
limits: { max_model_len: 8192 }
tensor_parallel: 2
pipeline_parallel: 2
data_parallel: 2
speculative: { method: eagle, tokens: 3, accepted: 2.5 }
kv_tiers:
  - { tier: cpu, capacity: 64GB, read: 20GB/s, latency: 20us }
  - { tier: remote, capacity: 1TB, read: 5GB/s, write: 3GB/s, shared: true }`),
      );
    const { deployment, issues } = of('qwen3-30b-a3b');
    expect(issues).toEqual([]);
    expect(deployment?.pools[0]).toMatchObject({
      tensorParallel: 2,
      pipelineStages: 2,
      dataParallelRanks: 2,
      ranksInLockStep: true,
      speculative: { draftTokens: 3, acceptedTokens: 2.5 },
      kvBytesPerToken: 98_304,
      kvTiers: [
        {
          tier: 'cpu',
          capacityBytes: 64e9,
          readBytesPerSec: 20e9,
          writeBytesPerSec: 20e9,
          latencyMs: 0.02,
          shared: false,
        },
        {
          tier: 'remote',
          capacityBytes: 1e12,
          readBytesPerSec: 5e9,
          writeBytesPerSec: 3e9,
          latencyMs: 0,
          shared: true,
        },
      ],
    });
    expect(of('qwen3-8b').deployment?.pools[0]).toMatchObject({ ranksInLockStep: false });
  });

  it('takes the acceptance that was measured for the model, where the file has none', () => {
    const { deployment } = resolve(
      pool(
        'model: kimi-k2.5\ngpu: b300-sxm\ntensor_parallel: 8\nprecision: { weights: fp8 }\nspeculative: { method: eagle, tokens: 2 }',
      ),
    );
    const main = deployment?.pools[0];
    expect(main?.speculative).toEqual({ draftTokens: 2, acceptedTokens: 2.43 });
    expect(main?.evidence.join('\n')).toContain('a step with 2 drafted tokens yields 2.43: InferenceX');
  });

  it('refuses drafts that nothing could accept, and tiers of blocks whose size nobody knows', () => {
    const llama = 'model: llama-3.1-8b\ngpu: h100-80gb-sxm\n';
    const message = (lines: string) => resolve(pool(lines)).issues.map(each => each[3]);
    expect(message(`${llama}speculative: { method: eagle, tokens: 2 }`)).toEqual(['missing key "accepted"']);
    expect(message(`${llama}speculative: { method: eagle, tokens: 2, accepted: 4 }`)).toEqual([
      'a step that drafts 2 tokens yields at most 3, not 4',
    ]);
    const bare = 'step: { model: affine, base: 1ms }\nlimits: { kv_blocks: 8, max_model_len: 64 }';
    expect(message(`model: tiny\n${bare}\nkv_tiers: [{ tier: cpu, capacity: 1GB, read: 1GB/s }]`)).toEqual([
      'the catalogue has no model "tiny"',
    ]);
  });

  it('refuses tiers that could never hold a block, and tiers of an engine that looks for none', () => {
    const llama = 'model: llama-3.1-8b\ngpu: h100-80gb-sxm\n';
    const tiers = (capacity: string) => `kv_tiers: [{ tier: cpu, capacity: ${capacity}, read: 1GB/s }]`;
    const message = (lines: string) => resolve(pool(llama + lines)).issues.map(each => each[3]);
    // 16 tokens of 131,072 bytes: 2 MiB.
    expect(message(tiers('2.09MB'))).toEqual(['2090000 bytes hold no KV block of 16 tokens, 2097152 bytes']);
    expect(message(tiers('2MiB'))).toEqual([]);
    expect(message(`limits: { enable_prefix_caching: false }\n${tiers('1GB')}`)).toEqual([
      'KV tiers keep prefixes, and prefix caching is off',
    ]);
  });

  it('says once that there can be no such engine, and prices no step of it', () => {
    const { issues } = resolve(pool('model: llama-3.1-8b\ngpu: a100-80gb-sxm\nprecision: { weights: fp8 }'));
    expect(issues.map(each => each[3])).toEqual([
      'fp8 weights need FP8 tensor cores; a100-80gb-sxm (Ampere) has none',
    ]);
  });

  it.each([
    ['', 'tensorrt-llm', 1, false],
    ['nim: { profile: latency }', 'tensorrt-llm', 2, false],
    ['nim: { backend: vllm, profile: throughput }\nlimits: { enable_prefix_caching: true }', 'vllm', 1, true],
    ['nim: { profile: latency }\ntensor_parallel: 8', 'tensorrt-llm', 8, false],
  ])('a NIM with %j is %s on %d GPUs, KV reuse %s', (lines, engine, tensorParallel, prefixCaching) => {
    const { deployment, issues } = resolve(
      pool(`model: llama-3.1-8b\ngpu: h100-80gb-sxm\nengine: nim\n${lines}`),
    );
    expect(issues).toEqual([]);
    expect(deployment?.pools[0]).toMatchObject({ engine, tensorParallel, limits: { prefixCaching } });
    expect(deployment?.pools[0]?.evidence[0]).toMatch(/^main: nim: /);
  });

  it('a NIM takes the fewest GPUs that hold the model', () => {
    const lines = 'model: llama-3.1-70b\ngpu: h100-80gb-sxm\nengine: nim\nlimits: { max_model_len: 8192 }';
    expect(resolve(pool(lines)).deployment?.pools[0]?.tensorParallel).toBe(2);
    const fp8 = `${lines}\nprecision: { weights: fp8 }`;
    expect(resolve(pool(fp8)).deployment?.pools[0]?.tensorParallel).toBe(1);
  });

  it('takes figures of a GPU from the file: in place of those of the catalogue, or where it has none', () => {
    const limits = 'limits: { max_model_len: 8192 }';
    const of = (lines: string) => resolve(pool(`model: llama-3.1-8b\n${lines}\n${limits}`));
    const desk = 'gpu: rtx-4090\ntensor_parallel: 2\nprecision: { weights: fp8 }';
    expect(of(desk).issues.map(each => [each[3], each[4]])).toEqual([
      [
        'the catalogue has no "scaleUpBandwidthBytesPerSecPerDirection" for rtx-4090, needed for tensor_parallel > 1',
        'give gpu_figures.link_bandwidth, or use 1',
      ],
    ]);
    const joined = 'gpu_figures: { link_bandwidth: 25GB/s, link_latency: 10us, link_gpus: 2 }';
    expect(of(`${desk}\n${joined}`).issues).toEqual([]);
    const told = of('gpu: rubin-vr200-nvl72\ntensor_parallel: 4\ngpu_figures: { link_latency: 5us }');
    expect(told.issues).toEqual([]);
    expect(told.deployment?.pools[0]?.evidence).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/rubin-vr200-nvl72 is announced .*nothing was measured/),
        'main: rubin-vr200-nvl72: link_latency as given in gpu_figures',
      ]),
    );
    const own = 'gpu_figures: { memory: 96GB, memory_bandwidth: 4TB/s, bf16_tflops: 500 }';
    expect(of(`gpu: my-card\n${own}`).deployment?.pools[0]).toMatchObject({ gpuId: 'my-card' });
    expect(of('gpu: my-card\ngpu_figures: { memory: 96GB }').issues[0]?.[3]).toBe(
      'missing key "memory_bandwidth"',
    );
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
