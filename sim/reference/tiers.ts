// The KV tiers of one replica, nearest first (vLLM kv_offloading, LMCache): full blocks are written through, and what the
// GPU has lost is looked up tier by tier. Rule: a load must pay, or the tokens are computed again.
import type { KvTier, PoolSpec, StepModel } from '../../engines/engine.ts';
import { addSequence, emptyLoad } from '../../engines/step-load.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import type { Load } from '../handover.ts';
import { blockBytesOf } from '../kv-bytes.ts';
import type { Transfers, Travel } from '../transfers.ts';
import type { BlockHash } from './block-hash.ts';
import type { KvCache } from './kv-cache.ts';
import { type Request, targetTokens } from './request.ts';
import type { StepPlan } from './scheduler.ts';
import { Tier } from './tier.ts';

/** A run of blocks in one tier. */
interface Found {
  readonly tier: Tier;
  readonly hashes: readonly BlockHash[];
}

export class Tiers {
  /** Nearest first, at least one. */
  readonly tiers: readonly Tier[];
  /** Blocks that the GPU has given up since the last step was decided. */
  readonly evicted: BlockHash[] = [];
  private readonly blockTokens: number;
  private readonly prefillNsPerToken: number;

  constructor(tiers: readonly Tier[], { limits, step }: Pick<PoolSpec, 'limits' | 'step'>) {
    this.tiers = tiers;
    this.blockTokens = limits.blockTokens;
    this.prefillNsPerToken = prefillNsPerToken(
      step,
      Math.min(limits.maxBatchedTokens, limits.maxModelTokens),
    );
  }

  find(request: Request, hitBlocks: number): Load | null {
    // At least one token stays to be computed, as with hits.
    const most = Math.floor((targetTokens(request) - 1) / this.blockTokens);
    return this.load(request.hashes.slice(0, most), hitBlocks);
  }

  /** Of these blocks, what goes on where the first `hitBlocks` of them end. */
  load(hashes: readonly BlockHash[], hitBlocks: number): Load | null {
    const found = this.lookUp(hashes.slice(hitBlocks));
    if (found.length === 0) return null;
    const blocks = found.reduce((sum, { hashes }) => sum + hashes.length, 0);
    return {
      tokens: (hitBlocks + blocks) * this.blockTokens,
      bytes: found.reduce((sum, { tier, hashes }) => sum + hashes.length * tier.blockBytes, 0),
      start: (atNs, arrived) => read(atNs, found, arrived),
    };
  }

  /** Runs of blocks without a gap between them, each in the nearest tier that has it, as far as they pay. */
  private lookUp(hashes: readonly BlockHash[]): Found[] {
    const found: Found[] = [];
    let place = 0;
    while (place < hashes.length) {
      const tier = this.nearest(hashes[place]!);
      if (tier === undefined) break;
      let end = place + 1;
      while (end < hashes.length && this.nearest(hashes[end]!) === tier) end += 1;
      const tokens = (end - place) * this.blockTokens;
      if (tier.readNs(end - place) >= tokens * this.prefillNsPerToken) break;
      found.push({ tier, hashes: hashes.slice(place, end) });
      place = end;
    }
    return found;
  }

  /** Tokens of a prompt that the tiers have from a block on, without a gap: in CPU memory, and farther. */
  held(request: Request, fromBlock: number): { host: number; disk: number } {
    const held = { host: 0, disk: 0 };
    const most = Math.floor((targetTokens(request) - 1) / this.blockTokens);
    for (const hash of request.hashes.slice(fromBlock, most)) {
      const tier = this.nearest(hash);
      if (tier === undefined) break;
      held[tier.spec.tier === 'cpu' ? 'host' : 'disk'] += this.blockTokens;
    }
    return held;
  }

  /** Calls back when `delayNs` are over: a transfer of nothing. */
  wait(atNs: number, delayNs: number, then: (atNs: number) => void): Travel {
    return this.tiers[0]!.wait(atNs, delayNs, then);
  }

  /** What it would take to read so many tokens from the nearest tier if they were there, ns. */
  readNs(tokens: number): number {
    return this.tiers[0]!.readNs(Math.ceil(tokens / this.blockTokens));
  }

  private nearest(hash: BlockHash): Tier | undefined {
    return this.tiers.find(tier => tier.has(hash));
  }

  /** A request is admitted: its blocks are used, wherever they lie. */
  touch(request: Request): void {
    const full = Math.floor(targetTokens(request) / this.blockTokens);
    for (const tier of this.tiers) tier.touch(request.hashes.slice(0, full));
  }

  /** Blocks that a step has filled, or found full; what it computed for a request preempted since is lost. */
  writeComputed(atNs: number, { scheduled }: StepPlan): void {
    for (const { request, computed, drafts, preemptions } of scheduled) {
      const full = Math.floor((computed - drafts) / this.blockTokens);
      if (request.gone || request.preemptions > preemptions || full <= request.writtenBlocks) continue;
      this.tiers[0]!.write(atNs, request.hashes.slice(request.writtenBlocks, full));
      request.writtenBlocks = full;
    }
  }

  /** What the GPU has lost, for tiers that had no room for it, or have lost it before. */
  writeEvicted(atNs: number, cache: KvCache): void {
    const lost = this.evicted.splice(0).filter(hash => cache.cached(hash) === undefined);
    // A sequence goes suffix first; its root is written first.
    this.tiers[0]!.write(atNs, lost.toReversed());
  }
}

/** All runs travel at once; the load has arrived with the last of them. */
function read(atNs: number, found: readonly Found[], arrived: (atNs: number) => void): Travel {
  let missing = found.length;
  const travels = found.map(({ tier, hashes }) =>
    tier.read(atNs, hashes, ns => {
      missing -= 1;
      if (missing === 0) arrived(ns);
    }),
  );
  return {
    cancel(ns) {
      for (const travel of travels) travel.cancel(ns);
    },
  };
}

/**
 * What computing a prompt costs a token, for the choice between loading and computing: a step that is one prompt of the
 * whole token budget, behind nothing. So neither the batch of the moment nor the context counts.
 */
function prefillNsPerToken(step: StepModel, tokens: number): number {
  const load = emptyLoad();
  addSequence(load, 0, tokens, true);
  return step.stepNs(load) / tokens;
}

/**
 * Makes the tiers of a pool's replicas, of either half, one after the other; null where there are none. A `shared` tier
 * is the same for all, and so is what lies behind it.
 */
export function tiersOf(spec: PoolSpec, transfers: Transfers): (half: PoolSpec) => Tiers | null {
  const build = (half: PoolSpec, tiers: readonly KvTier[], behind: readonly Tier[]): Tier[] => {
    const built = [...behind];
    for (const tier of tiers.toReversed())
      built.unshift(new Tier(tier, blockBytesOf(half, 'kv_tiers'), transfers, built[0] ?? null));
    return built;
  };
  const firstShared = spec.kvTiers.findIndex(({ shared }) => shared);
  const own = firstShared < 0 ? spec.kvTiers : spec.kvTiers.slice(0, firstShared);
  const common = build(spec, spec.kvTiers.slice(own.length), []);
  return half => {
    if (spec.kvTiers.length === 0 || !half.limits.prefixCaching) return null;
    if (half.engine !== 'vllm') {
      const message = `pool ${spec.name}: KV tiers behind engine ${half.engine} are not built yet`;
      throw new UserError(message, { hint: 'leave out `kv_tiers`, or use engine vllm' });
    }
    const isSame = half.limits.blockTokens === spec.limits.blockTokens;
    if (common.length > 0 && !isSame) {
      const blocks = `${half.limits.blockTokens} and ${spec.limits.blockTokens} tokens`;
      throw new UserError(`pool ${spec.name}: blocks of ${blocks} cannot share a KV tier`, {
        hint: 'give both halves the same `block_size`, or each replica a tier of its own (`shared: false`)',
      });
    }
    return new Tiers(build(half, own, common), half);
  };
}
