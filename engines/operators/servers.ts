// The servers of a deployment, as operators count them: a set of equal replicas for each pool, or for each half of one.
import { UserError } from '../../scenarios/base/errors.ts';
import type { DeploymentFile } from '../../scenarios/formats/deployment/deployment.ts';
import { HALVES, type Half, halfOf, type PoolFile } from '../../scenarios/formats/deployment/pool.ts';
import { type Ledger, ledgerOf, pathText, type Whys, whyOf } from './ledger.ts';
import { hfName } from './model-names.ts';
import { dnsName, type Unmapped } from './operator-file.ts';
import type { FieldPath } from './vllm-flags.ts';

/** Equal replicas of a pool, or of one of its halves. */
export interface ServerSet {
  /** Name of the pool, and a name that Kubernetes takes. */
  readonly pool: string;
  readonly name: string;
  readonly half: Half | null;
  /** What a replica is: of a half, with what it has from its pool. */
  readonly machine: PoolFile;
  /** Hugging Face name, or the id where none is known. */
  readonly model: string;
  readonly gpus: number;
  /** Counts a field of the machine as mapped. */
  take(path: FieldPath): void;
}

/** A deployment on its way out: its servers, and what a target said of each key. */
export interface Outgoing {
  readonly deployment: DeploymentFile;
  readonly sets: readonly ServerSet[];
  readonly ledger: Ledger;
  /** What is not mapped: keys that nobody took, and what was told of others. */
  unmapped(told: readonly Unmapped[], whys?: Whys): Unmapped[];
}

/** Why a field has no counterpart, whatever the target. */
const WHYS: Whys = [
  [/^providers/, 'hosted APIs are not deployed'],
  [/^gateway/, 'rules of a gateway in front of the servers: set them in the one that you run'],
  [/^signals/, 'how late a router sees its engines is a property of it'],
  [/^routing/, 'this target has no such router'],
  [/^(tools|stores|agents|places|links|allow_hosts)/, 'what stands around the servers'],
  [/\.step\b/, 'how long a step takes is measured, not set'],
  [/\.gpu_figures/, 'figures of the card'],
  [/\.price/, 'what a GPU costs'],
  [/\.(api_latency|place|link\b.*|endpoints)/, 'the network between'],
  [/\.link/, 'the network between the halves'],
  [/\.cold_start/, 'how long a start takes is measured, not set'],
  [/\.spot/, 'which nodes are taken back is up to their owner'],
  [/\.max_queued_requests/, 'vLLM counts running requests too (--max-num-queued-reqs), this those that wait'],
  [/\.scheduling_policy/, 'vLLM has fcfs and priority'],
  [/\.retention/, 'vLLM drops the least recently used blocks first'],
  [/\.kv_tiers/, 'only the size of a CPU tier has a flag'],
  [/\.lora/, 'no part of runs yet'],
  [/\.speculative\.accepted/, 'how many drafts are accepted is measured, not set'],
  [/\.drain/, 'the router stops sending; --shutdown-timeout and the grace period bound the rest'],
  [/\.autoscaler/, 'this target has no such autoscaler'],
  [/\.gpu$/, 'no node label is known of this card'],
];

/** The servers that vLLM can be; a UserError where there are none. */
export function outgoing(deployment: DeploymentFile): Outgoing {
  const ledger = ledgerOf(deployment);
  for (const key of ['windtunnel', 'deployment', 'extends', 'description']) ledger.take(key);
  const told: Unmapped[] = [];
  const sets: ServerSet[] = [];
  for (const [name, pool] of Object.entries(deployment.pools ?? {})) {
    if ((pool.engine ?? 'vllm') !== 'vllm') {
      ledger.take('pools', name);
      told.push({ path: `pools.${name}`, why: `its engine is ${pool.engine}: these files are for vLLM` });
      continue;
    }
    ledger.take('pools', name, 'engine');
    const halves = pool.prefill === undefined ? [null] : HALVES;
    for (const half of halves) sets.push(setOf(deployment, name, half, ledger));
    if (hfName(pool.model) === null) {
      const why = `no Hugging Face name is known of ${pool.model}: put yours in its place`;
      told.push({ path: `pools.${name}.model`, why });
    }
  }
  if (sets.length === 0)
    throw new UserError(`${deployment.deployment} has no pool that vLLM serves`, {
      hint: 'this target writes files for vLLM: name a deployment with a pool of it',
    });
  return {
    deployment,
    sets,
    ledger,
    unmapped: (more, whys = []) => {
      const rest = ledger.left().map(path => {
        const text = pathText(path);
        return { path: text, why: whyOf(text, [...whys, ...WHYS], 'this target has no setting for it') };
      });
      return [...told, ...more, ...rest];
    },
  };
}

function setOf(deployment: DeploymentFile, pool: string, half: Half | null, ledger: Ledger): ServerSet {
  const whole = deployment.pools?.[pool] as PoolFile;
  const machine = half === null ? whole : halfOf(whole, half);
  const { tensor_parallel = 1, pipeline_parallel = 1, data_parallel = 1, gpu } = machine;
  const take = (path: FieldPath): void => {
    // A half has the field itself, or from its pool.
    if (half !== null) ledger.take('pools', pool, half, ...path);
    if (half === null || ledger.look('pools', pool, half, ...path) === undefined)
      ledger.take('pools', pool, ...path);
  };
  for (const key of ['model', 'tensor_parallel', 'pipeline_parallel', 'data_parallel'] as const) take([key]);
  const parts = [deployment.deployment, pool, ...(half === null ? [] : [half])];
  return {
    pool,
    name: dnsName(parts.join('-')),
    half,
    machine,
    model: hfName(machine.model) ?? machine.model,
    gpus: gpu === undefined ? 0 : tensor_parallel * pipeline_parallel * data_parallel,
    take,
  };
}

/** What each pool's own file lists: what is of no pool that has a file goes to the first. */
export function byPool(unmapped: readonly Unmapped[], pools: readonly string[]): Unmapped[][] {
  const ownerOf = ({ path }: Unmapped): number =>
    Math.max(0, pools.indexOf(/^pools\.([\w-]+)/.exec(path)?.[1] ?? ''));
  return pools.map((_, row) => unmapped.filter(each => ownerOf(each) === row));
}

/** The name that a draft model goes by. */
export const draftName = (id: string): string => hfName(id) ?? id;

/** Halves do not find each other by themselves. */
export const proxyNeed = (sets: readonly ServerSet[]): string[] =>
  sets.some(({ half }) => half !== null)
    ? ['a proxy that sends a prompt to prefill and then to decode, such as the routing sidecar of llm-d']
    : [];

/** A pool, or a half of it, as words name it. */
export const titleOf = ({ pool, half }: Pick<ServerSet, 'pool' | 'half'>): string =>
  half === null ? `pool ${pool}` : `pool ${pool}, ${half}`;
