// What of a deployment file no run obeys yet: checked and documented like the rest, but a run refuses it by name, so
// that no field is ever ignored. A part that is built leaves these tables.
import type { InputPath, Issue } from '../../base/issue.ts';
import { notBuilt } from '../unbuilt.ts';
import type { DeploymentFile } from './deployment.ts';
import type { MachineFile, PoolFile } from './pool.ts';

/** By key: what there is for now; and the values that a run obeys. */
type Later = Readonly<Record<string, readonly [what: string, ...obeyed: unknown[]]>>;

const ROOT: Later = {
  providers: ['calls to hosted APIs come later; for now give a pool with an affine step'],
  tools: ['for now a tool draws its duration in the scenario'],
  places: ['for now everything is in one place'],
  links: ['for now every link is instant; `api_latency` of a pool is what there is'],
  gateway: ['for now `routing` is what there is'],
};
const POOL: Later = {
  retention: ['for now the least recently used blocks go first'],
  lora: ['for now every call is of the base model'],
};
const MACHINE: Later = {
  autoscaler: ['for now `replicas` is fixed'],
  cold_start: ['for now all replicas are ready at time 0'],
};
const LIMITS: Later = {
  scheduling_policy: ['for now fcfs or priority', 'fcfs', 'priority'],
  cpu_offload_gb: ['for now all weights are in GPU memory', 0],
};

const look = (value: object | undefined, later: Later, path: InputPath): Issue[] =>
  Object.entries(value ?? {}).flatMap(([key, given]) => {
    const row = Object.hasOwn(later, key) ? later[key] : undefined;
    if (row === undefined || given === undefined) return [];
    const [what, ...obeyed] = row;
    return obeyed.includes(given) ? [] : [notBuilt([...path, key], key, what)];
  });

function machineParts(machine: MachineFile, path: InputPath): Issue[] {
  return [...look(machine, MACHINE, path), ...look(machine.limits, LIMITS, [...path, 'limits'])];
}

/** Tiers stand behind vLLM's blocks alone. */
function tierParts({ engine = 'vllm', nim, kv_tiers: tiers = [] }: PoolFile, path: InputPath): Issue[] {
  const isVllm = engine === 'vllm' || (engine === 'nim' && nim?.backend === 'vllm');
  if (isVllm || tiers.length === 0) return [];
  return [
    notBuilt([...path, 'kv_tiers'], 'kv_tiers', `behind ${engine} it is not built: for now vllm has it`),
  ];
}

function poolParts(pool: PoolFile, path: InputPath): Issue[] {
  const issues = [...look(pool, POOL, path), ...tierParts(pool, path), ...machineParts(pool, path)];
  for (const half of ['prefill', 'decode'] as const)
    issues.push(...machineParts(pool[half] ?? {}, [...path, half]));
  return issues;
}

/** What of this file no run can give; each is an error for a run, a warning for a check. */
export const unbuiltOfDeployment = (file: DeploymentFile): Issue[] => [
  ...look(file, ROOT, []),
  ...Object.entries(file.pools ?? {}).flatMap(([name, pool]) => poolParts(pool, ['pools', name])),
];
