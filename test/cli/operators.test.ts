// `export` for operators and for our own queue, and `init --from` what operators run, as a user types them.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { emptyFolder, windtunnel, write } from './run.ts';

let folder = '';
beforeEach(() => {
  folder = emptyFolder();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const run = (...args: string[]) => windtunnel(args, folder);
const read = (name: string) => readFileSync(join(folder, name), 'utf8');

describe('export for operators', () => {
  test('writes the manifests, says what they do not have, and init reads them back', () => {
    const out = run('export', 'kubernetes', '-d', 'autoscaled-llama-3.1-70b', '-o', 'ops');
    expect(out).toMatchObject({ code: 0, err: expect.stringContaining('- pools.main.cold_start: ') });
    const name = 'autoscaled-llama-3.1-70b.kubernetes.yaml';
    expect(readdirSync(join(folder, 'ops')).sort()).toEqual([name, 'export.json']);
    expect(read(`ops/${name}`)).toContain('# - pools.main.cold_start: ');
    const back = run('init', 'back', '--from', `ops/${name}`, '--json');
    expect(back.code).toBe(0);
    expect(JSON.parse(back.out)).toMatchObject({ written: ['back.yaml', 'deployment.schema.json'] });
    expect(read('back.yaml')).toMatch(/policy: hpa\n\s+metric: in_flight\n\s+target: 7/);
    expect(run('check', 'job-scanner', '-d', 'back.yaml')).toMatchObject({ code: 0 });
  });

  test('--json is one document, --set changes the deployment', () => {
    const set = ['--set', 'pools.main.replicas=3'];
    const { code, out } = run('export', 'vllm', '-d', '1xh100-llama-3.1-8b', ...set, '-o', 'ops', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ target: 'vllm', files: ['1xh100-llama-3.1-8b.vllm.sh'] });
    expect(read('ops/1xh100-llama-3.1-8b.vllm.sh')).toContain(
      '# pool main: 3 replicas, each on 1 x h100-80gb-sxm',
    );
  });

  test.each([
    [['export', 'vllm', 'demo', '-d', 'emulated'], 'takes a deployment alone'],
    [['export', 'kuberntes', '-d', 'emulated'], 'did you mean "kubernetes"?'],
    [['export', 'k6', '-d', 'emulated'], 'windtunnel export k6 SCENARIO'],
    [['export', 'vllm', '-d', 'api-only'], 'no pool that vLLM serves'],
    [['export', 'vllm', '-d', 'emulated', '--seed', '3'], '--seed says nothing'],
    [['export', 'k8s', 'demo', '-d', 'emulated'], 'needs the address of Redis'],
    [
      ['export', 'k8s', 'demo', '-d', 'emulated', '--queue', 'redis://:hunter2@h'],
      'a user or a password in it',
    ],
  ])('%j is refused', (args, words) => {
    const { code, err } = run(...args);
    expect([code, err]).toEqual([104, expect.stringContaining(words)]);
    expect(err).not.toContain('hunter2');
  });
});

test('export k8s writes manifests with the inputs in them', () => {
  const args = ['export', 'k8s', 'mixed-fleet', '-d', 'emulated', '--queue', 'rediss://redis.data.svc:6380'];
  const { code, err } = run(...args, '--workers', '2', '--namespace', 'load', '-o', 'k8s');
  expect([code, err]).toEqual([0, expect.stringContaining('kubectl create secret generic windtunnel-queue')]);
  const text = read('k8s/windtunnel.k8s.yaml');
  expect(text).toContain('namespace: load');
  expect(text).toMatch(/scenario\.yaml: \|\n\s+windtunnel: 1\n\s+name: mixed-fleet/);
});

describe('init --from what runs', () => {
  test('asks for the GPU, then writes a deployment with what it does not have', () => {
    write(
      folder,
      'serve.sh',
      'vllm serve Qwen/Qwen3-8B --api-key sk-hidden-key --max-num-seqs 32 --seed 1\n',
    );
    expect(run('init', '--from', 'serve.sh')).toMatchObject({
      code: 104,
      err: expect.stringContaining('--gpu h100-80gb-sxm'),
    });
    const { code, out } = run('init', '--from', 'serve.sh', '--gpu', 'l40s');
    expect(code).toBe(0);
    expect(out).toContain('--seed: which files are read and how text is parsed');
    expect(read('serve.yaml')).toContain('# - --api-key: how the server is reached');
    expect(out + read('serve.yaml')).not.toContain('sk-hidden');
    expect(run('check', 'job-scanner', '-d', 'serve.yaml')).toMatchObject({ code: 0 });
  });

  test('says how to add a model that the catalogue does not have', () => {
    write(folder, 'serve.sh', 'vllm serve acme/New-Model-9B\n');
    const { out } = run('init', '--from', 'serve.sh', '--gpu', 'l40s');
    expect(out).toContain('windtunnel catalog add config.json --id new-model-9b');
  });

  test('names the line of YAML that cannot be read, and overwrites nothing', () => {
    write(folder, 'bad.yaml', 'apiVersion: v1\nkind: Deployment\nmetadata:\n  name: [x\n');
    expect(run('init', 'b', '--from', 'bad.yaml')).toMatchObject({
      code: 104,
      err: expect.stringContaining('bad.yaml:5:1'),
    });
    write(folder, 'serve.sh', 'vllm serve Qwen/Qwen3-8B\n');
    write(folder, 'mine.yaml', 'my own\n');
    expect(run('init', 'mine', '--from', 'serve.sh', '--gpu', 'l4')).toMatchObject({
      code: 104,
      err: expect.stringContaining('mine.yaml exists already'),
    });
  });

  test('--gpu without a file, and a scenario of ours, stay what they were', () => {
    expect(run('init', '--gpu', 'l4')).toMatchObject({
      code: 104,
      err: expect.stringContaining('--gpu l4 says nothing'),
    });
    run('init', 'own');
    expect(run('init', 'second', '--from', 'own.yaml')).toMatchObject({ code: 0 });
    expect(read('second.yaml')).toMatch(/^name: second$/m);
  });
});
