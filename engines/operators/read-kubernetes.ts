// Workloads of Kubernetes whose containers run vLLM, with what scales them; and the same in a Compose file.
import type { InputPath } from '../../scenarios/base/issue.ts';
import { readScaler } from './autoscalers.ts';
import { gpuOfLabel } from './gpu-labels.ts';
import type { ReadFile, ReadServer } from './incoming.ts';
import { isMapping, type Ledger, ledgerOf, pathText, type Whys, whyOf } from './ledger.ts';
import type { Unmapped } from './operator-file.ts';
import { containerWords, oneModel } from './read-vllm.ts';
import { type Fields, readVllmArgs } from './vllm-flags.ts';

const WORKLOADS = new Set(['Deployment', 'StatefulSet', 'ReplicaSet', 'DaemonSet', 'Pod']);
const SCALERS = new Set(['HorizontalPodAutoscaler', 'ScaledObject']);
const GPU_RESOURCE = /^(nvidia\.com\/gpu|amd\.com\/gpu)$/;

/** Why keys are left, whatever the kind. */
export const MANIFEST_WHYS: Whys = [
  [/(^|\.)(metadata|labels|matchLabels|annotations|selector)\b/, 'names and labels'],
  [/Probe\b/, 'health checks: how long a start takes is `cold_start`'],
  [/\.(volumes|volumeMounts|volumeClaimTemplates|workingDir)/, 'where files are'],
  [/\.image(PullPolicy|PullSecrets)?$/, 'which build'],
  [/\.(env|envFrom|envFromSecret|envs)\b/, 'variables of the environment'],
  [/\.(ports|hostNetwork|dnsPolicy|serviceName)\b/, 'how it is reached: `endpoints` of a pool'],
  [/\.resources\b/, 'the host beside its GPUs is not modelled'],
  [
    /(nodeSelector|affinity|tolerations|topologySpread|schedulerName|priorityClass|acceleratorTypes)/i,
    'where it may stand',
  ],
  [/(securityContext|serviceAccount|hostIPC|hostPID|runtimeClass|automount)/i, 'what it may do'],
  [
    /\.(strategy|updateStrategy|revisionHistoryLimit|minReadySeconds|progressDeadline|podManagement|restartPolicy)/,
    'how it is rolled out',
  ],
  [/(GracePeriod|lifecycle)/, 'a replica goes when it is drained: `drain_max`, with an autoscaler'],
  [/\.(initContainers|containers)/, 'a container beside the engine'],
  [/\.(metrics|triggers)\b/, 'no metric of an engine: queue, running, in_flight, kv_usage or rate'],
  [/\.behavior|\.advanced/, 'rates over another period than 15 s, or policies that a file does not have'],
  [
    /\.(fallback|idleReplicaCount|initialCooldownPeriod)/,
    'an autoscaler of a deployment file does not have it',
  ],
];
const OTHERWISE = 'no field of a deployment file says this';

export interface Manifest {
  readonly value: Fields;
  /** Of several documents in one file. */
  readonly ledger: Ledger;
  /** In front of its paths: kind and name. */
  readonly label: string;
}

export const manifestOf = (value: Fields): Manifest => {
  const ledger = ledgerOf(value);
  for (const key of ['apiVersion', 'kind']) ledger.take(key);
  const name = (value.metadata as Fields | undefined)?.name;
  return {
    value,
    ledger,
    label: [value.kind ?? 'values', name].filter(each => each !== undefined).join(' '),
  };
};

/** What is left of a manifest, each key with why. */
export const leftOf = ({ ledger, label }: Manifest): Unmapped[] =>
  ledger.left().map(path => {
    const text = pathText(path);
    return { path: `${label}: ${text}`, why: whyOf(`.${text}`, MANIFEST_WHYS, OTHERWISE) };
  });

/** The kinds that say how a server is reached, or nothing about it. */
const OTHER_KINDS: Readonly<Record<string, string>> = {
  Service: 'how it is reached: `endpoints` of a pool',
  Ingress: 'how it is reached: `endpoints` of a pool',
  HTTPRoute: 'how it is reached: `endpoints` of a pool',
  Gateway: 'how it is reached: `endpoints` of a pool',
  InferencePool: 'which servers a router sees: `routing`',
  Secret: 'secrets are not read',
  ConfigMap: 'files beside the engine',
  PersistentVolumeClaim: 'where files are',
};

/** Every document that is a mapping; lists are opened. */
export const itemsOf = (values: readonly unknown[]): Fields[] =>
  values
    .filter(isMapping)
    .flatMap(value =>
      value.kind === 'List' && Array.isArray(value.items) ? value.items.filter(isMapping) : [value],
    );

export function readKubernetes(values: readonly unknown[], file: string): ReadFile {
  const manifests = itemsOf(values).map(manifestOf);
  const unmapped: Unmapped[] = [];
  const notes: string[] = [];
  const scalers = manifests
    .filter(({ value }) => SCALERS.has(String(value.kind)))
    .map(manifest => ({ manifest, read: readScaler(manifest.ledger, []) }));
  const servers: ReadServer[] = [];
  let hasService = false;
  for (const manifest of manifests) {
    const { value, label } = manifest;
    const kind = String(value.kind);
    if (SCALERS.has(kind)) continue;
    if (WORKLOADS.has(kind)) {
      const pod: InputPath = kind === 'Pod' ? ['spec'] : ['spec', 'template', 'spec'];
      const name = String((value.metadata as Fields | undefined)?.name ?? '');
      const server = readPod(manifest, { pod, name, where: `${file}, ${label}`, unmapped });
      if (server === null) {
        unmapped.push({ path: label, why: 'none of its containers runs vLLM' });
        continue;
      }
      const scaler = scalers.find(each => each.read.target === name);
      servers.push(withScaler(server, manifest, { pod, autoscaler: scaler?.read.autoscaler ?? null }));
      unmapped.push(...leftOf(manifest));
    } else {
      hasService ||= kind === 'Service';
      unmapped.push({ path: label, why: OTHER_KINDS[kind] ?? 'no part of what serves a model' });
    }
  }
  for (const { manifest, read } of scalers) {
    if (servers.some(({ name }) => name === read.target)) unmapped.push(...leftOf(manifest));
    else unmapped.push({ path: manifest.label, why: `scales ${read.target}, which is no server here` });
  }
  const isSpread = hasService && servers.length > 0;
  if (isSpread) notes.push('routing is random: a Service spreads connections without looking at its servers');
  return { name: null, servers, routing: isSpread ? 'random' : null, gateway: null, unmapped, notes };
}

interface PodAt {
  readonly pod: InputPath;
  readonly name: string;
  readonly where: string;
  readonly unmapped: Unmapped[];
}

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : [];

const labelsOf = (metadata: unknown): Fields =>
  isMapping(metadata) && isMapping(metadata.labels) ? metadata.labels : {};

/** The server of a pod template; null where no container runs vLLM. */
export function readPod(manifest: Manifest, { pod, name, where, unmapped }: PodAt): ReadServer | null {
  const { ledger, value } = manifest;
  const containers = ledger.look(...pod, 'containers');
  for (const [index, container] of (Array.isArray(containers) ? containers : []).entries()) {
    if (!isMapping(container)) continue;
    const words = containerWords(
      String(container.image ?? ''),
      texts(container.command),
      texts(container.args),
    );
    if (words === null) continue;
    const at: InputPath = [...pod, 'containers', index];
    for (const key of ['command', 'args', 'name']) ledger.take(...at, key);
    const args = readVllmArgs(words);
    unmapped.push(...args.unmapped);
    const gpus = readGpus(ledger, at);
    const ranks = ['tensor_parallel', 'pipeline_parallel', 'data_parallel']
      .map(key => Number(args.fields[key] ?? 1))
      .reduce((product, each) => product * each, 1);
    if (gpus !== null && gpus !== ranks) {
      const why = `${gpus} GPUs for ${ranks} rank${ranks === 1 ? '' : 's'}: the file has as many as there are ranks`;
      unmapped.push({ path: `${manifest.label}: ${pathText([...at, 'resources'])}`, why });
    }
    const inner = ledger.look(...pod.slice(0, -1), 'metadata');
    const labels = { ...labelsOf(value.metadata), ...labelsOf(inner) };
    const role = /prefill|decode/.exec(String(labels['llm-d.ai/role'] ?? name))?.[0];
    const pool = labels['app.kubernetes.io/component'];
    return {
      name,
      pool: typeof pool === 'string' ? pool : null,
      model: oneModel(args, where),
      // kv_both says nothing: the name does.
      half:
        args.half ?? (words.includes('--kv-transfer-config') ? ((role ?? null) as ReadServer['half']) : null),
      gpu: readGpuType(ledger, pod),
      isWithoutGpu: gpus === null,
      fields: args.fields,
      draft: args.draft,
    };
  }
  return null;
}

/** GPUs of a container; null where it asks for none. */
function readGpus(ledger: Ledger, container: InputPath): number | null {
  let gpus: number | null = null;
  for (const kind of ['limits', 'requests']) {
    const named = ledger.look(...container, 'resources', kind);
    for (const [key, value] of Object.entries(isMapping(named) ? named : {})) {
      if (!GPU_RESOURCE.test(key) && key !== 'gpu') continue;
      ledger.take(...container, 'resources', kind, key);
      gpus = Number(value);
    }
  }
  return gpus;
}

/** The card that node selectors and affinities ask for; null where they do not say. */
function readGpuType(ledger: Ledger, pod: InputPath): string | null {
  const selector = ledger.look(...pod, 'nodeSelector');
  for (const [key, value] of Object.entries(isMapping(selector) ? selector : {})) {
    const gpu = gpuOfLabel(String(value));
    if (gpu === null) continue;
    ledger.take(...pod, 'nodeSelector', key);
    return gpu;
  }
  const terms: InputPath = [
    ...pod,
    'affinity',
    'nodeAffinity',
    'requiredDuringSchedulingIgnoredDuringExecution',
    'nodeSelectorTerms',
  ];
  const list = ledger.look(...terms);
  for (const [row, term] of (Array.isArray(list) ? list : []).entries()) {
    const expressions = isMapping(term) && Array.isArray(term.matchExpressions) ? term.matchExpressions : [];
    for (const [index, each] of expressions.entries()) {
      const values = isMapping(each) && each.operator === 'In' ? texts(each.values) : [];
      const gpus = [...new Set(values.map(gpuOfLabel))];
      if (gpus.length !== 1 || gpus[0] === null) continue;
      for (const key of ['key', 'operator', 'values'])
        ledger.take(...terms, row, 'matchExpressions', index, key);
      return gpus[0] as string;
    }
  }
  return null;
}

/** Replicas, and what scales them; the grace period is how long a drained replica has. */
export function withScaler(
  server: ReadServer,
  { ledger }: Manifest,
  {
    pod,
    autoscaler,
    replicasAt = ['spec', 'replicas'],
  }: { pod: InputPath; autoscaler: Fields | null; replicasAt?: InputPath },
): ReadServer {
  const replicas = ledger.take(...replicasAt);
  const graceSec = autoscaler === null ? undefined : ledger.take(...pod, 'terminationGracePeriodSeconds');
  return {
    ...server,
    fields: {
      ...server.fields,
      ...(typeof replicas === 'number' ? { replicas } : {}),
      ...(autoscaler === null ? {} : { autoscaler }),
      ...(typeof graceSec === 'number' ? { drain_max: `${graceSec}s` } : {}),
    },
  };
}

/** A Compose file: its services that run vLLM. */
export function readCompose(value: Fields, file: string): ReadFile {
  const manifest: Manifest = { value, ledger: ledgerOf(value), label: 'compose' };
  const { ledger } = manifest;
  const servers: ReadServer[] = [];
  const unmapped: Unmapped[] = [];
  for (const [name, service] of Object.entries(isMapping(value.services) ? value.services : {})) {
    if (!isMapping(service)) continue;
    const entry = texts(service.entrypoint);
    const command = texts(service.command);
    const line = command.length === 1 && /\s/.test(command[0] as string);
    const given = line ? (command[0] as string).split(/\s+(?=(?:[^']*'[^']*')*[^']*$)/) : command;
    const plain = given
      .map(word => word.replace(/^'([\s\S]*)'$|^"([\s\S]*)"$/, '$1$2'))
      .filter(word => word !== '');
    const words = containerWords(String(service.image ?? ''), entry, plain);
    if (words === null) continue;
    for (const key of ['command', 'entrypoint']) ledger.take('services', name, key);
    const args = readVllmArgs(words);
    unmapped.push(...args.unmapped);
    const replicas = ledger.take('services', name, 'deploy', 'replicas');
    servers.push({
      name,
      pool: null,
      model: oneModel(args, `${file}, service ${name}`),
      half: args.half,
      gpu: null,
      isWithoutGpu: false,
      fields: { ...args.fields, ...(typeof replicas === 'number' ? { replicas } : {}) },
      draft: args.draft,
    });
  }
  return {
    name: null,
    servers,
    routing: null,
    gateway: null,
    unmapped: [...unmapped, ...leftOf(manifest)],
    notes: [],
  };
}
