// When a hosted API is down or slow: its own outages and brown-outs, and those that a scenario plans. When they begin and
// how long they last is drawn from the seed of the run; whom they reach, from the call.

import { quantile } from '../../scenarios/base/distributions.ts';
import { NANOSECOND_MS } from '../../scenarios/base/instants.ts';
import { extend, extendText, type Key, uniform } from '../../scenarios/base/key.ts';
import { constant, type DrawnAmount, drawAmount } from '../../scenarios/formats/amount.ts';
import type { PlannedFault } from '../../scenarios/formats/plan.ts';
import type { OutageSpec } from '../../scenarios/formats/rules.ts';

const MS_PER_SEC = 1000;

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
class Trouble {
  readonly spell: Spell;
  private readonly key: Key;
  private ordinal = 0;
  private beginsMs: number;
  private endsMs = Number.NEGATIVE_INFINITY;

  constructor(spell: Spell, key: Key) {
    this.spell = spell;
    this.key = key;
    this.beginsMs = (spell.atMs ?? 0) + (spell.perSec === null ? 0 : this.gapMs(spell.perSec));
  }

  /** Asked in order of time. From its beginning on, and not at its end any more. */
  isOn(nowMs: number): boolean {
    const { spell } = this;
    while (this.beginsMs <= nowMs + NANOSECOND_MS) {
      const lastsMs = drawAmount(spell.lastsMs, uniform(extend(this.key, LASTS, this.ordinal)), false);
      this.endsMs = Math.max(this.endsMs, this.beginsMs + lastsMs);
      this.ordinal += 1;
      this.beginsMs =
        spell.perSec === null ? Number.POSITIVE_INFINITY : this.beginsMs + this.gapMs(spell.perSec);
    }
    return nowMs + NANOSECOND_MS < this.endsMs;
  }

  /** Beginnings know nothing of each other. */
  private gapMs(perSec: number): number {
    const of = { kind: 'exponential', mean: MS_PER_SEC / perSec } as const;
    return quantile(of, uniform(extend(this.key, GAP, this.ordinal)));
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
