// What a router remembers of what it sent: hand-computed cases, and a plain model of chunks that has to agree.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PrefixIndex, type PrefixIndexOptions } from '../../../gateway/routing/prefix-index.ts';
import { keyText } from '../../../scenarios/base/key.ts';
import type { Run } from '../../../scenarios/formats/prompt.ts';
import { content } from '../../builders/routing.ts';

type PlainOptions = Omit<Required<PrefixIndexOptions>, 'stretchesMax'>;

/** The index as a list of chunks for each replica, each named by all the tokens up to its end. */
class PlainIndex {
  private readonly options: PlainOptions;
  private readonly sent = new Map<number, Map<string, { usedMs: number; order: number }>>();
  private order = 0;

  constructor(options: PlainOptions) {
    this.options = options;
  }

  private chunks(prompt: readonly Run[]): string[] {
    const { chunkTokens, promptTokensMax } = this.options;
    const tokens = prompt.flatMap(({ key, from, tokens: count }) =>
      Array.from({ length: count }, (_, i) => `${keyText(key)}:${from + i}`),
    );
    const whole = Math.floor(Math.min(tokens.length, promptTokensMax) / chunkTokens);
    return Array.from({ length: whole }, (_, i) => tokens.slice(0, (i + 1) * chunkTokens).join());
  }

  private known(id: number, nowMs: number) {
    const chunks = this.sent.get(id) ?? new Map<string, { usedMs: number; order: number }>();
    this.sent.set(id, chunks);
    for (const [name, { usedMs }] of chunks) if (usedMs + this.options.ttlMs <= nowMs) chunks.delete(name);
    return chunks;
  }

  match(prompt: readonly Run[], ids: readonly number[], nowMs: number): number[] {
    return ids.map(id => {
      const known = this.known(id, nowMs);
      const missing = this.chunks(prompt).findIndex(name => !known.has(name));
      return (missing < 0 ? this.chunks(prompt).length : missing) * this.options.chunkTokens;
    });
  }

  add(prompt: readonly Run[], id: number, nowMs: number): void {
    const known = this.known(id, nowMs);
    for (const name of this.chunks(prompt).reverse()) known.set(name, { usedMs: nowMs, order: this.order++ });
    while (known.size * this.options.chunkTokens > this.options.capacityTokens) {
      const [oldest] = [...known].sort(([, a], [, b]) => a.order - b.order);
      known.delete(oldest![0]);
    }
  }

  forget(id: number): void {
    this.sent.delete(id);
  }

  heldTokens(id: number): number {
    return (this.sent.get(id)?.size ?? 0) * this.options.chunkTokens;
  }
}

/** Two tokens of shared content or so, then more, cut anywhere. */
const prompts = fc
  .array(
    fc.record({ name: fc.constantFrom('a', 'b'), from: fc.nat(1), tokens: fc.integer({ min: 1, max: 6 }) }),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  .chain(pieces =>
    fc.tuple(...pieces.map(({ tokens }) => fc.nat(tokens - 1))).map(cuts =>
      pieces.flatMap(({ name, from, tokens }, i): Run[] => {
        const cut = cuts[i]!;
        const parts = [content(name, cut, from), content(name, tokens - cut, from + cut)];
        return parts.filter(part => part.tokens > 0);
      }),
    ),
  );

const operations = fc.array(
  fc.record({
    kind: fc.constantFrom('add', 'add', 'add', 'match', 'forget'),
    prompt: prompts,
    id: fc.nat(2),
    gapMs: fc.nat(4),
  }),
  { minLength: 1, maxLength: 40 },
);

test('agrees with a list of chunks, whatever is sent, asked and forgotten', () => {
  fc.assert(
    fc.property(
      operations,
      fc.record({
        chunkTokens: fc.integer({ min: 1, max: 4 }),
        ttlMs: fc.constantFrom(6, 20, Number.POSITIVE_INFINITY),
        capacityTokens: fc.constantFrom(5, 12, Number.POSITIVE_INFINITY),
        promptTokensMax: fc.constantFrom(7, Number.POSITIVE_INFINITY),
      }),
      (given, options) => {
        const index = new PrefixIndex(options);
        const plain = new PlainIndex(options);
        let nowMs = 0;
        for (const { kind, prompt, id, gapMs } of given) {
          nowMs += gapMs;
          if (kind === 'add') {
            index.add(prompt, id, nowMs);
            plain.add(prompt, id, nowMs);
            expect(index.heldTokens(id)).toBe(plain.heldTokens(id));
          } else if (kind === 'forget') {
            index.forget(id);
            plain.forget(id);
          }
          expect([...index.match(prompt, [2, 0, 1], nowMs)]).toEqual(plain.match(prompt, [2, 0, 1], nowMs));
        }
      },
    ),
    { numRuns: 1000 },
  );
});

/** Objects that can be reached from here. */
function reachable(from: object): number {
  const seen = new Set<unknown>();
  const ahead: unknown[] = [from];
  for (let each = ahead.pop(); each !== undefined; each = ahead.pop()) {
    if (typeof each !== 'object' || each === null || seen.has(each)) continue;
    seen.add(each);
    if (!ArrayBuffer.isView(each)) ahead.push(...Object.values(each).filter(value => value !== undefined));
  }
  return seen.size;
}

describe('the prefix index', () => {
  const system = content('system', 64);

  test('knows whole chunks at the start of a prompt, of each replica', () => {
    const index = new PrefixIndex({ chunkTokens: 16 });
    index.add([system, content('a', 40)], 7, 0); // 104 tokens: 96 in chunks
    index.add([system, content('b', 40)], 9, 0);
    expect([...index.match([system, content('a', 100)], [7, 8, 9], 0)]).toEqual([96, 0, 64]);
    expect([...index.match([system, content('a', 40)], [9, 7], 0)]).toEqual([64, 96]);
    expect([...index.match([content('a', 40)], [7], 0)]).toEqual([0]);
  });

  test('matches no further than a chunk that differs, even where its beginning is the same', () => {
    const index = new PrefixIndex({ chunkTokens: 16 });
    index.add([content('x', 24), content('y', 24)], 0, 0);
    expect([...index.match([content('x', 24), content('z', 24)], [0], 0)]).toEqual([16]);
    expect([...index.match([content('x', 48)], [0], 0)]).toEqual([16]);
  });

  test('goes on behind a stretch only from its end', () => {
    const index = new PrefixIndex({ chunkTokens: 1 });
    index.add([content('x', 4), content('y', 4)], 0, 0);
    index.add([content('x', 4), content('z', 4)], 0, 0);
    expect([...index.match([content('x', 2), content('y', 4)], [0], 0)]).toEqual([2]);
  });

  test('tells a run from the same run at another place', () => {
    const index = new PrefixIndex({ chunkTokens: 1 });
    const run = content('x', 8);
    index.add([content('x', 4), run], 0, 0);
    expect([...index.match([run], [0], 0)]).toEqual([4]);
  });

  test('counts a shared beginning once, and forgets a replica that has left', () => {
    const index = new PrefixIndex({ chunkTokens: 16 });
    index.add([system, content('a', 32)], 0, 0);
    index.add([system, content('b', 16)], 0, 0);
    expect(index.heldTokens(0)).toBe(64 + 32 + 16);
    index.forget(0);
    expect(index.heldTokens(0)).toBe(0);
    expect([...index.match([system], [0], 0)]).toEqual([0]);
    expect(index.oldest(0)).toBeNull();
  });

  test('forgets what was not sent again in time, to the millisecond', () => {
    const index = new PrefixIndex({ chunkTokens: 16, ttlMs: 5000 });
    index.add([system, content('a', 32)], 0, 0);
    index.add([system, content('b', 32)], 0, 3000);
    expect([...index.match([system, content('a', 32)], [0], 4999)]).toEqual([96]);
    expect([...index.match([system, content('a', 32)], [0], 5000)]).toEqual([64]);
    expect([...index.match([system, content('b', 32)], [0], 7999)]).toEqual([96]);
    expect([...index.match([system, content('b', 32)], [0], 8000)]).toEqual([0]);
  });

  test('beyond its capacity forgets ends before beginnings, the least recent first', () => {
    const index = new PrefixIndex({ chunkTokens: 16, capacityTokens: 112 });
    index.add([system, content('a', 32)], 0, 0); // 96 held
    index.add([system, content('b', 32)], 0, 1); // 128 would be: one chunk of a goes
    expect(index.heldTokens(0)).toBe(112);
    expect([...index.match([system, content('a', 32)], [0], 1)]).toEqual([80]);
    expect([...index.match([system, content('b', 32)], [0], 1)]).toEqual([96]);
    index.add([content('c', 200)], 0, 2); // 192 in chunks, more than all: of itself too the beginning stays
    expect([...index.match([content('c', 200)], [0], 2)]).toEqual([112]);
    expect([...index.match([system], [0], 2)]).toEqual([0]);
  });

  test('forgets the end first of what another replica has split, too', () => {
    const index = new PrefixIndex({ chunkTokens: 16, capacityTokens: 112 });
    index.add([system, content('a', 32)], 0, 0);
    index.add([system, content('b', 32)], 1, 0);
    index.add([content('c', 48)], 0, 1);
    expect([...index.match([system, content('a', 32)], [0, 1], 1)]).toEqual([64, 64]);
    expect([...index.match([content('c', 48)], [0, 1], 1)]).toEqual([48, 0]);
  });

  test('tells what it would forget first, and how often that was sent', () => {
    const index = new PrefixIndex({ chunkTokens: 16 });
    index.add([system, content('a', 32)], 0, 10);
    index.add([system, content('b', 16)], 0, 20);
    const first = index.oldest(0)!;
    expect(first).toMatchObject({ tokens: 32, usedMs: 10, uses: 1 });
    expect(first.younger).toMatchObject({ tokens: 16, usedMs: 20, uses: 1 });
    expect(first.younger?.younger).toMatchObject({ tokens: 64, usedMs: 20, uses: 2 });
    expect(first.younger?.younger?.younger).toBeNull();
  });

  test.each([{ capacityTokens: 2000 }, { ttlMs: 20 }, { stretchesMax: 60 }])(
    'takes no more memory however much is sent: %o',
    limit => {
      const index = new PrefixIndex({ chunkTokens: 16, ...limit });
      const send = (from: number, to: number) => {
        for (let i = from; i < to; i++) index.add([system, content(`${i}`, 64)], i % 2, i);
      };
      send(0, 500);
      const after500 = reachable(index);
      send(500, 2000);
      expect(reachable(index)).toBeLessThan(1.2 * after500);
      // It knows the last all the same.
      expect([...index.match([system, content('1999', 64)], [1], 1999)]).toEqual([128]);
      for (const id of [0, 1]) index.forget(id);
      expect(reachable(index)).toBeLessThan(24);
    },
  );

  test('beyond the limit of stretches a replica forgets its oldest', () => {
    const index = new PrefixIndex({ chunkTokens: 16, stretchesMax: 3 });
    for (const name of ['a', 'b', 'c', 'd']) index.add([content(name, 16)], 0, 0);
    expect(['a', 'b', 'c', 'd'].map(name => index.match([content(name, 16)], [0], 0)[0])).toEqual([
      0, 16, 16, 16,
    ]);
  });
});
