// What the study `retention` says of each claim, from its runs.
import { showNumber, showRatio, showSignedRatio } from '../../reports/numbers.ts';
import type { FigureName } from '../../scenarios/formats/grid.ts';
import { type Estimate, estimate, showEstimate, timesAs } from './estimate.ts';
import {
  type At,
  BANDWIDTHS_GB_PER_SEC,
  BUSY_PRESSURES,
  CHAT_BLOCKS,
  CHAT_SLO_MS,
  CODE_ORDERED,
  CREWS,
  CROWDS,
  type Crowd,
  DURABLE,
  GAPS,
  GATED,
  type Gap,
  type Keeping,
  KVFLOW,
  KVFLOW_TIER,
  LRU,
  LRU_ORDERED,
  LRU_TIER,
  PAPER_ORDERED,
  PAUSED,
  type Place,
  PRESSURES,
  PRIORITY,
  T_LRU,
  TIER_MODELS,
  TIER_WORLDS,
  type TierModel,
  TTLS_SEC,
  ttl,
  UNFETCHED_TIER,
  WORKFLOW_ORDERED,
} from './retention-cases.ts';
import type { Claim, StudyRun, Verdict } from './study.ts';

export type Runs = readonly StudyRun<At>[];
type Values = (number | null)[];

export const isAt =
  (where: Place) =>
  ({ at }: StudyRun<At>): boolean =>
    at.part === where.part && at.world === where.world && at.policy === where.policy && at.x === where.x;

/** A figure, a value each seed. */
export const values = (runs: Runs, where: Place, name: FigureName): Values =>
  runs.filter(isAt(where)).map(({ figures }) => figures[name]);

/** What of one part of the prompts was cached, a share each seed. */
export const hitsOf = (runs: Runs, where: Place, name: string): Values =>
  runs.filter(isAt(where)).map(({ segments }) => {
    const hits = segments?.[name];
    return hits === undefined || hits.promptTokens === 0 ? null : hits.cachedTokens / hits.promptTokens;
  });

export const pressed = (crowd: Crowd, { name: policy }: Keeping, x: number): Place => ({
  part: 'pressure',
  world: crowd,
  policy,
  x,
});
export const paused = (gap: Gap, { name: policy }: Keeping, x: number): Place => ({
  part: 'gaps',
  world: gap,
  policy,
  x,
});
export const crewed = ({ name: policy }: Keeping, x: number): Place => ({
  part: 'crews',
  world: 'crews',
  policy,
  x,
});
export const chatted = ({ name: policy }: Keeping): Place => ({
  part: 'chats',
  world: 'chats',
  policy,
  x: CHAT_BLOCKS,
});
export const tiered = (world: TierModel, x: number): Place => ({ part: 'tier', world, policy: LRU.name, x });

const change = (times: Estimate | null): string => showEstimate(times, ratio => showSignedRatio(ratio - 1));
export const share = (found: Estimate | null): string => showEstimate(found, showRatio);
export const ratio = (found: Estimate | null): string =>
  showEstimate(found, times => `${showNumber(times)}x`);
const verdictOf = (isWhole: boolean, isPart: boolean): Verdict =>
  isWhole ? 'confirmed' : isPart ? 'partly' : 'contradicted';
/** Above, also at the low end of its interval. */
const isAbove = (found: Estimate | null, least: number): boolean =>
  found !== null && (found.ci95?.[0] ?? found.mean) > least;
const most = (all: readonly (Estimate | null)[]): Estimate | null =>
  all.reduce((best, each) => ((each?.mean ?? 0) > (best?.mean ?? 0) ? each : best), null);

// ---- claims --------------------------------------------------------------------------------------------------------

/** Hit rate of a policy over that of LRU. */
const hitTimes = (runs: Runs, crowd: Crowd, keeping: Keeping, pressure: number): Estimate | null =>
  timesAs(
    values(runs, pressed(crowd, keeping, pressure), 'hitRatio'),
    values(runs, pressed(crowd, LRU, pressure), 'hitRatio'),
  );

function byPriority(runs: Runs): Claim {
  const all = [
    ...PRESSURES.map(pressure => ({ crowd: 'spare' as const, pressure })),
    ...BUSY_PRESSURES.map(pressure => ({ crowd: 'busy' as const, pressure })),
  ].map(place => ({ ...place, times: hitTimes(runs, place.crowd, PRIORITY, place.pressure) }));
  const best = all.reduce((most, each) => ((each.times?.mean ?? 0) > (most.times?.mean ?? 0) ? each : most));
  const least = all.find(({ times }) => times !== null) ?? best;
  return {
    text: 'Eviction by priority brings up to 20 % more hits (NVIDIA)',
    verdict: verdictOf((best.times?.mean ?? 1) >= 1.2 && isAbove(best.times, 1), isAbove(best.times, 1)),
    figure: `hit rate ${change(best.times)} at most, with ${CROWDS[best.crowd]} agents and ${showNumber(best.pressure)} times as much KV wanted as there is room; ${change(least.times)} with ${showNumber(least.pressure)} times`,
  };
}

function durable(runs: Runs): Claim {
  const pressure = PRESSURES.at(-1)!;
  const found = [LRU, DURABLE].map(each =>
    estimate(hitsOf(runs, pressed('spare', each, pressure), 'playbook')),
  );
  const [without = null, with_ = null] = found;
  const ttft = timesAs(
    values(runs, pressed('spare', DURABLE, pressure), 'ttftMsMean'),
    values(runs, pressed('spare', LRU, pressure), 'ttftMsMean'),
  );
  const time = timesAs(
    values(runs, pressed('spare', DURABLE, pressure), 'makespanMsMean'),
    values(runs, pressed('spare', LRU, pressure), 'makespanMsMean'),
  );
  const isKept = isAbove(
    timesAs(
      hitsOf(runs, pressed('spare', DURABLE, pressure), 'playbook'),
      hitsOf(runs, pressed('spare', LRU, pressure), 'playbook'),
    ),
    1,
  );
  return {
    text: 'Durable context stays under pressure where it is labelled, and agents are quicker for it',
    verdict: verdictOf(isKept && (time?.mean ?? 1) < 0.95, isKept),
    figure: `with three times as much KV wanted as there is room, ${share(with_)} of the teams’ instructions are found in place of ${share(without)}; mean TTFT ${change(ttft)}, workflow time ${change(time)}, for the tools take most of it`,
  };
}

/** How many times as long jobs take with LRU, first come first served. */
export const quicker = (runs: Runs, gap: Gap, keeping: Keeping, perMin: number): Estimate | null =>
  timesAs(
    values(runs, paused(gap, LRU, perMin), 'makespanMsMean'),
    values(runs, paused(gap, keeping, perMin), 'makespanMsMean'),
  );

function continuum(runs: Runs): Claim[] {
  const of = (gap: Gap) =>
    most([PAPER_ORDERED, CODE_ORDERED].map(each => quicker(runs, gap, each, GAPS[gap].perMin[1])));
  const [quick, slow] = [of('quick'), of('slow')];
  const [spare, busy] = GAPS.quick.perMin;
  const alone = most([...PAUSED].slice(1, 3).map(each => quicker(runs, 'quick', each, spare)));
  const gained = (quick?.mean ?? 1) - 1;
  const without = (quicker(runs, 'quick', LRU_ORDERED, busy)?.mean ?? 1) - 1;
  const others = [LRU_ORDERED, WORKFLOW_ORDERED, GATED].map(
    each => `${each.name} ${ratio(quicker(runs, 'quick', each, busy))}`,
  );
  return [
    {
      text: 'Continuum finishes jobs 1.12 to 3.66 times as quickly',
      verdict: verdictOf(
        [quick, slow].every(each => (each?.mean ?? 1) >= 1.12),
        (quick?.mean ?? 1) >= 1.12,
      ),
      figure: `the better of its two readings, with calls in order of programs: ${ratio(quick)} behind tools of ${GAPS.quick.told} at ${busy} jobs/min, ${ratio(slow)} behind ${GAPS.slow.told}, ${ratio(alone)} at ${spare} jobs/min where all contexts fit`,
    },
    {
      text: 'It is the time to live that does it',
      verdict: verdictOf(gained > 0.02 && without < gained / 4, gained > 0.02 && without < gained / 2),
      figure: `on the same jobs without any time to live: ${others.join(', ')}`,
    },
  ];
}

function byTime(runs: Runs): Claim {
  const perMin = GAPS.slow.perMin[1];
  const hits = TTLS_SEC.map(sec =>
    estimate(values(runs, paused('slow', ttl(sec), perMin), 'hitRatio')),
  ).filter(each => each !== null);
  const spread = Math.max(...hits.map(each => each.mean)) - Math.min(...hits.map(each => each.mean));
  return {
    text: 'Behind tools of 9 s, p90 74 s, a longer time to live finds more',
    verdict: verdictOf(spread > 0.05, spread > 0.005),
    figure: `hit rate ${share(hits[0] ?? null)} at 0 s, ${share(hits.at(-1) ?? null)} at 300 s: what is older than the time to live is what LRU gives up first, so one time for all changes no order`,
  };
}

function kvflow(runs: Runs): Claim[] {
  const times = (keeping: Keeping, beside: Keeping, crews: number): Estimate | null =>
    timesAs(
      values(runs, crewed(beside, crews), 'makespanMsMean'),
      values(runs, crewed(keeping, crews), 'makespanMsMean'),
    );
  const of = (crews: number, told: number, text: string): Claim => {
    const found = times(KVFLOW_TIER, LRU_TIER, crews);
    const fetched = times(KVFLOW_TIER, UNFETCHED_TIER, crews);
    return {
      text,
      verdict: verdictOf((found?.mean ?? 1) >= told * 0.9, isAbove(found, 1)),
      figure: `${ratio(found)} against LRU, both with a CPU tier of 20 GB/s; of it ${ratio(fetched)} by prefetching; ${ratio(times(KVFLOW, LRU, crews))} where neither has a tier`,
    };
  };
  return [
    of(CREWS[0]!, 1.83, 'KVFlow runs a crew of ten agents up to 1.83 times as quickly as a hierarchical LRU'),
    of(CREWS[1]!, 2.19, 'And up to 2.19 times where many crews run at once'),
  ];
}

function tails(runs: Runs): Claim {
  const timesOf = (name: FigureName) =>
    timesAs(values(runs, chatted(T_LRU), name), values(runs, chatted(LRU), name));
  const missed = (keeping: Keeping): Estimate | null =>
    estimate(
      runs
        .filter(isAt(chatted(keeping)))
        .map(({ keptRatios }) => (keptRatios === undefined ? null : 1 - keptRatios[0]!)),
    );
  const p95 = timesOf('ttftMsP95');
  const [own, lru] = [missed(T_LRU), missed(LRU)];
  const isLess = p95 !== null && (p95.ci95?.[1] ?? p95.mean) < 1;
  return {
    text: 'T-LRU cuts TTFT p95 by up to 24 %, and calls beyond 200 ms by up to 39 %',
    verdict: verdictOf(isLess && p95.mean <= 0.8 && (own?.mean ?? 1) < (lru?.mean ?? 0), isLess),
    figure: `TTFT p95 ${change(p95)}, p99 ${change(timesOf('ttftMsP99'))}, mean ${change(timesOf('ttftMsMean'))}, p50 ${change(timesOf('ttftMsP50'))}; calls beyond ${CHAT_SLO_MS} ms ${share(own)} in place of ${share(lru)}`,
  };
}

function tailsOfAgents(runs: Runs): Claim {
  const pressure = PRESSURES[1]!;
  const times = timesAs(
    values(runs, pressed('spare', T_LRU, pressure), 'ttftMsP95'),
    values(runs, pressed('spare', LRU, pressure), 'ttftMsP95'),
  );
  const [own, lru] = [T_LRU, LRU].map(each =>
    estimate(hitsOf(runs, pressed('spare', each, pressure), 'history')),
  );
  return {
    text: 'The same for agents',
    verdict: verdictOf((times?.mean ?? 1) <= 0.8, (times?.mean ?? 1) < 0.95),
    figure: `TTFT p95 ${change(times)} where as much KV is wanted as there is room; of histories ${share(own ?? null)} are found in place of ${share(lru ?? null)}, since it gives up ends of live ones before those of the dead`,
  };
}

/** Prompt tokens that a model computes in a second, one prompt at a time. */
function prefillPerSec(runs: Runs, world: TierModel): number | null {
  const rates = runs
    .filter(({ at }) => at.part === 'prefill' && at.world === world)
    .map(({ figures: { promptTokens, calls, ttftMsMean } }) =>
      ttftMsMean === null ? null : (promptTokens / calls / ttftMsMean) * 1000,
    );
  return estimate(rates)?.mean ?? null;
}

/** Of the tokens that are computed without a tier, those that still are. */
export const computedTimes = (runs: Runs, world: TierModel, gbPerSec: number): Estimate | null =>
  timesAs(
    values(runs, tiered(world, gbPerSec), 'computedTokens'),
    values(runs, tiered(world, 0), 'computedTokens'),
  );

export function breakEven(runs: Runs, world: TierModel) {
  const { kvBytes, toldPerSec } = TIER_WORLDS[world];
  const perSec = prefillPerSec(runs, world);
  const tried = BANDWIDTHS_GB_PER_SEC.slice(1).filter(each => computedTimes(runs, world, each) !== null);
  const loads = tried.find(each => (computedTimes(runs, world, each)?.mean ?? 1) < 0.95) ?? null;
  const below = tried.filter(each => loads === null || each < loads).at(-1) ?? 0;
  const expected = perSec === null ? null : (kvBytes * perSec) / 1e9;
  return {
    perSec,
    expected,
    usual: (kvBytes * toldPerSec) / 1e9,
    below,
    loads,
    isAsExpected: expected !== null && loads !== null && expected > below && expected <= loads,
  };
}

function loading(runs: Runs): Claim {
  const each = TIER_MODELS.map(model => ({ told: TIER_WORLDS[model].told, ...breakEven(runs, model) }));
  return {
    text: 'Loading KV beats computing it above a bandwidth of KV bytes a token times prefill tokens a second',
    verdict: verdictOf(
      each.every(({ isAsExpected }) => isAsExpected),
      each.some(({ isAsExpected }) => isAsExpected),
    ),
    figure: each
      .map(
        ({ told, expected, loads, below }) =>
          `${told}: ${expected === null ? '–' : showNumber(expected)} GB/s by that rule, in the simulation above ${below} and at ${loads ?? 'no'} GB/s`,
      )
      .join('; '),
  };
}

function usualBreakEven(runs: Runs): Claim {
  const each = TIER_MODELS.map(model => ({ model, ...breakEven(runs, model) }));
  const holds = each.map(({ usual, below, loads }) => loads !== null && usual > below && usual <= loads);
  return {
    text: 'So 2.6 GB/s is enough for Llama 8B, 3.3 for 70B, and half a GB/s for Mistral Small 4 (at 20 k, 10 k and 20 k prefill tokens/s)',
    verdict: verdictOf(
      holds.every(each => each),
      holds.some(each => each),
    ),
    figure: each
      .map(
        ({ model, perSec }) =>
          `${TIER_WORLDS[model].told} computes ${perSec === null ? '–' : showNumber(perSec / 1000)} k tokens/s`,
      )
      .join('; '),
  };
}

function fastTier(runs: Runs): Claim {
  const at = (model: TierModel, gbPerSec: number) =>
    timesAs(
      values(runs, tiered(model, gbPerSec), 'ttftMsMean'),
      values(runs, tiered(model, 0), 'ttftMsMean'),
    );
  const found = TIER_MODELS.map(model => ({ model, ten: at(model, 10), hundred: at(model, 100) }));
  const saved = (times: Estimate | null): number => 1 - (times?.mean ?? 1);
  /** What 10 GB/s save of what 100 do, where those save anything. */
  const shares = found.flatMap(({ ten, hundred }) =>
    saved(hundred) < 0.05 ? [] : saved(ten) / saved(hundred),
  );
  return {
    text: 'A CMX-like tier pays by its bandwidth: 100 GB/s is worth far more than 10',
    verdict: verdictOf(
      shares.length > 0 && shares.every(each => each < 0.6),
      shares.some(each => each < 0.75),
    ),
    figure: found
      .map(
        ({ model, ten, hundred }) =>
          `${TIER_WORLDS[model].told}: mean TTFT ${change(ten)} at 10, ${change(hundred)} at 100 GB/s`,
      )
      .join('; '),
  };
}

export const claims = (runs: Runs): Claim[] => [
  byPriority(runs),
  durable(runs),
  ...continuum(runs),
  byTime(runs),
  ...kvflow(runs),
  tails(runs),
  tailsOfAgents(runs),
  loading(runs),
  usualBreakEven(runs),
  fastTier(runs),
];
