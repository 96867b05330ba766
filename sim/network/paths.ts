// The way between two places: the links of the shortest round trip, by Dijkstra.
import { invariant } from '../../scenarios/base/errors.ts';
import type { LinkSpec, PlacesSpec } from '../../scenarios/formats/rules.ts';

/** What a connection over a chain of links has to do with. */
export interface Way {
  /** None: both ends are the same place. */
  readonly links: readonly LinkSpec[];
  readonly rttMs: number;
  /** Of its narrowest link; null: no limit. */
  readonly bytesPerSec: number | null;
  readonly tls: boolean;
  readonly keepAliveMs: number;
  /** Of packets, over all links. */
  readonly lossRatio: number;
}

export class Paths {
  private readonly places: readonly string[];
  private readonly links: readonly LinkSpec[];
  private readonly known = new Map<string, Map<string, Way>>();

  constructor({ places, links }: PlacesSpec) {
    this.places = places.map(({ name }) => name);
    this.links = links;
  }

  /** Of equal round trips the one with fewer links, then the one whose links the file has first. */
  way(from: string, to: string): Way {
    let ways = this.known.get(from);
    if (ways === undefined) {
      ways = this.waysFrom(from);
      this.known.set(from, ways);
    }
    const way = ways.get(to);
    invariant(way !== undefined, () => `no link leads from ${from} to ${to}`);
    return way;
  }

  private waysFrom(from: string): Map<string, Way> {
    const ways = new Map<string, Way>();
    const open = new Map<string, readonly LinkSpec[]>([[from, []]]);
    while (open.size > 0) {
      let nearest = '';
      for (const place of this.places) {
        const links = open.get(place);
        if (links !== undefined && (nearest === '' || isNearer(links, open.get(nearest)!))) nearest = place;
      }
      const links = open.get(nearest);
      invariant(links !== undefined, () => `${from} is not among the places`);
      open.delete(nearest);
      ways.set(nearest, wayOver(links));
      for (const link of this.links) {
        const [a, b] = link.between;
        const next = a === nearest ? b : b === nearest ? a : null;
        if (next === null || ways.has(next)) continue;
        const longer = [...links, link];
        const known = open.get(next);
        if (known === undefined || isNearer(longer, known)) open.set(next, longer);
      }
    }
    return ways;
  }
}

const rttOf = (links: readonly LinkSpec[]): number => links.reduce((sum, { rttMs }) => sum + rttMs, 0);

function isNearer(a: readonly LinkSpec[], b: readonly LinkSpec[]): boolean {
  const byMs = rttOf(a) - rttOf(b);
  return byMs < 0 || (byMs === 0 && a.length < b.length);
}

function wayOver(links: readonly LinkSpec[]): Way {
  let bytesPerSec: number | null = null;
  let keepAliveMs = Number.POSITIVE_INFINITY;
  let arrives = 1;
  for (const link of links) {
    if (link.bytesPerSec !== null)
      bytesPerSec = Math.min(bytesPerSec ?? Number.POSITIVE_INFINITY, link.bytesPerSec);
    keepAliveMs = Math.min(keepAliveMs, link.keepAliveMs);
    arrives *= 1 - link.lossRatio;
  }
  return {
    links,
    rttMs: rttOf(links),
    bytesPerSec,
    tls: links.some(({ tls }) => tls),
    keepAliveMs,
    lossRatio: 1 - arrives,
  };
}
