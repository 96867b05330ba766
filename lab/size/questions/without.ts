// `--without NAME`: a place, a pool, a provider or some replicas fail in the midst of the busiest stretch. What becomes of
// the promises, how long until all is as before, and what would hold?
import type { DeploymentSpec } from '../../../engines/engine.ts';
import { drawn } from '../../../reports/charts/chart.ts';
import {
  plural,
  showCount,
  showMs,
  showNumber,
  showRatio,
  showUsd,
  showValue,
} from '../../../reports/numbers.ts';
import { type WithoutParts, withoutChart } from '../../../reports/size/charts/without.ts';
import { judgeTally } from '../../../reports/tally/judge.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import { didYouMean } from '../../../scenarios/formats/suggest.ts';
import { mergedTally, type RunTally } from '../../../scenarios/formats/tally.ts';
import type { Trial } from '../evaluate.ts';
import { usedOf } from '../kept.ts';
import type { Asking, Question } from '../question.ts';
import { type Played, played } from '../traffic.ts';
import { fewest, replicasMin, replicasOf, resized } from './replicas.ts';
import { PIECE_MS } from './tallies-measure.ts';
import { evaluated } from './trial.ts';

const MEASURE = new URL('./tallies-measure.ts', import.meta.url).href;

/** What fails: so many replicas of pools, and whole providers. */
export interface Failing {
  readonly what: string;
  readonly replicas: readonly { readonly pool: string; readonly count: number }[];
  readonly providers: readonly string[];
}

/** `pools.main/1`, `main`, `providers.mistral`, `places.eu`… */
export function failingOf(
  { pools, hosted }: Pick<DeploymentSpec, 'pools' | 'hosted'>,
  name: string,
): Failing {
  const [path = '', count] = name.split('/');
  const [kind, bare] = /^(pools|providers|places)\.(.+)$/.exec(path)?.slice(1) ?? [null, path];
  const isAsked = (each: string): boolean => kind === null || kind === each;
  const all = ({ replicas, scaling }: (typeof pools)[number]): number =>
    scaling === null ? replicas : Math.max(replicas, scaling.min);
  const pool = isAsked('pools') ? pools.find(each => each.name === bare) : undefined;
  if (pool !== undefined) {
    const lost = count === undefined ? all(pool) : Number(count);
    if (!(Number.isInteger(lost) && lost > 0 && lost <= all(pool)))
      throw new UserError(`--without ${name}: pool "${pool.name}" has ${plural(all(pool), 'replica')}`, {
        hint: `e.g. --without pools.${pool.name}/1`,
      });
    return {
      what: lost === all(pool) ? `pool ${pool.name}` : `${plural(lost, 'replica')} of pool ${pool.name}`,
      replicas: [{ pool: pool.name, count: lost }],
      providers: [],
    };
  }
  const names = [...new Set(hosted.map(({ provider }) => provider))];
  if (isAsked('providers') && names.includes(bare!))
    return { what: `provider ${bare}`, replicas: [], providers: [bare!] };
  if (isAsked('places')) {
    const there = pools.filter(({ place }) => place === bare);
    const sold = [
      ...new Set(hosted.filter(({ api }) => api?.place === bare).map(({ provider }) => provider)),
    ];
    if (there.length + sold.length > 0)
      return {
        what: `place ${bare} (${[...there.map(each => `pool ${each.name}`), ...sold].join(', ')})`,
        replicas: there.map(each => ({ pool: each.name, count: all(each) })),
        providers: sold,
      };
  }
  const places = [...pools.map(({ place }) => place), ...hosted.map(({ api }) => api?.place ?? null)];
  const known = [
    ...pools.map(each => `pools.${each.name}`),
    ...names.map(each => `providers.${each}`),
    ...[...new Set(places.filter(place => place !== null))].map(place => `places.${place}`),
  ];
  throw new UserError(`--without ${name}: this deployment has nothing of that name that serves`, {
    hint: didYouMean(name, known) ?? `there: ${known.join(', ')}; pools.NAME/1 for one replica`,
  });
}

/** When it fails, ms of the run, in whole pieces: a quarter of the stretch before, half of it during, a quarter after. */
interface When {
  readonly beginMs: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly endMs: number;
}

function whenOf(judged: NonNullable<Played['judged']>): When {
  const whole = (ms: number): number => Math.round(ms / PIECE_MS) * PIECE_MS;
  const spanMs = judged.toMs - judged.fromMs;
  return {
    beginMs: whole(judged.fromMs),
    fromMs: whole(judged.fromMs + spanMs / 4),
    toMs: whole(judged.fromMs + (spanMs * 3) / 4),
    endMs: whole(judged.toMs),
  };
}

/** Lost replicas are replaced when it is over; a provider answers again then. */
function failed(
  { candidate, evaluator, stretch, seeds, deployment }: Asking,
  failing: Failing,
  { fromMs, toMs }: When,
): Trial {
  const forMs = toMs - fromMs;
  const faults = [
    ...(evaluator.loaded.file?.faults ?? []),
    ...failing.replicas.flatMap(({ pool, count }) =>
      Array.from({ length: count }, () => ({ fault: 'replica_crash', target: pool, at: `${fromMs}ms` })),
    ),
    ...failing.providers.map(target => ({
      fault: 'provider_outage',
      target,
      at: `${fromMs}ms`,
      for: `${forMs}ms`,
      share: '100%',
    })),
  ];
  const cold = failing.replicas.map(
    ({ pool }) => `pools.${pool}.cold_start=${forMs + coldMs(deployment, pool)}ms`,
  );
  return {
    candidate: {
      ...candidate,
      deployment: { ...candidate.deployment, set: [...candidate.deployment.set, ...cold] },
    },
    stretch,
    seeds,
    set: [`faults=${JSON.stringify(faults)}`],
    measure: MEASURE,
  };
}

const coldMs = ({ pools }: DeploymentSpec, pool: string): number =>
  pools.find(({ name }) => name === pool)?.coldStart?.medianMs ?? 0;

type Pieces = readonly (readonly RunTally[])[];

/** All seeds together, of pieces planned from one instant to before another; null: nothing was. */
function tallyOf(seeds: Pieces, fromMs: number, toMs: number): RunTally | null {
  const [first, ...rest] = seeds.flatMap(pieces => pieces.slice(fromMs / PIECE_MS, toMs / PIECE_MS));
  return first === undefined ? null : mergedTally([first, ...rest]);
}

/** More calls without an answer than this are a promise broken, whether one was made or not. */
const LOST_RATIO = 0.01;
/** Pieces that are looked at together when one asks whether all is as before. */
const WINDOW = 3;
/** So much worse than without the fault is no accident, though the promise may be kept. */
const AS_BEFORE_RATIO = 1.25;

async function ask(asking: Asking, value: string): ReturnType<Question['ask']> {
  const { evaluator, deployment, candidate, stretch, seeds } = asking;
  const { plan, loaded } = evaluator;
  const failing = failingOf(deployment, value);
  if (loaded.kind !== 'scenario' || loaded.file === null)
    throw new UserError('--without needs a scenario: a trace or a written plan cannot be given a fault', {
      hint: 'windtunnel fit TRACE makes a scenario of a trace',
    });
  const { judged } = played(loaded, plan, stretch, 1);
  const when = whenOf(judged ?? { fromMs: stretch.warmMs, toMs: stretch.warmMs + stretch.spanMs });
  asking.tell(`without ${failing.what}`);
  const [usual, without] = (await evaluated(asking, [
    { candidate, stretch, seeds, measure: MEASURE },
    failed(asking, failing, when),
  ])) as [Awaited<ReturnType<typeof evaluated>>[number], Awaited<ReturnType<typeof evaluated>>[number]];
  const [before, after] = [usual.measured as Pieces, without.measured as Pieces];
  const { assertions } = plan;
  const judgedIn = (seedsOf: Pieces, fromMs: number, toMs: number) => {
    const tally = tallyOf(seedsOf, fromMs, toMs);
    return assertions.map((assertion, i) => {
      const value = tally === null ? null : judgeTally(assertions, tally)[i]!.value;
      return { value, used: usedOf(assertion, value) };
    });
  };
  const phases = [
    judgedIn(after, when.beginMs, when.fromMs),
    judgedIn(after, when.fromMs, when.toMs),
    judgedIn(after, when.toMs, when.endMs),
    judgedIn(before, when.fromMs, when.toMs),
  ] as const;
  const promises = usual.promises.map(({ text, unit }, i) => ({
    text,
    before: phases[0][i]!.used,
    during: phases[1][i]!.used,
    after: phases[2][i]!.used,
    usual: phases[3][i]!.used,
    shown: {
      before: showValue(phases[0][i]!.value, unit),
      during: showValue(phases[1][i]!.value, unit),
      after: showValue(phases[2][i]!.value, unit),
    },
  }));
  const points: WithoutParts['points'][number][] = [];
  for (let atMs = when.beginMs; atMs + WINDOW * PIECE_MS <= when.endMs; atMs += PIECE_MS) {
    const worst = (seedsOf: Pieces): number | null => {
      const used = judgedIn(seedsOf, atMs, atMs + WINDOW * PIECE_MS).flatMap(each => each.used ?? []);
      return used.length === 0 ? null : Math.max(...used);
    };
    points.push({ atMs: atMs + (WINDOW * PIECE_MS) / 2, usual: worst(before), without: worst(after) });
  }
  const isAsBefore = ({ usual: own, without: other }: (typeof points)[number]): boolean =>
    other === null || other <= Math.max(1, (own ?? 0) * AS_BEFORE_RATIO);
  const lastBad = points.findLast(point => point.atMs >= when.fromMs && !isAsBefore(point));
  const recoverMs =
    lastBad === undefined
      ? 0
      : lastBad === points.at(-1)
        ? null
        : Math.max(0, lastBad.atMs + PIECE_MS - when.toMs);
  const during = tallyOf(after, when.fromMs, when.toMs);
  const unanswered = (seedsOf: Pieces): number => {
    const { error = 0, unfinished = 0 } = tallyOf(seedsOf, when.beginMs, when.endMs)?.calls ?? {};
    return error + unfinished;
  };
  // Those that ran when it failed were planned before.
  const lost = Math.max(0, unanswered(after) - unanswered(before));
  const allCalls = during === null ? 0 : Object.values(during.calls).reduce((sum, each) => sum + each, 0);
  const lostRatio = allCalls === 0 ? 0 : Math.min(1, lost / allCalls);
  // Promises on latencies know nothing of calls that never get an answer.
  const isLost = lostRatio > LOST_RATIO;
  const broken = promises.filter(each => (each.during ?? 0) > 1 && (each.usual ?? 0) <= 1);
  const brokenBefore = promises.filter(each => (each.usual ?? 0) > 1);
  const worst = broken.toSorted((a, b) => b.during! - a.during!)[0];
  const needs = await neededText(asking, failing, broken.length > 0 || isLost);
  const data: WithoutParts = { what: failing.what, lostCallRatio: lostRatio, when, points, promises };
  const recovery =
    recoverMs === null
      ? `not as before within ${showMs(when.endMs - when.toMs)} after it`
      : recoverMs === 0
        ? 'as before at once when it is over'
        : `as before ${showMs(recoverMs)} after it`;
  return {
    title: `Without ${failing.what} for ${showMs(when.toMs - when.fromMs)} ${
      isLost
        ? `${showRatio(lostRatio)} of the calls ${unanswered(before) > 0 ? 'more than usual ' : ''}get no answer`
        : worst === undefined
          ? 'every promise holds that holds otherwise'
          : `${worst.text} breaks: ${worst.shown.during} meanwhile, ${worst.shown.before} before`
    }; ${recovery} (${plural(seeds, 'seed')})`,
    lines: [
      `Calls that come meanwhile: ${showCount(allCalls / seeds)}; without an answer, those that ran when it failed included: ${showCount(lost / seeds)} more than usual (${showRatio(lostRatio)})${reasonsText(tallyOf(after, when.beginMs, when.endMs), seeds)}.`,
      ...promises
        .filter(each => each.during !== null)
        .map(
          each =>
            `${each.text}: ${each.shown.before} before, ${each.shown.during} meanwhile, ${each.shown.after} after.`,
        ),
      ...(promises.some(each => each.during === null)
        ? [
            `Not judged over so short a time: ${promises.flatMap(each => (each.during === null ? [each.text] : [])).join(', ')}.`,
          ]
        : []),
      ...(brokenBefore.length > 0
        ? [`Broken even without it: ${brokenBefore.map(({ text }) => text).join(', ')}.`]
        : []),
      gatewayText(deployment, failing),
      ...needs.lines,
      `Assumed: it fails at once, in the midst of the stretch (${showMs(when.fromMs)} to ${showMs(when.toMs)}); calls that run on a lost replica end in an error and count when they came, which is before it, those that come while a pool has none wait for one; replicas are back together, with cold caches.`,
    ],
    data: {
      ...data,
      recoverMs,
      needed: needs.replicas,
      runs: evaluator.runs,
    },
    charts: [drawn(withoutChart, data)],
    isMet: broken.length === 0 && !isLost,
  };
}

/** ` (http_503: 12)`, most first. */
function reasonsText(tally: RunTally | null, seeds: number): string {
  const errors = Object.entries(tally?.errors ?? {}).sort((a, b) => b[1] - a[1]);
  return errors.length === 0
    ? ''
    : ` (${errors
        .slice(0, 3)
        .map(([reason, count]) => `${reason}: ${showNumber(count / seeds)} a run`)
        .join(', ')})`;
}

function gatewayText({ gateway, pools, hosted }: DeploymentSpec, { replicas, providers }: Failing): string {
  const targets = [
    ...replicas.map(({ pool }) => pool),
    ...hosted.filter(({ provider }) => providers.includes(provider)).map(({ name }) => name),
  ];
  const ruled = targets.filter(target => gateway?.fallback.has(target) ?? false);
  if (ruled.length > 0)
    return `The gateway sends what fails of ${ruled.join(', ')} elsewhere, by its fallback rules.`;
  const isAll = replicas.every(
    ({ pool, count }) => count >= (pools.find(({ name }) => name === pool)?.replicas ?? 0),
  );
  return isAll
    ? 'No fallback of the gateway names it, so its calls have nowhere else to go: gateway.fallback would send them to another pool or an API.'
    : 'The router spreads its calls over the replicas that are left.';
}

/** How many replicas carry the traffic alone: so many must be left. */
async function neededText(
  asking: Asking,
  { replicas }: Failing,
  isBroken: boolean,
): Promise<{ lines: string[]; replicas: number | null }> {
  const { deployment, seeds } = asking;
  const now = replicasOf(deployment);
  const count = replicas.reduce((sum, each) => sum + each.count, 0);
  if (!isBroken) return { lines: [], replicas: null };
  if (count === 0)
    return {
      lines: [
        'To hold: another provider or a pool of your own in gateway.fallback, and a breaker that notices; windtunnel study outage compares them.',
      ],
      replicas: null,
    };
  asking.tell('replicas that carry it alone');
  const [found] = await fewest(asking, {
    loads: [1],
    candidateOf: each => resized(asking, each),
    min: replicasMin(deployment),
    max: 4 * now,
    guess: () => Math.max(replicasMin(deployment), now - count),
    isGuessNear: false,
    seeds,
  });
  const alone = found?.replicas ?? null;
  if (alone === null)
    return {
      lines: [
        `To hold: more than ${showCount(4 * now)} replicas; more of them alone do not keep the promises.`,
      ],
      replicas: null,
    };
  const wanted = alone + count;
  const usd = resized(asking, wanted).usdPerHour;
  const whole = count >= now;
  return {
    lines: [
      wanted <= now
        ? `In the long run ${plural(alone, 'replica')} would do, so the ${showCount(now)} of today are enough: what breaks is the moment of the failure itself, calls that were running and caches that are cold; retries and a fallback help there.`
        : `To hold: ${plural(alone, 'replica')} must be left to carry the traffic, so ${whole ? `as many again elsewhere, ${showCount(wanted)} in all` : `${showCount(wanted)} in place of ${showCount(now)}`}${usd === null ? '' : ` (${showUsd(usd)} an hour)`}.`,
    ],
    replicas: wanted,
  };
}

export const without: Question = {
  name: 'without',
  describe: 'what if this fails: a place, a pool, a provider, or pools.NAME/1 for one replica',
  isFlag: false,
  ask,
};
