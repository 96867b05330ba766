// Prefix cache, as AIBrix routes by it: while the replicas are evenly loaded, the one that was sent most of this prompt
// before; else the least loaded. The router remembers what it sent; what an engine evicted since, it does not know.
import type { Run } from '../../scenarios/formats/prompt.ts';
import { refuseOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';

/** Beyond this spread of outstanding requests the least loaded is taken [AIBrix prefix_cache.go; policies.md 2.3]. */
const SPREAD_MAX = 8;
/** Prefixes remembered in a generation; two are kept. */
const GENERATION = 1 << 20;

const mix = (h: number, x: number): number => {
  let k = Math.imul(h ^ x, 0x85ebca6b);
  k = Math.imul(k ^ (k >>> 13), 0xc2b2ae35);
  return k ^ (k >>> 16);
};

/** Which rows were sent a prefix, by a name of all its runs. */
class PrefixIndex {
  private young = new Map<number, number[]>();
  private old = new Map<number, number[]>();
  private names: number[] = [];

  /** Names of the prefixes of a prompt that end where a run ends, the shortest first. */
  name(prompt: readonly Run[]): readonly number[] {
    const { names } = this;
    names.length = prompt.length;
    let high = 0x9747b28c;
    let low = 0x1b873593;
    for (let i = 0; i < prompt.length; i++) {
      const { key, from, tokens } = prompt[i] as Run;
      high = mix(mix(high, key.hi ^ from), tokens);
      low = mix(mix(low, key.lo ^ tokens), from ^ high);
      names[i] = (high >>> 0) * 2 ** 21 + (low >>> 11);
    }
    return names;
  }

  rows(name: number): readonly number[] | undefined {
    return this.young.get(name) ?? this.old.get(name);
  }

  add(name: number, row: number): void {
    const known = this.rows(name);
    if (known?.includes(row) && this.young.has(name)) return;
    this.young.set(name, known === undefined ? [row] : known.includes(row) ? [...known] : [...known, row]);
    if (this.young.size < GENERATION) return;
    this.old = this.young;
    this.young = new Map();
  }
}

/** Mean plus one standard deviation. */
function crowded(outstanding: readonly number[]): number {
  let sum = 0;
  let squares = 0;
  for (const count of outstanding) {
    sum += count;
    squares += count * count;
  }
  const mean = sum / outstanding.length;
  return mean + Math.sqrt(Math.max(0, squares / outstanding.length - mean * mean));
}

function leastOutstanding(outstanding: readonly number[]): number {
  let best = 0;
  for (let row = 1; row < outstanding.length; row++) {
    if ((outstanding[row] as number) < (outstanding[best] as number)) best = row;
  }
  return best;
}

/** The longest prefix that any row not above `most` was sent; of several rows the least loaded. */
function longestMatch(
  index: PrefixIndex,
  names: readonly number[],
  outstanding: readonly number[],
  most: number,
): number | null {
  for (let i = names.length - 1; i >= 0; i--) {
    let best: number | null = null;
    for (const row of index.rows(names[i] as number) ?? []) {
      const count = outstanding[row];
      if (count === undefined || count > most) continue;
      if (best === null || count < (outstanding[best] as number)) best = row;
    }
    if (best !== null) return best;
  }
  return null;
}

export default defineRoutingPolicy({
  name: 'prefix-cache',
  doc: 'Takes the replica that was sent most of the prompt before, unless load is uneven: then the least outstanding.',
  source:
    'AIBrix `prefix-cache`; like llm-d `prefix-cache` and vLLM production-stack `prefixaware` it remembers what it sent',
  create(options) {
    refuseOptions('prefix-cache', options);
    const index = new PrefixIndex();
    return {
      route({ prompt }, { outstanding }) {
        const names = index.name(prompt);
        const least = leastOutstanding(outstanding);
        const spread = Math.max(...outstanding) - (outstanding[least] as number);
        const found =
          spread > SPREAD_MAX ? null : longestMatch(index, names, outstanding, crowded(outstanding));
        const row = found ?? least;
        // What this row has not been sent yet, the longest first: what is known of it is known of all before.
        for (let i = names.length - 1; i >= 0; i--) {
          const name = names[i] as number;
          if (index.rows(name)?.includes(row) === true) break;
          index.add(name, row);
        }
        return row;
      },
    };
  },
});
