// Prefill/decode disaggregation: some replicas compute prompts, others generate, and the KV goes from one to the other
// (vLLM NixlConnector, Dynamo, TensorRT-LLM). Blocks stay on the prefill side until they are pulled, so that decode
// replicas without room stop it. Rule: a prompt computed elsewhere is loaded whole, but for what the decode side has.
//
//   prefill: waiting ─▶ running ─▶ kept ───────────────▶ free
//   decode:                  waiting ─▶ blocks ─▶ transfer ─▶ running ─▶ tokens ─▶ end
import type { Disaggregation, PoolSpec } from '../../engines/engine.ts';
import { invariant, unreachable } from '../../scenarios/base/errors.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import type { ClusterEvent, Submission } from '../cluster.ts';
import { type Leg, newLink } from '../links.ts';
import { PoolFront } from '../pool-front.ts';
import type { Handover } from './loads.ts';
import type { Pool, Surroundings } from './pool.ts';
import type { RankGroup } from './rank-group.ts';
import type { ReplicaSink } from './replica.ts';
import { type Place, ReplicaSet } from './replica-set.ts';
import { blockBytesOf, tiersOf } from './tiers.ts';
import type { Transfers } from './transfers.ts';

const NS_PER_MS = 1e6;

type SplitSpec = PoolSpec & { disaggregation: Disaggregation };

interface Parts {
  readonly spec: SplitSpec;
  readonly prefill: ReplicaSet;
  readonly decode: ReplicaSet;
  readonly transfers: Transfers;
  /** What the pool's callers hear. */
  readonly sink: ReplicaSink;
}

export function splitPool(spec: SplitSpec, surroundings: Surroundings): Pool {
  const { sink, transfers } = surroundings;
  const tiers = tiersOf(spec, transfers);
  const half: PoolSpec = { ...spec, ...spec.disaggregation.prefill, disaggregation: null };
  const held: Submission[] = [];
  const links = { egress: [] as Leg[], ingress: [] as Leg[] };
  const bytesPerSec = Math.max(1, Math.round(spec.disaggregation.linkBytesPerSec));
  const leg = ({ name }: RankGroup): Leg => ({ link: newLink(name), bytesPerSec });
  const common = { ...surroundings, held: () => held.length };
  const decode = new ReplicaSet({
    ...common,
    spec,
    half: 'decode',
    optionsOf: () => ({ tiers: tiers(spec), keepsEnded: false }),
    started: (group, id) => {
      links.ingress[id] = leg(group);
      surroundings.started(group);
    },
    stopping: (_, id, atNs) => pool.decodeStops(id, atNs),
  });
  const prefillSink: ReplicaSink = { ...sink, event: event => pool.prefillEvent(event) };
  const prefill = new ReplicaSet({
    ...common,
    spec: half,
    half: 'prefill',
    sink: prefillSink,
    optionsOf: () => ({ tiers: tiers(half), keepsEnded: true }),
    started: (group, id) => {
      links.egress[id] = leg(group);
      surroundings.started(group);
    },
    stopping: (group, _, atNs) => pool.prefillStops(group, atNs),
  });
  const before = new PoolFront(spec, [decode.front, prefill.front], held, [spec, half]);
  const pool = new SplitPool({ spec, prefill, decode, transfers, sink }, before, links);
  return pool;
}

/** A request whose prompt is computed on the prefill side. */
interface Prefilling {
  readonly submission: Submission;
  readonly decode: Place;
  scheduledNs: number;
  cachedTokens: number;
}

class SplitPool implements Pool {
  readonly sets: readonly ReplicaSet[];
  private readonly parts: Parts;
  /** Bytes of a KV block of the decode side. */
  private readonly blockBytes: number;
  private readonly prefilling = new Map<number, Prefilling>();
  /** Of these, requests whose decode replica is gone. */
  private readonly lost = new Set<number>();
  readonly before: PoolFront;
  /** Of each replica, by id: prefill sides send, decode sides receive. */
  private readonly links: { readonly egress: readonly Leg[]; readonly ingress: readonly Leg[] };

  constructor(parts: Parts, before: PoolFront, links: SplitPool['links']) {
    this.parts = parts;
    this.before = before;
    this.links = links;
    this.blockBytes = blockBytesOf(parts.spec, 'link');
    this.sets = [parts.decode, parts.prefill];
  }

  /**
   * The decode replica is chosen first: what it has cached decides whether it computes the prompt itself, and a request
   * that it could not take is refused before anything is computed for it.
   */
  submit(atNs: number, submission: Submission): boolean {
    const { prefill, decode, spec, sink } = this.parts;
    const { localBelowTokens } = spec.disaggregation;
    const { id } = submission;
    const place = decode.choose(atNs, submission);
    const refusal = place.replica.refusal(submission);
    if (refusal !== null) {
      decode.leave(id, 0, false, atNs);
      sink.event({ kind: 'rejected', id, atNs, ...refusal });
      return false;
    }
    place.replica.seed(submission);
    const { prompt, promptTokens } = submission;
    const isLocal =
      localBelowTokens > 0 &&
      promptTokens - place.replica.cachedTokens(prompt, promptTokens) < localBelowTokens;
    if (isLocal) {
      prefill.front.withdrawn(id, atNs);
      place.replica.submit(atNs, submission);
      return true;
    }
    const first = prefill.choose(atNs, submission);
    if (!first.replica.submit(atNs, promptOnly(submission))) {
      prefill.leave(id, 0, false, atNs);
      decode.leave(id, 0, false, atNs);
      return false;
    }
    this.prefilling.set(id, { submission, decode: place, scheduledNs: atNs, cachedTokens: 0 });
    return true;
  }

  place(id: number): Place {
    const place = this.parts.prefill.place(id) ?? this.parts.decode.place(id);
    invariant(place !== null, () => `pool ${this.parts.spec.name} does not have request ${id}`);
    return place;
  }

  leave(id: number, outputTokens: number, isOk: boolean, atNs: number): void {
    this.parts.decode.leave(id, outputTokens, isOk, atNs);
  }

  /** An event of a prefill replica, of which callers hear only what happens to the request as a whole. */
  prefillEvent(event: ClusterEvent): void {
    const { spec, sink, prefill } = this.parts;
    switch (event.kind) {
      case 'scheduled': {
        const request = this.prefilling.get(event.id)!;
        request.scheduledNs = event.atNs;
        request.cachedTokens = event.cachedTokens;
        prefill.front.scheduled(event.id, request.submission.prompt, event.cachedTokens, event.atNs);
        sink.event(event);
        return;
      }
      case 'token':
        prefill.front.firstToken(event.id, event.atNs);
        if (spec.disaggregation.firstToken === 'prefill') sink.event(event);
        return;
      case 'rejected':
        sink.event(event);
        return;
      case 'cancelled':
      case 'failed': {
        const isLost = this.lost.has(event.id);
        this.leavePrefill(event.id, false, event.atNs);
        sink.event(isLost ? { ...event, kind: 'failed', reason: 'replica_lost' } : event);
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
  decodeStops(replicaId: number, atNs: number): void {
    for (const [id, { decode }] of this.prefilling) {
      if (decode.id !== replicaId || this.lost.has(id)) continue;
      this.lost.add(id);
      const { replica } = this.parts.prefill.place(id)!;
      replica.cancel(atNs, id);
      this.parts.sink.ready(atNs, replica);
    }
  }

  /** A prefill replica goes: what it holds for others cannot be loaded any more. */
  prefillStops({ ranks }: RankGroup, atNs: number): void {
    for (const { submission } of ranks.flatMap(({ kept }) => kept))
      this.parts.decode.place(submission.id)?.replica.failRequest(atNs, submission.id);
  }

  private leavePrefill(id: number, isOk: boolean, atNs: number): { request: Prefilling; place: Place } {
    const request = this.prefilling.get(id)!;
    const place = this.parts.prefill.place(id)!;
    this.prefilling.delete(id);
    this.lost.delete(id);
    this.parts.prefill.leave(id, 0, isOk, atNs);
    return { request, place };
  }

  private promptComputed(event: Extract<ClusterEvent, { kind: 'end' }>): void {
    const { spec, sink } = this.parts;
    const { id, atNs, computedTokens, preemptions } = event;
    const { request, place } = this.leavePrefill(id, true, atNs);
    const { submission, decode, cachedTokens } = request;
    const generated = spec.disaggregation.firstToken === 'prefill' ? 1 : 0;
    if (generated === submission.outputTokens) {
      place.replica.letGo(atNs, id);
      this.parts.prefill.front.settle(place.id, atNs);
      sink.event(event);
      return;
    }
    decode.group.observe(atNs);
    decode.replica.takeOver(submission, {
      handover: this.handover(place, request, atNs),
      cachedTokens,
      generated,
      lastTokenNs: atNs,
      computedTokens,
      lostTokens: computedTokens, // on this replica they count as loaded
      preemptions,
    });
    sink.ready(atNs, decode.replica);
  }

  private handover(from: Place, { submission, decode, scheduledNs }: Prefilling, atNs: number): Handover {
    const { blockBytes, links } = this;
    const { spec, transfers, prefill } = this.parts;
    const { linkBytesPerSec, linkLatencyMs, overlapLayers } = spec.disaggregation;
    const { id, promptTokens } = submission;
    const legs = [links.egress[from.id]!, links.ingress[decode.id]!];
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
      close(ns) {
        from.group.observe(ns);
        from.replica.letGo(ns, id);
        prefill.front.settle(from.id, ns);
      },
    };
  }
}

/** What a prefill replica is asked for: the prompt and one token, which only TensorRT-LLM hands on. */
function promptOnly(submission: Submission): Submission {
  const first: Run = { ...submission.output[0]!, tokens: 1 };
  return { ...submission, outputTokens: 1, maxOutputTokens: 1, output: [first] };
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
