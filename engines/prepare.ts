// A scenario against a deployment: which pool serves which model, and whether its prompts fit. Pure; what is wrong comes
// back as issues of the one file or the other.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { Plan, PlannedCrash, PlannedFault, PlannedSession } from '../scenarios/formats/plan.ts';
import type { BudgetRule, FallbackRule } from '../scenarios/formats/rules.ts';
import { didYouMean } from '../scenarios/formats/suggest.ts';
import type { Call } from '../scenarios/workflows/progress.ts';
import { walk } from '../scenarios/workflows/walk.ts';
import { findModel } from './catalog.ts';
import { fallbackNames } from './contradictions.ts';
import type { DeploymentSpec, HostedModel, PoolSpec } from './engine.ts';

/** Sessions of each cohort that are walked before a run, to name what will not fit. */
export const SAMPLED_SESSIONS = 200;

export interface Prepared {
  /** The pool, or the model of a provider, that serves a model alias or a trace's model name. */
  readonly poolOf: (model: string) => string;
  readonly issues: readonly Issue[];
  /** Models that another model's pool stands in for, since it is the only one. */
  readonly notes: readonly string[];
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

/** What serves a model: a pool of replicas, or a provider's API. */
export type Server =
  | { readonly kind: 'pool'; readonly pool: PoolSpec }
  | { readonly kind: 'hosted'; readonly hosted: HostedModel };

/**
 * The rule: what has the name that the call gives; else the first pool, else the first provider, that serves the
 * alias's model; else the only pool, where there is no provider.
 */
export function serverOf(model: string, plan: Plan, deployment: DeploymentSpec): Server | null {
  const modelId = plan.models.get(model)?.modelId ?? model;
  const { pools, hosted } = deployment;
  const pool = pools.find(each => each.name === model);
  if (pool !== undefined) return { kind: 'pool', pool };
  const sold = hosted.find(each => each.name === model);
  if (sold !== undefined) return { kind: 'hosted', hosted: sold };
  const serving = pools.find(each => each.modelId === modelId);
  if (serving !== undefined) return { kind: 'pool', pool: serving };
  const selling = hosted.find(each => each.modelId === modelId);
  if (selling !== undefined) return { kind: 'hosted', hosted: selling };
  const only = pools.length === 1 && hosted.length === 0 ? pools[0] : undefined;
  return only === undefined ? null : { kind: 'pool', pool: only };
}

/** Prompts of one step that exceed a window: the longest of them, and in which pass of its loop it begins. */
interface TooLong {
  call: Call;
  session: string;
  /** What it exceeds. */
  beyond: string;
  times: number;
  pass: number;
}

/** What a call does not fit into, in words; null when it fits, or when no window is known. */
function exceeded(server: Server, { promptTokens, outputTokens }: Call): string | null {
  const of = (tokens: number, name: string) => `the window of ${tokens} tokens of ${name}`;
  if (server.kind === 'hosted') {
    const { maxModelTokens, name, provider } = server.hosted;
    const fits = maxModelTokens === null || promptTokens + outputTokens <= maxModelTokens;
    return fits ? null : of(maxModelTokens, `"${name}" of provider "${provider}"`);
  }
  const { name, engine, limits, disaggregation } = server.pool;
  if (promptTokens + outputTokens > limits.maxModelTokens) return of(limits.maxModelTokens, `pool "${name}"`);
  // The prefill half computes the prompt and one token.
  const prefill = disaggregation?.prefill.limits ?? limits;
  if (promptTokens + 1 > prefill.maxModelTokens)
    return of(prefill.maxModelTokens, `the prefill half of pool "${name}"`);
  const isWhole = engine === 'tensorrt-llm' && !prefill.chunkedPrefill;
  return isWhole && promptTokens > prefill.maxBatchedTokens
    ? `the step of ${prefill.maxBatchedTokens} tokens (max_num_batched_tokens) of pool "${name}", which computes prompts whole`
    : null;
}

/**
 * Models of providers that calls may go to, by what asks for one, by choice or by fallback: each with the alias that it
 * serves; null: only the gateway sends calls there.
 */
export function reachableHosted(plan: Plan, deployment: DeploymentSpec): Map<HostedModel, string | null> {
  const { gateway, hosted, pools } = deployment;
  const found = new Map<HostedModel, string | null>();
  if (hosted.length === 0) return found;
  const names = new Set(pools.map(({ name }) => name));
  const add = (model: HostedModel, asked: string | null): void => {
    if (found.get(model) == null) found.set(model, asked);
  };
  for (const model of plan.modelsUsed) {
    const server = serverOf(model, plan, deployment);
    if (server?.kind === 'hosted') add(server.hosted, model);
  }
  // As the chooser takes a name: a target, else whatever serves the model.
  const reach = (name: string): void => {
    const named = hosted.filter(each => each.name === name);
    const modelId = plan.models.get(name)?.modelId ?? name;
    const isTarget = named.length > 0 || names.has(name);
    for (const each of isTarget ? named : hosted.filter(model => model.modelId === modelId)) add(each, null);
  };
  for (const name of namedTargets(plan, gateway)) reach(name);
  if (gateway?.degraded === 'fall_back') for (const each of hosted) add(each, null);
  return found;
}

/** Whatever a rule of either file names as a target. */
function namedTargets(plan: Plan, gateway: DeploymentSpec['gateway']): Set<string> {
  const names = new Set<string>();
  const fallback = (rule: FallbackRule | null): void => {
    for (const name of rule === null ? [] : fallbackNames(rule)) names.add(name);
  };
  const save = (rule: BudgetRule | null): void => {
    if (rule !== null && rule.save.model !== null) names.add(rule.save.model);
  };
  for (const { use, escalate } of gateway?.choose ?? []) {
    for (const { target } of use) names.add(target);
    if (escalate !== null) names.add(escalate.to);
  }
  for (const rule of gateway?.fallback.values() ?? []) fallback(rule);
  for (const rule of gateway?.budgets ?? []) save(rule);
  for (const each of plan.rules?.models.values() ?? []) fallback(each.fallback);
  for (const { budget, userBudget } of plan.rules?.tenants.values() ?? []) {
    save(budget);
    save(userBudget);
  }
  for (const { session, calls } of walkedCalls(plan)) {
    save(session.program.rules?.budget ?? null);
    for (const { rules } of calls) fallback(rules?.fallback ?? null);
  }
  return names;
}

/** Models of providers of which nothing says how fast they answer: no simulation can call one. */
export function hostedIssues(plan: Plan, deployment: DeploymentSpec): Issue[] {
  const refuse = ({ name, provider, modelId }: HostedModel, why: string, path: InputPath): Issue => {
    const message = `nothing says how fast "${modelId}" of provider "${provider}" answers, ${why}`;
    const hint = `give providers.${provider}.models.${name} a \`latency: { ttft: …, tpot: … }\``;
    return issue(path, 'WT1202', message, hint);
  };
  return [...reachableHosted(plan, deployment)].flatMap(([model, alias]) => {
    if (model.api !== null) return [];
    return alias === null
      ? [refuse(model, 'and the gateway may send calls there', ['models'])]
      : [refuse(model, `which serves "${alias}"`, ['models', alias])];
  });
}

/** Calls of a cohort that are walked at most, so that long sessions cost no more than many. */
const WALKED_CALLS = 20_000;

function* walkedCalls(plan: Plan): Generator<{ session: PlannedSession; calls: readonly Call[] }> {
  for (const cohort of plan.cohorts) {
    let walked = 0;
    for (const session of sampleSessions({ ...plan, cohorts: [cohort] }, SAMPLED_SESSIONS)) {
      const { calls } = walk(session);
      yield { session, calls };
      walked += calls.length;
      if (walked >= WALKED_CALLS) break;
    }
  }
}

/** Faults of pools, providers, models and links that there are not. */
function faultIssues({ crashes = [], faults = [] }: Plan, deployment: DeploymentSpec): Issue[] {
  const { name, pools, hosted, places } = deployment;
  const poolNames = pools.map(each => each.name);
  const models = hosted.map(each => each.name);
  const known: Partial<Record<PlannedFault['kind'], { what: string; names: readonly string[] }>> = {
    slow_replica: { what: 'pool', names: poolNames },
    provider_outage: { what: 'provider', names: [...new Set(hosted.map(each => each.provider)), ...models] },
    degraded_model: { what: 'pool or model', names: [...poolNames, ...models] },
    network_loss: { what: 'link', names: (places?.links ?? []).map(each => each.name) },
  };
  const issues = crashIssues(crashes, name, poolNames);
  for (const { fault, kind, target } of faults) {
    const row = known[kind];
    if (row === undefined || target === null || row.names.includes(target)) continue;
    const hint =
      didYouMean(target, row.names) ??
      (row.names.length === 0 ? `it has no ${row.what}` : `it has: ${row.names.join(', ')}`);
    const message = `"${name}" has no ${row.what} "${target}" for a ${kind}`;
    issues.push(issue(['faults', fault, 'target'], 'WT1102', message, hint));
  }
  return issues;
}

/** Replicas to be lost of a pool that there is not. */
function crashIssues(crashes: readonly PlannedCrash[], name: string, names: readonly string[]): Issue[] {
  return crashes.flatMap(({ fault, pool }) => {
    if (pool === null || names.includes(pool)) return [];
    const hint = didYouMean(pool, names) ?? `it has: ${names.join(', ')}`;
    const message = `"${name}" has no pool "${pool}" to lose a replica`;
    return [issue(['faults', fault, 'target'], 'WT1102', message, hint)];
  });
}

export function prepare(plan: Plan, deployment: DeploymentSpec): Prepared {
  const issues: Issue[] = faultIssues(plan, deployment);
  const servers = new Map<string, Server | null>();
  const resolve = (model: string): Server | null => {
    const known = servers.get(model);
    if (known !== undefined) return known;
    const server = serverOf(model, plan, deployment);
    servers.set(model, server);
    if (server === null) {
      const all = [...deployment.pools, ...deployment.hosted];
      const names = all.map(each => each.name);
      const served = all.map(each => `${each.name} (${each.modelId})`).join(', ');
      const what = deployment.hosted.length === 0 ? 'pool' : 'pool or provider';
      issues.push(
        issue(
          ['models', model],
          'WT1204',
          `no ${what} of "${deployment.name}" serves "${model}"`,
          didYouMean(model, names) ?? `it has: ${served}`,
        ),
      );
    }
    return server;
  };
  for (const model of plan.modelsUsed) resolve(model);
  const tooLong = new Map<string, TooLong>();
  for (const walked of walkedCalls(plan)) {
    for (const call of walked.calls) {
      const { session } = walked;
      const server = resolve(call.model);
      const beyond = server === null ? null : exceeded(server, call);
      if (beyond === null) continue;
      const found = tooLong.get(call.step);
      const pass = call.iteration ?? 0;
      if (found === undefined) tooLong.set(call.step, { call, session: session.id, beyond, times: 1, pass });
      else {
        found.times++;
        found.pass = Math.min(found.pass, pass);
        if (call.promptTokens > found.call.promptTokens)
          Object.assign(found, { call, session: session.id, beyond });
      }
    }
  }
  for (const [step, { call, session, beyond, times, pass }] of tooLong) {
    const growing = call.loop === null ? '' : `, from pass ${pass + 1} of "${call.loop}" on`;
    issues.push(
      issue(
        ['workflows'],
        'WT1108',
        `${times} prompt${times === 1 ? '' : 's'} of "${step}" exceed${times === 1 ? 's' : ''} ${beyond}: ` +
          `${call.promptTokens} + ${call.outputTokens} output tokens in session ${session}${growing}`,
        'raise limits.max_model_len of the pool, choose a model with a longer window, clamp the amounts with max, or, of a trace, --max-context or --scale-tokens',
      ),
    );
  }
  return {
    poolOf: model => {
      const server = resolve(model);
      if (server === null) return '';
      return server.kind === 'pool' ? server.pool.name : server.hosted.name;
    },
    issues,
    notes: [...servers].flatMap(([model, server]) => standIn(model, server, plan) ?? []),
  };
}

/** A model that nothing of the deployment names, served by the only pool there is. */
function standIn(model: string, server: Server | null, plan: Plan): string | null {
  // The models of a trace are those that served it then.
  const modelId = plan.models.get(model)?.modelId;
  if (
    modelId === undefined ||
    server?.kind !== 'pool' ||
    server.pool.name === model ||
    server.pool.modelId === modelId
  )
    return null;
  const alias = modelId === model ? '' : ` ("${model}")`;
  const unknown = findModel(modelId) === null ? ', which the catalogue does not know,' : '';
  return `${modelId}${alias}${unknown} is served by pool "${server.pool.name}", the only one: its model is ${server.pool.modelId}`;
}
