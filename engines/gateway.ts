// The gateway of a deployment file as the rules that it obeys: units, presets and defaults resolved. Null where the file
// has none: then each call goes where it asks to, once.
import { type Issue, issue } from '../scenarios/base/issue.ts';
import type { DeploymentFile } from '../scenarios/formats/deployment/deployment.ts';
import type { GatewayFile } from '../scenarios/formats/deployment/gateway.ts';
import { COMPLEXITIES } from '../scenarios/formats/policies.ts';
import {
  checkAttempts,
  type Place,
  readAllow,
  readBreaker,
  readBudget,
  readFallback,
  readHedge,
  readLimit,
  readRetry,
  readTimeout,
  scalarAt,
  under,
} from '../scenarios/formats/read-rules.ts';
import type {
  AnomalyRule,
  ChooseRule,
  Classifier,
  FallbackRule,
  GatewaySpec,
  OwnBudget,
  OwnLimit,
  QualityRule,
} from '../scenarios/formats/rules.ts';

type Part<K extends keyof GatewayFile> = NonNullable<GatewayFile[K]>;

/** Parts of the gateway that decide; where it stands and whom it lets in are others'. */
const PLAIN_KEYS = ['place', 'admission'];

export function resolveGateway(file: DeploymentFile): { gateway: GatewaySpec | null; issues: Issue[] } {
  const issues: Issue[] = [];
  const raw: GatewayFile = file.gateway ?? {};
  const at: Place = { path: ['gateway'], issues };
  const quality = qualityOf(file);
  const decides = Object.keys(raw).some(key => !PLAIN_KEYS.includes(key));
  if (!decides && quality.size === 0) return { gateway: null, issues };
  const timeout = readTimeout(raw.timeout, under(at, 'timeout'));
  const retry = readRetry(raw.retry, under(at, 'retry'));
  checkAttempts(timeout, retry, at);
  const gateway: GatewaySpec = {
    place: raw.place ?? null,
    allow: readAllow(raw.allow),
    limits: (raw.rate_limits ?? []).map((each, index) => limitOf(each, under(at, 'rate_limits', index))),
    budgets: budgetsOf(raw, at),
    anomalies: raw.anomalies === undefined ? null : anomaliesOf(raw.anomalies),
    classifier: raw.classifier === undefined ? null : classifierOf(raw.classifier, under(at, 'classifier')),
    choose: (raw.choose ?? []).map((each, index) => chooseOf(each, under(at, 'choose', index))),
    destinations: raw.destinations === undefined ? null : new Map(Object.entries(raw.destinations)),
    timeout,
    retry,
    hedge: readHedge(raw.hedge, under(at, 'hedge')),
    breaker: readBreaker(raw.breaker, under(at, 'breaker')),
    fallback: new Map(
      Object.entries(raw.fallback ?? {}).map(([target, each]) => [
        target,
        readFallback(each) as FallbackRule,
      ]),
    ),
    ...degradedOf(raw.degraded),
    splitsDeadline: raw.deadlines === 'split',
    propagatesCancel: raw.propagate_cancel ?? true,
    quality,
    onBadAnswer: raw.on_bad_answer ?? 'accept',
    evaluatesRatio: raw.evaluate ?? 1,
    agents: { max: raw.agents?.max ?? null, depth: raw.agents?.depth ?? null },
  };
  return { gateway, issues };
}

function limitOf(
  { each, model, max_wait: maxWait, ...rest }: Part<'rate_limits'>[number],
  at: Place,
): OwnLimit {
  return {
    ...(readLimit(rest, at) as OwnLimit),
    each: each ?? 'all',
    model: model ?? null,
    maxWaitMs: maxWait ?? null,
  };
}

/** `budget` is one of each session whose workflow has none. */
function budgetsOf({ budget, budgets = [] }: GatewayFile, at: Place): OwnBudget[] {
  const own = readBudget(budget, under(at, 'budget'));
  const more = budgets.map(({ each, workflow, ...rest }, index) => ({
    ...(readBudget(rest, under(at, 'budgets', index)) as OwnBudget),
    each,
    workflow: workflow ?? null,
  }));
  return own === null ? more : [{ ...own, each: 'session', workflow: null }, ...more];
}

/** Loops of three passes and twice the expected tokens [policies.md 4.8]; a pause of 5 s is our choice. */
const anomaliesOf = (raw: Part<'anomalies'>): AnomalyRule => ({
  repeats: raw.repeats ?? 3,
  calls: raw.calls ?? null,
  callsSd: raw.calls_sd ?? null,
  toolCascade: raw.tool_cascade ?? null,
  burn: raw.burn ?? 2,
  contextGrowth: raw.context_growth ?? null,
  action: raw.action ?? 'flag',
  throttleMs: raw.throttle ?? 5000,
});

const listOf = <T>(raw: T | readonly T[] | undefined): readonly T[] | null =>
  raw === undefined ? null : Array.isArray(raw) ? raw : [raw as T];

function chooseOf(raw: Part<'choose'>[number], at: Place): ChooseRule {
  const weights = typeof raw.use === 'string' ? { [raw.use]: 1 } : raw.use;
  const use = Object.entries(weights).map(([target, weight]) => ({
    target,
    weight: scalarAt(weight, 'ratio', under(at, 'use', target)) ?? 0,
  }));
  if (!use.some(({ weight }) => weight > 0)) {
    const hint = 'give at least one a weight above 0';
    at.issues.push(issue([...at.path, 'use'], 'WT1005', 'every weight is 0', hint));
  }
  return {
    roles: listOf(raw.role),
    complexities: listOf(raw.complexity),
    sensitivities: listOf(raw.sensitivity),
    models: listOf(raw.model),
    workflows: listOf(raw.workflow),
    tenants: listOf(raw.tenant),
    use,
    escalate: raw.escalate === undefined ? null : { to: raw.escalate.to, share: raw.escalate.share ?? null },
  };
}

const ROW_OF = (accuracy: number, row: number) =>
  COMPLEXITIES.map((_, column) => (column === row ? accuracy : (1 - accuracy) / 2));

/** Rows of P(seen | true); one that is not given is of a classifier with that accuracy. */
function classifierOf(raw: Part<'classifier'>, at: Place): Classifier {
  const { accuracy = 1, confusion = {} } = raw;
  if (raw.accuracy !== undefined && raw.confusion !== undefined) {
    const message = 'a classifier has `accuracy` or `confusion`, not both';
    at.issues.push(issue([...at.path, 'accuracy'], 'WT1005', message, 'keep one of them'));
  }
  const rows = COMPLEXITIES.map((truth, row) => {
    const given = confusion[truth];
    if (given === undefined) return ROW_OF(accuracy, row);
    const cells = COMPLEXITIES.map(seen => given[seen] ?? 0);
    const sum = cells.reduce((a, b) => a + b, 0);
    if (Math.abs(sum - 1) > 1e-6) {
      const message = `calls of complexity ${truth} are seen as something in ${Number((sum * 100).toFixed(4))} % of cases`;
      at.issues.push(
        issue([...at.path, 'confusion', truth], 'WT1005', message, 'the shares of a row sum to 100 %'),
      );
    }
    return cells;
  });
  return {
    latency: raw.latency ?? null,
    usd: raw.price ?? 0,
    confusion: rows as unknown as Classifier['confusion'],
    threshold: raw.threshold ?? null,
  };
}

/** How long calls wait for a target to come back where the file does not say; our choice. */
const DEGRADED_WAIT_MS = 30_000;

function degradedOf(raw: GatewayFile['degraded']): Pick<GatewaySpec, 'degraded' | 'degradedWaitMs'> {
  const { mode, max_wait: maxWait } = typeof raw === 'object' ? raw : { mode: raw, max_wait: undefined };
  return { degraded: mode ?? 'fail_closed', degradedWaitMs: maxWait ?? DEGRADED_WAIT_MS };
}

/** What the gateway says of a target, else what its provider's entry does. */
function qualityOf(file: DeploymentFile): Map<string, QualityRule> {
  const found = new Map<string, QualityRule>();
  const same = (share: number): QualityRule => ({ success: { low: share, medium: share, high: share } });
  for (const { models } of Object.values(file.providers ?? {}))
    for (const [name, { success }] of Object.entries(models))
      if (success !== undefined) found.set(name, same(success));
  for (const [target, raw] of Object.entries(file.gateway?.quality ?? {})) {
    if (typeof raw === 'number') found.set(target, same(raw));
    else {
      const { low = 1, medium = 1, high = 1 } = raw;
      found.set(target, { success: { low, medium, high } });
    }
  }
  return found;
}
