// When a planned fault is on. The instants are drawn from the seed and the fault's place alone, whatever else a run does.
import { extend, extendText, type Key, seedKey, uniform } from '../scenarios/base/key.ts';
import type { PlannedFault } from '../scenarios/formats/plan.ts';
import { Spells } from './spells.ts';

/** One fault of the plan. */
export class FaultWindows extends Spells {
  readonly fault: PlannedFault;

  constructor(fault: PlannedFault, seedText: string) {
    const { atMs, perSec, lastsMs } = fault;
    const key = extend(extendText(seedKey(seedText), 'faults'), fault.fault);
    super({ atMs, perSec, lastsMs: () => lastsMs, gapKey: ordinal => extend(key, ordinal) });
    this.fault = fault;
  }

  /** Whether it reaches what has this key, one of `share`. */
  hits(key: Key): boolean {
    const { share, fault } = this.fault;
    return share >= 1 || uniform(extend(extendText(key, 'fault'), fault)) < share;
  }
}

/** The faults of one kind. */
export const windowsOf = (
  faults: readonly PlannedFault[],
  kind: PlannedFault['kind'],
  seedText: string,
): FaultWindows[] =>
  faults.filter(fault => fault.kind === kind).map(fault => new FaultWindows(fault, seedText));
