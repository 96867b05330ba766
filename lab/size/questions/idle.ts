// `--idle`: let a pool scale to zero, or keep a replica warm? The same traffic with an autoscaler whose least is 0 and 1,
// at its own rate and at lower ones.
import type { PoolSpec } from '../../../engines/engine.ts';
import { drawn } from '../../../reports/charts/chart.ts';
import { HOURS_PER_MONTH } from '../../../reports/money.ts';
import { plural, showCount, showMs, showNumber, showRatio, showUsd } from '../../../reports/numbers.ts';
import { type IdleCosts, idleChart } from '../../../reports/size/charts/idle.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import { mean } from '../../../scenarios/base/statistics.ts';
import type { Candidate } from '../candidate.ts';
import type { Evaluation, Trial } from '../evaluate.ts';
import { keeps } from '../kept.ts';
import type { Asking, Question } from '../question.ts';
import { type Stretch, trafficKind } from '../traffic.ts';
import type { MetCold } from './cold-measure.ts';
import { evaluated, firstBroken } from './trial.ts';

const MEASURE = new URL('./cold-measure.ts', import.meta.url).href;

/** vLLM 0.18, a 70B model in fp8 on an H100, weights on local disk (Spheron, March 2026; policies.md §3.6). */
const MEASURED_COLD_MS = 62_000;
/** Calls in flight for each replica that KEDA aims at where the deployment has no autoscaler (study from-zero). */
const TARGET = 15;
/** Autoscalers that go to zero by themselves. */
const TO_ZERO = ['keda', 'knative', 'wva', 'dynamo', 'workflow-aware'];

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Of steady traffic, so many workflows tell enough; but not less than an hour. */
const WORKFLOWS = 240;
/** Workflows an hour that are looked at beside the traffic's own. */
const RATES = [1, 4, 12, 30, 60];
/** Less than this share of a warm replica's cost is no reason to wait for cold starts. */
const PAYS_RATIO = 0.1;

interface Ways {
  readonly zero: Candidate;
  readonly warm: Candidate;
  readonly coldMs: number;
  readonly isColdGiven: boolean;
  readonly scaler: string;
}

type Mapping = Readonly<Record<string, unknown>>;

function waysOf({ candidate, deployed }: Asking, pool: PoolSpec): Ways {
  const file = (deployed.source.value as { pools: Record<string, Mapping> }).pools[pool.name]!;
  const given = file.autoscaler as Mapping | undefined;
  const policy = String(given?.policy ?? '');
  const max = pool.scaling?.max ?? Math.max(1, pool.replicas);
  const scaler: Mapping =
    given !== undefined && TO_ZERO.includes(policy)
      ? given
      : {
          policy: 'keda',
          metric: 'in_flight',
          target: policy === 'hpa' && given?.metric === 'in_flight' ? given.target : TARGET,
          max,
        };
  const at = `pools.${pool.name}`;
  const cold = pool.coldStart === null ? [`${at}.cold_start=${MEASURED_COLD_MS}ms`] : [];
  const way = (min: number): Candidate => ({
    ...candidate,
    name: min === 0 ? 'scale to zero' : 'one replica warm',
    deployment: {
      ...candidate.deployment,
      set: [
        ...candidate.deployment.set,
        ...cold,
        // One that was there before: a start from nothing is no sleep.
        `${at}.replicas=1`,
        `${at}.autoscaler=${JSON.stringify({ ...scaler, min })}`,
      ],
    },
    usdPerHour: null,
  });
  return {
    zero: way(0),
    warm: way(1),
    coldMs: pool.coldStart?.medianMs ?? MEASURED_COLD_MS,
    isColdGiven: pool.coldStart !== null,
    scaler: String(scaler.policy),
  };
}

/** A day of traffic that moves; of steady traffic as long as tells enough. */
function stretchFor(kind: ReturnType<typeof trafficKind>, perHour: number, own: Stretch): Stretch {
  if (kind === 'whole') return own;
  if (kind === 'moving') return { warmMs: 0, spanMs: DAY_MS };
  const spanMs = Math.min(DAY_MS, Math.max(HOUR_MS, (WORKFLOWS / Math.max(perHour, 1e-9)) * HOUR_MS));
  return { warmMs: 0, spanMs: Math.ceil(spanMs) };
}

const metOf = ({ measured = [] }: Evaluation): MetCold[] => measured as MetCold[];
const sumOf = (found: readonly MetCold[], of: (each: MetCold) => number): number =>
  found.reduce((sum, each) => sum + of(each), 0);
const meanOf = (values: readonly (number | null)[]): number | null => {
  const known = values.filter(value => value !== null);
  return known.length === 0 ? null : mean(known);
};

function pointOf(zero: Evaluation, warm: Evaluation, workflowsPerHour: number): IdleCosts['points'][number] {
  const found = metOf(zero);
  const workflows = sumOf(found, each => each.workflows);
  return {
    workflowsPerHour,
    zeroUsdPerMonth: zero.usdPerHour! * HOURS_PER_MONTH,
    warmUsdPerMonth: warm.usdPerHour! * HOURS_PER_MONTH,
    metRatio: workflows === 0 ? 0 : sumOf(found, each => each.met) / workflows,
    zeroMsP95: meanOf(found.map(each => each.allMsP95)),
    warmMsP95: meanOf(metOf(warm).map(each => each.allMsP95)),
    keepsPromises: keeps(zero),
  };
}

const savedRatio = ({ zeroUsdPerMonth, warmUsdPerMonth }: IdleCosts['points'][number]): number =>
  warmUsdPerMonth === 0 ? 0 : 1 - zeroUsdPerMonth / warmUsdPerMonth;

/** Where the saving falls below what pays, between the rates that were looked at; null: it does at none, or at all. */
export function paysBelow(points: IdleCosts['points']): number | null {
  const sorted = points.toSorted((a, b) => a.workflowsPerHour - b.workflowsPerHour);
  for (let i = 1; i < sorted.length; i++) {
    const [a, b] = [sorted[i - 1]!, sorted[i]!];
    const [left, right] = [savedRatio(a), savedRatio(b)];
    if (left < PAYS_RATIO || right >= PAYS_RATIO) continue;
    const share = (left - PAYS_RATIO) / (left - right);
    return a.workflowsPerHour * (b.workflowsPerHour / a.workflowsPerHour) ** share;
  }
  return null;
}

async function ask(asking: Asking): ReturnType<Question['ask']> {
  const { deployment, evaluator, stretch, candidate, seeds } = asking;
  const [pool, second] = deployment.pools;
  if (pool === undefined || second !== undefined || pool.disaggregation !== null)
    throw new UserError('--idle looks at a deployment of one aggregated pool', {
      hint:
        pool === undefined
          ? 'an API sleeps for nothing'
          : 'leave the other pools out, or compare autoscalers with windtunnel sweep',
    });
  if (pool.usdPerGpuHour === null)
    throw new UserError(`what pool "${pool.name}" costs is not known`, {
      hint: `give it a price, such as --set pools.${pool.name}.price=2.50/h`,
    });
  const kind = trafficKind(evaluator.loaded, evaluator.plan);
  const ways = waysOf(asking, pool);
  const [usual] = await evaluated(asking, [{ candidate, stretch, seeds: 1 }]);
  const perHour = usual!.workflowsPerHour;
  // A day's curve is a whole; steady traffic may be thinned.
  const rates = kind === 'steady' ? [...RATES.filter(rate => rate < 0.8 * perHour), perHour] : [perHour];
  const trials = rates.flatMap(rate =>
    [ways.zero, ways.warm].map(
      (each): Trial => ({
        candidate: each,
        loadFactor: perHour === 0 ? 1 : rate / perHour,
        stretch: stretchFor(kind, rate, stretch),
        seeds: rate === perHour ? Math.min(seeds, 2) : 1,
        measure: MEASURE,
      }),
    ),
  );
  asking.tell('to zero, and one replica warm');
  const found = await evaluated(asking, trials);
  const points = rates.map((rate, i) => pointOf(found[2 * i]!, found[2 * i + 1]!, rate));
  const own = points.at(-1)!;
  const [zero, warm] = [found.at(-2)!, found.at(-1)!];
  const saved = own.warmUsdPerMonth - own.zeroUsdPerMonth;
  const below = paysBelow(points);
  const broken = firstBroken(zero);
  const [cold] = metOf(zero);
  const data: IdleCosts = { points, paysBelowPerHour: below, coldMs: ways.coldMs };
  const isSleeping = sumOf(metOf(zero), each => each.asleepRatio) > 0;
  const title = !isSleeping
    ? `Keep it warm: at ${showCount(perHour)} workflows/h it never sleeps, so scaling to zero saves next to nothing${below === null ? '' : `; it saves ${showRatio(PAYS_RATIO)} or more below about ${showNumber(below)} workflows/h`}`
    : `Scaling to zero saves ${showUsd(saved)} a month (${showRatio(savedRatio(own))} of one warm replica), and ${showRatio(own.metRatio)} of workflows meet a cold start${broken !== null && keeps(warm) ? `; that breaks ${broken.text}, so keep it warm` : ''}`;
  const paysText =
    below === null
      ? points.every(each => savedRatio(each) < PAYS_RATIO)
        ? `At none of the rates looked at (from ${showNumber(points[0]!.workflowsPerHour)} workflows/h) it saves ${showRatio(PAYS_RATIO)}.`
        : 'It saves at every rate that was looked at.'
      : `It saves ${showRatio(PAYS_RATIO)} of a warm replica or more below about ${showNumber(below)} workflows/h.`;
  return {
    title: `${title} (${plural(Math.min(seeds, 2), 'seed')})`,
    lines: [
      `A month: ${showUsd(own.zeroUsdPerMonth)} from zero, ${showUsd(own.warmUsdPerMonth)} with one replica warm${usual!.usdPerHour === null ? '' : `, ${showUsd(usual!.usdPerHour * HOURS_PER_MONTH)} as it is now`}.`,
      `Workflow p95: ${showMs(own.zeroMsP95)} from zero, ${showMs(own.warmMsP95)} warm${cold?.metMsP95 == null ? '' : `; of those that meet a cold start ${showMs(cold.metMsP95)}`}.`,
      paysText,
      ...points
        .slice(0, -1)
        .map(
          each =>
            `At ${showNumber(each.workflowsPerHour)} ${each.workflowsPerHour === 1 ? 'workflow' : 'workflows'}/h: saves ${showUsd(each.warmUsdPerMonth - each.zeroUsdPerMonth)} a month, ${showRatio(each.metRatio)} meet a cold start, workflow p95 ${showMs(each.zeroMsP95)} in place of ${showMs(each.warmMsP95)}${each.keepsPromises ? '' : ', and a promise breaks'}.`,
        ),
      `Assumed: a cold start of ${showMs(ways.coldMs)}${ways.isColdGiven ? ', as the deployment says' : ' (measured for vLLM with a 70B model in fp8 and weights on local disk, Spheron 2026; a node that must be made first takes minutes: give cold_start)'}; ${ways.scaler} ${pool.scaling === null ? 'on calls in flight with its usual cooldown' : 'as the deployment has it'}; GPUs are given back at once when replicas go; ${kind === 'steady' ? 'lower rates are the same traffic, thinned' : kind === 'moving' ? 'one day of the traffic' : 'the traffic once through'}.`,
    ],
    data: {
      ...data,
      usdSavedPerMonth: saved,
      metRatio: own.metRatio,
      asleepRatio: cold?.asleepRatio ?? 0,
      runs: evaluator.runs,
    },
    charts: [drawn(idleChart, data)],
    isMet: true,
  };
}

export const idle: Question = {
  name: 'idle',
  describe: 'scale to zero or keep a replica warm',
  isFlag: true,
  ask,
};
