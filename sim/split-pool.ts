// Prefill/decode disaggregation: some replicas compute prompts, others generate, and the KV goes from one to the other
// (vLLM NixlConnector, Dynamo, TensorRT-LLM). Blocks stay on the prefill side until they are pulled, so that decode
// replicas without room stop it. Rule: a prompt computed elsewhere is loaded whole, but for what the decode side has.
//
//   prefill: waiting ─▶ running ─▶ kept ───────────────▶ free
//   decode:                  waiting ─▶ blocks ─▶ transfer ─▶ running ─▶ tokens ─▶ end
//
// What goes where is the same for both engines; how a replica serves its part is theirs.
import type { Disaggregation, PoolSpec } from '../engines/engine.ts';
import { invariant, unreachable } from '../scenarios/base/errors.ts';
import type { Run } from '../scenarios/formats/prompt.ts';
import type { ClusterEvent, Submission } from './cluster.ts';
import type { Front } from './front.ts';
import type { Carried, Handover } from './handover.ts';
import { blockBytesOf } from './kv-bytes.ts';
import { type Leg, newLink } from './links.ts';
import { PoolFront } from './pool-front.ts';
import type { Refusal } from './refusal.ts';
import type { Transfers } from './transfers.ts';

const NS_PER_MS = 1e6;

export type SplitSpec = PoolSpec & { readonly disaggregation: Disaggregation };

/** Where a request of one half was sent to: a replica, and what that does for it. Whatever changes there wakes it. */
export interface SplitPlace {
  /** Of the replica, in its half. */
  readonly id: number;
  /** Why it could not take a request now; null when it could. */
  refusal(submission: Submission): Refusal | null;
  /** Puts the resumed session of a request into the cache. */
  seed(atNs: number, submission: Submission): void;
  /** Tokens at the start of the prompt whose KV it has now. */
  cachedTokens(atNs: number, submission: Submission): number;
  /** Queues a request; false: it was refused, which has been told. */
  submit(atNs: number, submission: Submission): boolean;
  /** Queues a request whose prompt another replica has computed. */
  takeOver(atNs: number, submission: Submission, carried: Carried): void;
  cancel(atNs: number, id: number): void;
  /** The KV that a request was to load from another replica is lost. */
  fail(atNs: number, id: number): void;
  /** Whether a request that ended there is kept. */
  keeps(id: number): boolean;
  /** Its blocks are free. */
  letGo(atNs: number, id: number): void;
}

/** The replicas of one half. */
export interface SplitHalf {
  readonly front: Front;
  /** Routes a request; it counts as outstanding there until it leaves. */
  choose(atNs: number, submission: Submission): SplitPlace;
  /** Of a request that has not left; null for any other. */
  place(id: number): SplitPlace | null;
  /** Its part here is over. `isOk`: it was done. */
  leave(id: number, outputTokens: number, isOk: boolean, atNs: number): void;
  /** Requests that ended on this replica and are kept there. */
  keptAt(replicaId: number): readonly number[];
}

/** How a half is made. */
export interface HalfOptions {
  readonly spec: PoolSpec;
  readonly half: 'prefill' | 'decode';
  /** Requests that end keep their blocks until `letGo`. */
  readonly keepsEnded: boolean;
  readonly tell: (event: ClusterEvent) => void;
  /** Each replica as it begins, and as it goes while what it has is still there. */
  readonly started: (replicaId: number, name: string) => void;
  readonly stopping: (replicaId: number, atNs: number) => void;
  readonly held: () => number;
}

interface Outside {
  readonly transfers: Transfers;
  /** What the pool's callers hear. */
  readonly tell: (event: ClusterEvent) => void;
}

/** A request whose prompt is computed on the prefill side. */
interface Prefilling {
  readonly submission: Submission;
  readonly decode: SplitPlace;
  scheduledNs: number;
  cachedTokens: number;
}

export class SplitPool<Half extends SplitHalf> {
  readonly decode: Half;
  readonly prefill: Half;
  readonly before: PoolFront;
  private readonly spec: SplitSpec;
  private readonly outside: Outside;
  /** Bytes of a KV block of the decode side. */
  private readonly blockBytes: number;
  private readonly prefilling = new Map<number, Prefilling>();
  /** Of these, requests whose decode replica is gone. */
  private readonly lost = new Set<number>();
  /** Of each replica, by id: prefill sides send, decode sides receive. */
  private readonly egress: Leg[] = [];
  private readonly ingress: Leg[] = [];

  constructor(spec: SplitSpec, outside: Outside, make: (options: HalfOptions) => Half) {
    this.spec = spec;
    this.outside = outside;
    this.blockBytes = blockBytesOf(spec, 'link');
    const prefill: PoolSpec = { ...spec, ...spec.disaggregation.prefill, disaggregation: null };
    const held: Submission[] = [];
    const bytesPerSec = Math.max(1, Math.round(spec.disaggregation.linkBytesPerSec));
    const leg = (name: string): Leg => ({ link: newLink(name), bytesPerSec });
    this.decode = make({
      spec,
      half: 'decode',
      keepsEnded: false,
      tell: outside.tell,
      started: (id, name) => {
        this.ingress[id] = leg(name);
      },
      stopping: (id, atNs) => this.decodeStops(id, atNs),
      held: () => held.length,
    });
    this.prefill = make({
      spec: prefill,
      half: 'prefill',
      keepsEnded: true,
      tell: event => this.prefillEvent(event),
      started: (id, name) => {
        this.egress[id] = leg(name);
      },
      stopping: (id, atNs) => this.prefillStops(id, atNs),
      held: () => held.length,
    });
    this.before = new PoolFront(spec, [this.decode.front, this.prefill.front], held, [spec, prefill]);
  }

  /**
   * The decode replica is chosen first: what it has cached decides whether it computes the prompt itself, and a request
   * that it could not take is refused before anything is computed for it. False: it was refused, which has been told.
   */
  submit(atNs: number, submission: Submission): boolean {
    const { prefill, decode } = this;
    const { localBelowTokens } = this.spec.disaggregation;
    const { id, promptTokens } = submission;
    const place = decode.choose(atNs, submission);
    const refusal = place.refusal(submission);
    if (refusal !== null) {
      decode.leave(id, 0, false, atNs);
      this.outside.tell({ kind: 'rejected', id, atNs, ...refusal });
      return false;
    }
    place.seed(atNs, submission);
    const isLocal =
      localBelowTokens > 0 && promptTokens - place.cachedTokens(atNs, submission) < localBelowTokens;
    if (isLocal) {
      prefill.front.withdrawn(id, atNs);
      place.submit(atNs, submission);
      return true;
    }
    const first = prefill.choose(atNs, submission);
    if (!first.submit(atNs, promptOnly(submission))) {
      prefill.leave(id, 0, false, atNs);
      decode.leave(id, 0, false, atNs);
      return false;
    }
    this.prefilling.set(id, { submission, decode: place, scheduledNs: atNs, cachedTokens: 0 });
    return true;
  }

  /** An event of a prefill replica, of which callers hear only what happens to the request as a whole. */
  private prefillEvent(event: ClusterEvent): void {
    const { prefill } = this;
    const { tell } = this.outside;
    switch (event.kind) {
      case 'scheduled': {
        const request = this.prefilling.get(event.id)!;
        request.scheduledNs = event.atNs;
        request.cachedTokens = event.cachedTokens;
        prefill.front.scheduled(event.id, request.submission, event.cachedTokens, event.atNs);
        tell(event);
        return;
      }
      case 'token':
        prefill.front.firstToken(event.id, event.atNs);
        if (this.spec.disaggregation.firstToken === 'prefill') tell(event);
        return;
      case 'rejected':
        tell(event);
        return;
      case 'cancelled':
      case 'failed': {
        const isLost = this.lost.has(event.id);
        this.leavePrefill(event.id, false, event.atNs);
        tell(isLost ? { ...event, kind: 'failed', reason: 'replica_lost' } : event);
        return;
      }
      case 'end':
        this.promptComputed(event);
        return;
      default:
        unreachable(event);
    }
  }

  /** A decode replica goes: prompts that are computed for it are given up. */
  private decodeStops(replicaId: number, atNs: number): void {
    for (const [id, { decode }] of this.prefilling) {
      if (decode.id !== replicaId || this.lost.has(id)) continue;
      this.lost.add(id);
      this.prefill.place(id)!.cancel(atNs, id);
    }
  }

  /** A prefill replica goes: what it holds for others cannot be loaded any more. */
  private prefillStops(replicaId: number, atNs: number): void {
    for (const id of this.prefill.keptAt(replicaId)) this.decode.place(id)?.fail(atNs, id);
  }

  private leavePrefill(id: number, isOk: boolean, atNs: number): { request: Prefilling; place: SplitPlace } {
    const request = this.prefilling.get(id);
    const place = this.prefill.place(id);
    invariant(
      request !== undefined && place !== null,
      () => `pool ${this.spec.name} does not compute the prompt of request ${id}`,
    );
    this.prefilling.delete(id);
    this.lost.delete(id);
    this.prefill.leave(id, 0, isOk, atNs);
    return { request, place };
  }

  private promptComputed(event: Extract<ClusterEvent, { kind: 'end' }>): void {
    const { id, atNs, computedTokens, preemptions } = event;
    const { request, place } = this.leavePrefill(id, true, atNs);
    const { submission, decode, cachedTokens } = request;
    const generated = this.spec.disaggregation.firstToken === 'prefill' ? 1 : 0;
    if (generated === submission.outputTokens) {
      if (place.keeps(id)) place.letGo(atNs, id);
      this.prefill.front.settle(place.id, atNs);
      this.outside.tell(event);
      return;
    }
    decode.takeOver(atNs, submission, {
      handover: place.keeps(id) ? this.handover(place, request, atNs) : null,
      cachedTokens,
      generated,
      lastTokenNs: atNs,
      computedTokens,
      preemptions,
    });
  }

  private handover(
    from: SplitPlace,
    { submission, decode, scheduledNs }: Prefilling,
    atNs: number,
  ): Handover {
    const { blockBytes, spec } = this;
    const { transfers } = this.outside;
    const { linkBytesPerSec, linkLatencyMs, overlapLayers } = spec.disaggregation;
    const { id, promptTokens } = submission;
    const legs = [this.egress[from.id]!, this.ingress[decode.id]!];
    const setupNs = Math.round(linkLatencyMs * NS_PER_MS);
    const sendableBytes = ((atNs - scheduledNs) * linkBytesPerSec) / 1e9;
    return {
      find(hitBlocks) {
        const blocks = Math.ceil(promptTokens / spec.limits.blockTokens) - hitBlocks;
        if (blocks === 0) return null;
        const bytes = blocks * blockBytes;
        const visibleBytes = bytes - hiddenBytes(bytes, sendableBytes, overlapLayers);
        return {
          tokens: promptTokens,
          bytes,
          start: (ns, arrived) => transfers.start(ns, { legs, bytes: visibleBytes, setupNs }, arrived),
        };
      },
      close: ns => {
        from.letGo(ns, id);
        this.prefill.front.settle(from.id, ns);
      },
    };
  }
}

/** What a prefill replica is asked for: the prompt and one token, which only TensorRT-LLM hands on. */
function promptOnly(submission: Submission): Submission {
  const first: Run = { ...submission.output[0]!, tokens: 1 };
  const { prompt } = submission;
  return { ...submission, prompt, outputTokens: 1, maxOutputTokens: 1, output: [first] };
}

/**
 * Bytes that had left before the prompt was through, where layers travel while later ones are computed: as much as the
 * link alone could carry meanwhile, but never the last layer. So a transfer of T behind a prefill of P ends
 * max(T / layers, T - P * (layers - 1) / layers) after it.
 */
function hiddenBytes(bytes: number, sendableBytes: number, layers: number | null): number {
  if (layers === null) return 0;
  return Math.floor((Math.min(bytes, sendableBytes) * (layers - 1)) / layers);
}
