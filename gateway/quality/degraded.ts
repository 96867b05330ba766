// Faults of kind `degraded_model`: while one lasts, a share of the answers of its model that would have been good are
// not. It begins at an instant, or so often; the spells are those in which a hosted API is slow (sim/hosted/troubles.ts).

import { quantile } from '../../scenarios/base/distributions.ts';
import { NANOSECOND_MS } from '../../scenarios/base/instants.ts';
import { extend, extendText, type Key, textKey, uniform } from '../../scenarios/base/key.ts';
import type { PlannedFault } from '../../scenarios/formats/plan.ts';
import type { TargetInfo } from '../choice/chooser.ts';

const MS_PER_SEC = 1000;
/** Tells draws of one key apart, as in sim/hosted/troubles.ts. */
const GAP = 1;

/** One fault, over time. */
class Spells {
  readonly fault: PlannedFault;
  private readonly key: Key;
  private ordinal = 0;
  private beginsMs: number;
  private endsMs = Number.NEGATIVE_INFINITY;

  constructor(fault: PlannedFault, key: Key) {
    this.fault = fault;
    this.key = key;
    this.beginsMs = (fault.atMs ?? 0) + (fault.perSec === null ? 0 : this.gapMs(fault.perSec));
  }

  /** Asked in order of time. From its beginning on, and not at its end any more. */
  isOn(nowMs: number): boolean {
    const { perSec, lastsMs } = this.fault;
    while (this.beginsMs <= nowMs + NANOSECOND_MS) {
      this.endsMs = Math.max(this.endsMs, this.beginsMs + lastsMs);
      this.ordinal += 1;
      this.beginsMs = perSec === null ? Number.POSITIVE_INFINITY : this.beginsMs + this.gapMs(perSec);
    }
    return nowMs + NANOSECOND_MS < this.endsMs;
  }

  private gapMs(perSec: number): number {
    const of = { kind: 'exponential', mean: MS_PER_SEC / perSec } as const;
    return quantile(of, uniform(extend(this.key, GAP, this.ordinal)));
  }
}

export class Degraded {
  private readonly spells: readonly Spells[];
  private readonly targets: ReadonlyMap<string, TargetInfo>;
  private readonly byTarget = new Map<string, readonly Spells[]>();

  /** Faults of other kinds are left out. `run`: the key of the run; `targets`: whose models and providers faults name. */
  constructor(
    faults: readonly PlannedFault[],
    { run = textKey('run'), targets = [] }: { run?: Key; targets?: readonly TargetInfo[] } = {},
  ) {
    const planned = extendText(run, 'faults');
    this.spells = faults
      .filter(({ kind }) => kind === 'degraded_model')
      .map(fault => new Spells(fault, extend(planned, fault.fault)));
    this.targets = new Map(targets.map(each => [each.name, each]));
  }

  /** Of the target's good answers, those that stay good now. */
  remainingRatio(target: string, nowMs: number): number {
    let remaining = 1;
    const spells = this.of(target);
    for (let i = 0; i < spells.length; i++)
      if (spells[i]!.isOn(nowMs)) remaining *= 1 - spells[i]!.fault.share;
    return remaining;
  }

  private of(target: string): readonly Spells[] {
    const known = this.byTarget.get(target);
    if (known !== undefined) return known;
    const { modelId = null, provider = null } = this.targets.get(target) ?? {};
    const found = this.spells.filter(
      ({ fault }) => fault.target === null || [target, modelId, provider].includes(fault.target),
    );
    this.byTarget.set(target, found);
    return found;
  }
}
