// The longest step since a given one, for the longest token gap of each request: a stack of steps that no later step has
// outdone, so that the answer is found by halving.

export class LongestStep {
  private readonly index: number[] = [];
  private readonly lengthNs: number[] = [];

  /** Steps come in order. */
  add(index: number, lengthNs: number): void {
    while (this.lengthNs.length > 0 && this.lengthNs[this.lengthNs.length - 1]! <= lengthNs) {
      this.lengthNs.pop();
      this.index.pop();
    }
    this.index.push(index);
    this.lengthNs.push(lengthNs);
  }

  /** Of the steps from `index` on; 0 for none. */
  since(index: number): number {
    let low = 0;
    let high = this.index.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.index[middle]! < index) low = middle + 1;
      else high = middle;
    }
    return low < this.lengthNs.length ? this.lengthNs[low]! : 0;
  }
}
