// What all of a run shares, divided among its shards: rate limits, budgets, sandboxes, stores, what may be spent. Pure.
// Rule: all shards together never allow more than the whole run would, but where a shard needs one at least, which is said.
import type { DeploymentSpec } from '../engines/engine.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type {
  BudgetRule,
  GatewaySpec,
  LimitRule,
  ScenarioRules,
  StoreSpec,
  ToolRuntimeSpec,
} from '../scenarios/formats/rules.ts';
import { type Shard, shareOf } from './shard.ts';

export interface ShardLimits {
  readonly plan: Plan;
  readonly deployment: DeploymentSpec;
  /** What is divided, and what of it is not exact. The same for every shard. */
  readonly notes: readonly string[];
}

/** `plan`: the shard's own part already. */
export function dividedLimits(plan: Plan, deployment: DeploymentSpec, shard: Shard): ShardLimits {
  if (shard.count === 1) return { plan, deployment, notes: [] };
  const parts = new Parts(shard);
  const rules = plan.rules === undefined ? {} : { rules: parts.rules(plan.rules) };
  const { gateway, toolRuntimes, stores } = deployment;
  const divided: DeploymentSpec = {
    ...deployment,
    gateway: gateway === null ? null : parts.gateway(gateway),
    toolRuntimes: toolRuntimes.map(runtime => parts.runtime(runtime)),
    stores: stores.map(store => parts.store(store)),
    admission: parts.admission(deployment.admission),
  };
  return {
    plan: { ...plan, ...rules },
    deployment: divided,
    notes: [...parts.notes(), ...seenApart(deployment)],
  };
}

/** What each shard decides by what it sees itself. */
function seenApart({ routing, gateway, pools }: DeploymentSpec): string[] {
  const severalReplicas = pools.some(({ endpoints }) => endpoints.length > 1);
  return [
    ...(severalReplicas
      ? [
          `each shard routes by itself (${routing.policy}): it sees its own calls in flight and what it scrapes`,
        ]
      : []),
    ...(gateway?.breaker == null && gateway?.hedge == null
      ? []
      : ['breakers and hedges of each shard know its own calls only']),
  ];
}

/** Options of admission policies that count calls or sessions of all pools. */
const DIVIDED_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  calls: ['max', 'queue'],
  sessions: ['max', 'queue'],
  token_bucket: ['refill', 'queue'],
};
/** These decide by scraped metrics or priorities alone, or let everybody in. */
const UNDIVIDED = ['always'];

class Parts {
  private readonly shard: Shard;
  private hasDivided = false;
  /** Those that could not be divided: every shard has one. */
  private readonly least = new Set<string>();
  private readonly apart = new Set<string>();

  constructor(shard: Shard) {
    this.shard = shard;
  }

  notes(): string[] {
    const { count } = this.shard;
    return [
      ...(this.hasDivided
        ? [
            `limits and budgets are divided by ${count}, the number of shards: one with more than its share of their ` +
              'calls meets them sooner than the whole would',
          ]
        : []),
      ...[...this.least].map(what => `${what} is below the number of shards: each has 1, together ${count}`),
      ...this.apart,
    ];
  }

  rules(rules: ScenarioRules): ScenarioRules {
    const tenants = [...rules.tenants].map(([name, { budget, userBudget, limit, residency }]) => {
      const divided = {
        budget: this.budget(budget),
        userBudget: this.budget(userBudget),
        limit: this.limit(limit, `concurrency of tenant ${name}`),
        residency,
      };
      return [name, divided] as const;
    });
    const models = [...rules.models].map(
      ([name, rule]) => [name, { ...rule, limit: this.limit(rule.limit, `concurrency of ${name}`) }] as const,
    );
    return { ...rules, tenants: new Map(tenants), models: new Map(models) };
  }

  gateway(gateway: GatewaySpec): GatewaySpec {
    return {
      ...gateway,
      // All calls of a session are of one shard.
      limits: gateway.limits.map(limit =>
        limit.each === 'session' ? limit : { ...limit, ...this.limit(limit, 'the concurrency of a limit') },
      ),
      budgets: gateway.budgets.map(budget =>
        budget.each === 'session' ? budget : { ...budget, ...this.budget(budget) },
      ),
    };
  }

  runtime(runtime: ToolRuntimeSpec): ToolRuntimeSpec {
    const { name, concurrency, queue, warmPool } = runtime;
    return {
      ...runtime,
      concurrency: this.whole(concurrency, `the concurrency of runtime ${name}`),
      queue: this.share(queue),
      warmPool: this.share(warmPool),
    };
  }

  store(store: StoreSpec): StoreSpec {
    const { name, concurrency, capacity } = store;
    this.apart.add(
      `store ${name}: each shard has one of its own, and finds there what its own sessions wrote`,
    );
    return {
      ...store,
      concurrency: this.whole(concurrency, `the concurrency of store ${name}`),
      capacity: this.whole(capacity, `the capacity of store ${name}`),
    };
  }

  admission(admission: DeploymentSpec['admission']): DeploymentSpec['admission'] {
    const { policy, options } = admission;
    const names = DIVIDED_OPTIONS[policy];
    if (names === undefined) {
      if (!UNDIVIDED.includes(policy))
        this.apart.add(`admission ${policy}: each shard judges by its own calls and what it scrapes`);
      return admission;
    }
    const divided = { ...options };
    for (const name of names) {
      const value = options[name];
      if (typeof value !== 'number' || !Number.isFinite(value)) continue;
      if (name === 'refill') divided[name] = this.part(value);
      else
        divided[name] =
          name === 'max' ? this.whole(value, `\`max\` of admission ${policy}`) : this.share(value);
    }
    return { policy, options: divided };
  }

  private limit<Rule extends LimitRule | null>(rule: Rule, concurrencyOf: string): Rule {
    if (rule === null) return rule;
    const { rpm, tpm, inputTpm, outputTpm, concurrency, spend } = rule;
    return {
      ...rule,
      rpm: this.part(rpm),
      tpm: this.part(tpm),
      inputTpm: this.part(inputTpm),
      outputTpm: this.part(outputTpm),
      concurrency: this.whole(concurrency, concurrencyOf),
      spend: spend === null ? null : { ...spend, usd: this.part(spend.usd) },
    };
  }

  /** A limit of the wall clock is each session's own. */
  private budget<Rule extends BudgetRule | null>(rule: Rule): Rule {
    if (rule === null) return rule;
    const limits = Object.entries(rule.limits).map(([measure, amount]) => [
      measure,
      measure === 'wallMs' ? amount : this.part(amount),
    ]);
    return { ...rule, limits: Object.fromEntries(limits) };
  }

  private part<Amount extends number | null>(amount: Amount): Amount {
    if (amount === null) return amount;
    this.hasDivided = true;
    return (amount / this.shard.count) as Amount;
  }

  private share<Amount extends number | null>(amount: Amount): Amount {
    if (amount === null || amount === 0) return amount;
    this.hasDivided = true;
    return shareOf(amount, this.shard) as Amount;
  }

  /** Of something that a shard cannot do without. */
  private whole<Amount extends number | null>(amount: Amount, what: string): Amount {
    if (amount === null) return amount;
    if (amount < this.shard.count) this.least.add(what);
    return Math.max(1, this.share(amount) ?? 1) as Amount;
  }
}
