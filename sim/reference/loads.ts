// KV that a request need not compute because it lies elsewhere: in a tier behind the GPU's memory, or on the replica that
// computed the prompt. vLLM's WAITING_FOR_REMOTE_KVS, and the queue of finished loads that goes before `waiting`.
// Rule: blocks first, then the transfer; what loads takes neither budget nor a place in the batch.
import type { Load } from '../handover.ts';
import type { Travel } from '../transfers.ts';
import type { KvCache } from './kv-cache.ts';
import { type Request, targetTokens } from './request.ts';
import type { Tiers } from './tiers.ts';

export class Loads {
  readonly tiers: Tiers | null;
  /** Their blocks are allocated, their KV is on its way. */
  readonly underWay: Request[] = [];
  /** Their KV is there: admitted before anybody who waits, in order of arrival. */
  readonly done: Request[] = [];
  /** Prompt tokens that came by loads, and the bytes of their blocks. */
  readonly totals = { loadedTokens: 0, transferredBytes: 0 };
  private readonly travels = new Map<Request, Travel>();
  private readonly arrived: (atNs: number, request: Request) => void;

  /** `arrived` is called with `computed` at what the request's blocks now hold. */
  constructor(tiers: Tiers | null, arrived: (atNs: number, request: Request) => void) {
    this.tiers = tiers;
    this.arrived = arrived;
  }

  /** Requests that are in neither `running` nor `waiting`. */
  get count(): number {
    return this.underWay.length + this.done.length;
  }

  find(request: Request, hitBlocks: number): Load | null {
    const { handover } = request;
    return handover === null ? (this.tiers?.find(request, hitBlocks) ?? null) : handover.find(hitBlocks);
  }

  /** Precondition: the request is in no other queue, and its blocks hold `load.tokens` tokens. */
  start(atNs: number, request: Request, load: Load, hitTokens: number): void {
    this.underWay.push(request);
    const travel = load.start(atNs, ns => {
      this.travels.delete(request);
      this.underWay.splice(this.underWay.indexOf(request), 1);
      this.done.push(request);
      // The last known token is never loaded: computing it gives the next one.
      request.computed = Math.min(load.tokens, targetTokens(request) - 1);
      request.hitTokens += request.computed;
      request.loadedTokens += request.computed - hitTokens;
      this.totals.loadedTokens += request.computed - hitTokens;
      this.totals.transferredBytes += load.bytes;
      if (request.handover !== null && ns > atNs) request.transfer = { startNs: atNs, endNs: ns };
      closeHandover(ns, request);
      this.arrived(ns, request);
    });
    this.travels.set(request, travel);
  }

  /** Blocks still to be taken by all who have begun: a load that took them could stop everybody, itself included. */
  reservedBlocks(cache: KvCache, running: readonly Request[]): number {
    const rest = (request: Request) =>
      Math.max(0, cache.blocksFor(targetTokens(request)) - request.blocks.length);
    return [...running, ...this.underWay, ...this.done].reduce((sum, request) => sum + rest(request), 0);
  }

  /** It computes the rest itself: what lies elsewhere is not needed any more. */
  admitted(atNs: number, request: Request): void {
    closeHandover(atNs, request);
    request.writtenBlocks = 0;
    this.tiers?.touch(request);
  }

  /** Gives up what is under way for a request that is cancelled, and forgets it. */
  drop(atNs: number, request: Request): void {
    this.travels.get(request)?.cancel(atNs);
    this.travels.delete(request);
    closeHandover(atNs, request);
    for (const queue of [this.underWay, this.done]) {
      if (queue.includes(request)) queue.splice(queue.indexOf(request), 1);
    }
  }
}

function closeHandover(atNs: number, request: Request): void {
  request.handover?.close(atNs);
  request.handover = null;
}
