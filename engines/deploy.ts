// A deployment file against the catalogue: what each pool of replicas is, and what its numbers rest on.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { DeploymentFile } from '../scenarios/formats/deployment/deployment.ts';
import { halfOf, type PoolFile } from '../scenarios/formats/deployment/pool.ts';
import type { ProviderFile } from '../scenarios/formats/deployment/provider.ts';
import { didYouMean } from '../scenarios/formats/suggest.ts';
import { findGpu, findModel, type Gpu, listPrice, unknownEntry, unknownFigure } from './catalog.ts';
import type { DeploymentSpec, Endpoint, HostedModel, PoolSpec, TokenPrice } from './engine.ts';
import { type ReplicaSetup, resolveLimits } from './limits.ts';
import { createStep } from './step-models.ts';

/** Where the file names no policy: the plainest one that looks at load. */
const DEFAULT_ROUTING = 'least-outstanding';

export interface DeployOptions {
  /** Names of the routing policies that exist. */
  routingPolicies: readonly string[];
}

function endpoints(pool: PoolFile): Endpoint[] {
  return (pool.endpoints ?? []).map(each => ({
    url: each.url.replace(/\/+$/, ''),
    model: each.model,
    keyEnv: each.key_env ?? null,
    api: each.api ?? 'chat',
  }));
}

function price(pool: PoolFile, gpu: Gpu | null): { usdPerGpuHour: number | null; evidence: string[] } {
  if (pool.price !== undefined) return { usdPerGpuHour: pool.price, evidence: [] };
  const first = gpu?.prices[0];
  if (gpu === null) return { usdPerGpuHour: null, evidence: [] };
  if (first === undefined)
    return { usdPerGpuHour: null, evidence: [`no price is known for ${gpu.id}: give \`price\``] };
  const line = `${first.usdPerGpuHour} USD per GPU-hour: ${first.provider}, ${first.asOf}`;
  return { usdPerGpuHour: first.usdPerGpuHour, evidence: [line] };
}

function resolvePool(
  name: string,
  pool: PoolFile,
  path: InputPath,
): { spec: PoolSpec | null; issues: Issue[] } {
  const model = findModel(pool.model);
  const gpu = pool.gpu === undefined ? null : findGpu(pool.gpu);
  const issues: Issue[] = [];
  // Without a GPU nothing of the catalogue is needed: the file has said it all.
  if (model === null && pool.gpu !== undefined)
    issues.push(unknownEntry('model', pool.model, ['pools', name, 'model']));
  if (gpu === null && pool.gpu !== undefined) issues.push(unknownEntry('GPU', pool.gpu, [...path, 'gpu']));
  if (issues.length > 0) return { spec: null, issues };

  const setup: ReplicaSetup = {
    model,
    gpu,
    tensorParallel: pool.tensor_parallel ?? 1,
    pipelineParallel: pool.pipeline_parallel ?? 1,
    expertRanks: pool.expert_parallel === true ? (pool.data_parallel ?? 1) : 1,
    weights: pool.precision?.weights ?? 'bf16',
    kv: pool.precision?.kv ?? 'bf16',
  };
  const limits = resolveLimits(pool, setup, path);
  const step = createStep(pool.step ?? { model: 'roofline' }, setup, path);
  issues.push(...limits.issues, ...step.issues);
  if (limits.limits === null || step.step === null) return { spec: null, issues };

  const paid = price(pool, gpu);
  const lines = [...limits.evidence, `step time: ${step.step.evidence}`, ...step.notes, ...paid.evidence];
  if (model === null) lines.push(`${pool.model} is not in the catalogue: no list price`);
  const spec: PoolSpec = {
    name,
    modelId: pool.model,
    gpuId: gpu?.id ?? null,
    replicas: pool.replicas ?? 1,
    tensorParallel: setup.tensorParallel,
    engine: 'vllm',
    limits: limits.limits,
    step: step.step,
    pipelineStages: 1,
    dataParallelRanks: 1,
    ranksInLockStep: false,
    speculative: null,
    kvTiers: [],
    disaggregation: null,
    kvBytesPerToken: null,
    apiLatencyMs: pool.api_latency ?? 0,
    endpoints: endpoints(pool),
    usdPerGpuHour: paid.usdPerGpuHour,
    evidence: lines.map(line => `${name}: ${line}`),
  };
  return { spec, issues };
}

/** Both halves are checked; the decode half, which holds the whole sequence, stands for the pool. */
function resolveServing(
  name: string,
  pool: PoolFile,
  path: InputPath,
): { spec: PoolSpec | null; issues: Issue[] } {
  if (pool.prefill === undefined) return resolvePool(name, pool, path);
  const prefill = resolvePool(name, halfOf(pool, 'prefill'), [...path, 'prefill']);
  const decode = resolvePool(name, halfOf(pool, 'decode'), [...path, 'decode']);
  const same = (a: Issue, b: Issue): boolean => a.message === b.message && a.path.join() === b.path.join();
  const issues = [
    ...prefill.issues,
    ...decode.issues.filter(each => !prefill.issues.some(other => same(each, other))),
  ];
  if (prefill.spec === null || decode.spec === null) return { spec: null, issues };
  const evidence = [...prefill.spec.evidence, ...decode.spec.evidence];
  return { spec: { ...decode.spec, evidence }, issues };
}

/** Figures of the file, else of the catalogue; a model that neither can price is likely mistyped. */
function resolveProvider(provider: string, file: ProviderFile): { hosted: HostedModel[]; issues: Issue[] } {
  const issues: Issue[] = [];
  const hosted = Object.entries(file.models).map(([name, each]): HostedModel => {
    const modelId = each.model ?? name;
    const listed = listPrice(modelId);
    const model = findModel(modelId);
    if (each.price === undefined && listed === null) {
      const path = ['providers', provider, 'models', name];
      const found =
        model === null
          ? unknownEntry('price', modelId, path)
          : unknownFigure(path, modelId, 'price', 'the cost of a call', 'give `price: { in: …, out: … }`');
      issues.push(
        each.model === undefined ? { ...found, atKey: true } : { ...found, path: [...path, 'model'] },
      );
    }
    const window = each.max_model_len ?? model?.maxContextTokens ?? listed?.maxInputTokens ?? null;
    return { name, provider, modelId, price: tokenPrice(each.price, listed), maxModelTokens: window };
  });
  return { hosted, issues };
}

function tokenPrice(
  given: ProviderFile['models'][string]['price'],
  listed: ReturnType<typeof listPrice>,
): TokenPrice | null {
  if (given !== undefined) {
    const { in: input, cached_in: cachedIn = input, cache_write: cacheWrite = input, out } = given;
    return { in: input, cachedIn, cacheWrite, out };
  }
  if (listed === null) return null;
  const input = listed.inputUsdPerMTok;
  return {
    in: input,
    cachedIn: listed.cacheReadUsdPerMTok ?? input,
    cacheWrite: listed.cacheWriteUsdPerMTok ?? input,
    out: listed.outputUsdPerMTok,
  };
}

function resolveRouting(file: DeploymentFile, known: readonly string[]) {
  const given = file.routing ?? DEFAULT_ROUTING;
  const { policy, ...options } = typeof given === 'string' ? { policy: given } : given;
  const path: InputPath = typeof given === 'string' ? ['routing'] : ['routing', 'policy'];
  const hint = didYouMean(policy, known) ?? `known policies: ${known.join(', ')}`;
  const issues = known.includes(policy)
    ? []
    : [issue(path, 'WT1102', `unknown routing policy "${policy}"`, hint)];
  return { routing: { policy, options: options as Record<string, unknown> }, issues };
}

/** Resolves every pool; `deployment` is null when there is an error. */
export function resolveDeployment(
  file: DeploymentFile,
  sha256: string,
  options: DeployOptions,
): { deployment: DeploymentSpec | null; issues: Issue[] } {
  const pools = Object.entries(file.pools ?? {}).map(([name, pool]) =>
    resolveServing(name, pool, ['pools', name]),
  );
  const providers = Object.entries(file.providers ?? {}).map(([name, each]) => resolveProvider(name, each));
  const hosted = providers.flatMap(each => each.hosted);
  const { routing, issues: routingIssues } = resolveRouting(file, options.routingPolicies);
  const issues = [...[...pools, ...providers].flatMap(each => each.issues), ...routingIssues];
  const specs = pools.map(each => each.spec).filter(spec => spec !== null);
  if (issues.some(each => each.severity === 'error')) return { deployment: null, issues };
  return { deployment: { name: file.deployment, sha256, pools: specs, hosted, routing }, issues };
}
