// Servers that were read from an operator's file, on their way into a deployment: what each format's reader hands over,
// and how they become pools.
import { UserError } from '../../scenarios/base/errors.ts';
import { closest } from '../../scenarios/formats/suggest.ts';
import type { Model } from '../catalog.ts';
import { gpuIds } from './gpu-labels.ts';
import { idFor, modelNamed } from './model-names.ts';
import type { Unmapped } from './operator-file.ts';
import type { Fields } from './vllm-flags.ts';

/** Equal replicas of one server. */
export interface ReadServer {
  /** As its file calls it; it names the pool where there are several. */
  readonly name: string;
  /** Name of the pool, where the file says it. */
  readonly pool: string | null;
  readonly model: string;
  readonly half: 'prefill' | 'decode' | null;
  /** Catalogue id; null where the file does not say. */
  readonly gpu: string | null;
  /** Whether it asks for no GPU at all. */
  readonly isWithoutGpu: boolean;
  readonly fields: Fields;
  readonly draft: string | null;
}

/** What a reader of a format found. */
export interface ReadFile {
  /** Name of the whole, where the file has one. */
  readonly name: string | null;
  readonly servers: readonly ReadServer[];
  /** As a deployment file writes them. */
  readonly routing: string | Fields | null;
  readonly gateway: Fields | null;
  readonly unmapped: readonly Unmapped[];
  readonly notes: readonly string[];
}

export interface ReadOptions {
  /** Name of the file, for messages. */
  readonly file: string;
  /** Name of the deployment; null: the file's own. */
  readonly name: string | null;
  /** Catalogue id of the GPU where the file does not say; null: unknown. */
  readonly gpu: string | null;
  /** Models of the user's own catalogue. */
  readonly added: readonly Model[];
}

export interface ReadDeployment {
  /** As a deployment file writes it. */
  readonly value: Fields;
  readonly unmapped: readonly Unmapped[];
  /** What was taken for something else, or assumed. */
  readonly notes: readonly string[];
  /** Models that the catalogue does not have: their Hugging Face names, by the id they have in `value`. */
  readonly unknownModels: ReadonlyMap<string, string>;
}

/** KV over a 400 Gb/s NIC, as NVIDIA's aiconfigurator assumes: no file of an operator says it. */
const ASSUMED_LINK = { bandwidth: '50GB/s', latency: '10us' };

/** The servers as pools: those of one model that are prefill and decode are one. */
export function deploymentOf(read: ReadFile, options: ReadOptions): ReadDeployment {
  if (read.servers.length === 0)
    throw new UserError(`${options.file} starts no vLLM server`, {
      hint: 'name a file with a `vllm serve` command, a Deployment or DynamoGraphDeployment that runs one, or values of llm-d-modelservice',
    });
  const notes = [...read.notes];
  const unmapped = [...read.unmapped];
  const unknownModels = new Map<string, string>();
  const machines = read.servers.map(server => {
    const gpu = gpuFor(server, options);
    return { server, machine: machineOf(server, gpu, { options, notes, unmapped, unknownModels }) };
  });
  const pools: [string, Fields][] = [];
  for (const { server, machine } of machines) {
    if (server.half === null) {
      pools.push([server.pool ?? (machines.length === 1 ? 'main' : server.name), machine]);
      continue;
    }
    if (server.half === 'decode') continue;
    const decode = machines.find(
      ({ server: each, machine: other }) =>
        each.half === 'decode' && other.model === machine.model && each.pool === server.pool,
    );
    if (decode === undefined)
      throw lonely(
        server,
        machines.map(each => each.server),
      );
    pools.push([server.pool ?? 'main', splitPool(machine, decode.machine)]);
    notes.push(
      'the link between prefill and decode is assumed: 50GB/s and 10us, a 400 Gb/s NIC for each replica',
    );
  }
  for (const { server, machine } of machines) {
    if (server.half !== 'decode') continue;
    const isJoined = machines.some(
      ({ server: each, machine: other }) =>
        each.half === 'prefill' && other.model === machine.model && each.pool === server.pool,
    );
    if (!isJoined)
      throw lonely(
        server,
        machines.map(each => each.server),
      );
  }
  const name = (options.name ?? read.name ?? options.file.split('/').at(-1) ?? '')
    .replace(/\.(ya?ml|json|sh|txt)$/, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '');
  return {
    value: {
      windtunnel: 1,
      deployment: name === '' ? 'read' : name,
      pools: Object.fromEntries(named(pools)),
      ...(read.gateway === null ? {} : { gateway: read.gateway }),
      ...(read.routing === null ? {} : { routing: read.routing }),
    },
    unmapped,
    notes,
    unknownModels,
  };
}

function lonely({ half, model }: ReadServer, all: readonly ReadServer[]): UserError {
  const other = half === 'prefill' ? 'decode' : 'prefill';
  const models = [...new Set(all.filter(each => each.half === other).map(each => each.model))];
  const why = models.length === 0 ? `there is no ${other}` : `${other} serves ${models.join(', ')}`;
  return new UserError(`the ${half} servers are of ${model}, and ${why}`, {
    hint: 'prefill and decode are of one model; put both into one file',
  });
}

/** Names that a pool may have, each once. */
function named(pools: readonly [string, Fields][]): [string, Fields][] {
  const taken = new Set<string>();
  return pools.map(([name, pool]) => {
    const plain = name.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^[^A-Za-z]+|-+$/g, '') || 'pool';
    let own = plain;
    for (let row = 2; taken.has(own); row++) own = `${plain}-${row}`;
    taken.add(own);
    return [own, pool];
  });
}

function gpuFor(server: ReadServer, { gpu, file }: ReadOptions): string | null {
  if (gpu !== null && !gpuIds().includes(gpu)) {
    const near = closest(gpu, gpuIds());
    throw new UserError(`--gpu ${gpu}: the catalogue has no such GPU`, {
      hint: near === null ? '`windtunnel catalog gpus` lists them' : `did you mean "${near}"?`,
    });
  }
  const id = gpu ?? server.gpu;
  if (id !== null) return id;
  const asks = server.isWithoutGpu
    ? `${file} asks for no GPU for ${server.model}`
    : `${file} does not say which GPU ${server.model} runs on`;
  throw new UserError(asks, {
    hint: `name it: --gpu h100-80gb-sxm; \`windtunnel catalog gpus\` lists ${gpuIds().length}`,
  });
}

interface Lists {
  readonly options: ReadOptions;
  readonly notes: string[];
  readonly unmapped: Unmapped[];
  readonly unknownModels: Map<string, string>;
}

/** The order in which a file has its keys. */
const ORDER = ['model', 'gpu', 'replicas', 'tensor_parallel', 'pipeline_parallel', 'data_parallel'];
ORDER.push('expert_parallel', 'precision', 'limits', 'speculative', 'autoscaler', 'drain_max');

function machineOf(server: ReadServer, gpu: string | null, lists: Lists): Fields {
  const { options, notes, unmapped, unknownModels } = lists;
  const known = modelNamed(server.model, options.added);
  const id = known?.id ?? idFor(server.model);
  const fields: Fields = { ...server.fields };
  if (known === null) unknownModels.set(id, server.model);
  else if (!known.isExact) notes.push(`${server.model} is taken as ${known.id}: the same architecture`);
  if (known?.weights === null) {
    const why = 'its weights are of a type that a deployment file does not have: bf16, fp8 or nvfp4';
    unmapped.push({ path: server.model, why });
  } else if (known?.weights !== undefined && (fields.precision as Fields | undefined)?.weights === undefined)
    fields.precision = { weights: known.weights, ...(fields.precision as Fields | undefined) };
  if (server.draft !== null) {
    const draft = modelNamed(server.draft, options.added);
    const isModel = (fields.speculative as Fields | undefined)?.method === 'draft';
    if (draft !== null) fields.speculative = { ...(fields.speculative as Fields), model: draft.id };
    else if (isModel) {
      unknownModels.set(idFor(server.draft), server.draft);
      fields.speculative = { ...(fields.speculative as Fields), model: idFor(server.draft) };
    } else {
      const why = `the catalogue does not have ${server.draft}: its weights are left out`;
      unmapped.push({ path: '--speculative-config.model', why });
    }
  }
  const all: Fields = { model: id, ...(gpu === null ? {} : { gpu }), ...fields };
  const rank = (key: string): number => (ORDER.includes(key) ? ORDER.indexOf(key) : ORDER.length);
  return Object.fromEntries(
    Object.entries(all)
      .filter(([key, value]) => !(value === 1 && /^(replicas|.*_parallel)$/.test(key)))
      .sort(([a], [b]) => rank(a) - rank(b)),
  );
}

/** What belongs to a half by itself, whether it is the same in the other or not. */
const OWN = new Set(['replicas', 'autoscaler', 'drain_max']);

function splitPool(prefill: Fields, decode: Fields): Fields {
  const isSame = (key: string): boolean => JSON.stringify(prefill[key]) === JSON.stringify(decode[key]);
  const isShared = (key: string): boolean => key === 'model' || (!OWN.has(key) && isSame(key));
  const keep = (fields: Fields, shared: boolean): Fields =>
    Object.fromEntries(Object.entries(fields).filter(([key]) => isShared(key) === shared));
  return {
    ...keep(prefill, true),
    prefill: keep(prefill, false),
    decode: keep(decode, false),
    link: ASSUMED_LINK,
  };
}
