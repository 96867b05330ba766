import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { deploymentSchema, parseDeployment } from '../../scenarios/formats/deployment/deployment.ts';
import { formatIssues, issuesToJson, parseSource } from '../../scenarios/formats/source.ts';

const full = `windtunnel: 1
deployment: 8xh200-mistral-small-4
pools:
  main:
    model: mistral-small-4
    gpu: h200-141gb-sxm
    replicas: 8
    tensor_parallel: 1
    precision: { weights: fp8, kv: bf16 }
    engine: vllm
    limits: { max_model_len: 32k, gpu_memory_utilization: 92%, kv_blocks: 5000, max_queued_requests: null }
    step: { model: affine, base: 12ms, per_token: 60us, per_context_token: 20ns }
    price: 3.39/h
    endpoints: [{ url: "http://127.0.0.1:8000/v1", model: served, key_env: MY_KEY, api: chat }]
routing: { policy: least-outstanding, choices: 2 }
`;

/** The issues of the full file with one piece of text replaced. */
function found(from: string, to: string) {
  expect(full).toContain(from);
  const source = parseSource(full.replace(from, to), 'd.yaml');
  const { file, issues } = parseDeployment(source);
  if (issues.length > 0) expect(file).toBeNull();
  return issuesToJson(issues, source).map(each => [
    each.line,
    each.column,
    each.code,
    each.message,
    each.hint,
  ]);
}

describe('a deployment file', () => {
  it('is read with its units: ms, ratios, tokens, USD an hour', () => {
    const { file, issues } = parseDeployment(parseSource(full, 'd.yaml'));
    expect(issues).toEqual([]);
    expect(file?.pools?.main?.limits).toMatchObject({ max_model_len: 32_000, gpu_memory_utilization: 0.92 });
    expect(file?.pools?.main?.step).toEqual({
      model: 'affine',
      base: 12,
      per_token: 0.06,
      per_context_token: 0.00002,
    });
    expect(file?.pools?.main?.price).toBe(3.39);
    expect(file?.routing).toEqual({ policy: 'least-outstanding', choices: 2 });
  });

  it.each([
    [
      'model: mistral-small-4',
      'modle: mistral-small-4',
      [5, 5, 'WT1003', 'unknown key "modle"', 'did you mean "model"?'],
    ],
    ['model: mistral-small-4\n', 'extra: 1\n', [4, 3, 'WT1004', 'missing key "model"', null]],
    ['windtunnel: 1', 'windtunnel: 2', [1, 13, 'WT1005', 'expected 1; got 2', null]],
    ['replicas: 8', 'replicas: -1', [7, 15, 'WT1005', 'expected at least 0, got -1', null]],
    ['replicas: 8', 'replicas: many', [7, 15, 'WT1005', 'expected a number, got "many"', null]],
    [
      'weights: fp8',
      'weights: fp4',
      [9, 27, 'WT1005', 'expected one of "bf16", "fp8", "nvfp4"; got "fp4"', 'did you mean "fp8"?'],
    ],
    [
      'base: 12ms',
      'base: 12',
      [12, 34, 'WT1006', 'expected a duration, such as 350ms; got 12', 'write 12ms or 0.012s'],
    ],
    ['base: 12ms, ', '', [12, 5, 'WT1004', 'missing key "base"', null]],
    [
      'model: affine',
      'model: afine',
      [
        12,
        20,
        'WT1005',
        'expected one of "roofline", "affine", "profile", "kernels"; got "afine"',
        'did you mean "affine"?',
      ],
    ],
    [
      'price: 3.39/h',
      'price: 3.39',
      [13, 12, 'WT1006', 'expected a price in USD per hour, such as 3.39/h; got 3.39', 'write 3.39/h'],
    ],
    ['32k', '32.5', [11, 30, 'WT1005', 'expected a whole number, got 32.5', null]],
    ['92%', '0', [11, 59, 'WT1005', 'expected more than 0, got 0', null]],
    [
      'http://127.0.0.1:8000/v1',
      'localhost:8000',
      [14, 24, 'WT1005', 'expected a base URL, such as http://127.0.0.1:8000/v1; got "localhost:8000"', null],
    ],
    [
      '  main:\n',
      '  1st:\n',
      [4, 3, 'WT1005', 'a pool name starts with a letter and has letters, digits, "_" and "-" only', null],
    ],
  ])('with %j replaced by %j is refused at its place', (from, to, expected) => {
    expect(found(from, to)).toContainEqual(expected);
  });

  it('a bandwidth over which nothing would ever arrive is refused', () => {
    expect(found('replicas: 8', 'kv_tiers: [{ tier: cpu, capacity: 1GB, read: 0GB/s }]')).toContainEqual([
      7,
      50,
      'WT1005',
      'expected at least 1, got "0GB/s"',
      null,
    ]);
  });

  /** What no run obeys yet, of the full file with one piece of text replaced. */
  function unbuilt(from: string, to: string) {
    expect(full).toContain(from);
    const source = parseSource(full.replace(from, to), 'd.yaml');
    const parsed = parseDeployment(source);
    expect(formatIssues(parsed.issues, source, { colour: false })).toBe('');
    expect(parsed.file).not.toBeNull();
    return issuesToJson(parsed.unbuilt, source).map(each => [
      each.line,
      each.code,
      each.message,
      each.severity,
    ]);
  }

  it.each([
    ['replicas: 8', 'lora: { adapters: [a] }', 7, '`lora`'],
    ['engine: vllm', 'engine: sglang\n    retention: { policy: ttl, ttl: 5m }', 11, '`retention`'],
    [
      'engine: vllm',
      'engine: sglang\n    kv_tiers: [{ tier: cpu, capacity: 512GB, read: 55.4GB/s }]',
      11,
      '`kv_tiers`',
    ],
    ['kv_blocks: 5000', 'cpu_offload_gb: 4', 11, '`cpu_offload_gb`'],
  ])('with %j replaced by %j is understood, and named as what no run obeys', (from, to, line, what) => {
    const message = `${what} is part of the language, but no run obeys it yet`;
    expect(unbuilt(from, to)).toEqual([[line, 'WT1008', message, 'error']]);
  });

  it.each([
    ['replicas: 8', 'pipeline_parallel: 2\n    data_parallel: 2\n    expert_parallel: true'],
    ['replicas: 8', 'speculative: { method: mtp, tokens: 3, accepted: 2.5 }'],
    ['replicas: 8', 'kv_tiers: [{ tier: cpu, capacity: 512GB, read: 55.4GB/s }]'],
    ['engine: vllm', 'engine: nim\n    nim: { backend: vllm, profile: latency }'],
    ['replicas: 8', 'retention: { policy: ttl, ttl: 5m }'],
    ['engine: vllm', 'engine: tensorrt-llm\n    retention: { policy: priority }'],
    ['kv_blocks: 5000', 'scheduling_policy: fcfs, enable_chunked_prefill: false, cpu_offload_gb: 0'],
    ['kv_blocks: 5000', 'scheduling_policy: plas'],
    ['routing:', 'gateway: { admission: { policy: flow_control, fairness: round_robin } }\nrouting:'],
    ['kv_blocks: 5000', 'scheduling_policy: priority, long_prefill_token_threshold: 512'],
    ['kv_blocks: 5000', 'async_scheduling: false, max_queued_tokens: 40k, performance_mode: throughput'],
  ])('with %j replaced by %j is what a run obeys', (from, to) => {
    expect(unbuilt(from, to)).toEqual([]);
  });

  it('collects every issue, not the first only', () => {
    const source = parseSource(
      full.replace('replicas: 8', 'replica: 8').replace('base: 12ms', 'base: 12'),
      'd.yaml',
    );
    expect(parseDeployment(source).issues.map(each => each.code)).toEqual(['WT1006', 'WT1003']);
  });

  it('may omit the GPU only when it says what would follow from one', () => {
    expect(found('    gpu: h200-141gb-sxm\n', '')).toEqual([]);
    const without = full.replace('    gpu: h200-141gb-sxm\n', '').replace('kv_blocks: 5000, ', '');
    const source = parseSource(without, 'd.yaml');
    const shown = formatIssues(parseDeployment(source).issues, source, { colour: false });
    expect(shown).toContain('d.yaml:4:3  error  WT1004 missing key "gpu"');
    expect(shown).toContain('limits.kv_blocks');
  });

  it('never takes or shows a key, only the name of its variable', () => {
    const inline = found('key_env: MY_KEY', 'api_key: sk-secret');
    expect(inline[0]?.slice(2)).toEqual([
      'WT1003',
      'unknown key "api_key"',
      'keys never stand in a file: name the environment variable in `key_env`',
    ]);
    const pasted = found('key_env: MY_KEY', 'key_env: sk-secret');
    expect(JSON.stringify(pasted)).toContain(
      'expected the name of an environment variable, never the key itself',
    );
    expect(JSON.stringify(pasted)).not.toContain('sk-secret');
  });

  it('refuses what is not a mapping, and a file without pools', () => {
    expect(parseDeployment(parseSource('- 1\n', 'd.yaml')).issues[0]?.message).toContain(
      'expected a deployment',
    );
    const source = parseSource('windtunnel: 1\ndeployment: x\npools: {}\n', 'd.yaml');
    expect(parseDeployment(source).issues[0]?.message).toContain('expected at least one pool');
  });

  it('sends what stands elsewhere to where it stands', () => {
    const hints = (text: string) =>
      parseDeployment(parseSource(text, 'd.yaml')).issues.map(each => each.hint);
    const head = 'windtunnel: 1\ndeployment: x\npools: { main: { model: m, gpu: g } }\n';
    expect(hints(`${head}faults: []\n`)).toEqual(['faults stand in the scenario']);
    expect(hints(`${head}traffic: []\n`)).toEqual([
      'this looks like a scenario: name it before -d, not behind it',
    ]);
    expect(
      hints(`${head}providers: { p: { models: { m: {} }, endpoint: { url: "http://a/v1", key: k } } }\n`),
    ).toEqual(['keys never stand in a file: name the environment variable in `key_env`']);
  });

  it('has a JSON Schema with a description of each field', () => {
    const schema = JSON.stringify(z.toJSONSchema(deploymentSchema, { io: 'input' }));
    expect(schema).toContain('"additionalProperties":false');
    expect(schema).toContain('cost of each token computed; a duration');
  });
});

/** Declared with the policies of a scenario, and documented there. */
const SHARED = ['rate_limits', 'budget', 'budgets', 'timeout', 'retry', 'hedge', 'breaker'];

/** A file with every part of the language. */
const whole = `windtunnel: 1
deployment: whole
description: a bit of everything
places:
  office: { kind: client }
  paris: { kind: region }
  us-api: { kind: provider }
links:
  uplink: { between: [office, paris], rtt: 12ms, jitter: { median: 1ms, p90: 8ms }, bandwidth: 1Gbit/s, tls: true }
  ocean: { between: [paris, us-api], rtt: 85ms, loss: 0.1% }
pools:
  local:
    model: mistral-small-4
    place: paris
    gpu: h200-141gb-sxm
    precision: { weights: fp8 }
    autoscaler: { policy: dynamo, min: 1, max: 8, ttft: 500ms, itl: 50ms, predictor: arima }
    cold_start: 70s
    kv_tiers:
      - { tier: cpu, capacity: 1TB, read: 55.4GB/s, write: 55.1GB/s, latency: 50us }
      - { tier: ssd, capacity: 8TB, read: 7GB/s, write: 5GB/s, latency: 80us, shared: true }
  split:
    model: llama-3.1-70b
    gpu: h100-80gb-sxm
    precision: { weights: fp8 }
    limits: { max_model_len: 65536 }
    prefill: { replicas: 2, tensor_parallel: 2 }
    decode: { replicas: 1, tensor_parallel: 4, limits: { max_num_seqs: 256 } }
    link: { bandwidth: 50GB/s, latency: 10us, overlap: true }
providers:
  anthropic:
    place: us-api
    endpoint: { url: "https://api.example.com/v1", key_env: API_KEY }
    latency: { ttft: { median: 600ms, p90: 1.4s }, tpot: 15ms, per_input_token: 20us }
    limits: { rpm: 1000, input_tpm: 500k, output_tpm: 100k, accounting: reserve, burst: 60s, cached_counts: false }
    outages: [ { at: 10m, for: 5m }, { rate: 1/d, for: { median: 4m, p90: 20m }, share: 50% } ]
    models:
      frontier: { model: claude-opus-5-5, max_model_len: 200k }
      small: { model: claude-haiku-5-5, price: { in: 0.1, cached_in: 0.01, cache_write: 0.125, out: 0.5 } }
tools:
  sandbox: { runs: [shell], place: paris, start: { median: 442ms, p90: 811ms }, warm_pool: 4, concurrency: 32, limits: { cpu: 1, memory: 512MiB, time: 30s } }
gateway:
  place: paris
  admission: { policy: sessions, max: 200, queue: 50, max_wait: 30s }
  rate_limits: [ { each: tenant, tpm: 200k }, { model: frontier, rpm: 60 } ]
  classifier: { latency: 40ms, accuracy: 92% }
  choose:
    - { sensitivity: personal, use: local }
    - { role: [router, worker], complexity: [low, medium], use: local, escalate: { to: frontier, share: 5% } }
    - { use: { local: 80%, frontier: 20% } }
  destinations: { personal: [local], public: [local, anthropic, frontier] }
  retry: { max: 2, errors: ["429", timeout], backoff: 1s..20s }
  breaker: { failures: 50%, open: 60s }
  fallback: { frontier: [small, local] }
  degraded: queue
routing: least-outstanding
`;

describe('the whole language', () => {
  const parse = (text: string) => {
    const source = parseSource(text, 'd.yaml');
    return { ...parseDeployment(source), source };
  };

  it('is understood, and a run obeys all of it', () => {
    const { file, issues, unbuilt, source } = parse(whole);
    expect(formatIssues(issues, source, { colour: false })).toBe('');
    expect(file?.links?.uplink).toMatchObject({ rtt: 12, bandwidth: 125_000_000 });
    expect(file?.pools?.local?.kv_tiers?.[0]).toMatchObject({ capacity: 1e12, latency: 0.05 });
    expect(file?.tools?.sandbox?.limits?.memory).toBe(512 * 1024 * 1024);
    expect(file?.providers?.anthropic?.latency?.ttft).toMatchObject({
      of: { kind: 'lognormal', median: 600 },
    });
    expect(file?.providers?.anthropic?.outages?.[1]?.rate).toBeCloseTo(1 / 86_400, 12);
    expect(unbuilt).toEqual([]);
  });

  it.each([
    ['place: us-api', 'place: us-apy', 'WT1102', 'unknown place "us-apy"', 'did you mean "us-api"?'],
    ['[paris, us-api]', '[paris, moon]', 'WT1102', 'unknown place "moon"', 'known: office, paris, us-api'],
    ['[paris, us-api]', '[paris, paris]', 'WT1005', 'a link joins two places, not "paris" with itself', null],
    ['rtt: 85ms', 'rtt: 85', 'WT1006', 'expected a duration, such as 350ms; got 85', 'write 85ms or 0.085s'],
    [
      'bandwidth: 1Gbit/s',
      'bandwidth: 1,',
      'WT1006',
      'expected a bandwidth, such as 50GB/s or 400Gbit/s; got 1',
      'write 1GB/s or 1Gbit/s',
    ],
    [
      'capacity: 1TB',
      'capacity: 1,',
      'WT1006',
      'expected an amount of memory, such as 64GB or 64GiB; got 1',
      'write 1GB',
    ],
    [
      '1ms, p90: 8ms',
      '1ms, p9: 8ms',
      'WT1003',
      'unknown key "p9" in a lognormal distribution',
      'did you mean "p90"?',
    ],
    [
      'cold_start: 70s',
      'cold_start: =70s',
      'WT1005',
      'expressions stand in scenarios only',
      'write a number with its unit, or a distribution',
    ],
    [
      'cold_start: 70s',
      'cold_start: { weights: { bandwidth: 2GB/s, cashed: 20% } }',
      'WT1003',
      'unknown key "cashed"',
      'did you mean "cached"?',
    ],
    [
      'cold_start: 70s',
      'cold_start: { schedule: 5s, nodes: 60s }',
      'WT1003',
      'unknown key "nodes"',
      'did you mean "node"?',
    ],
    [
      'cold_start: 70s',
      'cold_start: { median: 70s, p9: 90s }',
      'WT1003',
      'unknown key "p9" in a lognormal distribution',
      'did you mean "p90"?',
    ],
    [
      'policy: dynamo',
      'policy: dinamo',
      'WT1005',
      'expected one of "fixed", "hpa", "keda", "knative", "aibrix", "dynamo", "wva", "schedule", "workflow-aware", "oracle"; got "dinamo"',
      'did you mean "dynamo"?',
    ],
    ['predictor:', 'prediktor:', 'WT1003', 'unknown key "prediktor"', 'did you mean "predictor"?'],
    [
      'link: { bandwidth: 50GB/s, latency: 10us, overlap: true }',
      'retention: { policy: lru }',
      'WT1004',
      'missing key "link"',
      'a disaggregated pool has `prefill`, `decode` and the `link` between them',
    ],
    [
      '    link: {',
      '    replicas: 3\n    link: {',
      'WT1005',
      '`replicas` of a disaggregated pool stands in `prefill` and in `decode`',
      null,
    ],
    ['{ at: 10m, for: 5m }', '{ for: 5m }', 'WT1005', 'expected `at` or `rate`, one of them', null],
    [
      'small: { model',
      'local: { model',
      'WT1103',
      '"local" is already pool "local"',
      'give it a name of its own, and its id in `model`',
    ],
    [
      'accounting: reserve',
      'accounting: reserv,',
      'WT1005',
      'expected one of "reserve", "charge_after", "fraction"; got "reserv"',
      'did you mean "reserve"?',
    ],
    [
      'use: { local: 80%, frontier',
      'use: { locale: 80%, frontier',
      'WT1102',
      'unknown pool or model of a provider "locale"',
      'did you mean "local"?',
    ],
    [
      'to: frontier',
      'to: fronteer',
      'WT1102',
      'unknown pool or model of a provider "fronteer"',
      'did you mean "frontier"?',
    ],
    [
      '[small, local]',
      '[smal, local]',
      'WT1102',
      'unknown pool or model of a provider "smal"',
      'did you mean "small"?',
    ],
    [
      'public: [local, anthropic',
      'public: [local, antropic',
      'WT1102',
      'unknown pool, provider or model of one "antropic"',
      'did you mean "anthropic"?',
    ],
    [
      'model: frontier, rpm',
      'model: fronti, rpm',
      'WT1102',
      'unknown pool or model of a provider "fronti"',
      'did you mean "frontier"?',
    ],
    [
      'role: [router',
      'role: [rooter',
      'WT1005',
      'expected one of "planner", "worker", "evaluator", "router", "final", "summarizer"; got "rooter"',
      'did you mean "router"?',
    ],
    [
      '{ local: 80%',
      '{ local: 80',
      'WT1006',
      'expected a ratio from 0 to 1, such as 80% or 0.8; got 80',
      'did you mean 80%?',
    ],
    [
      'policy: sessions',
      'policy: session,',
      'WT1005',
      'expected one of "always", "calls", "sessions", "token_bucket", "saturation", "probabilistic", "tier_shed", "cubic_shed", "flow_control", "dynamo_queue", "thunder_agent"; got "session"',
      'did you mean "sessions"?',
    ],
  ])('with %j replaced by %j is refused at its line', (from, to, code, message, hint) => {
    expect(whole).toContain(from);
    const { file, issues, source } = parse(whole.replace(from, to).replace(',,', ','));
    expect(file).toBeNull();
    const found = issues.find(each => each.code === code && each.message === message);
    expect(found, JSON.stringify(issues)).toMatchObject({ hint });
    const line = source.locate(found!).lineText;
    const wrong = to.split('\n')[0]!.replace(/,$/, '');
    expect(line).toContain(message.startsWith('missing key') ? 'split:' : wrong);
  });

  it('needs something that serves', () => {
    const { issues } = parse('windtunnel: 1\ndeployment: x\n');
    expect(issues[0]?.message).toBe('expected at least one pool or provider');
    expect(
      parse('windtunnel: 1\ndeployment: x\nproviders: { p: { models: { claude-opus-5-5: {} } } }\n').issues,
    ).toEqual([]);
  });

  it('is documented, key by key', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/deployments.md'), 'utf8');
    const keys = (node: unknown): string[] =>
      typeof node !== 'object' || node === null
        ? []
        : Object.entries(node).flatMap(([key, each]) => [
            ...(key === 'properties' ? Object.keys(each) : []),
            ...(SHARED.includes(key) ? [] : keys(each)),
          ]);
    const words = new Set(page.match(/[a-z_0-9]+/g));
    const all = keys(z.toJSONSchema(deploymentSchema, { io: 'input' }));
    expect(all.length).toBeGreaterThan(150);
    expect(all.filter(key => !words.has(key))).toEqual([]);
  });

  it('says what it is in its JSON Schema', () => {
    const schema = z.toJSONSchema(deploymentSchema, { io: 'input' });
    const described = (node: unknown, path: string): string[] => {
      if (typeof node !== 'object' || node === null) return [];
      return Object.entries(node).flatMap(([key, each]) => {
        if (key !== 'properties') return described(each, path);
        return Object.entries(each as Record<string, { description?: string; const?: unknown }>)
          .filter(([name]) => !SHARED.includes(name))
          .flatMap(([name, field]) => [
            ...(field.description === undefined && field.const === undefined ? [`${path}.${name}`] : []),
            ...described(field, `${path}.${name}`),
          ]);
      });
    };
    expect(described(schema, '')).toEqual([]);
  });
});
