// `--models a,b,c`: which model keeps the promises on these GPUs, with how many of them, and at what cost?
import { findModel } from '../../../engines/catalog.ts';
import type { PoolSpec } from '../../../engines/engine.ts';
import { loadDeployment } from '../../../engines/load.ts';
import { serverOf } from '../../../engines/prepare.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { drawn } from '../../../reports/charts/chart.ts';
import { plural, showCount, showRatio, showUsd, showValue } from '../../../reports/numbers.ts';
import { type ModelFit, modelFitChart } from '../../../reports/size/charts/model-fit.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import type { Candidate } from '../candidate.ts';
import type { Asking, Question } from '../question.ts';
import { fewest } from './replicas.ts';

/** So many times the GPUs of the pool are tried at most, or those of one server. */
const TIMES_MAX = 2;
const GPUS_OF_A_SERVER = 8;

type Mapping = Readonly<Record<string, unknown>>;

/** What belongs to the model that was there: measured steps, drafts, adapters, addresses. */
const OF_THE_MODEL = [
  'model',
  'step',
  'speculative',
  'lora',
  'endpoints',
  'replicas',
  'tensor_parallel',
  'precision',
  'prefill',
  'decode',
  'link',
  'autoscaler',
  'cold_start',
];

interface Fit {
  /** Of the pool, as its file would have it, without replicas. */
  readonly pool: Mapping;
  readonly weights: string;
  readonly tensorParallel: number;
  readonly gpus: number;
  readonly usdPerHour: number | null;
}

/** The pool with the most GPUs: what the question is about. */
const largestPool = (pools: readonly PoolSpec[]): PoolSpec | undefined =>
  pools.reduce<PoolSpec | undefined>(
    (most, pool) =>
      most === undefined || pool.replicas * pool.tensorParallel > most.replicas * most.tensorParallel
        ? pool
        : most,
    undefined,
  );

/** The first of these that the GPUs hold: weights as they are, then in fp8, then on more GPUs. What does not fit is told. */
function fitOf(
  { deployed, candidate }: Asking,
  pool: PoolSpec,
  modelId: string,
  fromGpus: number,
): Fit | string {
  const given = (deployed.source.value as { pools: Record<string, Mapping> }).pools[pool.name]!;
  const kept = Object.fromEntries(Object.entries(given).filter(([key]) => !OF_THE_MODEL.includes(key)));
  const precision = (given.precision ?? {}) as { weights?: string; kv?: string };
  const window = findModel(modelId, deployed.models)?.maxContextTokens ?? Number.POSITIVE_INFINITY;
  const limits = {
    ...(given.limits as Mapping | undefined),
    max_model_len: Math.min(window, pool.limits.maxModelTokens),
  };
  let why = 'it fits no server';
  for (
    let tensorParallel = fromGpus;
    tensorParallel <= Math.max(GPUS_OF_A_SERVER, pool.tensorParallel);
    tensorParallel *= 2
  ) {
    for (const weights of new Set([precision.weights ?? 'bf16', 'fp8'])) {
      const file = {
        ...kept,
        model: modelId,
        limits,
        precision: { ...precision, weights },
        tensor_parallel: tensorParallel,
      };
      const set = [
        ...candidate.deployment.set,
        `pools.${pool.name}=${JSON.stringify({ ...file, replicas: 1 })}`,
      ];
      const { deployment, issues } = loadDeployment(candidate.deployment.input, routingPolicies, set);
      const made = deployment?.pools.find(({ name }) => name === pool.name);
      if (made === undefined) {
        why = issues.find(({ severity }) => severity === 'error')?.message ?? why;
        continue;
      }
      const gpus = made.tensorParallel * made.pipelineStages * made.dataParallelRanks;
      return {
        pool: file,
        weights,
        tensorParallel,
        gpus,
        usdPerHour: made.usdPerGpuHour === null ? null : gpus * made.usdPerGpuHour,
      };
    }
  }
  return why;
}

const candidateOf =
  ({ candidate }: Asking, pool: PoolSpec, modelId: string, fit: Fit) =>
  (replicas: number): Candidate => ({
    name: `${replicas} x ${modelId}`,
    group: modelId,
    replicas,
    choices: { model: modelId, replicas, tp: fit.tensorParallel },
    deployment: {
      input: candidate.deployment.input,
      set: [...candidate.deployment.set, `pools.${pool.name}=${JSON.stringify({ ...fit.pool, replicas })}`],
    },
    gpus: replicas * fit.gpus,
    usdPerHour: fit.usdPerHour === null ? null : replicas * fit.usdPerHour,
  });

type Row = ModelFit['models'][number];

/** The fewest replicas of a model; where no number of them is quick enough, with more GPUs to each. */
async function rowOf(
  asking: Asking,
  pool: PoolSpec,
  model: string,
  aliases: readonly string[],
): Promise<Row> {
  const none = { replicas: null, gpus: null, usdPer1000Workflows: null, usdPerHour: null };
  const gpusMax = Math.max(GPUS_OF_A_SERVER, TIMES_MAX * pool.replicas * pool.tensorParallel);
  let row: Row = {
    model,
    verdict: 'does not fit',
    ...none,
    weights: null,
    tensorParallel: null,
    tightest: null,
    why: null,
  };
  for (let fromGpus = pool.tensorParallel; fromGpus <= GPUS_OF_A_SERVER; ) {
    const fit = fitOf(asking, pool, model, fromGpus);
    if (typeof fit === 'string') return row.why === null ? { ...row, why: fit } : row;
    asking.tell(`${model}: the fewest replicas of ${plural(fit.gpus, 'GPU')}`);
    const max = Math.max(1, Math.floor(gpusMax / fit.gpus));
    const [found] = await fewest(asking, {
      loads: [1],
      candidateOf: candidateOf(asking, pool, model, fit),
      min: 1,
      max,
      // The most first: if they do not, no number does.
      guess: () => max,
      isGuessNear: false,
      seeds: asking.seeds,
      set: aliases.map(alias => `models.${alias}.model=${model}`),
    });
    const { evaluation, replicas } = found!;
    const { tightest, verdict, usdPerHour, usdPer1000Workflows, trial } = evaluation;
    const { gpus } = trial.candidate;
    const common = {
      model,
      weights: fit.weights,
      tensorParallel: fit.tensorParallel,
      tightest:
        tightest === null
          ? null
          : {
              text: tightest.text,
              shown: showValue(tightest.value, tightest.unit),
              marginRatio: tightest.marginRatio,
            },
    };
    if (replicas !== null)
      return {
        ...common,
        verdict: verdict === 'unsure' ? 'unsure' : 'kept',
        replicas,
        gpus,
        usdPer1000Workflows,
        usdPerHour,
        why: null,
      };
    const still =
      tightest === null ? 'nothing completes' : `${tightest.text} is still ${common.tightest!.shown}`;
    const broken: Row = {
      ...common,
      verdict: 'broken',
      ...none,
      why: `with ${plural(gpus, 'GPU')}, ${fit.tensorParallel} to a replica, ${still}`,
    };
    if (row.tightest === null || (tightest?.marginRatio ?? -Infinity) > row.tightest.marginRatio)
      row = broken;
    fromGpus = 2 * fit.tensorParallel;
  }
  return row;
}

async function ask(asking: Asking, value: string): ReturnType<Question['ask']> {
  const { deployment, deployed, evaluator, seeds } = asking;
  const pool = largestPool(deployment.pools);
  if (pool === undefined)
    throw new UserError('--models: this deployment has no pool: it buys all of it', {
      hint: 'give -d a deployment with GPUs',
    });
  const ids = [
    ...new Set(
      value
        .split(',')
        .map(each => each.trim())
        .filter(each => each !== ''),
    ),
  ];
  const unknown = ids.find(id => findModel(id, deployed.models) === null);
  if (ids.length === 0 || unknown !== undefined)
    throw new UserError(
      `--models ${value}: ${unknown === undefined ? 'expected names of models' : `the catalogue has no open model "${unknown}"`}`,
      {
        hint: 'windtunnel catalog models lists them, e.g. --models ministral-3-14b,mistral-small-4',
      },
    );
  const { plan } = evaluator;
  // Aliases that this pool serves go on to do so, whatever the model is called.
  const aliases = [...plan.models.keys()].filter(alias => {
    const server = serverOf(alias, plan, deployment);
    return server?.kind === 'pool' && server.pool === pool;
  });
  const others = deployment.pools.filter(each => each !== pool);
  const models: Row[] = [];
  for (const id of ids) models.push(await rowOf(asking, pool, id, aliases));
  const data: ModelFit = { gpu: pool.gpuId ?? 'this server', models };
  const fitting = models.filter(({ verdict }) => verdict === 'kept' || verdict === 'unsure');
  const cheapest = fitting.toSorted((a, b) => (a.usdPerHour ?? Infinity) - (b.usdPerHour ?? Infinity))[0];
  const closest = models
    .filter(({ tightest }) => tightest !== null)
    .toSorted((a, b) => b.tightest!.marginRatio - a.tightest!.marginRatio)[0];
  const sure =
    cheapest?.verdict === 'kept'
      ? `kept by the whole interval over ${seeds} seeds`
      : `kept on average, not by the whole interval over ${seeds} seeds`;
  const title =
    cheapest === undefined
      ? `None of ${ids.join(', ')} keeps the promises on ${data.gpu}${closest === undefined ? '' : `; ${closest.model} comes closest: ${closest.why}`}`
      : `${fitting.length === ids.length ? `All ${showCount(ids.length)}` : `${fitting.length} of ${ids.length}`} models keep the promises; cheapest is ${cheapest.model} on ${plural(cheapest.gpus!, 'GPU')}${cheapest.usdPer1000Workflows === null ? '' : `, ${showUsd(cheapest.usdPer1000Workflows)} per 1,000 workflows`} (${seeds === 1 ? 'one seed' : sure})`;
  return {
    title,
    lines: [
      ...models.map(each =>
        each.replicas === null
          ? `${each.model}: ${each.verdict === 'broken' ? `broken, ${each.why}` : `does not fit: ${each.why}`}.`
          : `${each.model}: ${plural(each.replicas, 'replica')} of ${plural(each.tensorParallel!, 'GPU')}, weights in ${each.weights}${each.usdPer1000Workflows === null ? '' : `, ${showUsd(each.usdPer1000Workflows)} per 1,000 workflows`}; ${each.tightest === null ? 'no promise has a value' : `tightest ${each.tightest.text} at ${each.tightest.shown}, ${showRatio(each.tightest.marginRatio)} of room`}.`,
      ),
      'Quality is not judged: a larger model may need fewer turns, a smaller one may fail where this says nothing.',
      `Assumed: the same tokens for every model, the same GPU (${data.gpu}) and router; weights in fp8 where they do not fit, then more GPUs to a replica where they still do not or where it is too slow; step times by physics where a profile was of another model.${others.length === 0 ? '' : ` Other pools stay as they are and are not in the price: ${others.map(({ name }) => name).join(', ')}.`}`,
    ],
    data: { ...data, runs: evaluator.runs },
    charts: [drawn(modelFitChart, data)],
    isMet: cheapest !== undefined,
  };
}

export const models: Question = {
  name: 'models',
  describe: 'which of these models keeps the promises, at what cost, e.g. ministral-3-14b,mistral-small-4',
  isFlag: false,
  ask,
};
