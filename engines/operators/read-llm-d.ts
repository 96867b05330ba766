// Values of llm-d's charts: llm-d-modelservice (decode and prefill), and the endpoint picker's plugins where they stand in
// the same file.
import type { InputPath } from '../../scenarios/base/issue.ts';
import { parseSource } from '../../scenarios/formats/source.ts';
import { readScaler } from './autoscalers.ts';
import { gpuOfLabel } from './gpu-labels.ts';
import type { ReadFile, ReadServer } from './incoming.ts';
import { isMapping, type Ledger } from './ledger.ts';
import { AFFINITY, DEFAULT_WEIGHTS, ONE_PLUGIN, SCORERS } from './llm-d.ts';
import type { Unmapped } from './operator-file.ts';
import { leftOf, type Manifest, manifestOf, withScaler } from './read-kubernetes.ts';
import { containerWords, oneModel } from './read-vllm.ts';
import { type Fields, readVllmArgs } from './vllm-flags.ts';

export const isValues = (value: unknown): boolean =>
  isMapping(value) && value.kind === undefined && isMapping(value.modelArtifacts);

const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

export function readLlmD(values: readonly unknown[], file: string): ReadFile {
  const manifests = values.filter(isMapping).map(manifestOf);
  const servers: ReadServer[] = [];
  const unmapped: Unmapped[] = [];
  const scalers = manifests
    .filter(({ value }) => value.kind === 'HorizontalPodAutoscaler' || value.kind === 'ScaledObject')
    .map(manifest => ({ manifest, read: readScaler(manifest.ledger, []) }));
  let picked: Picked | null = null;
  for (const [row, manifest] of manifests.entries()) {
    const { value, label } = manifest;
    if (isValues(value)) {
      const name = manifests.filter(each => isValues(each.value)).length > 1 ? `model-${row + 1}` : 'main';
      for (const half of ['prefill', 'decode'] as const) {
        const scaler = scalers.find(each => each.read.target.endsWith(`-${half}`));
        const server = readRole(manifest, {
          half,
          name,
          file,
          unmapped,
          autoscaler: scaler?.read.autoscaler ?? null,
        });
        if (server !== null) servers.push(server);
      }
      unmapped.push(...leftOf(manifest));
    } else if (scalers.some(each => each.manifest === manifest)) unmapped.push(...leftOf(manifest));
    else {
      const found = pickerOf(manifest);
      if (found === null) unmapped.push({ path: label, why: 'no part of what serves a model' });
      else {
        picked ??= found;
        unmapped.push(...leftOf(manifest), ...found.unmapped);
      }
    }
  }
  return { name: null, servers, routing: picked?.routing ?? null, gateway: null, unmapped, notes: [] };
}

interface RoleAt {
  readonly half: 'prefill' | 'decode';
  readonly name: string;
  readonly file: string;
  readonly unmapped: Unmapped[];
  readonly autoscaler: Fields | null;
}

/** Decode, or prefill; null where the chart makes none. Decode alone does both. */
function readRole(manifest: Manifest, { half, name, file, unmapped, autoscaler }: RoleAt): ReadServer | null {
  const { value, ledger } = manifest;
  const role = value[half];
  if (!isMapping(role)) return null;
  const isOff = (each: unknown): boolean =>
    !isMapping(each) || each.create === false || (each.replicas === 0 && each.autoscaling === undefined);
  ledger.take(half, 'create');
  if (isOff(role)) {
    ledger.take(half, 'replicas');
    return null;
  }
  const at: InputPath = [half, 'containers', 0];
  const container = ledger.look(...at);
  const { image = '', command, args: given, modelCommand } = isMapping(container) ? container : {};
  const listed = texts(given);
  const words =
    modelCommand === 'vllmServe' || modelCommand === 'imageDefault'
      ? listed
      : (containerWords(String(image), texts(command), listed) ?? listed);
  for (const key of ['command', 'args', 'modelCommand', 'name']) ledger.take(...at, key);
  const args = readVllmArgs(words);
  unmapped.push(...args.unmapped);
  const model = modelOf(ledger);
  const parallelism: Fields = {};
  const count = (key: string): number | null => {
    const number = Number(ledger.take(half, 'parallelism', key) ?? Number.NaN);
    return Number.isInteger(number) ? number : null;
  };
  const tensor = count('tensor');
  const local = count('dataLocal');
  const workers = count('workers');
  const data = count('data') ?? (local === null ? null : local * (workers ?? 1));
  if (tensor !== null) parallelism.tensor_parallel = tensor;
  if (data !== null) parallelism.data_parallel = data;
  const labels = texts(ledger.look(half, 'acceleratorTypes', 'labelValues'));
  const cards = [...new Set(labels.map(gpuOfLabel))];
  const gpu = cards.length === 1 ? (cards[0] as string | null) : null;
  if (gpu !== null) for (const key of ['labelKey', 'labelValues']) ledger.take(half, 'acceleratorTypes', key);
  ledger.take(half, 'autoscaling', 'enabled');
  for (const kind of ['limits', 'requests'])
    for (const key of ['nvidia.com/gpu', 'amd.com/gpu']) ledger.take(...at, 'resources', kind, key);
  const isSplit = !isOff(value.prefill) && !isOff(value.decode);
  const server: ReadServer = {
    name: isSplit ? half : name,
    pool: name,
    model: model ?? oneModel(args, `${file}, ${half}`),
    half: isSplit ? half : null,
    gpu,
    isWithoutGpu: false,
    fields: { ...parallelism, ...args.fields },
    draft: args.draft,
  };
  return withScaler(server, manifest, { pod: [half], autoscaler, replicasAt: [half, 'replicas'] });
}

/** The Hugging Face name behind the uri, else the name. */
function modelOf(ledger: Ledger): string | null {
  const name = ledger.take('modelArtifacts', 'name');
  const uri = String(ledger.take('modelArtifacts', 'uri') ?? '');
  const repo = /^(?:hf|pvc\+hf):\/\/(.*)$/.exec(uri)?.[1]?.split('/').slice(-2).join('/');
  const found = repo === undefined || repo.includes('{{') ? name : repo;
  return typeof found === 'string' && found !== '' ? found : null;
}

interface Picked {
  readonly routing: string | Fields | null;
  readonly unmapped: readonly Unmapped[];
}

/** The endpoint picker's plugins, in the values of the router or of the older inferencepool chart. */
function pickerOf({ value, ledger, label }: Manifest): Picked | null {
  const place = (['router', 'inferenceExtension', 'inferencepool'] as const).find(key =>
    isMapping(value[key]),
  );
  const isPlain = value.kind === 'EndpointPickerConfig';
  if (place === undefined && !isPlain) return null;
  if (isPlain) return routingOf({ value, ledger, label });
  const at: InputPath =
    place === 'router'
      ? ['router', 'epp']
      : place === 'inferencepool'
        ? ['inferencepool', 'inferenceExtension']
        : ['inferenceExtension'];
  const file = ledger.take(...at, 'pluginsConfigFile');
  const text = ledger.look(...at, 'pluginsCustomConfig', String(file));
  if (typeof text !== 'string') return { routing: null, unmapped: [] };
  ledger.take(...at, 'pluginsCustomConfig', String(file));
  const source = parseSource(text, String(file));
  if (source.issues.length > 0 || !isMapping(source.value)) {
    const why = source.issues[0]?.message ?? 'not a mapping';
    return { routing: null, unmapped: [{ path: `${label}: ${String(file)}`, why }] };
  }
  const inner = manifestOf(source.value);
  const picked = routingOf({ ...inner, label: String(file) });
  return { routing: picked.routing, unmapped: [...picked.unmapped, ...leftOf(inner)] };
}

/** Plugins that are no scorer: what every such file has. */
const FRAME =
  /^(single-profile-handler|disagg-.*|always-disagg-pd-decider|prefill-filter|decode-filter|max-score-picker|.*-producer)$/;

function routingOf({ value: config, ledger, label }: Manifest): Picked {
  const unmapped: Unmapped[] = [];
  const tell = (path: string, why: string): void => {
    if (!unmapped.some(each => each.path === path)) unmapped.push({ path, why });
  };
  const list = (value: unknown): Fields[] => (Array.isArray(value) ? value.filter(isMapping) : []);
  const plugins = list(config.plugins);
  for (const row of plugins.keys())
    for (const key of ['type', 'name', 'parameters']) ledger.take('plugins', row, key);
  const typeOf = (ref: string): string =>
    String(plugins.find(({ name, type }) => (name ?? type) === ref)?.type ?? ref);
  const profiles = list(config.schedulingProfiles);
  for (const [row, profile] of profiles.entries()) {
    ledger.take('schedulingProfiles', row, 'name');
    for (const index of list(profile.plugins).keys())
      for (const key of ['pluginRef', 'weight'])
        ledger.take('schedulingProfiles', row, 'plugins', index, key);
  }
  const weightsOf = (profile: Fields | undefined) =>
    list(profile?.plugins).map(({ pluginRef, weight }) => [typeOf(String(pluginRef)), weight] as const);
  const [first, ...others] = profiles;
  const refs = weightsOf(first);
  const scored = (each: readonly (readonly [string, unknown])[]): string =>
    JSON.stringify(each.filter(([type]) => /scorer$|picker$|affinity-filter$/.test(type)));
  for (const other of others)
    if (scored(weightsOf(other)) !== scored(refs))
      tell(
        `${label}: profile ${String(other.name)}`,
        'both halves of a pool have one router: the first profile counts',
      );
  const weights: Fields = {};
  const options: Fields = {};
  for (const [type, weight] of refs) {
    const name = Object.entries(SCORERS).find(([, scorer]) => scorer === type)?.[0];
    if (name !== undefined) weights[name] = typeof weight === 'number' ? weight : 1;
    else if (type === 'prefix-cache-affinity-filter') {
      const { parameters = {} } = plugins.find(each => each.type === type) ?? {};
      options.affinity_threshold = 0.8;
      for (const [option, parameter] of Object.entries(AFFINITY)) {
        const value = (parameters as Fields)[parameter];
        if (typeof value === 'number') options[option] = value;
      }
      for (const key of Object.keys(parameters as Fields))
        if (!Object.values(AFFINITY).includes(key))
          tell(`${label}: ${type}.${key}`, 'no option of `llm-d` routing');
    } else if (type !== 'random-picker' && !FRAME.test(type))
      tell(`${label}: ${type}`, 'no scorer of `llm-d` routing');
  }
  for (const { type, parameters } of plugins)
    if (isMapping(parameters) && !/affinity-filter|disagg-profile-handler/.test(String(type)))
      tell(`${label}: ${String(type)}.parameters`, 'scorers have the parameters that llm-d has by default');
  const isRandom = refs.some(([type]) => type === 'random-picker');
  const names = Object.keys(weights);
  if (isRandom && names.length === 0) return { routing: 'random', unmapped };
  if (names.length === 0 && Object.keys(options).length === 0) return { routing: null, unmapped };
  const alone =
    names.length === 1 && Object.keys(options).length === 0 ? SCORERS[names[0] as string] : undefined;
  const one = Object.entries(ONE_PLUGIN).find(([, plugin]) => plugin === alone)?.[0];
  if (one !== undefined) return { routing: one, unmapped };
  const isDefault = JSON.stringify(sorted(weights)) === JSON.stringify(sorted(DEFAULT_WEIGHTS));
  if (isDefault && Object.keys(options).length === 0) return { routing: 'llm-d', unmapped };
  return { routing: { policy: 'llm-d', ...(isDefault ? {} : { weights }), ...options }, unmapped };
}

const sorted = (value: Fields): [string, unknown][] =>
  Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
