// When a hosted API is down or slow: its own outages and brown-outs, and those that a scenario plans. When they begin and
// how long they last is drawn from the seed of the run; whom they reach, from the call.

import { Spells } from '../../gateway/spells.ts';
import { extend, extendText, type Key, uniform } from '../../scenarios/base/key.ts';
import { constant, type DrawnAmount, drawAmount } from '../../scenarios/formats/amount.ts';
import type { PlannedFault } from '../../scenarios/formats/plan.ts';
import type { OutageSpec } from '../../scenarios/formats/rules.ts';

/** Tells draws of one key apart. */
const GAP = 1;
const LASTS = 2;

interface Spell {
  readonly atMs: number | null;
  readonly perSec: number | null;
  readonly lastsMs: DrawnAmount;
  /** Of calls that fail meanwhile. */
  readonly share: number;
  /** Times that the others take as long. */
  readonly slowdown: number;
}

/** One kind of trouble, over time. */
class Trouble extends Spells {
  readonly spell: Spell;

  constructor(spell: Spell, key: Key) {
    const { atMs, perSec } = spell;
    super({
      atMs,
      perSec,
      lastsMs: ordinal => drawAmount(spell.lastsMs, uniform(extend(key, LASTS, ordinal)), false),
      gapKey: ordinal => extend(key, GAP, ordinal),
    });
    this.spell = spell;
  }
}

/** What reaches one call. */
export interface Reached {
  readonly isDown: boolean;
  readonly slowdown: number;
}
const WELL: Reached = { isDown: false, slowdown: 1 };

/** All that may go wrong with one model. */
export class Troubles {
  private readonly troubles: readonly Trouble[];

  /** `key`: of the run, so that models of one provider are down together. */
  constructor(
    key: Key,
    model: { readonly name: string; readonly modelId: string; readonly provider: string },
    outages: readonly OutageSpec[],
    faults: readonly PlannedFault[],
  ) {
    const own = extendText(extendText(key, 'outages'), model.provider);
    const planned = extendText(key, 'faults');
    const names = [model.name, model.modelId, model.provider];
    this.troubles = [
      ...outages.map((outage, index) => new Trouble(outage, extend(own, index))),
      ...faults
        .filter(({ target }) => target === null || names.includes(target))
        .flatMap(fault => {
          const spell = spellOf(fault);
          return spell === null ? [] : [new Trouble(spell, extend(planned, fault.fault))];
        }),
    ];
  }

  /** `call` names the attempt. */
  reach(call: Key, nowMs: number): Reached {
    let slowdown = 1;
    let isDown = false;
    for (let i = 0; i < this.troubles.length; i++) {
      const trouble = this.troubles[i]!;
      if (!trouble.isOn(nowMs)) continue;
      if (uniform(extend(call, i)) < trouble.spell.share) isDown = true;
      slowdown *= trouble.spell.slowdown;
    }
    return !isDown && slowdown === 1 ? WELL : { isDown, slowdown };
  }
}

/** Null: it is none of a hosted API. The share of a degraded model is of bad answers, which are not told here. */
function spellOf({ kind, atMs, perSec, lastsMs, share, factor }: PlannedFault): Spell | null {
  const when = { atMs, perSec, lastsMs: constant(lastsMs), slowdown: factor };
  if (kind === 'provider_outage') return { ...when, share };
  if (kind === 'degraded_model') return { ...when, share: 0 };
  return null;
}
