// A hash ring: every replica stands at many points of a circle, and a key belongs to the first point clockwise from its
// own. A replica that joins or leaves moves only the keys next to its points (Karger et al. 1997).
import { extend, type Key, keyNumber, textKey } from '../../scenarios/base/key.ts';

export class HashRing {
  private readonly virtualNodes: number;
  private known: readonly string[] = [];
  /** Points clockwise, and the row of each. */
  private places = new Float64Array(0);
  private rows: number[] = [];

  /** `virtualNodes` points for each replica. */
  constructor(virtualNodes: number) {
    this.virtualNodes = virtualNodes;
  }

  /** Of the ring of these replicas, the point that a key belongs to: see `rowAt`. */
  find(replicas: readonly string[], key: Key): number {
    if (replicas !== this.known) this.place(replicas);
    const { places } = this;
    const place = keyNumber(key);
    let low = 0;
    let high = places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (places[middle]! < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Points on the circle. */
  get points(): number {
    return this.rows.length;
  }

  /** The row that stands at a point; past the last comes the first. */
  rowAt(point: number): number {
    return this.rows[point % this.rows.length]!;
  }

  private place(replicas: readonly string[]): void {
    this.known = replicas;
    const points = replicas.flatMap((replica, row) => {
      const key = textKey(replica);
      return Array.from({ length: this.virtualNodes }, (_, i) => ({ place: keyNumber(extend(key, i)), row }));
    });
    points.sort((a, b) => a.place - b.place || a.row - b.row);
    this.places = Float64Array.from(points, ({ place }) => place);
    this.rows = points.map(({ row }) => row);
  }
}
