// Faults of kind `degraded_model`: while one lasts, a share of the answers of its model that would have been good are
// not. It begins at an instant, or so often; the spells are those in which a hosted API is slow (sim/hosted/troubles.ts).

import { extend, extendText, type Key, textKey } from '../../scenarios/base/key.ts';
import type { PlannedFault } from '../../scenarios/formats/plan.ts';
import type { TargetInfo } from '../choice/chooser.ts';
import { Spells } from '../spells.ts';

/** Tells draws of one key apart, as in sim/hosted/troubles.ts. */
const GAP = 1;

/** One fault, over time. */
class Spoiling extends Spells {
  readonly fault: PlannedFault;

  constructor(fault: PlannedFault, key: Key) {
    const { atMs, perSec, lastsMs } = fault;
    super({ atMs, perSec, lastsMs: () => lastsMs, gapKey: ordinal => extend(key, GAP, ordinal) });
    this.fault = fault;
  }
}

export class Degraded {
  private readonly spells: readonly Spoiling[];
  private readonly targets: ReadonlyMap<string, TargetInfo>;
  private readonly byTarget = new Map<string, readonly Spoiling[]>();

  /** Faults of other kinds are left out. `run`: the key of the run; `targets`: whose models and providers faults name. */
  constructor(
    faults: readonly PlannedFault[],
    { run = textKey('run'), targets = [] }: { run?: Key; targets?: readonly TargetInfo[] } = {},
  ) {
    const planned = extendText(run, 'faults');
    this.spells = faults
      .filter(({ kind }) => kind === 'degraded_model')
      .map(fault => new Spoiling(fault, extend(planned, fault.fault)));
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

  private of(target: string): readonly Spoiling[] {
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
