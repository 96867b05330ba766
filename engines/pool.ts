// A pool of the file against the catalogue: what each of its replicas is, and what its numbers rest on.

import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import { HALVES, halfOf, type PoolFile } from '../scenarios/formats/deployment/pool.ts';
import type { ServerKind } from '../scenarios/formats/wire.ts';
import { acceptedTokens } from './acceptance.ts';
import { findModel, type Gpu, type Model, unknownEntry, unknownFigure } from './catalog.ts';
import { resolveColdStart } from './cold-start.ts';
import { hintIssues, resolveEndpoint } from './endpoint.ts';
import {
  type Disaggregation,
  type Endpoint,
  type EngineKind,
  type EngineLimits,
  type FrontEnd,
  type KvTier,
  NO_FRONT_END,
  type PolicyChoice,
  type PoolSpec,
  type Speculative,
  type StepModel,
} from './engine.ts';
import { gpuOf } from './gpu-figures.ts';
import { fewestGpus, impossible, resolveLimits } from './limits.ts';
import { kvBytesPerToken, type ReplicaSetup } from './memory.ts';
import { resolveScaling } from './scaling.ts';
import { createStep } from './step-models.ts';

export interface ResolvedPool {
  spec: PoolSpec | null;
  issues: Issue[];
}

/** One pool; both halves of a disaggregated one. `added`: models of the user's own catalogue. */
export function resolvePool(name: string, pool: PoolFile, added: readonly Model[]): ResolvedPool {
  const path = ['pools', name];
  return pool.prefill === undefined
    ? resolveReplicas(name, pool, path, added)
    : resolveHalves(name, pool, path, added);
}

function resolveReplicas(
  name: string,
  pool: PoolFile,
  path: InputPath,
  added: readonly Model[],
): ResolvedPool {
  const model = findModel(pool.model, added);
  const placed = gpuOf(pool, path);
  const issues: Issue[] = [];
  // Without a GPU nothing of the catalogue is needed: the file has said it all.
  if (model === null && pool.gpu !== undefined)
    issues.push(unknownEntry('model', pool.model, ['pools', name, 'model'], added));
  issues.push(...placed.issues);
  const speculative = speculativeOf(pool, path, added);
  issues.push(...speculative.issues);
  if (issues.length > 0) return { spec: null, issues };

  const engine = engineOf(pool);
  const replica = replicaOf(pool, { model, gpu: placed.gpu, draft: speculative.draft }, engine);
  const { setup } = replica;
  const never = impossible(replica.pool, setup, engine, path);
  if (never !== null) return { spec: null, issues: [never] };
  const limits = resolveLimits(replica.pool, setup, engine, path);
  const step = createStep(pool.step ?? { model: 'roofline' }, setup, path);
  const tiers = tiersOf(pool, setup, limits.limits, path);
  const ranks = pool.data_parallel ?? 1;
  const gpus = setup.tensorParallel * (setup.pipelineParallel ?? 1) * ranks;
  const scaling = resolveScaling(pool, path);
  const cold = resolveColdStart(pool.cold_start, { modelId: pool.model, setup, gpus }, path);
  issues.push(...limits.issues, ...step.issues, ...tiers.issues, ...scaling.issues, ...cold.issues);
  const live = endpoints(pool);
  issues.push(...priorityIssues(pool, path));
  issues.push(...live.flatMap((each, index) => hintIssues(each, [...path, 'endpoints', index])));
  if (limits.limits === null || step.step === null) return { spec: null, issues };

  const paid = price(pool, placed.gpu);
  const lines = [
    ...replica.evidence,
    ...placed.evidence,
    ...limits.evidence,
    ...speculative.evidence,
    `step time: ${step.step.evidence}`,
    ...step.notes,
    ...paid.evidence,
    ...scaling.evidence,
    ...cold.evidence,
  ];
  if (pool.expert_parallel === true) lines.push('experts are evenly loaded: no rank waits for another');
  if (model === null) lines.push(`${pool.model} is not in the catalogue: no list price`);
  const spec: PoolSpec = {
    name,
    modelId: pool.model,
    gpuId: placed.gpu?.id ?? null,
    replicas: pool.replicas ?? 1,
    tensorParallel: setup.tensorParallel,
    engine,
    limits: limits.limits,
    step: step.step,
    pipelineStages: setup.pipelineParallel ?? 1,
    dataParallelRanks: ranks,
    ranksInLockStep: ranks > 1 && model !== null && model.moe !== null,
    speculative: speculative.speculative,
    kvTiers: tiers.tiers,
    disaggregation: null,
    kvBytesPerToken: replicaKvBytes(setup),
    scheduling: { policy: pool.limits?.scheduling_policy ?? 'fcfs', options: {} },
    retention: retentionOf(pool),
    scaling: scaling.scaling,
    coldStart: cold.coldStart,
    spot: pool.spot === undefined ? null : { perSec: pool.spot.rate, noticeMs: pool.spot.notice ?? 30_000 },
    frontEnd: frontEndOf(pool, step.step),
    place: pool.place ?? null,
    endpoints: live,
    usdPerGpuHour: paid.usdPerGpuHour,
    evidence: lines.map(line => `${name}: ${line}`),
  };
  return { spec, issues };
}

// ---- what a replica is made of ----------------------------------------------------------------------------------

/** The engine whose scheduler it has: NIM is a container around one of the others. */
const engineOf = ({ engine = 'vllm', nim }: PoolFile): EngineKind =>
  engine === 'nim' ? (nim?.backend ?? 'tensorrt-llm') : engine;

interface Parts {
  model: Model | null;
  gpu: Gpu | null;
  draft: Model | null;
}

/** The setup, and the pool as its container runs it. */
function replicaOf(
  pool: PoolFile,
  parts: Parts,
  engine: EngineKind,
): { pool: PoolFile; setup: ReplicaSetup; evidence: string[] } {
  const { model, gpu } = parts;
  const setup: ReplicaSetup = {
    ...parts,
    tensorParallel: pool.tensor_parallel ?? 1,
    pipelineParallel: pool.pipeline_parallel ?? 1,
    // vLLM spreads experts over all data-parallel ranks, whole or in parts [docs: data parallel deployment].
    expertRanks: model === null || model.moe === null ? 1 : (pool.data_parallel ?? 1),
    weights: pool.precision?.weights ?? 'bf16',
    kv: pool.precision?.kv ?? 'bf16',
    asyncScheduling: pool.limits?.async_scheduling ?? true,
  };
  if (pool.engine !== 'nim') return { pool, setup, evidence: [] };
  // KV reuse is off in a NIM unless NIM_ENABLE_KV_CACHE_REUSE says otherwise (policies §1.9).
  const contained = { ...pool, limits: { enable_prefix_caching: false, ...pool.limits } };
  const profile = pool.nim?.profile ?? 'throughput';
  const fewest =
    pool.tensor_parallel !== undefined || model === null || gpu === null
      ? null
      : fewestGpus(contained, { ...setup, model, gpu }, engine);
  const most = gpu?.scaleUpDomainGpus ?? 1;
  const tensorParallel =
    fewest === null ? setup.tensorParallel : Math.min(profile === 'latency' ? 2 * fewest : fewest, most);
  const reuse = contained.limits.enable_prefix_caching ? 'on' : 'off';
  return {
    pool: contained,
    setup: { ...setup, tensorParallel },
    evidence: [`nim: ${engine}, profile ${profile}, tensor_parallel ${tensorParallel}, KV reuse ${reuse}`],
  };
}

/** KV bytes of one token on all GPUs of one engine; null where the model is not known. */
function replicaKvBytes({ model, kv, tensorParallel }: ReplicaSetup): number | null {
  const perGpu = model === null ? null : kvBytesPerToken(model, kv, tensorParallel);
  return perGpu === null ? null : perGpu * tensorParallel;
}

/** Why KV blocks cannot be moved: nobody knows how large they are. */
function unknownKvBytes(pool: PoolFile, setup: ReplicaSetup, path: InputPath, need: string): Issue | null {
  if (replicaKvBytes(setup) !== null) return null;
  const at = [...path, 'model'];
  if (setup.model === null) return unknownEntry('model', pool.model, at);
  return unknownFigure(at, pool.model, 'kvBytesPerTokenBf16', need, 'use a model whose KV bytes are known');
}

function speculativeOf(
  pool: PoolFile,
  path: InputPath,
  added: readonly Model[],
): { speculative: Speculative | null; draft: Model | null; evidence: string[]; issues: Issue[] } {
  const { speculative: file } = pool;
  if (file === undefined) return { speculative: null, draft: null, evidence: [], issues: [] };
  const at = [...path, 'speculative'];
  const issues: Issue[] = [];
  const draft = file.model === undefined ? null : findModel(file.model, added);
  if (file.model !== undefined && draft === null)
    issues.push(unknownEntry('model', file.model, [...at, 'model'], added));
  const accepted = file.accepted ?? acceptedTokens(pool.model, file.method, file.tokens);
  if (accepted === null) {
    const hint = `no acceptance was measured for ${pool.model} with ${file.tokens} drafted tokens: give the mean tokens of a step`;
    issues.push(issue([...at, 'accepted'], 'WT1004', 'missing key "accepted"', hint));
  } else if (accepted > file.tokens + 1) {
    const message = `a step that drafts ${file.tokens} tokens yields at most ${file.tokens + 1}, not ${accepted}`;
    issues.push(issue([...at, 'accepted'], 'WT1005', message));
  }
  return {
    speculative: accepted === null ? null : { draftTokens: file.tokens, acceptedTokens: accepted },
    draft,
    evidence:
      file.accepted === undefined && accepted !== null
        ? [`a step with ${file.tokens} drafted tokens yields ${accepted}: InferenceX, coding prompts`]
        : [],
    issues,
  };
}

function tiersOf(
  pool: PoolFile,
  setup: ReplicaSetup,
  limits: EngineLimits | null,
  path: InputPath,
): { tiers: KvTier[]; issues: Issue[] } {
  const tiers = (pool.kv_tiers ?? []).map(
    ({ tier, capacity, read, write = read, latency = 0, shared = false }): KvTier => ({
      tier,
      capacityBytes: capacity,
      readBytesPerSec: read,
      writeBytesPerSec: write,
      latencyMs: latency,
      shared,
    }),
  );
  if (tiers.length === 0) return { tiers, issues: [] };
  const unknown = unknownKvBytes(pool, setup, path, 'what a tier holds');
  if (unknown !== null) return { tiers, issues: [unknown] };
  return { tiers, issues: limits === null ? [] : uselessTiers(tiers, setup, limits, path) };
}

/** Tiers that could never hold a block, and all of them where nobody looks for one. */
function uselessTiers(
  tiers: readonly KvTier[],
  setup: ReplicaSetup,
  { prefixCaching, blockTokens }: EngineLimits,
  path: InputPath,
): Issue[] {
  const at = [...path, 'kv_tiers'];
  if (!prefixCaching) {
    const message = 'KV tiers keep prefixes, and prefix caching is off';
    return [
      issue(at, 'WT1005', message, 'give limits.enable_prefix_caching: true, or leave out `kv_tiers`', {
        atKey: true,
      }),
    ];
  }
  const blockBytes = Math.ceil((replicaKvBytes(setup) ?? 0) * blockTokens);
  return [...tiers.entries()]
    .filter(([, { capacityBytes }]) => capacityBytes < blockBytes)
    .map(([index, { capacityBytes }]) => {
      const message = `${Math.round(capacityBytes)} bytes hold no KV block of ${blockTokens} tokens, ${blockBytes} bytes`;
      return issue([...at, index, 'capacity'], 'WT1203', message, 'give it more, or leave the tier out');
    });
}

/** As the file says, else as the step was measured. */
function frontEndOf({ api_latency: ms, replicas = 1 }: PoolFile, step: StepModel): FrontEnd {
  if (ms !== undefined) return { ...NO_FRONT_END, ms };
  const { serialMs, ...shared } = step.frontEnd ?? NO_FRONT_END;
  // Each replica has its own.
  return { ...shared, serialMs: serialMs / Math.max(1, replicas) };
}

/** The least recently used first is what engines do by themselves. */
function retentionOf({ retention }: PoolFile): PolicyChoice | null {
  if (retention === undefined || retention.policy === 'lru') return null;
  const { policy, ...options } = retention;
  return { policy, options };
}

/** A server that the file says nothing of is one of the pool's engine. */
function endpoints(pool: PoolFile): Endpoint[] {
  const usual: ServerKind = pool.engine ?? 'vllm';
  return (pool.endpoints ?? []).map(each => resolveEndpoint(each, each.model, usual));
}

/** vLLM refuses a priority unless it schedules by it. */
const priorityIssues = ({ endpoints = [], limits }: PoolFile, path: InputPath): Issue[] =>
  endpoints.flatMap(({ hints = [] }, index) => {
    if (!hints.includes('priority') || limits?.scheduling_policy !== undefined) return [];
    const message = 'the server is told a priority, and the pool schedules by arrival';
    const hint = 'give the pool limits.scheduling_policy: priority, as the server has it';
    return [issue([...path, 'endpoints', index, 'hints'], 'WT1005', message, hint)];
  });

function price(pool: PoolFile, gpu: Gpu | null): { usdPerGpuHour: number | null; evidence: string[] } {
  if (pool.price !== undefined) return { usdPerGpuHour: pool.price, evidence: [] };
  const first = gpu?.prices[0];
  if (gpu === null) return { usdPerGpuHour: null, evidence: [] };
  if (first === undefined)
    return { usdPerGpuHour: null, evidence: [`no price is known for ${gpu.id}: give \`price\``] };
  const line = `${first.usdPerGpuHour} USD per GPU-hour: ${first.provider}, ${first.asOf}`;
  return { usdPerGpuHour: first.usdPerGpuHour, evidence: [line] };
}

// ---- prefill and decode apart -----------------------------------------------------------------------------------

/** The decode half, which holds the whole sequence, is the pool; the prefill half stands behind its link. */
function resolveHalves(name: string, pool: PoolFile, path: InputPath, added: readonly Model[]): ResolvedPool {
  const [prefill, decode] = HALVES.map(half =>
    resolveReplicas(name, halfOf(pool, half), [...path, half], added),
  ) as [ResolvedPool, ResolvedPool];
  const same = (a: Issue, b: Issue): boolean => a.message === b.message && a.path.join() === b.path.join();
  const issues = [
    ...prefill.issues,
    ...decode.issues.filter(each => !prefill.issues.some(other => same(each, other))),
  ];
  if (prefill.spec === null || decode.spec === null) return { spec: null, issues };
  const model = findModel(pool.model, added);
  issues.push(...handoverIssues(pool, prefill.spec, decode.spec, model, path));
  if (issues.some(each => each.severity === 'error')) return { spec: null, issues };
  const evidence = [
    ...prefill.spec.evidence.map(line => line.replace(`${name}: `, `${name}: prefill: `)),
    ...decode.spec.evidence.map(line => line.replace(`${name}: `, `${name}: decode: `)),
  ];
  const disaggregation = disaggregationOf(pool, prefill.spec, model);
  return { spec: { ...decode.spec, disaggregation, evidence }, issues };
}

/** Blocks are handed over as they are: both halves must keep them alike, and somebody must know how large they are. */
function handoverIssues(
  pool: PoolFile,
  prefill: PoolSpec,
  decode: PoolSpec,
  model: Model | null,
  path: InputPath,
): Issue[] {
  const issues: Issue[] = [];
  const kv = HALVES.map(half => halfOf(pool, half).precision?.kv ?? 'bf16');
  if (kv[0] !== kv[1]) {
    const message = `prefill keeps KV in ${kv[0]}, decode in ${kv[1]}: blocks cannot be handed over`;
    issues.push(
      issue([...path, 'decode'], 'WT1005', message, 'give both the same precision.kv', { atKey: true }),
    );
  }
  if (prefill.limits.blockTokens !== decode.limits.blockTokens) {
    const message = `blocks of ${prefill.limits.blockTokens} tokens cannot become blocks of ${decode.limits.blockTokens}`;
    issues.push(
      issue([...path, 'decode'], 'WT1005', message, 'give both the same limits.block_size', { atKey: true }),
    );
  }
  if (decode.kvBytesPerToken === null)
    issues.push(
      model === null
        ? unknownEntry('model', pool.model, [...path, 'model'])
        : unknownFigure(
            [...path, 'model'],
            pool.model,
            'kvBytesPerTokenBf16',
            'what crosses the link',
            'join the halves',
          ),
    );
  if (pool.link?.overlap === true && model !== null && model.numLayers === null)
    issues.push(
      unknownFigure([...path, 'model'], pool.model, 'numLayers', 'overlap', 'give link.overlap: false'),
    );
  return issues;
}

function disaggregationOf(pool: PoolFile, prefill: PoolSpec, model: Model | null): Disaggregation {
  const { bandwidth, latency, overlap, first_token, local_below } = pool.link as NonNullable<
    PoolFile['link']
  >;
  const { replicas, limits, step, gpuId, tensorParallel, usdPerGpuHour, scaling, coldStart, spot } = prefill;
  return {
    prefill: { replicas, limits, step, gpuId, tensorParallel, usdPerGpuHour, scaling, coldStart, spot },
    linkBytesPerSec: bandwidth,
    linkLatencyMs: latency ?? 0,
    overlapLayers: overlap === true ? (model?.numLayers ?? null) : null,
    firstToken: first_token ?? (prefill.engine === 'tensorrt-llm' ? 'prefill' : 'decode'),
    localBelowTokens: local_below ?? 0,
  };
}
