// NVIDIA Dynamo: a DynamoGraphDeployment (nvidia.com/v1beta1) for each pool, a frontend that routes and workers of vLLM
// [Dynamo 1.6.1, deploy/operator/api/v1beta1; flags of `python3 -m dynamo.frontend`, reference/policies.md §2.1].
import type { DeploymentFile } from '../../scenarios/formats/deployment/deployment.ts';
import { gpuResources, nodeSelector, scaler } from './kubernetes.ts';
import { dnsName, heading, type OperatorFile, type Unmapped, yamlFile } from './operator-file.ts';
import { byPool, draftName, type Outgoing, outgoing, type ServerSet } from './servers.ts';
import type { Target } from './target.ts';
import { type Fields, kvTransfer, vllmFlags } from './vllm-flags.ts';

const IMAGE = 'nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.6.1';

export const dynamo: Target = {
  name: 'dynamo',
  doc: 'a DynamoGraphDeployment for each pool: frontend with its router, prefill and decode workers',
  files: (deployment: DeploymentFile): OperatorFile[] => {
    const out = outgoing(deployment);
    const router = frontendArgs(deployment, out);
    const pools = [...new Set(out.sets.map(({ pool }) => pool))];
    const graphs = pools.map(pool =>
      graph(out, { pool, sets: out.sets.filter(each => each.pool === pool), router }),
    );
    const unmapped = out.unmapped(router.told, [
      [/^routing/, 'the frontend has kv, round-robin, random, power-of-two and least-loaded'],
      [
        /\.autoscaler/,
        "Dynamo's planner is a component of its own, with profiles of this model: add it there",
      ],
      [/\.local_below/, 'the frontend decides by its own thresholds which prompts stay with decode'],
    ]);
    const shares = byPool(unmapped, pools);
    return graphs.map(({ manifests, needs }, row) => {
      const pool = pools[row] as string;
      const own = shares[row] as Unmapped[];
      const title = `${deployment.deployment}, pool ${pool}: written by \`windtunnel export dynamo\`. kubectl apply -f FILE`;
      const text = yamlFile(heading(title, needs, own), manifests);
      return { path: `${deployment.deployment}-${pool}.dynamo.yaml`, text, unmapped: own };
    });
  },
};

interface Router {
  readonly args: readonly string[];
  readonly told: readonly Unmapped[];
  /** Whether workers tell it of their KV blocks. */
  readonly hasEvents: boolean;
}

interface Graph {
  readonly pool: string;
  readonly sets: readonly ServerSet[];
  readonly router: Router;
}

/** The graph of one pool, with what scales its workers. */
function graph(out: Outgoing, { pool, sets, router }: Graph): { manifests: Fields[]; needs: string[] } {
  const name = dnsName(`${out.deployment.deployment}-${pool}`, 40);
  const needs = ['a Secret hf-token-secret with the key HF_TOKEN'];
  const scalers: Fields[] = [];
  const workers = sets.map(set => {
    const component = set.half ?? 'worker';
    const target = { apiVersion: 'nvidia.com/v1beta1', kind: ADAPTER, name: `${name}-${component}` };
    const scaled = scaler(out, set, target);
    if (scaled !== null) {
      scalers.push(scaled.manifest);
      needs.push(...scaled.needs);
    }
    return worker(set, component, { isScaled: scaled !== null, hasEvents: router.hasEvents });
  });
  const frontend = {
    name: 'frontend',
    type: 'frontend',
    replicas: 1,
    podTemplate: {
      spec: {
        containers: [
          { name: 'main', image: IMAGE, command: ['python3', '-m', 'dynamo.frontend'], args: router.args },
        ],
      },
    },
  };
  const manifest = {
    apiVersion: 'nvidia.com/v1beta1',
    kind: 'DynamoGraphDeployment',
    metadata: { name, labels: { 'app.kubernetes.io/component': pool } },
    spec: { backendFramework: 'vllm', components: [frontend, ...workers] },
  };
  return { manifests: [manifest, ...scalers], needs };
}

/** What HPA and KEDA scale of a graph. */
const ADAPTER = 'DynamoGraphDeploymentScalingAdapter';

function worker(
  set: ServerSet,
  component: string,
  { isScaled, hasEvents }: { isScaled: boolean; hasEvents: boolean },
): Fields {
  const { machine, half, model, take } = set;
  const flags = vllmFlags(machine, { nameOf: draftName }, take);
  take(['replicas']);
  if (half !== null) flags.push(['--disaggregation-mode', half], kvTransfer(half));
  // A decode worker is chosen by its load alone.
  if (hasEvents && half !== 'decode') flags.push(['--kv-events-config', JSON.stringify(KV_EVENTS)]);
  const drainMs = isScaled ? machine.drain_max : undefined;
  return {
    name: component,
    type: half ?? 'worker',
    ...(isScaled && machine.replicas === undefined ? {} : { replicas: machine.replicas ?? 1 }),
    ...(isScaled ? { scalingAdapter: {} } : {}),
    podTemplate: {
      spec: {
        ...(drainMs === undefined ? {} : { terminationGracePeriodSeconds: Math.round(drainMs / 1000) }),
        ...nodeSelector(set),
        containers: [
          {
            name: 'main',
            image: IMAGE,
            command: ['python3', '-m', 'dynamo.vllm'],
            args: ['--model', model, ...flags.flat()],
            envFrom: [{ secretRef: { name: 'hf-token-secret' } }],
            ...gpuResources(set),
          },
        ],
      },
    },
  };
}

const KV_EVENTS = {
  publisher: 'zmq',
  topic: 'kv-events',
  endpoint: 'tcp://*:20080',
  enable_kv_cache_events: true,
};

/** Routers of the file and of the frontend. */
export const ROUTER_MODES: Readonly<Record<string, string>> = {
  'dynamo-kv': 'kv',
  'round-robin': 'round-robin',
  random: 'random',
  'power-of-two': 'power-of-two',
  'least-outstanding': 'least-loaded',
};

/** Options of `dynamo-kv` and the frontend's flags; of those in `Sec` the file has milliseconds. */
export const ROUTER_FLAGS: readonly { option: string; flag: string; perUnit: number }[] = [
  { option: 'temperature', flag: 'router-temperature', perUnit: 1 },
  { option: 'prefill_load_scale', flag: 'router-prefill-load-scale', perUnit: 1 },
  { option: 'host_credit', flag: 'router-host-cache-hit-weight', perUnit: 1 },
  { option: 'disk_credit', flag: 'router-disk-cache-hit-weight', perUnit: 1 },
  { option: 'credit_decay', flag: 'router-kv-overlap-score-credit-decay', perUnit: 1 },
  { option: 'active_request_weight', flag: 'router-decode-active-request-weight', perUnit: 1 },
  { option: 'predicted_ttl_ms', flag: 'router-ttl-secs', perUnit: 1000 },
  { option: 'burst_ttl_ms', flag: 'router-predicted-ttl-secs', perUnit: 1000 },
];
/** TTL of the side index where the file has `burst_index` alone. */
const BURST_TTL_SEC = 5;

function frontendArgs({ routing, gateway }: DeploymentFile, { ledger }: Outgoing): Router {
  const { policy = 'least-outstanding', ...options } = (
    typeof routing === 'string' ? { policy: routing } : (routing ?? {})
  ) as { policy?: string; [option: string]: unknown };
  const mode = ROUTER_MODES[policy];
  const told: Unmapped[] = [];
  const args: string[] = [];
  if (mode !== undefined) {
    args.push('--router-mode', mode);
    if (typeof routing === 'string') ledger.take('routing');
    else ledger.take('routing', 'policy');
  } else args.push('--router-mode', 'round-robin');
  if (mode === 'kv') {
    for (const { option, flag, perUnit } of ROUTER_FLAGS) {
      const value = options[option];
      if (typeof value !== 'number') continue;
      args.push(`--${flag}`, String(value / perUnit));
      ledger.take('routing', option);
    }
    if (options.burst_index === true) {
      ledger.take('routing', 'burst_index');
      if (options.burst_ttl_ms === undefined) args.push('--router-predicted-ttl-secs', String(BURST_TTL_SEC));
    }
    if (options.index === 'predicted') args.push('--no-router-kv-events');
    if (options.index !== undefined) ledger.take('routing', 'index');
  }
  const admission = gateway?.admission;
  if (admission?.policy === 'dynamo_queue') {
    const { threshold, order } = admission;
    args.push('--router-queue-threshold', String(threshold ?? 16));
    if (order === 'session_las')
      told.push({ path: 'gateway.admission.order', why: 'the frontend has fcfs, lcfs and wspt' });
    else if (order !== undefined) args.push('--router-queue-policy', order);
    for (const key of ['policy', 'threshold', 'order']) ledger.take('gateway', 'admission', key);
  }
  return { args, told, hasEvents: mode === 'kv' && options.index !== 'predicted' };
}
