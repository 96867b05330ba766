// Values by whole number, for ids that come and go by the million. A Map would do, but one that is filled and emptied
// without end is made anew again and again, and what is left of the old ones keeps dead requests from being collected.

const FREE = -1;

/** Open addressing with linear probing; a deleted place is filled from behind. */
export class IdTable<T> {
  private ids: Float64Array;
  private values: (T | undefined)[];
  private mask: number;
  size = 0;

  /** `places` to begin with, a power of two; it grows by itself. */
  constructor(places = 64) {
    this.ids = new Float64Array(places).fill(FREE);
    this.values = new Array(places).fill(undefined);
    this.mask = places - 1;
  }

  private home(id: number): number {
    return Math.imul(id | 0, 0x9e3779b1) & this.mask;
  }

  private find(id: number): number {
    let place = this.home(id);
    while (this.ids[place] !== id) {
      if (this.ids[place] === FREE) return FREE;
      place = (place + 1) & this.mask;
    }
    return place;
  }

  has(id: number): boolean {
    return this.find(id) !== FREE;
  }

  get(id: number): T | undefined {
    const place = this.find(id);
    return place === FREE ? undefined : this.values[place];
  }

  /** `id` is a whole number from 0 on. */
  set(id: number, value: T): void {
    let place = this.find(id);
    if (place === FREE) {
      if ((this.size + 1) * 2 > this.mask) this.enlarge();
      place = this.home(id);
      while (this.ids[place] !== FREE) place = (place + 1) & this.mask;
      this.ids[place] = id;
      this.size += 1;
    }
    this.values[place] = value;
  }

  delete(id: number): void {
    let hole = this.find(id);
    if (hole === FREE) return;
    this.size -= 1;
    for (let place = (hole + 1) & this.mask; this.ids[place] !== FREE; place = (place + 1) & this.mask) {
      const home = this.home(this.ids[place]!);
      // What is not at home beyond the hole may move into it.
      const isBetween = hole <= place ? hole < home && home <= place : hole < home || home <= place;
      if (isBetween) continue;
      this.ids[hole] = this.ids[place]!;
      this.values[hole] = this.values[place];
      hole = place;
    }
    this.ids[hole] = FREE;
    this.values[hole] = undefined;
  }

  /** Every id and its value, in no order that means anything. */
  *entries(): Generator<[number, T]> {
    for (let place = 0; place <= this.mask; place++)
      if (this.ids[place] !== FREE) yield [this.ids[place]!, this.values[place] as T];
  }

  private enlarge(): void {
    const { ids, values } = this;
    const places = (this.mask + 1) * 2;
    this.ids = new Float64Array(places).fill(FREE);
    this.values = new Array(places).fill(undefined);
    this.mask = places - 1;
    this.size = 0;
    for (let i = 0; i < ids.length; i++) if (ids[i] !== FREE) this.set(ids[i]!, values[i] as T);
  }
}
