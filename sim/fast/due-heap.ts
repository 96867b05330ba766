// Which replica is due next: by time, rank and row. Each replica has one place, which moves as its due time changes.
import type { FastReplica } from './replica.ts';

export class DueHeap {
  private readonly heap: FastReplica[] = [];
  /** By row of the cluster. */
  private readonly places: number[] = [];

  /** The next row of the cluster. */
  add(replica: FastReplica): void {
    this.places[replica.row] = this.heap.push(replica) - 1;
    this.moved(replica);
  }

  /** Undefined without replicas. */
  top(): FastReplica | undefined {
    return this.heap[0];
  }

  /** Its due time or rank has changed. */
  moved(replica: FastReplica): void {
    const { heap, places } = this;
    let place = places[replica.row]!;
    while (place > 0) {
      const parent = (place - 1) >>> 1;
      const above = heap[parent]!;
      if (!goesFirst(replica, above)) break;
      heap[place] = above;
      places[above.row] = place;
      place = parent;
    }
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && goesFirst(heap[child + 1]!, heap[child]!)) child += 1;
      const below = heap[child]!;
      if (!goesFirst(below, replica)) break;
      heap[place] = below;
      places[below.row] = place;
      place = child;
    }
    heap[place] = replica;
    places[replica.row] = place;
  }
}

const goesFirst = (a: FastReplica, b: FastReplica): boolean =>
  a.dueNs < b.dueNs ||
  (a.dueNs === b.dueNs && (a.dueRank < b.dueRank || (a.dueRank === b.dueRank && a.row < b.row)));
