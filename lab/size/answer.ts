// The answer of `size`, put together: search, then what the winner stands, holds and rests on.
import { findGpu } from '../../engines/catalog.ts';
import { loadDeployment } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import type { Sized, SizedGroup, SizeResult } from '../../scenarios/formats/size.ts';
import { type Alternative, alternatives } from './alternatives.ts';
import type { Base } from './base.ts';
import { type Bound, boundsOf } from './bounds.ts';
import { checksOf } from './checks.ts';
import type { Evaluation } from './evaluate.ts';
import { flipsOf, type OtherGpu } from './flips.ts';
import type { Asking } from './question.ts';
import { maxLoad } from './questions/max-load.ts';
import { searchRungs } from './rungs.ts';
import { closestOf, type GroupResult, type SearchResult, search } from './search.ts';
import type { Setup } from './setup.ts';
import { candidatesOf, groupsOf, type Space } from './space.ts';
import { sustainedOf } from './sustained.ts';

/** Seeds of what is asked about the winner alone. */
const SEEDS_AFTER = 3;

export interface AnswerOptions {
  readonly setup: Setup;
  readonly base: Base;
  /** Where the base is written. */
  readonly path: string;
  readonly space: Space;
  readonly trafficRatio: number;
  readonly budgetUsdPerHour: number | null;
  /** Simulates the whole week. */
  readonly isWholeWeek: boolean;
  readonly isStopped: () => boolean;
  readonly tell: (text: string) => void;
}

/** All but what a file has around it. */
export type Found = Omit<
  SizeResult,
  'schemaVersion' | 'kind' | 'tool' | 'command' | 'scenario' | 'base' | 'files'
>;

export async function answerOf(options: AnswerOptions): Promise<{
  found: Found;
  winner: Evaluation | null;
  charts: Awaited<ReturnType<typeof maxLoad.ask>>['charts'];
}> {
  const { setup, base, path, space, trafficRatio, budgetUsdPerHour, tell } = options;
  const { evaluator, rungs, context, promises } = setup;
  const groups = groupsOf(space);
  tell(`bounds of ${groups.length} groups`);
  const bounds = boundsOf(groups, path, context, trafficRatio * setup.lastingRatio);
  const searched = await search({
    evaluator,
    bounds,
    base: path,
    rungs: searchRungs(rungs),
    budgetUsdPerHour,
    tell,
  });
  const winner = searched.ranking[0] ?? null;
  const after = winner === null ? NOTHING : await afterOf(winner, searched, options);
  return {
    winner,
    charts: after.charts,
    found: {
      pool: base.pool,
      seed: setup.plan.seed,
      trafficRatio,
      promises: winner?.promises.map(({ text }) => text) ?? promises.lines,
      budgetUsdPerHour,
      notes: [...setup.notes, ...base.notes],
      evidence: after.evidence,
      effort: {
        candidates: candidatesOf(groups),
        groups: groups.length,
        groupsImpossible: bounds.filter(
          ({ impossible, replicasMin, group }) => impossible !== null || replicasMin > group.replicas.max,
        ).length,
        tried: new Set(searched.evaluations.map(({ trial }) => trial.candidate.name)).size,
        runs: evaluator.runs,
        calls: evaluator.calls,
      },
      answer: winner && sizedOf(winner),
      runnerUp: runnerUpOf(searched, winner),
      closest: winner === null ? sizedOrNull(closestOf(searched.groups)) : null,
      groups: searched.groups.map(groupOf),
      trials: searched.evaluations.filter(({ verdict }) => verdict !== 'failed').map(sizedOf),
      checks: after.checks,
      headroom: after.headroom,
      flips: after.flips,
      sustained: after.sustained,
      alternatives: after.alternatives,
      isInterrupted: searched.isInterrupted || options.isStopped(),
    },
  };
}

type After = Pick<Found, 'evidence' | 'checks' | 'headroom' | 'flips' | 'sustained' | 'alternatives'> & {
  readonly charts: Awaited<ReturnType<typeof maxLoad.ask>>['charts'];
};
const NOTHING: After = {
  evidence: [],
  checks: [],
  headroom: null,
  flips: [],
  sustained: null,
  alternatives: [],
  charts: [],
};

/** What the winner stands, holds and rests on. */
async function afterOf(winner: Evaluation, searched: SearchResult, options: AnswerOptions): Promise<After> {
  const { setup, base, path, isWholeWeek, tell, isStopped } = options;
  const { evaluator, rungs, kind, plan, callsPerSec } = setup;
  const [, middle] = rungs;
  const { candidate } = winner.trial;
  const bound = boundOf(searched.groups, winner);
  const deployed = loadDeployment(candidate.deployment.input, routingPolicies, candidate.deployment.set);
  const deployment = deployed.deployment!;
  const evidence = deployment.pools.flatMap(pool => pool.evidence);
  if (isStopped()) return { ...NOTHING, evidence };
  const seeds = Math.min(SEEDS_AFTER, setup.seeds);
  const { stretch } = middle;
  const hasClock = plan.cohorts.some(cohort => cohort.kind === 'open' && cohort.arrival.kind === 'renewal');

  tell('a burst, 20 % more traffic, a replica down');
  const checks = await checksOf({
    evaluator,
    bound,
    base: path,
    replicas: candidate.replicas,
    stretch,
    seeds,
    hasClock,
  });
  if (isStopped()) return { ...NOTHING, evidence };
  const asking: Asking = { evaluator, candidate, deployed, deployment, stretch, seeds, tell };
  const held = kind === 'whole' ? null : await maxLoad.ask(asking, '');
  const data = held?.data as
    | { loadRatio: number; brokenFirst: string | null; kneeRatio: number | null }
    | undefined;
  if (isStopped()) return { ...NOTHING, evidence };
  tell('what would change the answer');
  const flips = await flipsOf({
    evaluator,
    winner,
    otherGpu: otherGpuOf(searched, winner),
    gpu: findGpu(bound.group.gpu),
    pool: base.pool,
    holdsRatio: data?.loadRatio ?? null,
    breaksFirst: data?.brokenFirst ?? null,
    stretch,
    seeds: Math.min(2, seeds),
  });
  tell('ten minutes and a week');
  const sustained = await sustainedOf({
    evaluator,
    candidate,
    kind,
    warmMs: stretch.warmMs,
    callsPerSec,
    isWhole: isWholeWeek,
  });
  tell('bought from an API, and both');
  const others = isStopped() ? [] : await alternatives(asking, winner);
  return {
    evidence: [...new Set(evidence)],
    checks: checks.map(({ evaluation, ...check }) => ({ ...check, sized: sizedOrNull(evaluation) })),
    headroom:
      held === null || data === undefined
        ? null
        : {
            title: held.title,
            lines: held.lines,
            loadRatio: data.loadRatio,
            breaksFirst: data.brokenFirst,
            kneeRatio: data.kneeRatio,
          },
    flips,
    sustained:
      sustained === null
        ? null
        : {
            demo: sizedOf(sustained.demo),
            week: sizedOf(sustained.week),
            demoMs: sustained.demo.trial.stretch.spanMs,
            simulatedMs: sustained.simulatedMs,
          },
    alternatives: others.map(alternativeOf),
    charts: held?.charts ?? [],
  };
}

const boundOf = (groups: readonly GroupResult[], { trial }: Evaluation): Bound =>
  groups.find(({ bound }) => bound.group.name === trial.candidate.group)!.bound;

const isSameGroup = (a: Evaluation, b: Evaluation): boolean =>
  a.trial.candidate.group === b.trial.candidate.group;

/** The next in the ranking; else the cheapest of another group that kept its promises in shorter runs. */
function runnerUpOf({ ranking, groups }: SearchResult, winner: Evaluation | null): Sized | null {
  if (winner === null) return null;
  return sizedOrNull(
    ranking[1] ??
      cheapest(groups.flatMap(({ best }) => best ?? []).filter(each => !isSameGroup(each, winner))),
  );
}

/** The cheapest on another GPU; of one that was left as dearer, what it costs at least. */
function otherGpuOf({ groups }: SearchResult, winner: Evaluation): OtherGpu | null {
  const { gpu } = winner.trial.candidate.choices;
  const others = groups.filter(
    ({ bound, best, rung }) =>
      bound.group.gpu !== gpu && bound.impossible === null && (best !== null || rung !== null),
  );
  const [first] = others.toSorted((a, b) => a.usd - b.usd);
  if (first === undefined || !Number.isFinite(first.usd)) return null;
  return {
    name: first.best?.trial.candidate.name ?? first.bound.group.name,
    usdPerHour: first.usd,
    isAtLeast: first.best === null,
  };
}

const cheapest = (evaluations: readonly Evaluation[]): Evaluation | null =>
  evaluations.reduce<Evaluation | null>(
    (best, each) =>
      best === null || (each.usdPerHour ?? Infinity) < (best.usdPerHour ?? Infinity) ? each : best,
    null,
  );

export function sizedOf({ trial, verdict, promises, ...rest }: Evaluation): Sized {
  const { name, choices, gpus } = trial.candidate;
  const { usdPerHour, usdPer1000Workflows, workflowsPerHour, callsPerSec, hitRatio } = rest;
  return {
    name,
    choices,
    gpus,
    verdict,
    seeds: trial.seeds,
    promises: promises.map(({ bySeed: _, ...promise }) => promise),
    usdPerHour,
    usdPer1000Workflows,
    workflowsPerHour,
    callsPerSec,
    hitRatio,
  };
}

const sizedOrNull = (evaluation: Evaluation | null): Sized | null => evaluation && sizedOf(evaluation);

function groupOf({ bound, rung, best, closest, left }: GroupResult): SizedGroup {
  const { group, replicasMin, why, impossible } = bound;
  return {
    name: group.name,
    choices: {
      gpu: group.gpu,
      tp: group.tensorParallel,
      shape: group.shape,
      routing: group.routing,
      ...group.variant.choices,
    },
    replicasMin,
    bound: impossible ?? why,
    rung,
    best: sizedOrNull(best),
    closest: sizedOrNull(closest),
    left,
  };
}

const alternativeOf = ({
  kind,
  name,
  usdPerHour,
  usdPer1000Workflows,
  isJudged,
  evaluation,
  why,
}: Alternative): SizeResult['alternatives'][number] => ({
  kind,
  name,
  usdPerHour,
  usdPer1000Workflows,
  isJudged,
  verdict: evaluation?.verdict ?? null,
  why,
});
