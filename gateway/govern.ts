// The layers that govern a run, in both worlds: made from what the scenario and the deployment say, or none where neither
// says anything.
import { extendText, seedKey } from '../scenarios/base/key.ts';
import type { Plan, PlannedFault } from '../scenarios/formats/plan.ts';
import {
  type GatewaySpec,
  PLAIN_GATEWAY,
  type PlacesSpec,
  type ScenarioRules,
  type StoreSpec,
  type ToolRuntimeSpec,
} from '../scenarios/formats/rules.ts';
import type { MakeLayer } from '../scenarios/workflows/stack.ts';
import { AnomalyWatch } from './anomalies/watch.ts';
import { Budgets } from './budgets/budgets.ts';
import { Chooser, type TargetInfo } from './choice/chooser.ts';
import type { GatewayParts, Operator } from './desk.ts';
import { windowsOf } from './fault-windows.ts';
import { gatewayLayer } from './gateway.ts';
import type { Journal } from './journal.ts';
import { OwnLimits, ownLimits } from './limits/limits.ts';
import { Quality } from './quality/quality.ts';
import { checkpointLayer } from './state/checkpoints.ts';
import { storeLayer } from './state/stores.ts';
import { toolLayer } from './tools/runtimes.ts';
import { AgentLimits } from './trust/agents.ts';
import { toolDenial } from './trust/allow.ts';

interface Price {
  readonly in: number;
  readonly cachedIn: number;
  readonly out: number;
}

/** A deployment as far as it is governed; engines/engine.ts has all of it. */
export interface GovernedDeployment {
  readonly gateway: GatewaySpec | null;
  readonly pools: readonly {
    readonly name: string;
    readonly modelId: string;
    readonly place: string | null;
    readonly limits: { readonly maxModelTokens: number };
  }[];
  readonly hosted: readonly {
    readonly name: string;
    readonly provider: string;
    readonly modelId: string;
    readonly price: Price | null;
    readonly maxModelTokens: number | null;
    readonly api: { readonly place: string | null } | null;
  }[];
  readonly toolRuntimes: readonly ToolRuntimeSpec[];
  readonly stores: readonly StoreSpec[];
  readonly places: PlacesSpec | null;
}

/** Faults that the layers here bring about. */
const FAULTS: readonly PlannedFault['kind'][] = [
  'tool_failure',
  'degraded_model',
  'agent_crash',
  'operator_cancel',
  'runaway',
];

const NO_SCENARIO_RULES: ScenarioRules = {
  tenants: new Map(),
  models: new Map(),
  cohorts: new Map(),
  isGoverned: false,
};

/** Whether anything of a run is governed. */
export const isGoverned = (plan: Plan, deployment: GovernedDeployment): boolean =>
  deployment.gateway !== null ||
  deployment.hosted.length > 0 ||
  deployment.toolRuntimes.length > 0 ||
  deployment.stores.length > 0 ||
  plan.rules?.isGoverned === true ||
  (plan.faults ?? []).some(({ kind }) => FAULTS.includes(kind));

/**
 * The layers, topmost first; none where nothing is governed. `wayMs`: round trip between a tool and a place, where there
 * is a network between them.
 */
export function governingLayers(
  plan: Plan,
  deployment: GovernedDeployment,
  journal: Journal,
  wayMs: (tool: string, place: string | null) => number = () => 0,
): MakeLayer[] {
  if (!isGoverned(plan, deployment)) return [];
  const { toolRuntimes: runtimes, stores } = deployment;
  const faults = plan.faults ?? [];
  const spec = deployment.gateway ?? PLAIN_GATEWAY;
  const seedText = String(plan.seed);
  const savesState = plan.rules?.hasCheckpoints === true || faults.some(({ kind }) => kind === 'agent_crash');
  return [
    ...(savesState ? [checkpointLayer({ journal, faults, seedText })] : []),
    gatewayLayer(partsOf(plan, deployment, journal)),
    setup => {
      const tools = toolLayer({
        runtimes,
        faults,
        journal,
        seedText,
        storeUsd: new Map(stores.map(({ name, usdPerOp }) => [name, usdPerOp])),
        allow: what => (what.kind === 'tool' ? toolDenial(what.rules, spec.allow) : null),
      })(setup);
      journal.atEnd.push(nowMs => {
        journal.records.idleToolsUsd = tools.runtimes.idleUsd(nowMs);
      });
      return tools;
    },
    ...(stores.length === 0
      ? []
      : [storeLayer({ stores, journal, wayMs: (tool, { place }) => wayMs(tool, place) })]),
  ];
}

/** Pools and hosted models, with the labels of where they stand. */
export function targetsOf({ pools, hosted, places }: GovernedDeployment): TargetInfo[] {
  const labels = new Map(places?.places.map(place => [place.name, place.labels]));
  const at = (place: string | null) => ({ place, labels: (place === null ? null : labels.get(place)) ?? [] });
  return [
    ...pools.map(({ name, modelId, place, limits }) => ({
      name,
      modelId,
      provider: null,
      maxModelTokens: limits.maxModelTokens,
      ...at(place),
    })),
    ...hosted.map(({ name, modelId, provider, maxModelTokens, api }) => ({
      name,
      modelId,
      provider,
      maxModelTokens,
      ...at(api?.place ?? null),
    })),
  ];
}

function partsOf(plan: Plan, deployment: GovernedDeployment, journal: Journal): GatewayParts {
  const spec = deployment.gateway ?? PLAIN_GATEWAY;
  const rules = plan.rules ?? NO_SCENARIO_RULES;
  const faults = plan.faults ?? [];
  const targets = targetsOf(deployment);
  const limits = ownLimits(spec.limits, rules);
  const prices = new Map(deployment.hosted.map(({ name, price }) => [name, price]));
  const { agents, anomalies } = spec;
  const hasQuality = spec.quality.size > 0 || faults.some(({ kind }) => kind === 'degraded_model');
  return {
    spec,
    journal,
    budgets: hasBudgets(plan, spec, rules)
      ? new Budgets({ budgets: spec.budgets, tenants: rules.tenants })
      : null,
    limits: limits.length === 0 ? null : new OwnLimits(limits),
    chooser: new Chooser(spec, targets, plan.models),
    chooses:
      spec.choose.length > 0 ||
      spec.destinations !== null ||
      [...rules.tenants.values()].some(({ residency }) => residency !== null),
    quality:
      hasQuality || plan.rules?.hasSuccess === true
        ? new Quality(spec, faults, { run: extendText(seedKey(plan.seed), 'hosted'), targets })
        : null,
    anomalies: anomalies === null ? null : new AnomalyWatch(anomalies, () => null),
    agents: agents.max === null && agents.depth === null ? null : new AgentLimits(agents),
    residencyOf: tenant => (tenant === null ? null : (rules.tenants.get(tenant)?.residency ?? null)),
    cohortCancel: cohort => rules.cohorts.get(cohort) ?? null,
    injectedOf: ({ program }) => program.injected ?? null,
    operator: operatorOf(faults, String(plan.seed)),
    usdOf: (target, promptTokens, cachedTokens, outputTokens) => {
      const price = prices.get(target);
      if (price == null) return 0;
      const uncached = promptTokens - cachedTokens;
      return (uncached * price.in + cachedTokens * price.cachedIn + outputTokens * price.out) / 1e6;
    },
  };
}

/** Whether any session, user, tenant or agent type has a budget. */
function hasBudgets(plan: Plan, { budgets }: GatewaySpec, rules: ScenarioRules): boolean {
  const tenants = [...rules.tenants.values()];
  return (
    budgets.length > 0 ||
    plan.rules?.hasBudgets === true ||
    tenants.some(({ budget, userBudget }) => budget !== null || userBudget !== null)
  );
}

/** Sessions that are ended by hand, at the times of the scenario's faults. */
function operatorOf(faults: readonly PlannedFault[], seedText: string): Operator {
  const windows = windowsOf(faults, 'operator_cancel', seedText);
  const next = () => Math.min(Number.POSITIVE_INFINITY, ...windows.map(({ nextMs }) => nextMs));
  return {
    isArmed: false,
    nextMs: next,
    missed: nowMs => {
      for (const window of windows) window.missed(nowMs);
    },
    due: nowMs => {
      const begun = windows.filter(each => each.advance(nowMs) > 0);
      return ({ key, program }) =>
        begun.some(each => (each.fault.target ?? program.workflow) === program.workflow && each.hits(key));
    },
  };
}
