// One plan dealt out to several machines. Pure. Law: the sessions of all shards are those of the plan, each once and with
// the same draws, since a draw is hashed from its place in the plan and not from who makes it.
import type { Cohort, Plan, PlannedSession } from '../scenarios/formats/plan.ts';

/** Which part of a run: `index` from 0 to below `count`. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** As a person counts: `shard 1 of 3`. */
export const shardName = ({ index, count }: Shard): string => `shard ${index + 1} of ${count}`;

/** This shard's part of `amount` whole things: what is left over goes to the first shards. */
export const shareOf = (amount: number, { index, count }: Shard): number =>
  Number.isFinite(amount) ? Math.floor(amount / count) + (index < amount % count ? 1 : 0) : amount;

/**
 * Open cohorts deal their sessions in turn, closed ones their agents, each cohort from where the one before it has
 * stopped, so that many small cohorts do not all fall to the first shard.
 */
export function shardOfPlan(plan: Plan, shard: Shard): Plan {
  if (shard.count === 1) return plan;
  let agents = 0;
  const cohorts = plan.cohorts.map((cohort): Cohort => {
    const first = (cohort.kind === 'closed' ? agents : cohort.index) % shard.count;
    if (cohort.kind === 'closed') agents += cohort.agents;
    const own = (shard.index - first + shard.count) % shard.count;
    return cohort.kind === 'open'
      ? openShard(cohort, own, shard.count)
      : closedShard(cohort, own, shard.count);
  });
  // Nobody knows how many sessions of a closed cohort each agent comes to.
  return { ...plan, cohorts, sessionCount: null };
}

type Open = Extract<Cohort, { kind: 'open' }>;
type Closed = Extract<Cohort, { kind: 'closed' }>;

/** Every `count`-th session from the `own`-th on. */
const openShard = (cohort: Open, own: number, count: number): Cohort => ({
  ...cohort,
  *sessions(log): Generator<PlannedSession> {
    let ordinal = 0;
    for (const session of cohort.sessions(log)) {
      if (ordinal++ % count === own) yield session;
      // What was drawn for a session of others is not this one's.
      else if (log !== undefined) for (const name of Object.keys(log)) delete log[name];
    }
  },
});

/** Every `count`-th agent from the `own`-th on; each keeps its number, and so its sessions. */
const closedShard = (cohort: Closed, own: number, count: number): Cohort => ({
  ...cohort,
  agents: Math.max(0, Math.ceil((cohort.agents - own) / count)),
  session: (agent, ordinal, readyMs, log) => cohort.session(own + agent * count, ordinal, readyMs, log),
  thinkMs: (agent, ordinal) => cohort.thinkMs(own + agent * count, ordinal),
});

/** More than these are not counted beforehand. */
const COUNTED_MAX = 200_000;

/** Sessions of one shard; null: they are very many, or only a run knows. */
export function sessionsOfShard(plan: Plan, shard: Shard): number | null {
  if (plan.sessionCount === null || plan.sessionCount > COUNTED_MAX) return null;
  let sessions = 0;
  for (const cohort of shardOfPlan(plan, shard).cohorts) for (const _ of sessionsOf(cohort)) sessions++;
  return sessions;
}

/** Of closed cohorts as if no session took any time. */
export function* sessionsOf(cohort: Cohort): Generator<PlannedSession> {
  if (cohort.kind === 'open') {
    yield* cohort.sessions();
    return;
  }
  for (let agent = 0; agent < cohort.agents; agent++) {
    for (let ordinal = 0; ; ordinal++) {
      const session = cohort.session(agent, ordinal, 0);
      if (session === null) break;
      yield session;
    }
  }
}
