// The best use of a fleet, put together: what each pool may run on, the search, long runs of the best two, and what follows.

import type { DeploymentSpec } from '../../../engines/engine.ts';
import { loadDeployment } from '../../../engines/load.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { showNumber, showRatio } from '../../../reports/numbers.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import { mean } from '../../../scenarios/base/statistics.ts';
import type {
  FleetCombination,
  FleetKind,
  FleetPool,
  FleetResult,
  FleetSplit,
} from '../../../scenarios/formats/size-fleet.ts';
import { hasLoad } from '../../grid/load-factor.ts';
import { sizedOf } from '../answer.ts';
import type { Candidate } from '../candidate.ts';
import type { Evaluation } from '../evaluate.ts';
import type { Asking } from '../question.ts';
import { type Capacity, capacityOf, loadOf } from '../questions/capacity.ts';
import type { PoolPressure } from '../questions/limits-measure.ts';
import { whyOf } from '../questions/max-load.ts';
import { firstBroken } from '../questions/trial.ts';
import type { Setup } from '../setup.ts';
import { groupsOf, type Space } from '../space.ts';
import { enoughOf, GPUS_OF_A_SERVER, withServer } from './after.ts';
import { type Judged, judged, promisesOfPool, roomsOf, tightestPool } from './judge.ts';
import { isBounded, type OptionsInput, optionsOf } from './options.ts';
import { type Contender, type FleetSearch, searchFleet } from './search.ts';
import {
  abilitiesOf,
  COMBINATIONS_MAX,
  type Combination,
  candidateOf,
  combinationsOf,
  countOf,
  freeOf,
  gpusOf,
  replicasText,
  type Split,
} from './split.ts';

export interface FleetAnswerOptions {
  readonly setup: Setup;
  /** The file of all pools without GPUs. */
  readonly path: string;
  /** The same without a gateway, and read. */
  readonly alone: Pick<OptionsInput, 'base' | 'value'>;
  readonly fleet: readonly FleetKind[];
  /** Of each pool. */
  readonly spaces: readonly Space[];
  readonly trafficRatio: number;
  readonly seeds: number;
  readonly tell: (text: string) => void;
}

/** All but what a file has around it. */
export type FleetFound = Omit<
  FleetResult,
  'schemaVersion' | 'kind' | 'tool' | 'command' | 'scenario' | 'base' | 'files'
>;

/** Finalists that stand the long runs. */
const LONG = 2;

/** A combination in its long runs. */
interface Stood {
  readonly contender: Contender;
  readonly candidate: Candidate;
  readonly capacity: Capacity;
  /** Held with every promise kept, and no pool with more work than it can do. */
  readonly heldRatio: number;
  /** The pool whose work is the limit, before any promise; null: a promise is. */
  readonly drowns: string | null;
}

function stoodOf(contender: Contender, candidate: Candidate, capacity: Capacity): Stood {
  const { combination, split } = contender;
  const abilities = abilitiesOf(combination, split);
  const most = Math.min(...abilities);
  const isDrowning = most < capacity.loadRatio;
  return {
    contender,
    candidate,
    capacity,
    heldRatio: isDrowning ? most : capacity.loadRatio,
    drowns: isDrowning ? combination.options[abilities.indexOf(most)]!.group.pool : null,
  };
}

export async function fleetAnswer(
  options: FleetAnswerOptions,
): Promise<{ found: FleetFound; winner: Candidate | null }> {
  const { setup, path, fleet, trafficRatio, seeds, tell } = options;
  const { evaluator, plan, promises } = setup;
  if (!hasLoad(plan))
    throw new UserError('all of the traffic comes at once: there is no rate to raise', {
      hint: 'give the traffic a rate, such as --set traffic.0.arrival={ poisson: { rate: 6/min } }',
    });
  const { combinations, impossible } = combinationsOfFleet(options);
  const search: FleetSearch = { evaluator, base: path, fleet, tell, rungs: setup.rungs, combinations };
  const { contenders, finalists, closest } = await searchFleet(search);

  const stood: Stood[] = [];
  for (const contender of finalists.filter(({ heldRatio }) => heldRatio > 0).slice(0, LONG)) {
    const candidate = candidateOf(contender.combination, contender.split, path);
    tell(`long runs of ${candidate.name}`);
    const capacity = await capacityOf(askingOf(candidate, options), candidate);
    contender.rung = 'long';
    stood.push(stoodOf(contender, candidate, capacity));
  }
  stood.sort((a, b) => b.heldRatio - a.heldRatio || a.candidate.gpus - b.candidate.gpus);
  const [best, second] = stood;
  const after = best === undefined ? NOTHING : await afterOf(best, search, options);
  if (second !== undefined)
    second.contender.left = `holds ${showNumber(second.heldRatio)} times the traffic in long runs`;
  for (const { contender, heldRatio } of stood) contender.heldRatio = heldRatio;
  return {
    winner: best?.candidate ?? null,
    found: {
      fleet,
      seed: plan.seed,
      trafficRatio,
      promises: best?.capacity.today.promises.map(({ text }) => text) ?? promises.lines,
      notes: after.atHeld === null ? [] : unboundNotes(after.atHeld.look),
      evidence: after.evidence,
      effort: {
        combinations: combinations.length,
        splits: evaluator.candidates,
        runs: evaluator.runs,
        calls: evaluator.calls,
      },
      answer: best === undefined ? null : stoodSplit(best, seeds, after.atHeld),
      runnerUp: second === undefined ? null : stoodSplit(second, seeds, null),
      closest: closest === null ? null : sizedOf(closest.evaluation),
      tightest: after.tightest,
      idle: after.idle,
      enough: after.enough,
      more: after.more,
      combinations: contenders.map(each => combinationRow(each, best?.contender)),
      impossible,
    },
  };
}

function combinationsOfFleet({ spaces, alone, fleet, setup, trafficRatio, tell }: FleetAnswerOptions): {
  combinations: Combination[];
  impossible: FleetFound['impossible'];
} {
  const groups = spaces.map(space =>
    groupsOf({ ...space, gpus: fleet.map(({ gpu }) => gpu), replicas: { min: 1, max: 1 } }),
  );
  tell('what each pool may run on');
  const made = optionsOf({ ...alone, groups, context: setup.context, trafficRatio });
  const cannot = made.impossible.map(({ group, why }) => ({ name: `${group.pool}: ${group.name}`, why }));
  const none = made.options.findIndex(own => own.length === 0);
  if (none >= 0) {
    const { pool } = spaces[none]!;
    const whys = cannot.filter(({ name }) => name.startsWith(`${pool}: `));
    throw new UserError(`pool "${pool}" fits on none of these GPUs: ${whys[0]?.why ?? 'no choice is left'}`, {
      hint: 'more GPUs a replica (--tp 8), GPUs with more memory, or fp8 weights: precision: { weights: fp8 } of the pool',
    });
  }
  const count = countOf(made.options, 1);
  if (count > COMBINATIONS_MAX)
    throw new UserError(
      `${count} combinations of GPUs, TP, shapes and routers: more than ${COMBINATIONS_MAX}`,
      {
        hint: 'fewer of --tp, --routing and --vary',
      },
    );
  const found = combinationsOf(made.options, fleet, isBounded(setup.plan));
  if (found.length > 0) return { combinations: found, impossible: cannot };
  const total = fleet.map(({ gpu, gpus }) => `${gpus} ${gpu}`).join(', ');
  throw new UserError(
    `${total}: too few for a replica of each pool (${spaces.map(({ pool }) => pool).join(', ')})`,
    {
      hint: 'more GPUs, a smaller --tp, or fewer models: --model serves all by one',
    },
  );
}

function combinationRow(each: Contender, best: Contender | undefined): FleetCombination {
  const { combination, rung, heldRatio, left, split } = each;
  return {
    name: combination.name,
    boundRatio: Number.isFinite(combination.boundRatio) ? combination.boundRatio : null,
    rung,
    loadRatio: heldRatio,
    gpus: gpusOf(combination.options, split),
    left: each === best ? null : (left ?? 'others held more in middle runs'),
  };
}

type After = Pick<FleetFound, 'evidence' | 'tightest' | 'idle' | 'enough' | 'more'> & {
  readonly atHeld: { readonly look: Judged; readonly deployment: DeploymentSpec } | null;
};
const NOTHING: After = { evidence: [], tightest: null, idle: [], enough: null, more: null, atHeld: null };

async function afterOf(
  { contender, candidate, capacity, heldRatio, drowns }: Stood,
  search: FleetSearch,
  options: FleetAnswerOptions,
): Promise<After> {
  const { fleet, tell } = options;
  const [, middle, long] = options.setup.rungs;
  const asking = askingOf(candidate, options);
  const heldBefore = contender.heldRatio;
  const brokenAt = drowns !== null || capacity.bad === null ? [] : [loadOf(capacity.bad)];
  const looked = heldRatio === 0 ? brokenAt : [heldRatio, ...brokenAt];
  const looks = await judged(
    search,
    looked.map(loadRatio => ({ ...contender, loadRatio, rung: long })),
  );
  const last = looks.at(-1)!;
  const tightest = tightestPool(last);
  const enough = heldRatio < 1 ? null : await enoughOf(search, contender, long);
  tell(`${GPUS_OF_A_SERVER} GPUs more`);
  const more = await withServer(search, contender, tightest, middle);
  const { options: own } = contender.combination;
  return {
    evidence: [...new Set(asking.deployment.pools.flatMap(pool => pool.evidence))],
    atHeld: heldRatio === 0 ? null : { look: looks[0]!, deployment: asking.deployment },
    tightest: tightestText(last, tightest, asking),
    idle: freeOf(own, contender.split, fleet)
      .filter(({ gpus }) => gpus > 0)
      .map(({ gpu, gpus }) => ({ gpu, gpus, why: whyIdle(contender.combination, gpu) })),
    enough:
      enough === null
        ? null
        : {
            split: splitOf(contender.combination, enough.split, {
              loadRatio: 1,
              seeds: long.seeds,
              evaluation: enough.evaluation,
            }),
            free: freeOf(own, enough.split, fleet),
          },
    more:
      more === null
        ? null
        : {
            kind: more.kind,
            beforeRatio: heldBefore,
            split: splitOf(more.contender.combination, more.contender.split, {
              loadRatio: more.contender.heldRatio,
              seeds: middle.seeds,
              evaluation: null,
            }),
          },
  };
}

function askingOf(candidate: Candidate, { setup, seeds, tell }: FleetAnswerOptions): Asking {
  const { input, set } = candidate.deployment;
  const deployed = loadDeployment(input, routingPolicies, set);
  const deployment = deployed.deployment;
  if (deployment === null)
    throw new UserError(`${candidate.name}: ${deployed.issues[0]?.message ?? 'it cannot be built'}`);
  const { evaluator, rungs } = setup;
  return { evaluator, candidate, deployed, deployment, stretch: rungs[2].stretch, seeds, tell };
}

function tightestText(look: Judged, index: number, asking: Asking): FleetResult['tightest'] {
  const { pool } = look.combination.options[index]!.group;
  const { measured, loadRatio } = look;
  const [first] = measured;
  if (first === undefined) return null;
  const own = promisesOfPool(measured, pool);
  const pools = first.limits.pools.filter(each => each.pool.split('/')[0] === pool);
  const spare = Math.min(...roomsOf(look));
  const isFull = own?.marginRatio == null || spare < own.marginRatio;
  const promise = isFull
    ? `at ${showNumber(loadRatio)} times the traffic it gets all the work that it can do: `
    : own.promise === null
      ? ''
      : `its calls use ${showRatio(own.usedRatio)} of ${own.promise} at ${showNumber(loadRatio)} times the traffic: `;
  return { pool, why: `${promise}${whyOf({ ...first.limits, pools }, asking)}` };
}

/** Pools whose calls may take as long as they like. */
function unboundNotes({ combination, measured }: Judged): string[] {
  const isUnbound = (pool: string): boolean =>
    promisesOfPool(measured, pool)?.promise?.startsWith('rate(') ?? true;
  return combination.options
    .filter(({ group }) => isUnbound(group.pool))
    .map(
      ({ group: { pool } }) =>
        `no promise bounds how long a call of pool ${pool} takes: it counts as held while the pool can do the work that comes; --slo bounds it`,
    );
}

function whyIdle({ options }: Combination, gpu: string): string {
  const sizes = options.filter(({ group }) => group.gpu === gpu).map(({ group }) => group.tensorParallel);
  return sizes.length === 0
    ? 'no pool is on this kind: each model gets one pool, on one kind'
    : `a replica takes ${[...new Set(sizes)].join(' or ')}`;
}

interface Held {
  readonly loadRatio: number;
  readonly seeds: number;
  readonly evaluation: Evaluation | null;
}

function splitOf(
  { options, routing, variant, ...combination }: Combination,
  split: Split,
  held: Held,
): FleetSplit {
  const gpus = gpusOf(options, split);
  const pools = options.map((option, i): FleetPool => {
    const { pool, gpu, tensorParallel, shape } = option.group;
    return {
      pool,
      model: option.model,
      gpu,
      tensorParallel,
      shape,
      replicas: split[i]!,
      replicasText: replicasText(option, split[i]!),
      gpus: gpus[i]!,
      use: null,
    };
  });
  return {
    name: candidateOf({ options, routing, variant, ...combination }, split, '').name,
    routing,
    choices: variant.choices,
    pools,
    gpus: gpus.reduce((sum, each) => sum + each, 0),
    loadRatio: held.loadRatio,
    loadCi95: null,
    breaksFirst: null,
    drowns: null,
    sized: held.evaluation === null ? null : sizedOf(held.evaluation),
    seeds: held.seeds,
  };
}

function stoodSplit(
  { contender, capacity, heldRatio, drowns }: Stood,
  seeds: number,
  atHeld: After['atHeld'],
): FleetSplit {
  const { bySeed, good, bad } = capacity;
  const evaluation = atHeld?.look.evaluation ?? (drowns === null ? good : null);
  const split = splitOf(contender.combination, contender.split, { loadRatio: heldRatio, seeds, evaluation });
  const ci95 = bySeed?.ci95 ?? null;
  const capped = (loadRatio: number): number =>
    drowns === null ? loadRatio : Math.min(loadRatio, heldRatio);
  return {
    ...split,
    loadCi95: ci95 && [capped(ci95[0]), capped(ci95[1])],
    breaksFirst: drowns !== null || bad === null ? null : (firstBroken(bad)?.text ?? null),
    drowns,
    pools: split.pools.map(pool => ({ ...pool, use: atHeld === null ? null : useOf(pool.pool, atHeld) })),
  };
}

function useOf(name: string, { look, deployment }: NonNullable<After['atHeld']>): FleetPool['use'] {
  const { measured } = look;
  const spec = deployment.pools.find(pool => pool.name === name);
  const halves = measured.map(({ limits }) => limits.pools.filter(({ pool }) => pool.split('/')[0] === name));
  if (spec === undefined || halves.some(own => own.length === 0)) return null;
  const own = promisesOfPool(measured, name);
  /** Of the fuller half, as a mean over seeds. */
  const most = (of: (each: PoolPressure) => number): number =>
    mean(halves.map(each => Math.max(...each.map(of))));
  return {
    kvRatio: most(({ kvUsedRatio }) => kvUsedRatio),
    batchRatio: most(({ runningP95 }) => runningP95 / spec.limits.maxSequences),
    queuedRatio: most(({ queuedRatio }) => queuedRatio),
    promiseRatio: own?.usedRatio ?? null,
    promise: own?.promise ?? null,
  };
}
