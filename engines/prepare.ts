// A scenario against a deployment: which pool serves which model, and whether its prompts fit. Pure; what is wrong comes
// back as issues of the one file or the other.
import { type Issue, issue } from '../scenarios/base/issue.ts';
import type { Plan, PlannedSession } from '../scenarios/formats/plan.ts';
import { didYouMean } from '../scenarios/formats/suggest.ts';
import type { Call } from '../scenarios/workflows/progress.ts';
import { walk } from '../scenarios/workflows/walk.ts';
import type { DeploymentSpec, PoolSpec } from './engine.ts';

/** Sessions of each cohort that are walked before a run, to name what will not fit. */
export const SAMPLED_SESSIONS = 200;

export interface Prepared {
  /** The pool that serves a model alias or a trace's model name. */
  readonly poolOf: (model: string) => string;
  readonly issues: readonly Issue[];
}

/** The first sessions of every cohort, each with its cohort's name. */
export function* sampleSessions(plan: Plan, perCohort: number): Generator<PlannedSession> {
  for (const cohort of plan.cohorts) {
    let taken = 0;
    if (cohort.kind === 'open') {
      for (const session of cohort.sessions()) {
        if (taken++ >= perCohort) break;
        yield session;
      }
      continue;
    }
    for (let ordinal = 0; taken < perCohort; ordinal++) {
      let any = false;
      for (let agent = 0; agent < cohort.agents && taken < perCohort; agent++) {
        const session = cohort.session(agent, ordinal, 0);
        if (session === null) continue;
        any = true;
        taken++;
        yield session;
      }
      if (!any) break;
    }
  }
}

/** The rule: a pool of that name; else the pool that serves the alias's model; else the only pool there is. */
function findPool(model: string, plan: Plan, deployment: DeploymentSpec): PoolSpec | null {
  const modelId = plan.models.get(model)?.modelId ?? model;
  const { pools } = deployment;
  return (
    pools.find(pool => pool.name === model) ??
    pools.find(pool => pool.modelId === modelId) ??
    (pools.length === 1 ? (pools[0] as PoolSpec) : null)
  );
}

export function prepare(plan: Plan, deployment: DeploymentSpec): Prepared {
  const issues: Issue[] = [];
  const pools = new Map<string, PoolSpec | null>();
  const resolve = (model: string): PoolSpec | null => {
    const known = pools.get(model);
    if (known !== undefined) return known;
    const pool = findPool(model, plan, deployment);
    pools.set(model, pool);
    if (pool === null) {
      const names = deployment.pools.map(each => each.name);
      const served = deployment.pools.map(each => `${each.name} (${each.modelId})`).join(', ');
      issues.push(
        issue(
          ['models', model],
          'WT1204',
          `no pool of "${deployment.name}" serves "${model}"`,
          didYouMean(model, names) ?? `its pools: ${served}`,
        ),
      );
    }
    return pool;
  };
  for (const model of plan.modelsUsed) resolve(model);
  const tooLong = new Map<string, { call: Call; session: string; pool: PoolSpec; times: number }>();
  for (const session of sampleSessions(plan, SAMPLED_SESSIONS)) {
    for (const call of walk(session).calls) {
      const pool = resolve(call.model);
      if (pool === null || call.promptTokens + call.outputTokens <= pool.limits.maxModelTokens) continue;
      const found = tooLong.get(call.step);
      if (found === undefined) tooLong.set(call.step, { call, session: session.id, pool, times: 1 });
      else {
        found.times++;
        if (call.promptTokens > found.call.promptTokens) Object.assign(found, { call, session: session.id });
      }
    }
  }
  for (const [step, { call, session, pool, times }] of tooLong) {
    issues.push(
      issue(
        ['workflows'],
        'WT1108',
        `${times} prompt${times === 1 ? '' : 's'} of "${step}" exceed${times === 1 ? 's' : ''} the window of ${pool.limits.maxModelTokens} tokens of pool "${pool.name}": ` +
          `${call.promptTokens} + ${call.outputTokens} output tokens in session ${session}`,
        'raise limits.max_model_len of the pool, choose a model with a longer window, clamp the amounts with max, or shrink a trace with --scale-tokens',
      ),
    );
  }
  return {
    poolOf: model => {
      const pool = resolve(model);
      return pool?.name ?? '';
    },
    issues,
  };
}
