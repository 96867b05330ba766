// A DynamoGraphDeployment, v1beta1 (components with pod templates) or v1alpha1 (services), with its frontend's router and
// what scales its workers.
import type { InputPath } from '../../scenarios/base/issue.ts';
import { readScaler } from './autoscalers.ts';
import { ROUTER_FLAGS, ROUTER_MODES } from './dynamo.ts';
import type { ReadFile, ReadServer } from './incoming.ts';
import { isMapping } from './ledger.ts';
import type { Unmapped } from './operator-file.ts';
import { itemsOf, leftOf, type Manifest, manifestOf, readPod, withScaler } from './read-kubernetes.ts';
import { oneModel } from './read-vllm.ts';
import { type Fields, readVllmArgs } from './vllm-flags.ts';

export const isGraph = (value: unknown): boolean =>
  isMapping(value) && value.kind === 'DynamoGraphDeployment';

const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

export function readDynamo(values: readonly unknown[], file: string): ReadFile {
  const manifests = itemsOf(values).map(manifestOf);
  const unmapped: Unmapped[] = [];
  const servers: ReadServer[] = [];
  const routers: Router[] = [];
  const scalers = manifests
    .filter(({ value }) => value.kind === 'HorizontalPodAutoscaler' || value.kind === 'ScaledObject')
    .map(manifest => ({ manifest, read: readScaler(manifest.ledger, []) }));
  const used = new Set<string>();
  for (const manifest of manifests) {
    const { value, ledger, label } = manifest;
    if (!isGraph(value)) {
      if (!scalers.some(each => each.manifest === manifest))
        unmapped.push({ path: label, why: 'no part of what serves a model' });
      continue;
    }
    const graph = String((value.metadata as Fields | undefined)?.name ?? '');
    const spec = (value.spec ?? {}) as Fields;
    if (ledger.look('spec', 'backendFramework') === 'vllm') ledger.take('spec', 'backendFramework');
    const components: [name: string, at: InputPath, component: Fields][] = [
      ...(Array.isArray(spec.components) ? spec.components : []).map(
        (each, index): [string, InputPath, Fields] => {
          ledger.take('spec', 'components', index, 'name');
          return [String((each as Fields).name), ['spec', 'components', index], each as Fields];
        },
      ),
      ...Object.entries(isMapping(spec.services) ? spec.services : {}).map(
        ([name, each]): [string, InputPath, Fields] => [name, ['spec', 'services', name], each as Fields],
      ),
    ];
    for (const [name, at, component] of components) {
      for (const key of ['type', 'componentType', 'subComponentType']) ledger.take(...at, key);
      const type = String(component.type ?? component.componentType ?? '');
      if (type === 'frontend' || type === 'main') {
        routers.push(readFrontend(manifest, at, component));
        continue;
      }
      const where = `${file}, ${label}, ${name}`;
      const scaler = scalers.find(
        each => each.read.target.toLowerCase() === `${graph}-${name}`.toLowerCase(),
      );
      const server = readWorker(manifest, { at, component, name, where, unmapped });
      if (server === null) continue;
      if (scaler !== undefined) used.add(scaler.manifest.label);
      if (Object.keys((component.scalingAdapter ?? {}) as Fields).length === 0)
        ledger.take(...at, 'scalingAdapter');
      const pool = (value.metadata as Fields | undefined)?.labels;
      const named = isMapping(pool) ? pool['app.kubernetes.io/component'] : undefined;
      const role = /prefill|decode/.exec(`${type} ${component.subComponentType ?? ''}`)?.[0];
      servers.push(
        withScaler(
          {
            ...server,
            name,
            pool: typeof named === 'string' ? named : null,
            half: server.half ?? ((role ?? null) as ReadServer['half']),
          },
          manifest,
          {
            pod: [...at, 'podTemplate', 'spec'],
            autoscaler: scaler?.read.autoscaler ?? null,
            replicasAt: [...at, 'replicas'],
          },
        ),
      );
    }
    unmapped.push(...leftOf(manifest));
  }
  for (const { manifest, read } of scalers) {
    if (used.has(manifest.label)) unmapped.push(...leftOf(manifest));
    else unmapped.push({ path: manifest.label, why: `scales ${read.target}, which is no server here` });
  }
  const [router] = routers;
  const graphs = manifests.filter(({ value }) => isGraph(value));
  const [only] = graphs;
  return {
    name:
      graphs.length === 1 ? String((only?.value.metadata as Fields | undefined)?.name ?? '') || null : null,
    // An agg graph calls its only worker decode.
    servers: servers.map(each => ({
      ...each,
      half: servers.some(other => other.half === 'prefill' && other.pool === each.pool) ? each.half : null,
    })),
    routing: router?.routing ?? null,
    gateway: router?.gateway ?? null,
    unmapped: [...unmapped, ...routers.flatMap(each => each.unmapped)],
    notes: [],
  };
}

interface WorkerAt {
  readonly at: InputPath;
  readonly component: Fields;
  readonly name: string;
  readonly where: string;
  readonly unmapped: Unmapped[];
}

function readWorker(
  manifest: Manifest,
  { at, component, name, where, unmapped }: WorkerAt,
): ReadServer | null {
  if (component.podTemplate !== undefined)
    return readPod(manifest, { pod: [...at, 'podTemplate', 'spec'], name, where, unmapped });
  const { ledger } = manifest;
  const main: InputPath = [...at, 'extraPodSpec', 'mainContainer'];
  const container = ledger.look(...main);
  if (!isMapping(container)) return null;
  const words = [...texts(container.command), ...texts(container.args)];
  const isVllm = words.includes('dynamo.vllm') || words.some(word => /dynamo\.vllm|vllm serve/.test(word));
  if (!isVllm) return null;
  const script = words.find(word => /\s/.test(word) && word.includes('dynamo.vllm'));
  const flat = script === undefined ? words : script.split(/\s+/);
  const args = readVllmArgs(flat.slice(flat.indexOf('dynamo.vllm') + 1));
  for (const key of ['command', 'args']) ledger.take(...main, key);
  unmapped.push(...args.unmapped);
  for (const kind of ['limits', 'requests']) ledger.take(...at, 'resources', kind, 'gpu');
  return {
    name,
    pool: null,
    model: oneModel(args, where),
    half: args.half,
    gpu: null,
    isWithoutGpu: false,
    fields: args.fields,
    draft: args.draft,
  };
}

interface Router {
  readonly routing: string | Fields | null;
  readonly gateway: Fields | null;
  readonly unmapped: readonly Unmapped[];
}

/** The frontend's router: its flags, or the variables of the same names. */
function readFrontend({ ledger, label }: Manifest, at: InputPath, component: Fields): Router {
  ledger.take(...at, 'replicas');
  const settings = new Map<string, string>();
  const unmapped: Unmapped[] = [];
  const main: InputPath =
    component.podTemplate === undefined
      ? [...at, 'extraPodSpec', 'mainContainer']
      : [...at, 'podTemplate', 'spec', 'containers', 0];
  const words = [...texts(ledger.take(...main, 'command')), ...texts(ledger.take(...main, 'args'))].flatMap(
    word => (/\s/.test(word) ? word.split(/\s+/) : [word]),
  );
  ledger.take(...main, 'name');
  for (let i = 0; i < words.length; i++) {
    const [, flag, glued] = /^--([^=]+)(?:=(.*))?$/.exec(words[i] as string) ?? [];
    if (flag === undefined) continue;
    const next = words[i + 1];
    const text = glued ?? (next === undefined || next.startsWith('--') ? 'true' : (words[++i] as string));
    settings.set(flag, text);
  }
  for (const list of [
    [...at, 'envs'],
    [...main, 'env'],
  ]) {
    const variables = ledger.look(...list);
    for (const [index, each] of (Array.isArray(variables) ? variables : []).entries()) {
      const name = isMapping(each)
        ? /^DYN_(ROUTER_.*|USE_KV_EVENTS)$/.exec(String(each.name))?.[1]
        : undefined;
      if (name === undefined || !isMapping(each)) continue;
      for (const key of ['name', 'value']) ledger.take(...list, index, key);
      settings.set(name.toLowerCase().replaceAll('_', '-'), String(each.value));
    }
  }
  const taken = new Set(['router-mode']);
  const mode = settings.get('router-mode') ?? 'round-robin';
  const policy = Object.entries(ROUTER_MODES).find(([, name]) => name === mode)?.[0];
  let routing: Router['routing'] = policy ?? null;
  if (policy === undefined) unmapped.push({ path: `${label}: --router-mode`, why: `no router like ${mode}` });
  if (policy === 'dynamo-kv') {
    const options: Fields = {};
    for (const { option, flag, perUnit } of ROUTER_FLAGS) {
      const value = Number(settings.get(flag));
      if (!settings.has(flag) || !Number.isFinite(value)) continue;
      taken.add(flag);
      options[option] = value * perUnit;
      if (option === 'burst_ttl_ms') options.burst_index = true;
    }
    const events = ['router-use-kv-events', 'use-kv-events', 'router-kv-events'];
    const isOff =
      settings.has('no-router-kv-events') ||
      events.some(name => /^(false|0|no)$/i.test(settings.get(name) ?? ''));
    for (const name of [...events, 'no-router-kv-events']) taken.add(name);
    if (isOff) options.index = 'predicted';
    routing = Object.keys(options).length === 0 ? policy : { policy, ...options };
  }
  const threshold = Number(settings.get('router-queue-threshold'));
  const order = settings.get('router-queue-policy');
  let gateway: Fields | null = null;
  if (Number.isFinite(threshold)) {
    taken.add('router-queue-threshold');
    const isKnown = order !== undefined && ['fcfs', 'lcfs', 'wspt'].includes(order);
    if (isKnown) taken.add('router-queue-policy');
    gateway = { admission: { policy: 'dynamo_queue', threshold, ...(isKnown ? { order } : {}) } };
  }
  for (const flag of settings.keys()) {
    if (taken.has(flag)) continue;
    const isWire = /^(http|tls|grpc|log|metrics)/.test(flag);
    unmapped.push({
      path: `${label}: --${flag}`,
      why: isWire ? 'how the frontend is reached' : 'no field of a deployment file says this',
    });
  }
  return { routing, gateway, unmapped };
}
