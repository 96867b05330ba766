// A line: first come, first served, and whoever has left is passed over. Memory follows those who wait.

/** Somebody who may stand in one line, once. */
export interface InLine {
  waits: boolean;
}

/** Fewer who have left are not worth a sweep. */
const SWEPT_FROM = 64;

export class Line<T extends InLine> {
  private items: T[] = [];
  private head = 0;
  size = 0;

  join(item: T): void {
    item.waits = true;
    this.items.push(item);
    this.size += 1;
  }

  /** Of somebody who does not wait, does nothing. */
  leave(item: T): void {
    if (!item.waits) return;
    item.waits = false;
    this.size -= 1;
    const left = this.items.length - this.size;
    if (left > SWEPT_FROM && left > this.size) {
      this.items = this.items.filter(each => each.waits);
      this.head = 0;
    }
  }

  first(): T | undefined {
    while (this.items[this.head]?.waits === false) this.head += 1;
    return this.items[this.head];
  }

  /** The first who is wanted. */
  find(isWanted: (item: T) => boolean): T | undefined {
    return this.items.find(item => item.waits && isWanted(item));
  }
}
