// What each pool of a fleet may run on, and the work that comes to it: which GPU, TP and shape can be built at all, and how
// many such replicas today's traffic fills. Each pool is built alone, then the work is counted with all of them.
import type { DeploymentSpec, PoolSpec } from '../../../engines/engine.ts';
import { loadDeployment } from '../../../engines/load.ts';
import { serverOf } from '../../../engines/prepare.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import type { Plan } from '../../../scenarios/formats/plan.ts';
import type { LabContext } from '../../lint/context.ts';
import { offeredLoad } from '../../lint/offered-load.ts';
import { longestOf, prefillRatioOf } from '../bounds.ts';
import { type Group, type GroupFacts, overridesOf } from '../space.ts';

export interface PoolOption extends GroupFacts {
  readonly group: Group;
  readonly model: string;
  /** Replicas that today's traffic fills, were their batch always full; 0: nobody knows. */
  readonly work: number;
}

export interface Impossible {
  readonly group: Group;
  readonly why: string;
}

interface Built {
  readonly group: Group;
  readonly deployment: DeploymentSpec;
  readonly pool: PoolSpec;
}

const UNKNOWN: GroupFacts = { usdPerGpuHour: null, prefillRatio: 0.5 };

/** `base`: the file of pools without GPUs and without a gateway; `value`: the same, read. */
export interface OptionsInput {
  readonly base: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** Groups of each pool, in the order of the pools. */
  readonly groups: readonly (readonly Group[])[];
  readonly context: LabContext;
  /** Times the scenario's traffic. */
  readonly trafficRatio: number;
}

/** In the order of the groups; what cannot be built says why. */
export function optionsOf(input: OptionsInput): { options: PoolOption[][]; impossible: Impossible[] } {
  const { groups, context, trafficRatio } = input;
  const impossible: Impossible[] = [];
  const built = groups.map(own =>
    own.flatMap(group => {
      const made = builtOf(group, input);
      if (typeof made !== 'string') return [made];
      impossible.push({ group, why: made });
      return [];
    }),
  );
  const open = { ...context, plan: openPlan(context) };
  const options = built.map((own, at) =>
    own.flatMap(({ group, deployment, pool }) => {
      // The others are there so that calls find their way; what they run on changes nothing here.
      const pools = built.flatMap((others, i) => (i === at ? pool : (others[0]?.pool ?? [])));
      const whole: DeploymentSpec = { ...deployment, pools };
      const tooLong = longestOf(context, whole, pool);
      if (tooLong > pool.limits.maxModelTokens) {
        const why = `prompts of ${tooLong} tokens and their answers, in a window of ${pool.limits.maxModelTokens}`;
        impossible.push({ group, why });
        return [];
      }
      const load = offeredLoad({
        ...open,
        deployment: whole,
        serverOf: model => serverOf(model, context.plan, whole),
      }).find(each => each.pool === pool.name);
      return [
        {
          group,
          model: pool.modelId,
          usdPerGpuHour: pool.usdPerGpuHour,
          prefillRatio: prefillRatioOf(context, whole, pool),
          work: (load?.utilizationRatio ?? 0) * trafficRatio,
        },
      ];
    }),
  );
  return { options, impossible };
}

/** The pool by itself, one replica (one of each half), or why not. */
function builtOf(group: Group, { base, value }: OptionsInput): Built | string {
  const { pool: name } = group;
  const pools = value.pools as Readonly<Record<string, unknown>>;
  const set = [`pools=${JSON.stringify({ [name]: pools[name] })}`, ...overridesOf(group, 2, UNKNOWN)];
  try {
    const { deployment, issues } = loadDeployment(base, routingPolicies, set);
    const problem = issues.find(({ severity }) => severity === 'error');
    const pool = deployment?.pools[0];
    if (deployment === null || pool === undefined || problem !== undefined)
      return problem?.message ?? 'it cannot be built';
    return { group, deployment, pool: { ...pool, replicas: 1, scaling: null } };
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

/** Whether all of the traffic comes by a rate, so that the work is a bound and not only a share. */
export const isBounded = ({ cohorts }: Pick<Plan, 'cohorts'>): boolean =>
  cohorts.every(cohort => cohort.kind === 'open' && cohort.arrival.kind === 'renewal');

/** Agents that wait for their answers, and sessions that come by a list, as if they came at a rate. */
function openPlan({ plan, walks }: LabContext): Plan {
  const cohorts = plan.cohorts.map(cohort => {
    if (cohort.kind === 'open' && cohort.arrival.kind === 'renewal') return cohort;
    const own = walks.filter(({ session }) => session.cohort === cohort.name);
    const lengthMs = own.reduce((sum, { makespanMs }) => sum + makespanMs, 0) / Math.max(1, own.length);
    const perSec =
      cohort.kind === 'closed' ? cohort.agents / ((lengthMs + cohort.thinkMs(0, 0)) / 1000 + 1e-9) : 1;
    const gaps = { process: 'constant' as const, unit: { kind: 'constant' as const, value: 1 } };
    const phase = { forMs: 1, fromPerSec: perSec, toPerSec: perSec, gaps };
    const rate = { phases: [phase], stays: true, spike: null, diurnal: null };
    return {
      name: cohort.name,
      index: cohort.index,
      tenant: cohort.tenant,
      kind: 'open' as const,
      arrival: { kind: 'renewal' as const, rate },
      sessions: () => [],
    };
  });
  return { ...plan, cohorts };
}
