// What operators run, read into a deployment: real forms of each file, and the law that no key is dropped in silence.
import { describe, expect, test } from 'vitest';
import type { ReadDeployment } from '../../../engines/operators/incoming.ts';
import { operatorFiles } from '../../../engines/operators/index.ts';
import { isOperatorsText, readOperators } from '../../../engines/operators/read.ts';
import { parseSource, toYaml } from '../../../scenarios/formats/source.ts';
import { fileOf } from './files.ts';

type Fields = Record<string, unknown>;

function readText(text: string, { gpu = null }: { gpu?: string | null } = {}): ReadDeployment {
  expect(isOperatorsText(text)).toBe(true);
  const read = readOperators(text, { file: 'file', name: 'mine', gpu, added: [] });
  if ('issues' in read) throw new Error(JSON.stringify(read.issues));
  fileOf({ ...read.deployment.value, pools: withoutDrafts(read.deployment.value.pools as Fields) });
  return read.deployment;
}

/** A file needs the acceptance of drafts, which no operator's file has. */
const withoutDrafts = (pools: Fields): Fields =>
  Object.fromEntries(
    Object.entries(pools).map(([name, pool]) => [name, { ...(pool as Fields), speculative: undefined }]),
  );

const paths = ({ unmapped }: ReadDeployment): string[] => unmapped.map(({ path }) => path);
const pool = ({ value }: ReadDeployment): Fields => (value.pools as Fields).main as Fields;

const H100 = { gpu: 'h100-80gb-sxm' };

describe('a `vllm serve` line', () => {
  test('over several lines, with short flags, underscores, `=` and variables', () => {
    const read = readText(
      `export MODEL=Qwen/Qwen3-32B-FP8 REGION=eu
HF_TOKEN=hf_hidden vllm serve $MODEL -tp 2 -pp=2 \\
  --max-model-len 32k --gpu_memory_utilization=0.9 \\
  --no-enable-prefix-caching --kv-cache-dtype fp8_e4m3 --scheduling-policy priority # a comment
`,
      H100,
    );
    expect(pool(read)).toEqual({
      model: 'qwen3-32b',
      gpu: 'h100-80gb-sxm',
      tensor_parallel: 2,
      pipeline_parallel: 2,
      precision: { weights: 'fp8', kv: 'fp8' },
      limits: {
        max_model_len: 32_000,
        gpu_memory_utilization: 0.9,
        enable_prefix_caching: false,
        scheduling_policy: 'priority',
      },
    });
    expect(paths(read)).toEqual(['REGION', 'HF_TOKEN']);
    expect(read.notes).toEqual(['Qwen/Qwen3-32B-FP8 is taken as qwen3-32b: the same architecture']);
  });

  test.each([
    ['--max-model-len 32K', { max_model_len: 32_768 }],
    ['--max-num-seqs 256', { max_num_seqs: 256 }],
    ['--num-gpu-blocks-override 4096', { kv_blocks: 4096 }],
    ['--async-scheduling', { async_scheduling: true }],
    ['--no-async-scheduling', { async_scheduling: false }],
    ['--enable-chunked-prefill false', { enable_chunked_prefill: false }],
  ])('%s', (flag, limits) => {
    const read = readText(`vllm serve openai/gpt-oss-20b ${flag}`, H100);
    expect(pool(read).limits).toEqual(limits);
    expect(read.unmapped).toEqual([]);
  });

  test.each([
    [`-sc '{"method":"qwen3_next_mtp","num_speculative_tokens":2}'`, { method: 'mtp', tokens: 2 }],
    [
      '--speculative-config.method ngram --speculative-config.num_speculative_tokens 4',
      { method: 'ngram', tokens: 4 },
    ],
    ['--spec-method eagle3 --spec-tokens 3', { method: 'eagle', tokens: 3 }],
    [
      `--speculative-config '{"model":"meta-llama/Meta-Llama-3.1-8B","num_speculative_tokens":5}'`,
      { method: 'draft', tokens: 5, model: 'llama-3.1-8b' },
    ],
  ])('drafts: %s', (flags, speculative) => {
    const read = readText(`vllm serve Qwen/Qwen3-8B ${flags}`, H100);
    expect(pool(read).speculative).toEqual(speculative);
    expect(read.unmapped).toEqual([]);
  });

  test('lists every flag that no field has, and what it cannot take', () => {
    const flags = [
      '--seed 7',
      '--made-up value',
      '--enforce-eager',
      '--served-model-name a b c',
      '--quantization awq',
      '--kv-cache-dtype int8_per_token_head',
      '--scheduling-policy fastest',
      '--performance-mode interactivity',
      '--max-model-len auto',
      '--dtype float32',
      '--max-num-queued-reqs 100',
      '--enable-lora',
      `--kv-transfer-config '{"kv_connector":"LMCacheConnectorV1","kv_role":"kv_both"}'`,
    ];
    const read = readText(`vllm serve openai/gpt-oss-20b ${flags.join(' ')}`, H100);
    expect(paths(read).sort()).toEqual(
      flags
        .map(each => each.split(' ')[0] as string)
        .map(each => (each === '--kv-transfer-config' ? `${each}.kv_connector` : each))
        .sort(),
    );
    expect(pool(read)).toEqual({ model: 'gpt-oss-20b', gpu: 'h100-80gb-sxm' });
  });

  test('behind docker run, inside sh -c, and as a Compose service', () => {
    const own = { model: 'llama-3.1-8b', gpu: 'h100-80gb-sxm', tensor_parallel: 2 };
    const args = '--model meta-llama/Llama-3.1-8B-Instruct --tensor-parallel-size 2';
    const docker = readText(
      `docker run --gpus all -e HF_TOKEN=hf_hidden -p 8000:8000 vllm/vllm-openai:v0.32.0 ${args}`,
      H100,
    );
    expect(pool(docker)).toEqual(own);
    expect(paths(docker)).toEqual(['--gpus', '-e', '-p']);
    const compose = readText(
      `services:
  llm:
    image: vllm/vllm-openai:latest
    command: ${args}
    ports: ["8000:8000"]
  web: { image: nginx }
`,
      H100,
    );
    expect(pool(compose)).toEqual(own);
    expect(paths(compose)).toEqual([
      'compose: services.llm.image',
      'compose: services.llm.ports',
      'compose: services.web',
    ]);
    const shell = readText(
      toYaml({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'llm' },
        spec: {
          template: {
            spec: {
              containers: [
                {
                  name: 'c',
                  image: 'acme/serving:3',
                  command: ['/bin/sh', '-c'],
                  args: ['sleep 1; exec vllm serve meta-llama/Llama-3.1-8B-Instruct -tp 2'],
                },
              ],
            },
          },
        },
      }),
      H100,
    );
    expect(pool(shell)).toEqual(own);
  });

  test('several servers are several pools', () => {
    const { value } = readText('vllm serve Qwen/Qwen3-8B &\nvllm serve openai/gpt-oss-20b', H100);
    expect(Object.values(value.pools as Fields).map(each => (each as Fields).model)).toEqual([
      'qwen3-8b',
      'gpt-oss-20b',
    ]);
  });
});

// ---- manifests --------------------------------------------------------------------------------------------------

const DEPLOYMENT = `apiVersion: apps/v1
kind: Deployment
metadata: { name: llm, labels: { team: search } }
spec:
  replicas: 3
  selector: { matchLabels: { app: llm } }
  strategy: { type: Recreate }
  template:
    metadata: { labels: { app: llm } }
    spec:
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions:
                  - { key: cloud.google.com/gke-accelerator, operator: In, values: [nvidia-h200-141gb] }
      tolerations: [{ key: nvidia.com/gpu, operator: Exists }]
      containers:
        - name: proxy
          image: envoy:1
        - name: vllm
          image: vllm/vllm-openai:v0.32.0
          args: [--model, openai/gpt-oss-120b, --tensor-parallel-size, "4", --tool-call-parser, openai]
          env: [{ name: HUGGING_FACE_HUB_TOKEN, value: hf_hidden }]
          resources: { limits: { nvidia.com/gpu: 8, memory: 64Gi } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: llm }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: llm }
  minReplicas: 2
  maxReplicas: 9
  metrics:
    - { type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 80 } } }
    - type: Pods
      pods: { metric: { name: "vllm:num_requests_waiting" }, target: { type: AverageValue, averageValue: 1500m } }
  behavior: { scaleDown: { stabilizationWindowSeconds: 120 } }
---
apiVersion: v1
kind: Secret
metadata: { name: hf }
stringData: { token: hf_hidden }
`;

const GRAPH = `apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: { name: graph }
spec:
  services:
    Frontend:
      componentType: frontend
      replicas: 1
      envs: [{ name: DYN_ROUTER_MODE, value: kv }, { name: DYN_ROUTER_TEMPERATURE, value: "0.5" }, { name: DYN_LOG, value: debug }]
    VllmDecodeWorker:
      componentType: worker
      replicas: 2
      envFromSecret: hf-token-secret
      resources: { limits: { gpu: "4" } }
      extraPodSpec:
        mainContainer:
          image: nvcr.io/nvidia/ai-dynamo/vllm-runtime:my-tag
          command: [python3, -m, dynamo.vllm]
          args: [--model, Qwen/Qwen3-235B-A22B, -tp, "4", --disaggregation-mode, decode]
    VllmPrefillWorker:
      componentType: worker
      replicas: 1
      extraPodSpec:
        mainContainer:
          workingDir: /workspace
          command: [python3, -m, dynamo.vllm]
          args: [--model, Qwen/Qwen3-235B-A22B, -tp, "8", --is-prefill-worker]
`;

const VALUES = `multinode: false
modelArtifacts:
  uri: "hf://deepseek-ai/DeepSeek-R1"
  name: deepseek-ai/DeepSeek-R1
  authSecretName: hf
decode:
  create: true
  replicas: 2
  parallelism: { tensor: 8, data: 2 }
  acceleratorTypes: { labelKey: nvidia.com/gpu.product, labelValues: [NVIDIA-H200] }
  containers:
    - name: vllm
      image: ghcr.io/llm-d/llm-d-cuda:v0.4.0
      modelCommand: vllmServe
      args: [--enable-expert-parallel, --kv-transfer-config, '{"kv_connector":"NixlConnector","kv_role":"kv_both"}']
      mountModelVolume: true
prefill:
  create: true
  replicas: 4
  parallelism: { tensor: 4 }
  acceleratorTypes: { labelKey: nvidia.com/gpu.product, labelValues: [NVIDIA-H200] }
  containers:
    - { name: vllm, image: x, modelCommand: vllmServe, args: [--enable-expert-parallel, --max-num-seqs, "64"] }
`;

describe('a Deployment with its HPA', () => {
  const read = readText(DEPLOYMENT);

  test('becomes a pool with an autoscaler', () => {
    expect(pool(read)).toEqual({
      model: 'gpt-oss-120b',
      gpu: 'h200-141gb-sxm',
      replicas: 3,
      tensor_parallel: 4,
      autoscaler: { policy: 'hpa', metric: 'queue', target: 1.5, min: 2, max: 9, down_window: '120s' },
    });
  });

  test('tells that half of its GPUs idle, that CPU is no metric, and what else it has', () => {
    const whys = Object.fromEntries(read.unmapped.map(({ path, why }) => [path, why]));
    expect(whys['Deployment llm: spec.template.spec.containers[1].resources']).toMatch(/8 GPUs for 4 ranks/);
    expect(whys['HorizontalPodAutoscaler llm: spec.metrics[0]']).toMatch(/no metric of an engine/);
    expect(paths(read)).toEqual(
      expect.arrayContaining([
        '--tool-call-parser',
        'Deployment llm: spec.template.spec.containers[0]',
        'Deployment llm: spec.template.spec.containers[1].env',
        'Deployment llm: spec.template.spec.tolerations',
        'Secret hf',
      ]),
    );
  });

  test('tells no secret', () => {
    expect(JSON.stringify(read)).not.toContain('hf_hidden');
  });
});

test('a graph of the older API: halves by their flags, the router by its variables', () => {
  const read = readText(GRAPH, { gpu: 'b200-sxm' });
  expect(read.value.routing).toEqual({ policy: 'dynamo-kv', temperature: 0.5 });
  expect(pool(read)).toEqual({
    model: 'qwen3-235b-a22b',
    gpu: 'b200-sxm',
    prefill: { tensor_parallel: 8 },
    decode: { replicas: 2, tensor_parallel: 4 },
    link: { bandwidth: '50GB/s', latency: '10us' },
  });
  expect(read.notes).toEqual([expect.stringContaining('the link between prefill and decode is assumed')]);
  expect(paths(read)).toContain('DynamoGraphDeployment graph: spec.services.Frontend.envs[2]');
});

test('values of llm-d: ranks from parallelism, halves from the chart', () => {
  const read = readText(VALUES);
  expect(pool(read)).toEqual({
    model: 'deepseek-r1',
    gpu: 'h200-141gb-sxm',
    expert_parallel: true,
    prefill: { replicas: 4, tensor_parallel: 4, limits: { max_num_seqs: 64 } },
    decode: { replicas: 2, tensor_parallel: 8, data_parallel: 2 },
    link: { bandwidth: '50GB/s', latency: '10us' },
  });
  expect(paths(read)).toContain('values: modelArtifacts.authSecretName');
});

// ---- the law ----------------------------------------------------------------------------------------------------

const EVERY = operatorFiles(
  fileOf({
    windtunnel: 1,
    deployment: 'law',
    pools: {
      main: {
        model: 'mistral-small-4',
        gpu: 'h200-141gb-sxm',
        replicas: 2,
        autoscaler: {
          policy: 'keda',
          metric: 'running',
          target: 3,
          max: 8,
          up_ratio: 0.5,
          down_window: '60s',
        },
      },
    },
    routing: { policy: 'llm-d', weights: { queue: 1, prefix: 2 }, affinity_threshold: 0.8 },
  }),
  ['kubernetes', 'dynamo', 'llm-d'],
);
const inputs: [string, string][] = [
  ['a Deployment', DEPLOYMENT],
  ['a graph', GRAPH],
  ['values', VALUES],
  ...['kubernetes', 'dynamo'].map((target): [string, string] => [
    `our own ${target}`,
    EVERY.find(({ path }) => path.includes(target))?.text ?? '',
  ]),
  [
    'our own llm-d',
    EVERY.filter(({ path }) => /llm-d|scaling/.test(path))
      .map(({ text }) => text)
      .join('---\n'),
  ],
];

/** Every copy of a document with one strange key in one of its mappings. */
function* withStrangeKeys(root: unknown): Generator<{ value: unknown; at: string }> {
  function* places(value: unknown, path: (string | number)[]): Generator<(string | number)[]> {
    if (typeof value !== 'object' || value === null) return;
    if (!Array.isArray(value)) yield path;
    for (const [key, inner] of Object.entries(value))
      yield* places(inner, [...path, Array.isArray(value) ? Number(key) : key]);
  }
  for (const path of places(root, [])) {
    const value = structuredClone(root) as Fields;
    let at: Fields = value;
    for (const key of path) at = at[key] as Fields;
    at.strangeKey = 'strange value';
    yield { value, at: path.join('.') };
  }
}

describe('no key is dropped in silence', () => {
  test.each(inputs)('a strange key anywhere in %s is told, or an ancestor of it', (_name, text) => {
    const documents = text.split(/^---$/m).map(each => parseSource(each, 'x').value);
    const silent: string[] = [];
    let tried = 0;
    for (const [row, document] of documents.entries()) {
      for (const { value, at } of withStrangeKeys(document)) {
        const all = documents.map((each, index) => toYaml(index === row ? value : each)).join('---\n');
        const told = readText(all, { gpu: 'h200-141gb-sxm' }).unmapped.map(({ path }) => path);
        const { kind = 'values', metadata } = document as Fields;
        const label = [kind, (metadata as Fields | undefined)?.name]
          .filter(each => each !== undefined)
          .join(' ');
        const isWhole = told.includes(label);
        const whole = `${at}.strangeKey`.replace(/^\./, '');
        const isTold = told.some(path => {
          const plain = path
            .replace(`${label}: `, '')
            .replace(/\[(\d+)\]/g, '.$1')
            .replace(/\["([^"]*)"\]/g, '.$1');
          return path.startsWith(`${label}: `) && (plain === whole || whole.startsWith(`${plain}.`));
        });
        if (!isWhole && !isTold) silent.push(`${label}: ${at}`);
        tried++;
      }
    }
    expect(silent).toEqual([]);
    expect(tried).toBeGreaterThan(8);
  });

  test('nor a flag, wherever it stands among the others', () => {
    const words = ['Qwen/Qwen3-8B', '-tp 2', '--enforce-eager', '--max-num-seqs 8', '--no-async-scheduling'];
    for (let at = 1; at <= words.length; at++) {
      for (const strange of ['--strange', '--strange 1', '--strange=1', '--no-strange']) {
        const line = `vllm serve ${words.toSpliced(at, 0, strange).join(' ')}`;
        const read = readText(line, H100);
        const name = strange.split(/[ =]/)[0] as string;
        expect([line, paths(read)]).toEqual([line, expect.arrayContaining([name, '--enforce-eager'])]);
        expect(pool(read).limits).toEqual({ max_num_seqs: 8, async_scheduling: false });
      }
    }
  });
});

// ---- bad input --------------------------------------------------------------------------------------------------

describe('what cannot be read', () => {
  const refused =
    (text: string, gpu: string | null = 'l4'): (() => unknown) =>
    () =>
      readText(text, { gpu });

  test('names the line of broken YAML in a later document', () => {
    const text = `${DEPLOYMENT}---\napiVersion: v1\nkind: [Service\n`;
    const read = readOperators(text, { file: 'f', name: null, gpu: null, added: [] });
    if (!('issues' in read)) throw new Error('it was read');
    const [first] = read.issues;
    const line = text.split('\n').length;
    expect(read.source.locate(first as (typeof read.issues)[0]).line).toBe(line);
  });

  test.each([
    [
      'no vLLM',
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec: {}\n',
      /starts no vLLM server/,
    ],
    ['two models', 'vllm serve a/b --model c/d', /names two models: a\/b, c\/d/],
    ['no model', 'vllm serve --port 1', /names no model/],
    ['a variable for a model', 'vllm serve $MODEL', /by the variable \$MODEL/],
    [
      'a template of Helm',
      'apiVersion: v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n',
      /template of Helm/,
    ],
  ])('%s', (_name, text, message) => {
    expect(refused(text)).toThrow(message);
  });

  test('prefill without decode, and decode of another model', () => {
    const without =
      GRAPH.slice(0, GRAPH.indexOf('    VllmDecodeWorker')) +
      GRAPH.slice(GRAPH.indexOf('    VllmPrefillWorker'));
    expect(refused(without)).toThrow(
      /the prefill servers are of Qwen\/Qwen3-235B-A22B, and there is no decode/,
    );
    const other = GRAPH.replace('Qwen/Qwen3-235B-A22B, -tp, "4"', 'Qwen/Qwen3-8B, -tp, "4"');
    expect(refused(other)).toThrow(/and decode serves Qwen\/Qwen3-8B/);
  });

  test('no GPU known, and a GPU that there is not', () => {
    expect(refused('vllm serve Qwen/Qwen3-8B', null)).toThrow(/does not say which GPU/);
    expect(refused('vllm serve Qwen/Qwen3-8B', 'h100')).toThrow(/has no such GPU/);
  });

  test('a model that the catalogue does not have keeps its name', () => {
    const { unknownModels } = readText('vllm serve acme/New-Model-9B', { gpu: 'l4' });
    expect([...unknownModels]).toEqual([['new-model-9b', 'acme/New-Model-9B']]);
  });

  test('an A100 of 40 GB is not taken for one of 80', () => {
    expect(refused(DEPLOYMENT.replace('nvidia-h200-141gb', 'nvidia-tesla-a100'), null)).toThrow(/which GPU/);
  });

  test('a scenario and a deployment of ours are not theirs', () => {
    expect(isOperatorsText('windtunnel: 1\nname: x\nservices: {}\n')).toBe(false);
    expect(isOperatorsText('name: x\nworkflows: {}\n')).toBe(false);
  });
});
