// A part of a fleet that is simulated by itself: one cell of several, or pools that share nothing with the others and
// the cohorts that call them. Plain data, so that a thread can be sent it.
import type { DeploymentSpec, PoolSpec } from '../../engines/engine.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { textKey } from '../../scenarios/base/key.ts';
import type { Cohort, Plan, PlannedSession } from '../../scenarios/formats/plan.ts';

export type RunPart =
  | { readonly kind: 'cell'; readonly cell: number; readonly cells: number }
  /** By their names. */
  | { readonly kind: 'apart'; readonly cohorts: readonly string[]; readonly pools: readonly string[] };

/** The cell of a session, or of an agent with all its sessions: by a hash of its name, as a router of cells does it. */
const cellOf = (name: string, cells: number): number => (textKey(name).lo >>> 0) % cells;

function inCell(cohort: Cohort, cell: number, cells: number): Cohort {
  const isIn = (name: string): boolean => cellOf(name, cells) === cell;
  if (cohort.kind === 'closed')
    return {
      ...cohort,
      session: (agent, ...rest) => (isIn(`${cohort.name}/${agent}`) ? cohort.session(agent, ...rest) : null),
    };
  return {
    ...cohort,
    *sessions(log): Generator<PlannedSession> {
      for (const session of cohort.sessions(log)) if (isIn(session.id)) yield session;
    },
  };
}

/** One of `cells` shares of a whole number that differ by 1 at most. */
const shareOf = (whole: number, cell: number, cells: number): number =>
  Math.floor(whole / cells) + (cell < whole % cells ? 1 : 0);

/** Autoscaled pools share their bounds, so their bounds decide whether there is one for each cell. */
const leastReplicas = ({ replicas, scaling }: PoolSpec): number => scaling?.max ?? replicas;

function poolOfCell(pool: PoolSpec, cell: number, cells: number): PoolSpec {
  const { scaling } = pool;
  return {
    ...pool,
    replicas: shareOf(pool.replicas, cell, cells),
    scaling:
      scaling === null
        ? null
        : { ...scaling, min: shareOf(scaling.min, cell, cells), max: shareOf(scaling.max, cell, cells) },
  };
}

/** What a part runs, of a whole. */
export function partOf<Whole extends { readonly plan: Plan; readonly deployment: DeploymentSpec }>(
  whole: Whole,
  part: RunPart,
): { readonly plan: Plan; readonly deployment: DeploymentSpec } {
  const { plan, deployment } = whole;
  if (part.kind === 'apart')
    return {
      plan: { ...plan, cohorts: plan.cohorts.filter(({ name }) => part.cohorts.includes(name)) },
      deployment: { ...deployment, pools: deployment.pools.filter(({ name }) => part.pools.includes(name)) },
    };
  const { cell, cells } = part;
  return {
    plan: { ...plan, sessionCount: null, cohorts: plan.cohorts.map(each => inCell(each, cell, cells)) },
    deployment: { ...deployment, pools: deployment.pools.map(pool => poolOfCell(pool, cell, cells)) },
  };
}

/** The cells of a run; throws where a pool has not a replica for each. */
export function cellsOf(cells: number, { pools }: DeploymentSpec): RunPart[] {
  if (!(Number.isInteger(cells) && cells > 0))
    throw new UserError(`--cells ${cells}: expected a whole number above 0`, { hint: 'e.g. --cells 8' });
  for (const pool of pools) {
    const replicas = leastReplicas(pool);
    if (pool.disaggregation !== null)
      throw new UserError(`--cells ${cells}: pool "${pool.name}" has prefill and decode apart`, {
        hint: 'cells share out replicas of one kind: leave --cells out',
      });
    if (replicas < cells)
      throw new UserError(
        `--cells ${cells}: pool "${pool.name}" has ${replicas} replica${replicas === 1 ? '' : 's'} to share out`,
        {
          hint: `at most --cells ${replicas}`,
        },
      );
  }
  return Array.from({ length: cells }, (_, cell) => ({ kind: 'cell', cell, cells }));
}

/** What cells are an approximation of, unless the system is built so; empty for none. */
export function approximations(
  plan: Plan,
  { gateway, hosted, toolRuntimes, pools }: DeploymentSpec,
): string[] {
  const notes: string[] = [];
  if (gateway !== null || plan.rules?.isGoverned === true)
    notes.push('each cell has a gateway of its own: limits, budgets and breakers hold in each');
  if (hosted.length > 0) notes.push("each cell has the providers' limits to itself");
  if (toolRuntimes.length > 0) notes.push('each cell has the tool runtimes to itself');
  if (pools.some(({ scaling }) => scaling !== null)) notes.push('each cell scales by its own load');
  if ((plan.crashes ?? []).length > 0)
    notes.push('a replica that the scenario takes away is lost in each cell');
  return notes;
}
