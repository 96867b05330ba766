// A pool's autoscaler and cold start, from the file to what a run obeys.
import { describe, expect, test } from 'vitest';
import { resolveDeployment } from '../../engines/deploy.ts';
import { parseDeployment } from '../../scenarios/formats/deployment/deployment.ts';
import { formatIssues, issuesToJson, parseSource } from '../../scenarios/formats/source.ts';

const MODEL = 'model: llama-3.1-70b\ngpu: h200-141gb-sxm\nprecision: { weights: fp8 }';
const AFFINE = `model: test
step: { model: affine, base: 10ms }
limits: { kv_blocks: 1000, max_model_len: 4096 }`;

function resolve(lines: string) {
  const text = `windtunnel: 1\ndeployment: test\npools:\n  main:\n${lines.replace(/^/gm, '    ')}\n`;
  const source = parseSource(text, 'd.yaml');
  const parsed = parseDeployment(source);
  expect(formatIssues([...parsed.issues, ...parsed.unbuilt], source, { colour: false })).toBe('');
  const { deployment, issues } = resolveDeployment(parsed.file!, 'abc', {
    routingPolicies: ['least-outstanding'],
  });
  return {
    pool: deployment?.pools[0],
    issues: issuesToJson(issues, source).map(({ path, code, message }) => [path.join('.'), code, message]),
  };
}

/** The line about it in the evidence of a run. */
const evidence = (lines: readonly string[] | undefined, about: string): string =>
  lines?.find(line => line.startsWith(`main: ${about}`)) ?? '';

describe('an autoscaler', () => {
  test('keeps its options as the file has them, durations in ms, apart from bounds and drain', () => {
    const { pool } = resolve(`${AFFINE}
replicas: 3
drain: workflows
drain_max: 2m
autoscaler: { policy: keda, min: 0, max: 8, signal_age: 1s, metric: queue, target: 4, polling: 10s, also: { kv_usage: 0.8 } }`);
    expect(pool?.scaling).toEqual({
      policy: 'keda',
      options: { metric: 'queue', target: 4, polling: 10_000, also: { kv_usage: 0.8 } },
      min: 0,
      max: 8,
      signalAgeMs: 1000,
      drain: 'workflows',
      drainMaxMs: 120_000,
    });
    expect(evidence(pool?.evidence, 'autoscaler')).toBe(
      'main: autoscaler keda: 0 to 8 replicas, 3 at the start',
    );
  });

  test('has at least one replica, drains calls for ten minutes at most, and stands without signals of an age', () => {
    const { pool } = resolve(`${AFFINE}\nautoscaler: { policy: oracle, max: 2 }`);
    expect(pool?.scaling).toMatchObject({ min: 1, drain: 'calls', drainMaxMs: 600_000, signalAgeMs: 0 });
    expect(resolve(AFFINE).pool).toMatchObject({ scaling: null, coldStart: null });
  });

  test('each half of a disaggregated pool has its own', () => {
    const { pool } = resolve(`${MODEL}
cold_start: 70s
prefill: { tensor_parallel: 2, autoscaler: { policy: dynamo, max: 4 } }
decode: { tensor_parallel: 2, autoscaler: { policy: wva, max: 6 }, cold_start: 90s }
link: { bandwidth: 50GB/s }`);
    expect(pool?.scaling).toMatchObject({ policy: 'wva', max: 6 });
    expect(pool?.disaggregation?.prefill.scaling).toMatchObject({ policy: 'dynamo', max: 4 });
    expect(pool?.coldStart?.medianMs).toBe(90_000);
    expect(pool?.disaggregation?.prefill.coldStart?.medianMs).toBe(70_000);
  });

  test.each([
    'policy: hpa, metric: queue, target: 1, interval: 0s',
    'policy: keda, metric: queue, target: 1, polling: 0s',
    'policy: knative, window: 0s',
    'policy: knative, utilization: 0%',
    'policy: aibrix, metric: queue, target: 1, window: 0s',
    'policy: dynamo, load_interval: 0s',
    'policy: oracle, window: 0s',
  ])('looks and averages over some time, or the run would never end: %s', autoscaler => {
    const pool = `    model: test\n    autoscaler: { ${autoscaler}, max: 2 }`;
    const source = parseSource(`windtunnel: 1\ndeployment: test\npools:\n  main:\n${pool}\n`, 'd.yaml');
    const { file, issues } = parseDeployment(source);
    expect(file).toBeNull();
    const option = /(\w+): [^ ]+$/.exec(autoscaler)![1];
    expect(issues.map(({ path }) => path.join('.'))).toEqual([`pools.main.autoscaler.${option}`]);
  });

  test.each([
    ['replicas: 0\nautoscaler: { policy: keda, min: 0, max: 4, metric: queue, target: 4 }', 0],
    ['autoscaler: { policy: hpa, min: 0, max: 4, metric: running, target: 4, also: { rate: 2 } }', 1],
    ['replicas: 0\nautoscaler: { policy: fixed, min: 0, max: 4, replicas: 2 }', 0],
    ['replicas: 0\nautoscaler: { policy: knative, min: 0, max: 4 }', 0],
  ])('may begin at none, or go there, where something wakes it: %s', (lines, first) => {
    const { pool, issues } = resolve(`${AFFINE}\n${lines}`);
    expect(issues).toEqual([]);
    expect(pool).toMatchObject({ replicas: first, scaling: { min: 0 } });
  });

  test.each([
    ['hpa, metric: kv_usage, target: 0.5', 'hpa at 0 replicas: kv_usage is 0 then'],
    ['keda, metric: running, target: 4', 'keda at 0 replicas: running is 0 then'],
    [
      'aibrix, metric: running, target: 4, also: { kv_usage: 0.8 }',
      'aibrix at 0 replicas: running is 0 then',
    ],
    ['schedule, times: [{ at: 8h, replicas: 0 }]', 'schedule at 0 replicas: all its times say 0'],
  ])('is refused at zero where nothing would ever wake it: %s', (policy, message) => {
    const line = `autoscaler: { policy: ${policy}, min: 0, max: 4 }`;
    const at = 'pools.main.autoscaler.min';
    expect(resolve(`${AFFINE}\n${line}`).issues).toEqual([[at, 'WT1005', `nothing wakes ${message}`]]);
    expect(resolve(`${AFFINE}\n${line.replace('min: 0', 'min: 1')}`).issues).toEqual([]);
  });

  test.each([
    ['replicas: 0', ['replicas'], 'a pool without replicas serves nobody'],
    [
      'replicas: 0\nautoscaler: { policy: wva, max: 2 }',
      ['replicas'],
      'the autoscaler keeps at least 1, so there are never 0 replicas',
    ],
    [
      'replicas: 0\nautoscaler: { policy: fixed, min: 0, max: 2 }',
      ['autoscaler', 'min'],
      'nothing wakes fixed at 0 replicas: it keeps what there is',
    ],
    ['autoscaler: { policy: fixed, min: 4, max: 2 }', ['autoscaler', 'min'], 'min 4 is above max 2'],
    ['drain: workflows', ['drain'], '`drain` says nothing where replicas stay'],
    ['drain_max: 5m', ['drain_max'], '`drain_max` says nothing where replicas stay'],
  ])('%s is refused', (line, path, message) => {
    expect(resolve(`${AFFINE}\n${line}`).issues).toEqual([
      [['pools', 'main', ...path].join('.'), 'WT1005', message],
    ]);
  });
});

describe('a cold start', () => {
  test('is one duration, or one distribution, drawn as it stands', () => {
    const { pool } = resolve(`${AFFINE}\ncold_start: 70s`);
    expect(pool?.coldStart).toMatchObject({ medianMs: 70_000, text: 'as given 70 s' });
    expect(pool?.coldStart?.draw(0.3)).toBe(70_000);
    const drawn = resolve(`${AFFINE}\ncold_start: { median: 2m, p90: 7m }`).pool?.coldStart;
    expect(drawn?.draw(0.5)).toBeCloseTo(120_000, 3);
    expect(drawn?.draw(0.9)).toBeCloseTo(420_000, 0);
  });

  test('is the sum of its parts, weights at the pace of storage or PCIe, whichever is slower', () => {
    // 10 GB, half there, at 1 GB/s.
    const parts = 'schedule: 5s, node: 60s, image: { size: 10GB, bandwidth: 1GB/s, cached: 50% }';
    const rest = 'compile: 40s, graphs: 15s, warm_up: 3s';
    const { pool } = resolve(`${MODEL}\ncold_start: { ${parts}, weights: { bandwidth: 2GB/s }, ${rest} }`);
    // 70.55 G parameters, of which 2 x 128,256 x 8,192 stay in bf16: 72.65 GB.
    const weightsSec = pool!.coldStart!.medianMs / 1000 - (5 + 60 + 5 + 40 + 15 + 3);
    expect(weightsSec).toBeCloseTo(72.65 / 2, 1);
    expect(pool?.coldStart?.text).toMatch(
      /^schedule 5 s \+ node 60 s \+ image \(5 GB at 1 GB\/s\) 5 s \+ weights \([\d.]+ GB from storage at 2 GB\/s\) [\d.]+ s \+ compile 40 s \+ CUDA graphs 15 s \+ warm-up 3 s = \d+ s$/,
    );
    expect(evidence(pool?.evidence, 'cold start')).toContain(pool!.coldStart!.text);
    // From a warm page cache, over one PCIe 5 link of 64 GB/s.
    const warm = resolve(`${MODEL}\ncold_start: { weights: { bandwidth: 2GB/s, cached: 100% } }`).pool;
    expect(warm?.coldStart?.medianMs).toBeCloseTo((weightsSec * 2000) / 64, -1);
    // Two GPUs have two links.
    const two = resolve(
      `${MODEL}\ntensor_parallel: 2\ncold_start: { weights: { bandwidth: 2GB/s, cached: 100% } }`,
    ).pool;
    expect(two?.coldStart?.medianMs).toBeCloseTo(warm!.coldStart!.medianMs / 2, 6);
    const given = resolve(
      `${MODEL}\ncold_start: { weights: { bandwidth: 2GB/s, cached: 100%, pcie: 32GB/s } }`,
    ).pool;
    expect(given?.coldStart?.medianMs).toBeCloseTo(warm!.coldStart!.medianMs * 2, 6);
  });

  test('draws each part apart, the same for the same number', () => {
    const part = '{ dist: uniform, min: 0s, max: 100s }';
    const cold = resolve(`${AFFINE}\ncold_start: { schedule: ${part}, node: ${part} }`).pool!.coldStart!;
    expect(cold.medianMs).toBe(100_000);
    const draws = Array.from({ length: 400 }, (_, i) => cold.draw((i + 0.5) / 400));
    expect(draws).toEqual(Array.from({ length: 400 }, (_, i) => cold.draw((i + 0.5) / 400)));
    expect(Math.min(...draws)).toBeGreaterThan(0);
    expect(Math.max(...draws)).toBeLessThan(200_000);
    const mean = draws.reduce((sum, each) => sum + each, 0) / 400;
    const variance = draws.reduce((sum, each) => sum + (each - mean) ** 2, 0) / 400;
    // Two uniforms of variance (100 s)^2 / 12 each; drawn together they would have twice as much.
    expect(mean / 1000).toBeCloseTo(100, -1);
    expect(variance / 1e6).toBeGreaterThan(1300);
    expect(variance / 1e6).toBeLessThan(2100);
  });

  test('says what it would have to know', () => {
    const weights = 'cold_start: { weights: { bandwidth: 2GB/s } }';
    expect(resolve(`${AFFINE}\n${weights}`).issues[0]?.slice(0, 2)).toEqual(['pools.main.model', 'WT1201']);
    const noGpu = AFFINE.replace('model: test', 'model: llama-3.1-70b');
    expect(resolve(`${noGpu}\n${weights}`).issues).toEqual([
      ['pools.main.cold_start.weights.pcie', 'WT1004', 'missing key "pcie"'],
    ]);
  });
});
