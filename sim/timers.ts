// Timers by their instant, then in the order in which they were set: a heap in columns, since ten thousand agents wait at
// once and a look at each would be one into cold memory.

const FIRST_PLACES = 64;

export class Timers {
  size = 0;
  private atNs = new Float64Array(FIRST_PLACES);
  private sequences = new Float64Array(FIRST_PLACES);
  private tickets = new Float64Array(FIRST_PLACES);
  private sequence = 0;

  /** Of the next one; Infinity without any. */
  get nextNs(): number {
    return this.size === 0 ? Number.POSITIVE_INFINITY : this.atNs[0]!;
  }

  /** Of the next one, if there is any. */
  get nextTicket(): number {
    return this.tickets[0]!;
  }

  push(ns: number, ticket: number): void {
    if (this.size === this.atNs.length) this.enlarge();
    const { atNs, sequences } = this;
    const sequence = this.sequence++;
    let place = this.size++;
    while (place > 0) {
      const parent = (place - 1) >>> 1;
      // It was set after all others: of an equal instant, they go first.
      if (atNs[parent]! <= ns) break;
      this.move(parent, place);
      place = parent;
    }
    atNs[place] = ns;
    sequences[place] = sequence;
    this.tickets[place] = ticket;
  }

  /** Takes the next one out. */
  pop(): void {
    const last = --this.size;
    if (last === 0) return;
    const { atNs, sequences } = this;
    const ns = atNs[last]!;
    const sequence = sequences[last]!;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= last) break;
      if (child + 1 < last && this.goesFirst(child + 1, atNs[child]!, sequences[child]!)) child += 1;
      if (!this.goesFirst(child, ns, sequence)) break;
      this.move(child, place);
      place = child;
    }
    this.move(last, place);
  }

  private goesFirst(place: number, ns: number, sequence: number): boolean {
    const at = this.atNs[place]!;
    return at < ns || (at === ns && this.sequences[place]! < sequence);
  }

  private move(from: number, to: number): void {
    this.atNs[to] = this.atNs[from]!;
    this.sequences[to] = this.sequences[from]!;
    this.tickets[to] = this.tickets[from]!;
  }

  private enlarge(): void {
    const wider = (column: Float64Array): Float64Array<ArrayBuffer> => {
      const wide = new Float64Array(2 * column.length);
      wide.set(column);
      return wide;
    };
    this.atNs = wider(this.atNs);
    this.sequences = wider(this.sequences);
    this.tickets = wider(this.tickets);
  }
}
