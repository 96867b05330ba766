// What of a deployment file no run obeys yet: checked and documented like the rest, but a run refuses it by name, so
// that no field is ever ignored. A part that is built leaves these tables.
import type { InputPath, Issue } from '../../base/issue.ts';
import { notBuilt } from '../unbuilt.ts';
import type { DeploymentFile } from './deployment.ts';
import type { MachineFile, PoolFile } from './pool.ts';

/** By key: what there is for now; and the value that means what a run does anyway. */
type Later = Readonly<Record<string, readonly [what: string, obeyed?: unknown]>>;

const ROOT: Later = {
  providers: ['calls to hosted APIs come later; for now give a pool with an affine step'],
  tools: ['for now a tool draws its duration in the scenario'],
  places: ['for now everything is in one place'],
  links: ['for now every link is instant; `api_latency` of a pool is what there is'],
  gateway: ['for now `routing` is what there is'],
};
const POOL: Later = {
  prefill: ['for now a pool does both prefill and decode'],
  decode: ['for now a pool does both prefill and decode'],
  link: ['for now a pool does both prefill and decode'],
  kv_tiers: ['for now evicted blocks are computed again'],
  retention: ['for now the least recently used blocks go first'],
  lora: ['for now every call is of the base model'],
};
const MACHINE: Later = {
  autoscaler: ['for now `replicas` is fixed'],
  cold_start: ['for now all replicas are ready at time 0'],
  pipeline_parallel: ['for now a replica spans `tensor_parallel` GPUs', 1],
  data_parallel: ['for now give `replicas`', 1],
  expert_parallel: ['for now experts are split by `tensor_parallel`', false],
  speculative: ['for now each step yields one token'],
};
const LIMITS: Later = {
  scheduling_policy: ['for now the order is first come, first served', 'fcfs'],
  enable_chunked_prefill: ['for now chunked prefill is on, as is the default of vLLM', true],
  long_prefill_token_threshold: ['for now 0, the default of vLLM', 0],
  cpu_offload_gb: ['for now all weights are in GPU memory', 0],
};

const look = (value: object | undefined, later: Later, path: InputPath): Issue[] =>
  Object.entries(value ?? {}).flatMap(([key, given]) => {
    const row = Object.hasOwn(later, key) ? later[key] : undefined;
    return row === undefined || given === undefined || given === row[1]
      ? []
      : [notBuilt([...path, key], key, row[0])];
  });

/** A value of a key that is otherwise built: shown at the value. */
const valueNotBuilt = (path: InputPath, written: string, what: string): Issue => ({
  ...notBuilt(path, written, what),
  atKey: false,
});

function machineParts(machine: MachineFile, path: InputPath): Issue[] {
  const issues = [...look(machine, MACHINE, path), ...look(machine.limits, LIMITS, [...path, 'limits'])];
  const step = machine.step?.model;
  if (step === 'profile' || step === 'kernels')
    issues.push(valueNotBuilt([...path, 'step', 'model'], `step: ${step}`, 'for now roofline or affine'));
  return issues;
}

function poolParts(pool: PoolFile, path: InputPath): Issue[] {
  const issues = [...look(pool, POOL, path), ...machineParts(pool, path)];
  if (pool.engine !== undefined && pool.engine !== 'vllm')
    issues.push(
      valueNotBuilt(
        [...path, 'engine'],
        `engine: ${pool.engine}`,
        'for now the scheduler of vllm is modelled',
      ),
    );
  for (const half of ['prefill', 'decode'] as const)
    issues.push(...machineParts(pool[half] ?? {}, [...path, half]));
  return issues;
}

/** What of this file no run can give; each is an error for a run, a warning for a check. */
export const unbuiltOfDeployment = (file: DeploymentFile): Issue[] => [
  ...look(file, ROOT, []),
  ...Object.entries(file.pools ?? {}).flatMap(([name, pool]) => poolParts(pool, ['pools', name])),
];
