// 64-bit keys: every draw, prefix and KV block is named by one. A key is two 32-bit lanes; `extend` is a Feistel
// permutation of (key xor input), so different inputs never collide under the same parent. Lanes are signed, since V8
// keeps such whole numbers in the object itself and any larger one in a box beside it: `>>> 0` where their size counts.
import seedrandom from 'seedrandom';

/** A 64-bit name as two signed 32-bit lanes. Equal content has equal keys in both worlds. */
export interface Key {
  readonly hi: number;
  readonly lo: number;
}

/** murmur3's 32-bit finalizer over (x + salt): the round function of the permutation. */
function scramble(x: number, salt: number): number {
  let h = (x + salt) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The key of `(a, b)` under `parent`. Hot: a few nanoseconds, one small object. */
export function extend(parent: Key, a: number, b = 0): Key {
  let hi = parent.hi ^ (a | 0);
  let lo = parent.lo ^ (b | 0);
  lo ^= scramble(hi, 0x9e3779b9);
  hi ^= scramble(lo, 0x7f4a7c15);
  lo ^= scramble(hi, 0xf39cc060);
  hi ^= scramble(lo, 0x5ced1c3b);
  return { hi, lo };
}

const textSeed: Key = { hi: 0x243f6a88, lo: 0x85a308d3 | 0 };

/** The key of a text: its UTF-16 units, two at a time, then its length. */
export function textKey(text: string): Key {
  // `extend` written out, lane by lane: it is hot, and a key for every two letters would be garbage.
  let { hi, lo } = textSeed;
  for (let i = 0; i < text.length; i += 2) {
    hi ^= text.charCodeAt(i);
    lo ^= text.charCodeAt(i + 1) | 0;
    lo ^= scramble(hi, 0x9e3779b9);
    hi ^= scramble(lo, 0x7f4a7c15);
    lo ^= scramble(hi, 0xf39cc060);
    hi ^= scramble(lo, 0x5ced1c3b);
  }
  return extend({ hi, lo }, text.length, 0x2545f491);
}

/** The key of a child named by text, e.g. a step under its session. */
export function extendText(parent: Key, text: string): Key {
  const key = textKey(text);
  return extend(parent, key.hi, key.lo);
}

/** The root key of a run: seedrandom turns the seed's text into 64 bits, once. */
export function seedKey(seed: number | string): Key {
  const random = seedrandom(`windtunnel/${seed}`);
  return { hi: random.int32(), lo: random.int32() };
}

/** A uniform number strictly between 0 and 1, from the top 52 bits of the key, permuted once more. */
export function uniform(key: Key): number {
  // `extend(key, 0x1b873593, 0xcc9e2d51)` written out: every draw ends here, and a key for each would be garbage.
  let hi = key.hi ^ 0x1b873593;
  let lo = key.lo ^ 0xcc9e2d51;
  lo ^= scramble(hi, 0x9e3779b9);
  hi ^= scramble(lo, 0x7f4a7c15);
  lo ^= scramble(hi, 0xf39cc060);
  hi ^= scramble(lo, 0x5ced1c3b);
  return ((hi >>> 0) * 1048576 + (lo >>> 12) + 0.5) / 4503599627370496;
}

/** 16 hexadecimal digits. */
export function keyText(key: Key): string {
  const lane = (bits: number): string => (bits >>> 0).toString(16).padStart(8, '0');
  return lane(key.hi) + lane(key.lo);
}

/** 53 bits of a key as a whole number, for tables by number. */
export const keyNumber = ({ hi, lo }: Key): number => (hi >>> 0) * 2 ** 21 + (lo >>> 11);

/** A whole number from 0 to `count` - 1 by a key's first lane; `count` is small beside 2^32. */
export const keyIndex = ({ hi }: Key, count: number): number => (hi >>> 0) % count;
