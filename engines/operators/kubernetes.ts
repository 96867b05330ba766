// Plain Kubernetes: a Deployment and a Service for each pool or half, with the image of vLLM, and a
// HorizontalPodAutoscaler or KEDA's ScaledObject where the pool has one.
import type { DeploymentFile } from '../../scenarios/formats/deployment/deployment.ts';
import { type ScaleTarget, scalerOf } from './autoscalers.ts';
import { PRODUCT_LABEL, productOf, resourceOf } from './gpu-labels.ts';
import { heading, type OperatorFile, type Unmapped, yamlFile } from './operator-file.ts';
import { draftName, type Outgoing, outgoing, proxyNeed, type ServerSet } from './servers.ts';
import type { Target } from './target.ts';
import { type Fields, kvTransfer, VLLM_VERSION, vllmFlags } from './vllm-flags.ts';

const PORT = 8000;
/** GPUs of a common node: more need several pods for a replica. */
const NODE_GPUS = 8;
/** Shared memory of NCCL's rings: what vLLM's guide for Kubernetes asks for, for each GPU. */
const SHM_GIB_PER_GPU = 2;
/** Loading weights takes minutes: the liveness probe waits for the startup probe, at most so long. */
const STARTUP_SEC = 1800;

export const kubernetes: Target = {
  name: 'kubernetes',
  doc: 'Deployments and Services of vLLM, with HPA or KEDA where the pool has it',
  files: (deployment: DeploymentFile): OperatorFile[] => {
    const out = outgoing(deployment);
    const told: Unmapped[] = [];
    const needs = [
      'a Secret hf-token with the key HF_TOKEN, where the model asks for one',
      ...proxyNeed(out.sets),
    ];
    const manifests = out.sets.flatMap(set => {
      const scaled = scaler(out, set, { apiVersion: 'apps/v1', kind: 'Deployment', name: set.name });
      needs.push(...(scaled?.needs ?? []));
      if (set.gpus > NODE_GPUS) {
        const why = `${set.gpus} GPUs are more than a node has: a LeaderWorkerSet spreads a replica over nodes`;
        told.push({ path: `pools.${set.pool}.tensor_parallel`, why });
      }
      return [workload(set, scaled !== null), service(set), ...(scaled === null ? [] : [scaled.manifest])];
    });
    // A Service spreads connections without looking at the servers.
    if (deployment.routing === 'random') out.ledger.take('routing');
    const unmapped = out.unmapped(told, [
      [/^routing/, 'a Service spreads connections at random: put a gateway in front, or `export llm-d`'],
      [/\.autoscaler/, 'Kubernetes has HPA, and KEDA where it is installed'],
    ]);
    const title = `${deployment.deployment}: written by \`windtunnel export kubernetes\`. kubectl apply -f FILE`;
    const head = heading(title, [...new Set(needs)], unmapped);
    return [{ path: `${deployment.deployment}.kubernetes.yaml`, text: yamlFile(head, manifests), unmapped }];
  },
};

/** The object that scales a set, its keys counted as mapped. */
export function scaler(out: Outgoing, { machine, take, pool, half }: ServerSet, target: ScaleTarget) {
  if (machine.autoscaler === undefined) return null;
  const scaled = scalerOf(machine.autoscaler, target);
  if (scaled === null) return null;
  const at = half === null ? ['pools', pool] : ['pools', pool, half];
  for (const key of scaled.mapped) out.ledger.take(...at, 'autoscaler', key);
  if (machine.drain_max !== undefined) take(['drain_max']);
  return scaled;
}

const labelsOf = ({ name, pool, half }: ServerSet): Fields => ({
  'app.kubernetes.io/name': name,
  'app.kubernetes.io/component': pool,
  ...(half === null ? {} : { 'llm-d.ai/role': half }),
});

/** Where its card is: by the product label, where one is known. */
export function nodeSelector({ machine: { gpu }, take }: ServerSet): { nodeSelector?: Fields } {
  const product = gpu === undefined ? null : productOf(gpu);
  if (product === null) return {};
  take(['gpu']);
  return { nodeSelector: { [PRODUCT_LABEL]: product } };
}

export const gpuResources = ({ gpus, machine: { gpu } }: ServerSet): { resources?: Fields } => {
  if (gpu === undefined || gpus === 0) return {};
  const limits = { [resourceOf(gpu)]: String(gpus) };
  return { resources: { limits, requests: { ...limits } } };
};

/** A Secret is named, never written. */
const hfToken = {
  name: 'HF_TOKEN',
  valueFrom: { secretKeyRef: { name: 'hf-token', key: 'HF_TOKEN', optional: true } },
};

/** What vLLM's NIXL connector needs to find the other half. */
export const nixlEnv = [
  { name: 'VLLM_NIXL_SIDE_CHANNEL_HOST', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
];

function workload(set: ServerSet, isScaled: boolean): Fields {
  const { name, machine, half, model, gpus, take } = set;
  const { replicas, drain_max: drainMs } = machine;
  const flags = vllmFlags(machine, { nameOf: draftName }, take);
  if (half !== null) flags.push(kvTransfer(half));
  take(['replicas']);
  const health = { httpGet: { path: '/health', port: 'http' } };
  const shm = gpus > 1;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, labels: labelsOf(set) },
    spec: {
      // An autoscaler owns the number; what the file says is where it starts.
      ...(isScaled && replicas === undefined ? {} : { replicas: replicas ?? 1 }),
      selector: { matchLabels: { 'app.kubernetes.io/name': name } },
      template: {
        metadata: { labels: labelsOf(set) },
        spec: {
          ...(isScaled && drainMs !== undefined
            ? { terminationGracePeriodSeconds: Math.round(drainMs / 1000) }
            : {}),
          ...nodeSelector(set),
          containers: [
            {
              name: 'vllm',
              image: `vllm/vllm-openai:v${VLLM_VERSION}`,
              command: ['vllm', 'serve'],
              args: [model, ...flags.flat(), '--port', String(PORT)],
              env: [hfToken, ...(half === null ? [] : nixlEnv)],
              ports: [{ name: 'http', containerPort: PORT }],
              startupProbe: { ...health, periodSeconds: 10, failureThreshold: STARTUP_SEC / 10 },
              readinessProbe: { ...health, periodSeconds: 5, failureThreshold: 3 },
              livenessProbe: { ...health, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
              ...gpuResources(set),
              ...(shm ? { volumeMounts: [{ name: 'shm', mountPath: '/dev/shm' }] } : {}),
            },
          ],
          ...(shm
            ? {
                volumes: [
                  {
                    name: 'shm',
                    emptyDir: { medium: 'Memory', sizeLimit: `${gpus * SHM_GIB_PER_GPU}Gi` },
                  },
                ],
              }
            : {}),
        },
      },
    },
  };
}

const service = (set: ServerSet): Fields => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: set.name, labels: labelsOf(set) },
  spec: {
    selector: { 'app.kubernetes.io/name': set.name },
    ports: [{ name: 'http', port: PORT, targetPort: 'http' }],
  },
});
