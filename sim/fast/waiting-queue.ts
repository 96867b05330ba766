// Requests that wait, in order: first come, first served, or by priority. Taking the head, and putting a preempted request
// in front, cost nothing; that is all a first-come queue does.
import { type FastRequest, goesBefore } from './request.ts';

export class WaitingQueue {
  private readonly byPriority: boolean;
  /** Undefined before the start: what is done must not stay, with its prompt, until others have come. */
  private items: (FastRequest | undefined)[] = [];
  private start = 0;
  /** Sum of their prompts. */
  promptTokens = 0;

  constructor(byPriority: boolean) {
    this.byPriority = byPriority;
  }

  get length(): number {
    return this.items.length - this.start;
  }

  head(): FastRequest | undefined {
    return this.items[this.start];
  }

  add(request: FastRequest): void {
    this.promptTokens += request.submission.promptTokens;
    if (this.byPriority) this.insert(request);
    else this.items.push(request);
  }

  /** A preempted request: in front of all others, or by priority. */
  addBack(request: FastRequest): void {
    this.promptTokens += request.submission.promptTokens;
    if (this.byPriority) this.insert(request);
    else if (this.start > 0) this.items[--this.start] = request;
    else this.items.unshift(request);
  }

  private insert(request: FastRequest): void {
    let low = this.start;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (goesBefore(request, this.items[middle]!)) high = middle;
      else low = middle + 1;
    }
    this.items.splice(low, 0, request);
  }

  takeHead(): FastRequest {
    const request = this.items[this.start]!;
    this.items[this.start] = undefined;
    this.start += 1;
    this.promptTokens -= request.submission.promptTokens;
    if (this.start > 32 && this.start * 2 > this.items.length) {
      this.items = this.items.slice(this.start);
      this.start = 0;
    }
    return request;
  }

  remove(request: FastRequest): void {
    this.promptTokens -= request.submission.promptTokens;
    this.items.splice(this.items.indexOf(request, this.start), 1);
  }
}
