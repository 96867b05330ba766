// What of a deployment file no run obeys yet: checked and documented like the rest, but a run refuses it by name, so
// that no field is ever ignored. A part that is built leaves these tables.
import type { InputPath, Issue } from '../../base/issue.ts';
import { notBuilt } from '../unbuilt.ts';
import type { DeploymentFile } from './deployment.ts';
import type { MachineFile, PoolFile } from './pool.ts';

/** By key: what there is for now; and the values that a run obeys. */
type Later = Readonly<Record<string, readonly [what: string, ...obeyed: unknown[]]>>;

const POOL: Later = {
  lora: ['for now every call is of the base model'],
};
const LIMITS: Later = {
  cpu_offload_gb: ['for now all weights are in GPU memory', 0],
};

const look = (value: object | undefined, later: Later, path: InputPath): Issue[] =>
  Object.entries(value ?? {}).flatMap(([key, given]) => {
    const row = Object.hasOwn(later, key) ? later[key] : undefined;
    if (row === undefined || given === undefined) return [];
    const [what, ...obeyed] = row;
    return obeyed.includes(given) ? [] : [notBuilt([...path, key], key, what)];
  });

const machineParts = (machine: MachineFile, path: InputPath): Issue[] =>
  look(machine.limits, LIMITS, [...path, 'limits']);

/** Tiers stand behind vLLM's blocks alone. */
function tierParts({ engine = 'vllm', nim, kv_tiers: tiers = [] }: PoolFile, path: InputPath): Issue[] {
  const isVllm = engine === 'vllm' || (engine === 'nim' && nim?.backend === 'vllm');
  if (isVllm || tiers.length === 0) return [];
  return [
    notBuilt([...path, 'kv_tiers'], 'kv_tiers', `behind ${engine} it is not built: for now vllm has it`),
  ];
}

/** vLLM's blocks alone have ranks; TensorRT-LLM's have priorities by themselves. */
function retentionParts({ engine = 'vllm', nim, retention }: PoolFile, path: InputPath): Issue[] {
  const behind = engine === 'nim' ? (nim?.backend ?? 'tensorrt-llm') : engine;
  const itsOwn = behind === 'tensorrt-llm' ? 'priority' : 'lru';
  if (retention === undefined || behind === 'vllm' || retention.policy === itsOwn) return [];
  const what = `behind ${behind} there is only ${itsOwn}: for now vllm has the others`;
  return [notBuilt([...path, 'retention'], 'retention', what)];
}

function poolParts(pool: PoolFile, path: InputPath): Issue[] {
  const issues = [
    ...look(pool, POOL, path),
    ...tierParts(pool, path),
    ...retentionParts(pool, path),
    ...machineParts(pool, path),
  ];
  for (const half of ['prefill', 'decode'] as const)
    issues.push(...machineParts(pool[half] ?? {}, [...path, half]));
  return issues;
}

/** What of this file no run can give; each is an error for a run, a warning for a check. */
export const unbuiltOfDeployment = (file: DeploymentFile): Issue[] => [
  ...Object.entries(file.pools ?? {}).flatMap(([name, pool]) => poolParts(pool, ['pools', name])),
];
