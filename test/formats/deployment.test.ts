import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { deploymentSchema, parseDeployment } from '../../scenarios/formats/deployment.ts';
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
    expect(file?.pools.main?.limits).toMatchObject({ max_model_len: 32_000, gpu_memory_utilization: 0.92 });
    expect(file?.pools.main?.step).toEqual({
      model: 'affine',
      base: 12,
      per_token: 0.06,
      per_context_token: 0.00002,
    });
    expect(file?.pools.main?.price).toBe(3.39);
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
    ['replicas: 8', 'replicas: 0', [7, 15, 'WT1005', 'expected at least 1, got 0', null]],
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
      [12, 20, 'WT1005', 'expected one of "roofline", "affine"; got "afine"', 'did you mean "affine"?'],
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

  it.each([
    ['routing:', 'providers: {}\nrouting:', 15, '`providers`'],
    ['routing:', 'gateway: {}\nrouting:', 15, '`gateway`'],
    ['replicas: 8', 'autoscaler: {}', 7, '`autoscaler`'],
    ['replicas: 8', 'pipeline_parallel: 2', 7, '`pipeline_parallel`'],
    ['replicas: 8', 'kv_tiers: []', 7, '`kv_tiers`'],
    ['engine: vllm', 'engine: sglang', 10, '`engine: sglang`'],
    ['kv_blocks: 5000', 'scheduling_policy: priority', 11, '`scheduling_policy`'],
    [
      '{ model: affine, base: 12ms, per_token: 60us, per_context_token: 20ns }',
      '{ model: profile, file: x }',
      12,
      '`step: profile`',
    ],
  ])('with %j replaced by %j is refused by name as not built yet', (from, to, line, what) => {
    const issues = found(from, to);
    expect(issues).toHaveLength(1);
    expect(issues[0]?.slice(0, 1)).toEqual([line]);
    expect(issues[0]?.slice(2, 4)).toEqual(['WT1008', `${what} is part of the language but not built yet`]);
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

  it('has a JSON Schema with a description of each field', () => {
    const schema = JSON.stringify(z.toJSONSchema(deploymentSchema, { io: 'input' }));
    expect(schema).toContain('"additionalProperties":false');
    expect(schema).toContain('cost of each token computed; a duration');
  });
});
