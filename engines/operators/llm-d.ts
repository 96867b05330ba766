// llm-d: values of the modelservice chart for each pool, and of the router chart where the routing is a sum of scores
// [llm-d-modelservice charts/llm-d-modelservice/values.yaml; llm-d guides/*/router; reference/policies.md §2.2].
import type { DeploymentFile } from '../../scenarios/formats/deployment/deployment.ts';
import { toYaml } from '../../scenarios/formats/source.ts';
import { findModel } from '../catalog.ts';
import { PRODUCT_LABEL, productOf, resourceOf } from './gpu-labels.ts';
import { scaler } from './kubernetes.ts';
import { dnsName, heading, type OperatorFile, type Unmapped, yamlFile } from './operator-file.ts';
import { byPool, draftName, type Outgoing, outgoing, type ServerSet } from './servers.ts';
import type { Target } from './target.ts';
import { type Fields, kvTransfer, VLLM_VERSION, vllmFlags } from './vllm-flags.ts';

const BYTES: Readonly<Record<string, number>> = { bf16: 2, fp8: 1, nvfp4: 0.5 };
/** The volume that weights are downloaded to: bf16 is the most that a checkpoint has, and a fifth to spare. */
const SPARE = 1.2;

export const llmD: Target = {
  name: 'llm-d',
  doc: 'values of llm-d-modelservice for each pool, and of its router where the routing is a sum of scores',
  files: (deployment: DeploymentFile): OperatorFile[] => {
    const out = outgoing(deployment);
    const pools = [...new Set(out.sets.map(({ pool }) => pool))];
    const values = pools.map(pool => ({
      pool,
      ...poolValues(
        out,
        pool,
        out.sets.filter(each => each.pool === pool),
      ),
    }));
    const picker = pickerOf(deployment, out);
    const unmapped = out.unmapped(
      [...(picker?.told ?? [])],
      [
        [
          /^routing/,
          'the endpoint picker sums scores: `llm-d`, `session-affinity`, `least-outstanding` or `random`',
        ],
        [/^gateway\.admission/, "saturation and flow control are the router's own: set them in its values"],
        [/\.autoscaler/, 'the workload variant autoscaler is installed apart: set its targets there'],
      ],
    );
    const title = (file: string) =>
      `${deployment.deployment}, ${file}: written by \`windtunnel export llm-d\`.`;
    const shares = byPool(unmapped, pools);
    const files = values.map(({ pool, documents, needs }, row) => {
      const own = shares[row] as Unmapped[];
      const what = `pool ${pool}, values for the chart llm-d-modelservice (helm install -f FILE)`;
      const scalers = documents.slice(1);
      const [first] = documents;
      const main = {
        path: `${deployment.deployment}-${pool}.llm-d.yaml`,
        text: yamlFile(heading(title(what), needs, own), [first]),
        unmapped: own,
      };
      if (scalers.length === 0) return [main];
      const path = `${deployment.deployment}-${pool}.scaling.yaml`;
      return [
        main,
        {
          path,
          text: yamlFile(heading(title(`pool ${pool}, what scales it`), [], []), scalers),
          unmapped: [],
        },
      ];
    });
    if (picker === null) return files.flat();
    const head = heading(title('values for the router chart (helm install -f FILE)'), [], []);
    const path = `${deployment.deployment}.router.llm-d.yaml`;
    return [...files.flat(), { path, text: yamlFile(head, [picker.values]), unmapped: [] }];
  },
};

function poolValues(out: Outgoing, pool: string, sets: readonly ServerSet[]) {
  const [first] = sets;
  const { machine, model } = first as ServerSet;
  const release = dnsName(`${out.deployment.deployment}-${pool}`, 45);
  const parameters = findModel(machine.model)?.totalParams ?? null;
  const gib = parameters === null ? null : Math.ceil((parameters * (BYTES.bf16 as number) * SPARE) / 2 ** 30);
  const needs = ['a Secret llm-d-hf-token with the key HF_TOKEN'];
  const scalers: Fields[] = [];
  const roles = sets.map(set => {
    const role = set.half ?? 'decode';
    const name = `${release}-llm-d-modelservice-${role}`;
    const scaled = scaler(out, set, { apiVersion: 'apps/v1', kind: 'Deployment', name });
    if (scaled !== null) {
      scalers.push(scaled.manifest);
      needs.push(`the release name ${release}: what scales it names its Deployments by it`, ...scaled.needs);
    }
    return [role, roleValues(set, scaled !== null)] as const;
  });
  const isSplit = sets.length > 1;
  const values = {
    multinode: false,
    modelArtifacts: {
      name: model,
      uri: `hf://${model}`,
      ...(gib === null ? {} : { size: `${gib}Gi` }),
      authSecretName: 'llm-d-hf-token',
      labels: { 'llm-d.ai/inferenceServing': 'true', 'llm-d.ai/model': dnsName(model) },
    },
    accelerator: { type: resourceOf(machine.gpu ?? '') === 'amd.com/gpu' ? 'amd' : 'nvidia' },
    routing: {
      servicePort: 8000,
      proxy: isSplit ? { enabled: true, connector: 'nixlv2' } : { enabled: false },
    },
    ...Object.fromEntries(roles),
    ...(isSplit ? {} : { prefill: { create: false } }),
  };
  return { documents: [values, ...scalers], needs };
}

/** The chart makes GPUs of a pod and the flags of tensor and data ranks from `parallelism`. */
function roleValues(set: ServerSet, isScaled: boolean): Fields {
  const { machine, half, take } = set;
  const { tensor_parallel, data_parallel, replicas, gpu, drain_max: drainMs } = machine;
  const without = ['tensor_parallel', 'data_parallel'];
  const flags = vllmFlags(machine, { nameOf: draftName, without }, take);
  if (half !== null) flags.push(kvTransfer(half));
  take(['replicas']);
  const product = gpu === undefined ? null : productOf(gpu);
  if (product !== null) take(['gpu']);
  return {
    create: true,
    ...(isScaled
      ? { autoscaling: { enabled: true }, ...(replicas === undefined ? {} : { replicas }) }
      : { replicas: replicas ?? 1 }),
    ...(isScaled && drainMs !== undefined
      ? { terminationGracePeriodSeconds: Math.round(drainMs / 1000) }
      : {}),
    parallelism: { tensor: tensor_parallel ?? 1, data: data_parallel ?? 1 },
    ...(product === null ? {} : { acceleratorTypes: { labelKey: PRODUCT_LABEL, labelValues: [product] } }),
    containers: [
      {
        name: 'vllm',
        image: `vllm/vllm-openai:v${VLLM_VERSION}`,
        modelCommand: 'vllmServe',
        args: flags.flat(),
        mountModelVolume: true,
      },
    ],
  };
}

// ---- the endpoint picker ----------------------------------------------------------------------------------------

/** Scorers by the names that a deployment file has for them. */
export const SCORERS: Readonly<Record<string, string>> = {
  queue: 'queue-scorer',
  running: 'running-requests-size-scorer',
  kv: 'kv-cache-utilization-scorer',
  prefix: 'prefix-cache-scorer',
  precise_prefix: 'precise-prefix-cache-scorer',
  load_aware: 'load-aware-scorer',
  active_request: 'active-request-scorer',
  token_load: 'token-load-scorer',
  session_affinity: 'session-affinity-scorer',
  no_hit_lru: 'no-hit-lru-scorer',
};
/** llm-d's own [policies.md §2.2]. */
export const DEFAULT_WEIGHTS = { queue: 2, kv: 2, prefix: 3 };

/** Options of the prefix-affinity filter and its parameters. */
export const AFFINITY: Readonly<Record<string, string>> = {
  affinity_threshold: 'affinityThreshold',
  exploration: 'explorationProbability',
  max_ttft_penalty_ms: 'maxTTFTPenaltyMs',
  prefill_tokens_per_sec: 'peakPrefillThroughput',
};

/** Other routers that are one plugin there. */
export const ONE_PLUGIN: Readonly<Record<string, string>> = {
  'session-affinity': 'session-affinity-scorer',
  'least-outstanding': 'active-request-scorer',
  random: 'random-picker',
};

export const PLUGINS_FILE = 'windtunnel-plugins.yaml';

function pickerOf(
  { routing }: DeploymentFile,
  { ledger, sets }: Outgoing,
): { values: Fields; told: Unmapped[] } | null {
  const given = (typeof routing === 'string' ? { policy: routing } : (routing ?? {})) as Fields;
  const { policy, weights = DEFAULT_WEIGHTS, ...options } = given;
  const told: Unmapped[] = [];
  const scorers: [type: string, weight: number | null][] = [];
  const filters: { type: string; parameters: Fields }[] = [];
  const one = ONE_PLUGIN[String(policy)];
  if (policy === 'llm-d') {
    for (const [name, weight] of Object.entries(weights as Record<string, number>))
      if (SCORERS[name] !== undefined && weight > 0) scorers.push([SCORERS[name], weight]);
    const parameters = Object.entries(AFFINITY).flatMap(([option, parameter]) =>
      options[option] === undefined ? [] : [[parameter, options[option]]],
    );
    if (options.affinity_threshold !== undefined)
      filters.push({ type: 'prefix-cache-affinity-filter', parameters: Object.fromEntries(parameters) });
  } else if (one !== undefined) scorers.push([one, one.endsWith('picker') ? null : 1]);
  else return null;
  if (typeof routing === 'string') ledger.take('routing');
  else
    for (const key of ['policy', 'weights', ...(filters.length > 0 ? Object.keys(AFFINITY) : [])])
      ledger.take('routing', key);

  const isSplit = sets.some(({ half }) => half !== null);
  const picks = scorers.some(([type]) => type.endsWith('picker')) ? [] : ['max-score-picker'];
  const refs = [
    ...filters.map(({ type }) => ({ pluginRef: type })),
    ...scorers.map(([type, weight]) => ({ pluginRef: type, ...(weight === null ? {} : { weight }) })),
    ...picks.map(pluginRef => ({ pluginRef })),
  ];
  const roles = isSplit ? ['prefill', 'decode'] : [null];
  const handlers = isSplit
    ? [
        { type: 'disagg-headers-handler' },
        { type: 'always-disagg-pd-decider' },
        { type: 'disagg-profile-handler', parameters: { deciderPluginName: 'always-disagg-pd-decider' } },
        { type: 'prefill-filter' },
        { type: 'decode-filter' },
      ]
    : [{ type: 'single-profile-handler' }];
  const config = {
    apiVersion: 'llm-d.ai/v1alpha1',
    kind: 'EndpointPickerConfig',
    plugins: [
      ...handlers,
      ...filters,
      ...scorers.map(([type]) => ({ type })),
      ...picks.map(type => ({ type })),
    ],
    schedulingProfiles: roles.map(role => ({
      name: role ?? 'default',
      plugins: [...(role === null ? [] : [{ pluginRef: `${role}-filter` }]), ...refs],
    })),
  };
  const models = [...new Set(sets.map(({ model }) => model))];
  if (models.length > 1) {
    const why = `a router stands before one model: install it once for each of ${models.join(', ')}`;
    told.push({ path: 'pools', why });
  }
  const matchLabels = { 'llm-d.ai/inferenceServing': 'true', 'llm-d.ai/model': dnsName(models[0] ?? '') };
  const values = {
    router: {
      epp: { pluginsConfigFile: PLUGINS_FILE, pluginsCustomConfig: { [PLUGINS_FILE]: toYaml(config) } },
      modelServers: { matchLabels },
    },
  };
  return { values, told };
}
