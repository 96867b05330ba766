// Which model a call goes to. The first rule that matches wins, among its targets by weight those that the call may go to;
// without a rule it goes where its step says. Nothing leaves here, by choice, fallback or escalation, for a target that
// `allows` denies.
import { extend, type Key, textKey, uniform } from '../../scenarios/base/key.ts';
import type {
  AllowRule,
  ChooseRule,
  Classifier,
  Complexity,
  FallbackRule,
  GatewaySpec,
  Reason,
} from '../../scenarios/formats/rules.ts';
import type { Aliases } from '../trust/allow.ts';
import { look } from './classifier.ts';
import { DENIALS, type Denial, Destinations } from './destinations.ts';

/** A pool, or a model of a provider. */
export interface TargetInfo {
  readonly name: string;
  readonly provider: string | null;
  readonly modelId: string;
  /** Its window; null: not known. */
  readonly maxModelTokens: number | null;
  readonly place: string | null;
  /** Of its place. */
  readonly labels: readonly string[];
}

/** A call, as far as it decides where it goes. */
export interface ChoiceAsk {
  readonly key: Key;
  readonly role: string | null;
  /** How hard it is in truth; null: its step has no label. */
  readonly complexity: Complexity | null;
  readonly sensitivity: string | null;
  /** The alias that its step names. */
  readonly model: string;
  readonly workflow: string;
  readonly tenant: string | null;
  /** The target by the scenario. */
  readonly wanted: string;
  readonly residency: readonly string[] | null;
  /** Of its step; null or absent: any model. */
  readonly allow?: AllowRule | null | undefined;
}

export interface Choice {
  readonly target: string;
  /** Of `choose`, from 0; null: none matched. */
  readonly rule: number | null;
  readonly why: string;
  /** Reason code; `target` then means nothing. */
  readonly denied: Denial | null;
  /** What the rules took its complexity to be; null: no rule asked. */
  readonly seen: Complexity | null;
  /** Of the look at it, 0 where nobody looked. */
  readonly classifyMs: number;
  readonly classifyUsd: number;
  /** Where its answer is asked for again, should it be; null: nowhere. */
  readonly escalateTo: string | null;
  /** Its answer is asked for again, by the rule's share; false where its quality decides. */
  readonly escalates: boolean;
}

/** What a rule decides of a call. */
type Decided = Pick<Choice, 'seen' | 'classifyMs' | 'classifyUsd'>;

const USE = textKey('choose use');
const ESCALATE = textKey('choose escalate');
const NOBODY_LOOKED: Decided = { seen: null, classifyMs: 0, classifyUsd: 0 };
const NO_TARGETS: readonly string[] = [];

const drawn = (key: Key, purpose: Key): number => uniform(extend(key, purpose.hi, purpose.lo));
const holds = (list: readonly string[] | null, value: string | null): boolean =>
  list === null || (value !== null && list.includes(value));

/** All conditions of a rule but that of complexity, which may cost a look. */
const matches = (rule: ChooseRule, ask: ChoiceAsk): boolean =>
  holds(rule.roles, ask.role) &&
  holds(rule.sensitivities, ask.sensitivity) &&
  holds(rule.models, ask.model) &&
  holds(rule.workflows, ask.workflow) &&
  holds(rule.tenants, ask.tenant);

/** A rule in a clause: `rule 2: role planner, complexity high`. */
function describe(rule: ChooseRule, index: number): string {
  const conditions = [
    ['role', rule.roles],
    ['complexity', rule.complexities],
    ['sensitivity', rule.sensitivities],
    ['model', rule.models],
    ['workflow', rule.workflows],
    ['tenant', rule.tenants],
  ] as const;
  const said = conditions.flatMap(([what, list]) => (list === null ? [] : [`${what} ${list.join(' or ')}`]));
  return `rule ${index + 1}: ${said.length === 0 ? 'every call' : said.join(', ')}`;
}

export class Chooser {
  private readonly rules: readonly ChooseRule[];
  private readonly said: readonly string[];
  private readonly classifier: Classifier | null;
  private readonly destinations: Destinations;
  private readonly windows: ReadonlyMap<string, number | null>;
  private readonly byModel: ReadonlyMap<string, readonly string[]>;
  private readonly aliases: Aliases;
  /** Choices and clauses that do not depend on the call: few, and asked for often. */
  private readonly asAsked = new Map<string, Choice>();
  private readonly clauses = new Map<string, Map<string, string>>();
  /** Of the targets of the rule in hand: 0 where the call may not go. */
  private readonly weighs: number[] = [];

  /** `aliases`: what names in fallbacks and lists of allowed models of a scenario stand for. */
  constructor(
    { choose, classifier, destinations }: Pick<GatewaySpec, 'choose' | 'classifier' | 'destinations'>,
    targets: readonly TargetInfo[],
    aliases: Aliases = new Map(),
  ) {
    this.rules = choose;
    this.said = choose.map(describe);
    this.classifier = classifier;
    this.destinations = new Destinations(destinations, targets, aliases);
    this.windows = new Map(targets.map(({ name, maxModelTokens }) => [name, maxModelTokens]));
    const byModel = new Map<string, string[]>();
    for (const { name, modelId } of targets) {
      const same = byModel.get(modelId);
      if (same === undefined) byModel.set(modelId, [name]);
      else same.push(name);
    }
    this.byModel = byModel;
    this.aliases = aliases;
  }

  /** Hot: once per call. */
  choose(ask: ChoiceAsk): Choice {
    const { rules } = this;
    let decided = NOBODY_LOOKED;
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i]!;
      if (!matches(rule, ask)) continue;
      if (rule.complexities !== null) {
        // Of a call without a label nobody knows what a look would see.
        if (ask.complexity === null) continue;
        if (decided.seen === null) decided = this.lookAt(ask.key, ask.complexity);
        if (!rule.complexities.includes(decided.seen!)) continue;
      }
      return this.byRule(i, ask, decided);
    }
    const denied = this.destinations.denial(ask.wanted, ask);
    if (denied !== null) return this.refusal(denied, ask, { rule: null, subject: ask.wanted, decided });
    const known = this.asAsked.get(ask.wanted) ?? {
      target: ask.wanted,
      rule: null,
      why: 'as its step says',
      denied: null,
      ...NOBODY_LOOKED,
      escalateTo: null,
      escalates: false,
    };
    this.asAsked.set(ask.wanted, known);
    return decided === NOBODY_LOOKED ? known : { ...known, ...decided };
  }

  /** May a call with this label, and these labels of places for its data, go to this target? */
  allows(target: string, sensitivity: string | null, residency: readonly string[] | null): boolean {
    return this.destinations.denial(target, { sensitivity, residency }) === null;
  }

  /** Where a target or model is to be had, as far as the call may go there; null: nowhere. */
  targetOf(name: string, ask: ChoiceAsk): string | null {
    return this.targetsOf(name).find(each => this.destinations.denial(each, ask) === null) ?? null;
  }

  /**
   * The next targets to try after `failed` for this reason, those not allowed left out, in order. The rule of the step
   * counts, else that of the failed target, else that of the wanted one; where `failed` stands in a list, what is behind
   * it. Nothing helps a call that was given up or has no budget.
   */
  fallbacks(
    failed: string,
    reason: Reason,
    step: FallbackRule | null,
    byTarget: ReadonlyMap<string, FallbackRule>,
    ask: ChoiceAsk,
  ): readonly string[] {
    const rule = step ?? byTarget.get(failed) ?? byTarget.get(ask.wanted);
    if (rule === undefined || reason === 'cancelled' || reason === 'budget') return NO_TARGETS;
    const next: string[] = [];
    const add = (list: readonly string[]): void => {
      const names = list.flatMap(name => this.targetsOf(name));
      for (const name of names.slice(names.lastIndexOf(failed) + 1)) {
        if (next.includes(name) || this.destinations.denial(name, ask) !== null) continue;
        if (reason === 'context_length' && !this.isWider(name, failed)) continue;
        next.push(name);
      }
    };
    if (reason === 'context_length') add(rule.contextLength);
    if (reason === 'content_policy') add(rule.contentPolicy);
    add(rule.general);
    return next;
  }

  /** All other targets that the call may go to, as the deployment lists them: what is left when its fallbacks failed too. */
  others(failed: string, ask: ChoiceAsk): readonly string[] {
    const allowed: string[] = [];
    for (const name of this.windows.keys())
      if (name !== failed && this.destinations.denial(name, ask) === null) allowed.push(name);
    return allowed;
  }

  private lookAt(key: Key, truth: Complexity): Decided {
    if (this.classifier === null) return { seen: truth, classifyMs: 0, classifyUsd: 0 };
    const { seen, ms, usd } = look(this.classifier, key, truth);
    return { seen, classifyMs: ms, classifyUsd: usd };
  }

  private byRule(index: number, ask: ChoiceAsk, decided: Decided): Choice {
    const { use, escalate } = this.rules[index]!;
    const { destinations } = this;
    const { weighs } = this;
    let weights = 0;
    let refused = 0;
    for (let i = 0; i < use.length; i++) {
      const denied = destinations.denial(use[i]!.target, ask);
      weighs[i] = denied === null ? use[i]!.weight : 0;
      weights += weighs[i]!;
      if (denied !== null) refused = Math.max(refused, DENIALS.indexOf(denied));
    }
    if (weights <= 0) {
      const subject = use.length === 1 ? use[0]!.target : `any target of rule ${index + 1}`;
      return this.refusal(DENIALS[refused]!, ask, { rule: index, subject, decided });
    }
    let left = use.length === 1 ? 0 : drawn(ask.key, USE) * weights;
    let target = '';
    for (let i = 0; i < use.length; i++) {
      if (weighs[i]! <= 0) continue;
      // The last one that is allowed also takes what rounding leaves over.
      target = use[i]!.target;
      if (left < weighs[i]!) break;
      left -= weighs[i]!;
    }
    let escalateTo: string | null = null;
    let escalates = false;
    if (escalate !== null && escalate.to !== target && destinations.denial(escalate.to, ask) === null) {
      escalates = escalate.share !== null && drawn(ask.key, ESCALATE) < escalate.share;
      if (escalates || escalate.share === null) escalateTo = escalate.to;
    }
    const { seen, classifyMs, classifyUsd } = decided;
    const why = this.said[index]!;
    return { target, rule: index, why, denied: null, seen, classifyMs, classifyUsd, escalateTo, escalates };
  }

  private refusal(
    denied: Denial,
    { wanted, sensitivity }: ChoiceAsk,
    { rule, subject, decided }: { rule: number | null; subject: string; decided: Decided },
  ): Choice {
    const why = this.clause(denied, denied === 'denied_sensitivity' ? sensitivity : null, subject);
    return { target: wanted, rule, why, denied, ...decided, escalateTo: null, escalates: false };
  }

  private clause(denied: Denial, label: string | null, subject: string): string {
    const group = label ?? denied;
    const known = this.clauses.get(group) ?? new Map<string, string>();
    this.clauses.set(group, known);
    const clause = known.get(subject) ?? denialClause(denied, label, subject);
    known.set(subject, clause);
    return clause;
  }

  /** A name is a target, or a model that targets serve. */
  private targetsOf(name: string): readonly string[] {
    if (this.windows.has(name)) return [name];
    return this.byModel.get(this.aliases.get(name)?.modelId ?? name) ?? NO_TARGETS;
  }

  /** A prompt that was too long for one may fit into the other. */
  private isWider(target: string, than: string): boolean {
    const window = this.windows.get(target) ?? null;
    const tried = this.windows.get(than) ?? null;
    return window === null || tried === null || window > tried;
  }
}

function denialClause(denied: Denial, label: string | null, subject: string): string {
  if (denied === 'denied_residency') return `the tenant's data may not go to the place of ${subject}`;
  if (denied === 'denied_model') return `the step may not use ${subject}`;
  return label === null
    ? `steps without a label may not go to ${subject}`
    : `data labelled ${label} may not go to ${subject}`;
}
