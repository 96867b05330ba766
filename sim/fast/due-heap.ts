// Which replica is due next: by time, rank and row. Each replica has one place, which moves when the heap is told of a new
// due time; until then it keeps the one it knows, so that several may change before they are told.
import type { FastReplica } from './replica.ts';

export class DueHeap {
  private readonly heap: FastReplica[] = [];
  /** By place: when its replica is due, and its rank there. */
  private readonly dueNs: number[] = [];
  private readonly dueRank: number[] = [];
  /** By row of the cluster. */
  private readonly places: number[] = [];

  /** The next row of the cluster. */
  add(replica: FastReplica): void {
    const place = this.heap.push(replica) - 1;
    this.places[replica.row] = place;
    this.dueNs[place] = replica.dueNs;
    this.dueRank[place] = replica.dueRank;
    this.moved(replica);
  }

  /** Undefined without replicas. */
  top(): FastReplica | undefined {
    return this.heap[0];
  }

  /** Its due time or rank has changed. */
  moved(replica: FastReplica): void {
    const { places, heap } = this;
    const { dueNs, dueRank, row } = replica;
    let place = places[row]!;
    while (place > 0) {
      const parent = (place - 1) >>> 1;
      if (!this.isLater(parent, dueNs, dueRank, row)) break;
      this.move(parent, place);
      place = parent;
    }
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length) {
        const other = heap[child]!.row;
        if (!this.isLater(child + 1, this.dueNs[child]!, this.dueRank[child]!, other)) child += 1;
      }
      if (this.isLater(child, dueNs, dueRank, row)) break;
      this.move(child, place);
      place = child;
    }
    heap[place] = replica;
    this.dueNs[place] = dueNs;
    this.dueRank[place] = dueRank;
    places[row] = place;
  }

  /** Whether what is at `place` is due after such a replica. */
  private isLater(place: number, dueNs: number, dueRank: number, row: number): boolean {
    const ns = this.dueNs[place]!;
    if (ns !== dueNs) return ns > dueNs;
    const rank = this.dueRank[place]!;
    return rank !== dueRank ? rank > dueRank : this.heap[place]!.row > row;
  }

  private move(from: number, to: number): void {
    const replica = this.heap[from]!;
    this.heap[to] = replica;
    this.dueNs[to] = this.dueNs[from]!;
    this.dueRank[to] = this.dueRank[from]!;
    this.places[replica.row] = to;
  }
}
