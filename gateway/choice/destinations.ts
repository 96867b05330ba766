// Where a call may go: by the sensitivity of its step, by the places its tenant's data may go to, by the models that its
// step may use. Denied by default: a label that no rule names goes nowhere, and so does a target that nobody described.
import type { AllowRule, GatewaySpec } from '../../scenarios/formats/rules.ts';
import { type Aliases, modelDenial } from '../trust/allow.ts';
import type { TargetInfo } from './chooser.ts';

/** Reason codes, in the order in which they are looked at. */
export const DENIALS = ['denied_sensitivity', 'denied_residency', 'denied_model'] as const;
export type Denial = (typeof DENIALS)[number];

/** What of a call decides where it may go. */
export interface Passport {
  readonly sensitivity: string | null;
  /** Labels of the places where its tenant's data may go; null: any. */
  readonly residency: readonly string[] | null;
  readonly allow?: AllowRule | null | undefined;
}

/** Steps without a label are not sensitive, unless `destinations` has a line of this name for them. */
const UNLABELLED = 'unlabelled';

export class Destinations {
  private readonly targets: ReadonlyMap<string, TargetInfo>;
  /** Names of targets by label; null: no rule. */
  private readonly byLabel: ReadonlyMap<string, ReadonlySet<string>> | null;

  private readonly aliases: Aliases;

  constructor(destinations: GatewaySpec['destinations'], targets: readonly TargetInfo[], aliases: Aliases) {
    this.aliases = aliases;
    this.targets = new Map(targets.map(each => [each.name, each]));
    const allowed = (names: readonly string[]): ReadonlySet<string> =>
      new Set(
        targets
          .filter(
            ({ name, provider }) => names.includes(name) || (provider !== null && names.includes(provider)),
          )
          .map(({ name }) => name),
      );
    this.byLabel =
      destinations === null ? null : new Map([...destinations].map(([label, to]) => [label, allowed(to)]));
  }

  /** Why the target may not have the call; null: it may. Hot: once per target of a call. */
  denial(target: string, { sensitivity, residency, allow }: Passport): Denial | null {
    const { byLabel } = this;
    if (byLabel !== null) {
      const allowed = byLabel.get(sensitivity ?? UNLABELLED);
      if (allowed === undefined ? sensitivity !== null : !allowed.has(target)) return 'denied_sensitivity';
    }
    if (residency !== null && !this.lies(target, residency)) return 'denied_residency';
    if (allow === undefined || allow === null) return null;
    return modelDenial(allow, target, this.targets.get(target)?.modelId, this.aliases);
  }

  /** Its place has one of the labels; what has no place lies nowhere. */
  private lies(target: string, residency: readonly string[]): boolean {
    const labels = this.targets.get(target)?.labels;
    if (labels === undefined) return false;
    for (let i = 0; i < labels.length; i++) if (residency.includes(labels[i]!)) return true;
    return false;
  }
}
