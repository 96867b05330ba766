// Prefix cache, as AIBrix routes by it: while the replicas are evenly loaded, the one that was sent most of this prompt
// before; else the least loaded. The router remembers what it sent; what an engine evicted since, it does not know.
import type { Key } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import { refuseOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';

/** Beyond this spread of outstanding requests the least loaded is taken [AIBrix prefix_cache.go; policies.md 2.3]. */
const SPREAD_MAX = 8;
/** Prefixes are known by whole chunks of so many tokens; ours, coarser than an engine's blocks. */
const CHUNK_TOKENS = 512;
/** Prefixes remembered in a generation; two are kept. */
const GENERATION = 1 << 20;

const mix = (h: number, x: number): number => {
  let k = Math.imul(h ^ x, 0x85ebca6b);
  k = Math.imul(k ^ (k >>> 13), 0xc2b2ae35);
  return k ^ (k >>> 16);
};

/** Which rows were sent a prefix, by a name of all its content. */
class PrefixIndex {
  /** One row, as most are, or several. */
  private young = new Map<number, number | number[]>();
  private old = new Map<number, number | number[]>();
  private last: Key | null = null;
  private lastEnd = 0;

  /** Names of the prefixes of a prompt by whole chunks, the shortest first: equal for equal content, however it was cut. */
  name(prompt: readonly Run[]): readonly number[] {
    const names: number[] = [];
    let high = 0x9747b28c;
    let low = 0x1b873593;
    let room = CHUNK_TOKENS;
    for (const { key, from, tokens } of prompt) {
      // A chunk is named by where each piece of it begins: pieces that go on need no name of their own.
      let goesOn = this.goesOn(key, from);
      for (let at = 0; at < tokens; ) {
        if (!goesOn || room === CHUNK_TOKENS) {
          high = mix(mix(high, key.hi ^ (from + at)), room);
          low = mix(mix(low, key.lo ^ room), (from + at) ^ high);
        }
        goesOn = true;
        const piece = Math.min(room, tokens - at);
        at += piece;
        room -= piece;
        if (room > 0) continue;
        names.push((high >>> 0) * 2 ** 21 + (low >>> 11));
        room = CHUNK_TOKENS;
      }
      this.last = key;
      this.lastEnd = from + tokens;
    }
    this.last = null;
    return names;
  }

  /** Whether a run of `key` from token `from` on goes on where the one before it ended. */
  private goesOn(key: Key, from: number): boolean {
    return this.last !== null && this.lastEnd === from && this.last.lo === key.lo && this.last.hi === key.hi;
  }

  rows(name: number): number | readonly number[] | undefined {
    return this.young.get(name) ?? this.old.get(name);
  }

  has(name: number, row: number): boolean {
    const rows = this.young.get(name);
    return rows === row || (typeof rows === 'object' && rows.includes(row));
  }

  add(name: number, row: number): void {
    const known = this.rows(name);
    if (known === undefined || known === row) this.young.set(name, row);
    else if (typeof known === 'number') this.young.set(name, [known, row]);
    else this.young.set(name, known.includes(row) ? [...known] : [...known, row]);
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
    const rows = index.rows(names[i] as number);
    if (rows === undefined) continue;
    if (typeof rows === 'number') {
      if ((outstanding[rows] ?? Number.POSITIVE_INFINITY) <= most) return rows;
      continue;
    }
    let best: number | null = null;
    for (const row of rows) {
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
          if (index.has(name, row)) break;
          index.add(name, row);
        }
        return row;
      },
    };
  },
});
