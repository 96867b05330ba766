// KV blocks on their way between memories and replicas, and what is to be done when they are there.
// Rule: an end acts at its own instant, and ends of one instant act in order of start.
import { Links, type Transfer, type TransferRequest } from './links.ts';

type Arrived = (atNs: number) => void;

/** A transfer that may still be given up. */
export interface Travel {
  cancel(atNs: number): void;
}

export class Transfers {
  private readonly links = new Links<Arrived>();
  /** Null: to be found out. */
  private next: number | null = Number.POSITIVE_INFINITY;

  /** `arrived` is called when the last byte is there, unless the travel is cancelled before. */
  start(atNs: number, way: Omit<TransferRequest<unknown>, 'tag'>, arrived: Arrived): Travel {
    const transfer: Transfer<Arrived> = this.links.start(atNs, { ...way, tag: arrived });
    this.next = null;
    return {
      cancel: ns => {
        this.links.cancel(ns, transfer);
        this.next = null;
      },
    };
  }

  nextNs(): number {
    this.next ??= this.links.nextNs();
    return this.next;
  }

  advanceTo(ns: number): void {
    const ended = this.links.advanceTo(ns);
    this.next = null;
    for (const { tag: arrived } of ended) arrived(ns);
  }
}
