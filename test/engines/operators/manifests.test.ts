// Every manifest against the schema of whoever reads it, unknown fields refused.
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { operatorFiles } from '../../../engines/operators/index.ts';
import { type Distributed, distributedManifests } from '../../../loadgen/export/distributed.ts';
import { parseSource } from '../../../scenarios/formats/source.ts';
import { hasReaders, read } from '../../reports/readers.ts';
import { fileOf } from './files.ts';
import dynamoSchema from './schemas/dynamographdeployment.json' with { type: 'json' };
import kedaSchema from './schemas/keda-scaledobject.json' with { type: 'json' };

type Fields = Record<string, unknown>;

const documents = (text: string): Fields[] =>
  text.split(/^---$/m).map(each => parseSource(each, 'manifest').value as Fields);

const horizontal = {
  metric: 'in_flight',
  target: 7.5,
  also: { kv_usage: 0.8 },
  min: 1,
  max: 16,
  tolerance: 0.2,
  down_window: '10m',
  up_ratio: 0.5,
  up_replicas: 2,
  down_ratio: 0.25,
};
/** Everything that a file can say to these targets. */
const deployment = fileOf({
  windtunnel: 1,
  deployment: 'Every.thing_1',
  pools: {
    plain: {
      model: 'mistral-small-4',
      gpu: 'h200-141gb-sxm',
      tensor_parallel: 2,
      precision: { weights: 'fp8', kv: 'fp8' },
      speculative: { method: 'mtp', tokens: 2, accepted: 1.8 },
      autoscaler: { policy: 'hpa', ...horizontal },
      drain_max: '15m',
    },
    zero: {
      model: 'gpt-oss-20b',
      gpu: 'mi300x',
      autoscaler: { policy: 'keda', ...horizontal, min: 0, polling: '10s', cooldown: '2m', activation: 1 },
    },
    split: {
      model: 'llama-3.1-70b',
      gpu: 'h100-80gb-sxm',
      prefill: { replicas: 2, tensor_parallel: 2 },
      decode: { tensor_parallel: 4, autoscaler: { policy: 'hpa', metric: 'kv_usage', target: 0.7, max: 4 } },
      link: { bandwidth: '50GB/s' },
    },
  },
  routing: 'dynamo-kv',
});
const OWN = new Set(['DynamoGraphDeployment', 'ScaledObject']);
const manifests = operatorFiles(deployment, ['kubernetes', 'dynamo', 'llm-d'])
  .flatMap(({ text }) => documents(text))
  .filter(({ kind }) => kind !== undefined);

const distributed = (over: Partial<Distributed> = {}): Fields[] =>
  documents(
    distributedManifests({
      name: 'Mixed fleet',
      namespace: 'load',
      queue: 'rediss://redis.data.svc.cluster.local:6380',
      image: 'registry.example.com/agent-windtunnel:0.1.0',
      workers: 8,
      run: ['sweep', '--vary', 'pools.main.replicas=1..8'],
      files: { 'scenario.yaml': 'windtunnel: 1\n', 'deployment.yaml': 'windtunnel: 1\n' },
      endpoints: ['https://llm.example.com/v1', 'http://10.0.0.7:8000/v1'],
      ...over,
    }).text,
  );

describe.skipIf(!hasReaders)('the schemas of Kubernetes 1.37', () => {
  const wrongOf = (each: readonly Fields[]): string[] => read('kubernetes', { input: JSON.stringify(each) });

  test('take every manifest for operators', () => {
    const known = manifests.filter(({ kind }) => !OWN.has(String(kind)));
    expect(new Set(known.map(({ kind }) => kind))).toEqual(
      new Set(['Deployment', 'Service', 'HorizontalPodAutoscaler']),
    );
    expect(wrongOf(known)).toEqual([]);
  });

  test('take the pods of a graph', () => {
    const templates = manifests
      .filter(({ kind }) => kind === 'DynamoGraphDeployment')
      .flatMap(({ spec }) => (spec as { components: { name: string; podTemplate: Fields }[] }).components)
      .map(({ name, podTemplate }) => ({
        apiVersion: 'v1',
        kind: 'PodTemplate',
        metadata: { name },
        template: podTemplate,
      }));
    expect(templates).toHaveLength(7);
    expect(wrongOf(templates)).toEqual([]);
  });

  test('take the manifests of our own queue, with and without TLS', () => {
    const all = [
      ...distributed(),
      ...distributed({ queue: 'redis://10.1.2.3', run: ['replay'], namespace: null }),
    ];
    expect(new Set(all.map(({ kind }) => kind))).toEqual(
      new Set(['ConfigMap', 'PersistentVolumeClaim', 'Deployment', 'Job', 'NetworkPolicy']),
    );
    expect(wrongOf(all)).toEqual([]);
  });

  test('refuse a field that there is not', () => {
    const [first] = manifests.filter(({ kind }) => kind === 'Deployment');
    const broken = structuredClone(first as Fields);
    (broken.spec as Fields).replica = 2;
    expect(wrongOf([broken])).toHaveLength(1);
  });
});

describe('the schemas of custom resources', () => {
  const ajv = new Ajv({ strict: false });

  test.each([
    ['DynamoGraphDeployment', dynamoSchema, 3],
    ['ScaledObject', kedaSchema, 3],
  ])('take every %s', (kind, schema, count) => {
    const validate = ajv.compile(schema);
    const own = manifests.filter(each => each.kind === kind);
    expect(own).toHaveLength(count);
    for (const each of own) expect([validate(each), validate.errors]).toEqual([true, null]);
    const broken = structuredClone(own[0] as Fields);
    (broken.spec as Fields).surprise = 1;
    expect(validate(broken)).toBe(false);
  });
});

describe('manifests of our own queue', () => {
  const of = (kind: string, all = distributed()): Fields => all.find(each => each.kind === kind) as Fields;
  const podOf = (kind: string): { containers: Fields[] } & Fields =>
    (of(kind).spec as { template: { spec: { containers: Fields[] } & Fields } }).template.spec;
  const egressOf = (all: Fields[]): { to?: unknown; ports: { port: number }[] }[] =>
    (of('NetworkPolicy', all).spec as { egress: { to?: unknown; ports: { port: number }[] }[] }).egress;

  test('let nothing in, and out only what is needed', () => {
    const { spec } = of('NetworkPolicy') as { spec: Fields };
    expect(spec).toMatchObject({ policyTypes: ['Ingress', 'Egress'], ingress: [] });
    const ports = egressOf(distributed()).map(each => each.ports.map(({ port }) => port));
    expect(ports).toEqual([[53, 53], [6380]]);
    const namespaced = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'data' } } };
    expect(egressOf(distributed())[1]?.to).toEqual([namespaced]);
  });

  test('let a replay reach its endpoints, and only those', () => {
    const egress = egressOf(distributed({ run: ['replay'] }));
    expect(egress.slice(2)).toEqual([
      { ports: [{ protocol: 'TCP', port: 443 }] },
      { to: [{ ipBlock: { cidr: '10.0.0.7/32' } }], ports: [{ protocol: 'TCP', port: 8000 }] },
    ]);
  });

  test('run as nobody on a root that cannot be written', () => {
    for (const kind of ['Deployment', 'Job']) {
      const { containers, ...pod } = podOf(kind);
      expect(pod).toMatchObject({
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true },
      });
      expect(containers[0]).toMatchObject({
        securityContext: {
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        },
        resources: { requests: { cpu: '2', memory: '2Gi' } },
      });
    }
  });

  test('name secrets and hold none; the CA is a file', () => {
    const env = podOf('Deployment').containers[0]?.env as {
      name: string;
      value?: string;
      valueFrom?: Fields;
    }[];
    const byName = Object.fromEntries(env.map(each => [each.name, each]));
    for (const name of ['PASSWORD', 'USER', 'KEY']) {
      const each = byName[`WINDTUNNEL_QUEUE_${name}`];
      expect(each).toMatchObject({ valueFrom: { secretKeyRef: { name: 'windtunnel-queue' } } });
      expect(each).not.toHaveProperty('value');
    }
    expect(byName.WINDTUNNEL_QUEUE_CA?.value).toBe('/queue/ca.crt');
    expect(distributed().some(({ kind }) => kind === 'Secret')).toBe(false);
  });

  test('run the command on the mounted files, its results on a volume', () => {
    expect(podOf('Job').containers[0]?.args).toEqual([
      'sweep',
      '/inputs/scenario.yaml',
      '-d',
      '/inputs/deployment.yaml',
      '--vary',
      'pools.main.replicas=1..8',
      '--queue',
      'rediss://redis.data.svc.cluster.local:6380',
      '--out',
      '/results/sweep',
    ]);
    expect(podOf('Deployment').containers[0]?.args).toEqual([
      'worker',
      '--queue',
      'rediss://redis.data.svc.cluster.local:6380',
    ]);
  });

  test.each([
    [{ queue: 'redis://me:hunter2@h' }, /has a user or a password/],
    [{ queue: 'http://h' }, /expected the address of Redis/],
    [{ run: ['check'] }, /the queue runs sweep, size, replay/],
    [{ files: { 'scenario.yaml': 'x'.repeat(2e6) } }, /a ConfigMap holds 1/],
  ])('are refused where they could not run: %j', (over, message) => {
    expect(() => distributed(over)).toThrow(message);
    expect(() => distributed(over)).not.toThrow(/hunter2/);
  });
});
