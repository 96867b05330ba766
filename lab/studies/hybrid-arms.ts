// The rules that the study hybrid lays side by side, each as what it sets of its deployment and scenario.
import { showRatio } from '../../reports/numbers.ts';
import { AWAY, HOME, QUALITY } from './hybrid-measure.ts';

export interface Arm {
  readonly name: string;
  /** Another deployment than the study's. */
  readonly input?: string;
  readonly deployment: readonly string[];
  readonly scenario?: readonly string[];
}

const PERSONAL = '{ sensitivity: personal, use: local }';
const choose = (...rules: readonly string[]): string => `gateway.choose=[${rules.join(', ')}]`;
const percent = (ratio: number): string => `${Math.round(ratio * 1000) / 10}%`;

const quality = (target: typeof HOME | typeof AWAY): string =>
  `gateway.quality.${target}={ low: ${percent(QUALITY.easy[target])}, high: ${percent(QUALITY.hard[target])} }`;
/** Of every arm that has both models. */
const BOTH = [quality(HOME), quality(AWAY)];

/** Shares of hard and of not hard answers that the classifier sees as they are. */
export const ACCURACIES = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1];
export const THRESHOLDS = [0.1, 0.25, 0.5, 0.75];
export const SEEN_RATIOS = [0.25, 0.5, 0.75, 1];
/** Of answers that go to the API by lot. */
export const LOTS = [0.25, 0.5, 0.75];
/** Of the classifiers whose threshold is moved. */
export const POOR = 0.7;
export const GOOD = 0.9;

const seesRight = (accuracy: number): string =>
  `gateway.classifier.confusion={ low: { low: ${percent(accuracy)}, high: ${percent(1 - accuracy)} }, high: { low: ${percent(1 - accuracy)}, high: ${percent(accuracy)} } }`;

export const atHome: Arm = { name: 'all at home', deployment: [...BOTH, choose('{ use: local }')] };
/** Personal data stay. */
export const away: Arm = {
  name: 'all answers to the API',
  deployment: [...BOTH, choose(PERSONAL, '{ use: frontier }')],
};
export const apiOnly: Arm = {
  name: 'everything to the API, no GPU',
  input: 'studies/hybrid-api',
  scenario: ['models.local.model=claude-opus-5-5'],
  deployment: [quality(AWAY)],
};
export const byLot = (ratio: number): Arm => ({
  name: `${showRatio(ratio)} by lot`,
  deployment: [
    ...BOTH,
    choose(PERSONAL, `{ use: { local: ${percent(1 - ratio)}, frontier: ${percent(ratio)} } }`),
  ],
});
export const router = (accuracy: number): Arm => ({
  name: `classifier, ${showRatio(accuracy)} right`,
  deployment: [...BOTH, seesRight(accuracy)],
});
/** The threshold of 50 % is that at which it errs as said. */
export const moved = (accuracy: number, ratio: number): Arm =>
  ratio === 0.5
    ? router(accuracy)
    : {
        name: `classifier, ${showRatio(accuracy)} right, threshold ${showRatio(ratio)}`,
        deployment: [...router(accuracy).deployment, `gateway.classifier.threshold=${percent(ratio)}`],
      };
export const cascade = (seen: number): Arm => ({
  name: `cascade, ${showRatio(seen)} of bad answers noticed`,
  deployment: [
    ...BOTH,
    choose(PERSONAL, '{ use: local, escalate: { to: frontier } }'),
    'gateway.on_bad_answer=escalate',
    `gateway.evaluate=${percent(seen)}`,
  ],
});

/** Arms of the first scenario, from the cheapest end to the dearest. */
export const ARMS: readonly Arm[] = [
  atHome,
  ...ACCURACIES.map(router),
  ...[POOR, GOOD].flatMap(accuracy =>
    THRESHOLDS.filter(ratio => ratio !== 0.5).map(ratio => moved(accuracy, ratio)),
  ),
  ...SEEN_RATIOS.map(cascade),
  ...LOTS.map(byLot),
  away,
  apiOnly,
];

const REGULATED = [
  ...BOTH,
  'gateway.destinations={ personal: [local, frontier], internal: [local, frontier] }',
];
const KEPT = [
  ...REGULATED,
  choose('{ tenant: clinic, use: local }', PERSONAL, '{ complexity: high, use: frontier }', '{ use: local }'),
];
/** The pool at home is lost from the fifth minute to the tenth. */
const DOWN = {
  scenario: ['faults=[{ fault: replica_crash, target: local, at: 5m }]'],
  deployment: [
    'pools.local.autoscaler={ policy: fixed, min: 1, max: 1 }',
    'pools.local.cold_start=5m',
    'gateway.timeout={ ttft: 20s }',
    'gateway.breaker={ failures: 5, errors: [timeout, 5xx], open: 15s }',
    'gateway.fallback={ local: [frontier], frontier: [local] }',
  ],
};

/** Nobody reads along: an answer whose replica is lost in the middle may be asked for again. */
const BEGUN = 'gateway.retry={ max: 0, blind: true }';

/** Arms of the scenario with two tenants. */
export const unruled: Arm = { name: 'rules that know no tenants', deployment: REGULATED };
export const kept: Arm = { name: 'the tenant stays at home by a rule', deployment: KEPT };
export const failsClosed: Arm = {
  name: 'the same, local pool lost for 5 minutes',
  scenario: DOWN.scenario,
  deployment: [...KEPT, ...DOWN.deployment],
};
export const waits: Arm = {
  name: 'the same, and calls wait for it',
  scenario: DOWN.scenario,
  deployment: [...KEPT, ...DOWN.deployment, 'gateway.degraded={ mode: queue, max_wait: 10m }', BEGUN],
};
export const REGULATED_ARMS: readonly Arm[] = [unruled, kept, failsClosed, waits];
