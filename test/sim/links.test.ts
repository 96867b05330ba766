import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Links, newLink, type TransferRequest } from '../../sim/links.ts';

/** 1 byte a nanosecond. */
const GB_PER_SEC = 1e9;

/** Runs `starts` over links that do nothing else; ends by tag. */
function endsOf(starts: readonly { atNs: number; request: TransferRequest<number> }[]): Map<number, number> {
  const links = new Links<number>();
  const ends = new Map<number, number>();
  const until = (ns: number) => {
    for (let next = links.nextNs(); next <= ns; next = links.nextNs())
      for (const { tag } of links.advanceTo(next)) ends.set(tag, next);
  };
  for (const { atNs, request } of starts) {
    until(atNs);
    links.start(atNs, request);
  }
  until(Number.MAX_VALUE);
  return ends;
}

function overOneLink(bytesPerSec = GB_PER_SEC) {
  const link = newLink('link');
  return (tag: number, bytes: number, setupNs = 0): TransferRequest<number> => ({
    legs: [{ link, bytesPerSec }],
    bytes,
    setupNs,
    tag,
  });
}

test('a transfer alone takes its set-up and its bytes over the bandwidth, rounded up to a whole nanosecond', () => {
  const request = overOneLink(3 * GB_PER_SEC);
  expect(endsOf([{ atNs: 5, request: request(1, 300, 20) }]).get(1)).toBe(125);
  expect(endsOf([{ atNs: 0, request: request(1, 10) }]).get(1)).toBe(4); // 3.33
  expect(endsOf([{ atNs: 7, request: request(1, 0, 2) }]).get(1)).toBe(9);
});

test('one that joins half way takes half of the link from then on', () => {
  const request = overOneLink();
  // Alone 50 ns, then both at half speed: 50 bytes left of the first take 100 ns; then the second alone, 50 ns.
  const ends = endsOf([
    { atNs: 0, request: request(1, 100) },
    { atNs: 50, request: request(2, 100) },
  ]);
  expect([...ends]).toEqual([
    [1, 150],
    [2, 200],
  ]);
});

test('set-up takes no share', () => {
  const request = overOneLink();
  const ends = endsOf([
    { atNs: 0, request: request(1, 100) },
    { atNs: 0, request: request(2, 100, 100) },
  ]);
  expect([...ends]).toEqual([
    [1, 100],
    [2, 200],
  ]);
});

test('a transfer over two links goes at the smaller of its shares', () => {
  const [egress, fast, slow] = [newLink('egress'), newLink('fast'), newLink('slow')];
  const over = (tag: number, to: typeof fast, bytesPerSec: number) => ({
    legs: [
      { link: egress, bytesPerSec: 4 * GB_PER_SEC },
      { link: to, bytesPerSec },
    ],
    bytes: 400,
    setupNs: 0,
    tag,
  });
  // Each has half of the egress, 2 bytes a ns; the slow receiver takes only 1. The first leaves at 200, which changes
  // nothing for the second: its receiver is its limit.
  const ends = endsOf([
    { atNs: 0, request: over(1, fast, 4 * GB_PER_SEC) },
    { atNs: 0, request: over(2, slow, GB_PER_SEC) },
  ]);
  expect([...ends]).toEqual([
    [1, 200],
    [2, 400],
  ]);
});

test('a cancelled transfer leaves its share to the others, at once', () => {
  const links = new Links<number>();
  const request = overOneLink();
  const first = links.start(0, request(1, 100));
  links.start(0, request(2, 100));
  links.advanceTo(100); // 50 bytes each
  links.cancel(100, first);
  expect(links.nextNs()).toBe(150);
  links.cancel(100, first); // nothing, the second time
  expect(links.advanceTo(150).map(({ tag }) => tag)).toEqual([2]);
  expect(links.nextNs()).toBe(Number.POSITIVE_INFINITY);
});

describe('laws', () => {
  interface Start {
    atNs: number;
    bytes: number;
    setupNs: number;
    way: number;
  }
  const starts: fc.Arbitrary<Start[]> = fc.array(
    fc.record({
      atNs: fc.nat(40),
      bytes: fc.nat(200),
      setupNs: fc.oneof(fc.constant(0), fc.nat(10)),
      way: fc.nat(2),
    }),
    { minLength: 1, maxLength: 14 },
  );
  /** Ways over the first link, the second, and both. */
  const requests = (drawn: Start[], bytesPerSec = GB_PER_SEC) => {
    const [a, b] = [newLink('a'), newLink('b')];
    const ways = [[a], [b], [a, b]].map(way => way.map(link => ({ link, bytesPerSec })));
    return drawn
      .map(({ atNs, bytes, setupNs, way }, tag) => ({
        atNs,
        request: { legs: ways[way]!, bytes, setupNs, tag },
      }))
      .sort((x, y) => x.atNs - y.atNs || x.request.tag - y.request.tag);
  };

  test('N equal transfers that start together take N times as long as one', () => {
    const property = fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 1e9 }),
      (n, bytes) => {
        const request = overOneLink();
        const ends = endsOf(
          Array.from({ length: n }, (_, tag) => ({ atNs: 0, request: request(tag, bytes) })),
        );
        expect([...ends.values()]).toEqual(new Array(n).fill(n * bytes));
      },
    );
    fc.assert(property);
  });

  test('a busy link moves its whole bandwidth, however it is shared', () => {
    // Every transfer starts while the link is busy, so the last end is the sum of all work, to the ns lost at each end.
    const property = fc.property(
      fc.array(fc.integer({ min: 50, max: 500 }), { minLength: 1, maxLength: 20 }),
      sizes => {
        const request = overOneLink();
        const ends = endsOf(sizes.map((bytes, tag) => ({ atNs: tag, request: request(tag, bytes) })));
        const work = sizes.reduce((sum, bytes) => sum + bytes, 0);
        const last = Math.max(...ends.values());
        expect(last).toBeGreaterThanOrEqual(work);
        expect(last).toBeLessThanOrEqual(work + sizes.length);
      },
    );
    fc.assert(property);
  });

  test('the order in which transfers of one instant start changes no end', () => {
    const property = fc.property(starts, drawn => {
      const given = requests(drawn);
      const turned = [...given].sort((x, y) => x.atNs - y.atNs || y.request.tag - x.request.tag);
      const byTag = (ends: Map<number, number>) => [...ends].sort(([a], [b]) => a - b);
      expect(byTag(endsOf(turned))).toEqual(byTag(endsOf(given)));
    });
    fc.assert(property);
  });

  test('looking at every nanosecond changes no end', () => {
    const property = fc.property(starts, drawn => {
      const given = requests(drawn);
      const links = new Links<number>();
      const ends = new Map<number, number>();
      let place = 0;
      for (let ns = 0; ends.size < given.length; ns++) {
        for (const { tag } of links.advanceTo(ns)) ends.set(tag, ns);
        for (; given[place]?.atNs === ns; place++) links.start(ns, given[place]!.request);
        for (const { tag } of links.advanceTo(ns)) ends.set(tag, ns);
      }
      const byTag = (each: Map<number, number>) => [...each].sort(([a], [b]) => a - b);
      expect(byTag(ends)).toEqual(byTag(endsOf(requests(drawn))));
    });
    fc.assert(property);
  });

  test('half the bandwidth and twice the times double every end, to the nanosecond of each end before it', () => {
    const property = fc.property(starts, drawn => {
      const ends = endsOf(requests(drawn, 2 * GB_PER_SEC));
      const slow = drawn.map(each => ({ ...each, atNs: each.atNs * 2, setupNs: each.setupNs * 2 }));
      for (const [tag, ns] of endsOf(requests(slow, GB_PER_SEC)))
        expect(Math.abs(ns - 2 * ends.get(tag)!)).toBeLessThanOrEqual(2 * drawn.length);
    });
    fc.assert(property);
  });

  test('no end comes before its bytes could have gone alone, nor after they had gone behind all others', () => {
    const property = fc.property(starts, drawn => {
      const ends = endsOf(requests(drawn));
      const all = drawn.reduce((sum, { bytes }) => sum + bytes, 0);
      for (const [tag, { atNs, bytes, setupNs }] of drawn.entries()) {
        expect(ends.get(tag)).toBeGreaterThanOrEqual(atNs + setupNs + bytes);
        // Over two links a share may be left unused, so the bound is that of a link of its own for each.
        expect(ends.get(tag)).toBeLessThanOrEqual(atNs + setupNs + drawn.length * all + drawn.length);
      }
    });
    fc.assert(property);
  });
});

test('what is not whole is refused', () => {
  const links = new Links<number>();
  const request = overOneLink();
  expect(() => links.start(0, request(1, 0.5))).toThrow('a transfer of 0.5 bytes');
  expect(() => links.start(0, request(1, 1, -1))).toThrow('-1 ns of set-up');
  expect(() => links.start(0, overOneLink(0.5)(1, 1))).toThrow('0.5 bytes per second over link');
});
