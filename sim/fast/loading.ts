// Requests of a decode replica whose KV is on its way from where their prompt was computed, or has come and waits for a
// step: the fast engine's part of sim/reference/loads.ts.
import type { Load } from '../handover.ts';
import type { Travel } from '../transfers.ts';
import type { FastRequest } from './request.ts';

export class Loading {
  /** Their blocks are taken, their KV is on its way. */
  readonly underWay: FastRequest[] = [];
  /** Their KV is there: admitted before anybody who waits, in order of arrival. */
  readonly done: FastRequest[] = [];
  /** Prompt tokens that came so, and the bytes of their blocks. */
  readonly totals = { loadedTokens: 0, transferredBytes: 0 };
  private readonly travels = new Map<FastRequest, Travel>();

  get count(): number {
    return this.underWay.length + this.done.length;
  }

  /** `arrived` is called when its KV is there; `computed` says then how much the request has. */
  start(
    atNs: number,
    request: FastRequest,
    load: Load,
    arrived: (atNs: number, request: FastRequest) => void,
  ): void {
    const hitTokens = request.computed;
    this.underWay.push(request);
    const travel = load.start(atNs, ns => {
      this.travels.delete(request);
      remove(this.underWay, request);
      this.done.push(request);
      // The last known token is never loaded: computing it gives the next one.
      request.computed = Math.min(load.tokens, request.target - 1);
      this.totals.loadedTokens += request.computed - hitTokens;
      this.totals.transferredBytes += load.bytes;
      if (ns > atNs) request.transfer = { startNs: atNs, endNs: ns };
      closeHandover(ns, request);
      arrived(ns, request);
    });
    this.travels.set(request, travel);
  }

  /** Gives up what is under way; whether the request was here. */
  drop(atNs: number, request: FastRequest): boolean {
    this.travels.get(request)?.cancel(atNs);
    this.travels.delete(request);
    return remove(this.underWay, request) || remove(this.done, request);
  }
}

/** What lies elsewhere is not needed any more. */
export function closeHandover(atNs: number, request: FastRequest): void {
  const { handover } = request;
  request.handover = null;
  handover?.close(atNs);
}

function remove(queue: FastRequest[], request: FastRequest): boolean {
  const place = queue.indexOf(request);
  if (place >= 0) queue.splice(place, 1);
  return place >= 0;
}
