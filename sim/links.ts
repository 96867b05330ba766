// Links that transfers share: processor sharing in whole nanoseconds. Whatever is under way on a link has an equal share
// of it; a transfer over several links goes at the smallest of its shares.
// Rule: speeds are whole numbers, so that neither a look nor the order of equal instants changes an end.
import { invariant } from '../scenarios/base/errors.ts';

/** What transfers share, one object per link. */
export interface Link {
  readonly name: string;
  /** Under way on it, set-up over. */
  readonly sharers: Set<Sharer>;
}

export const newLink = (name: string): Link => ({ name, sharers: new Set() });

/** One link of a transfer's way, and its speed when alone there: whole bytes per second, at least 1. */
export interface Leg {
  readonly link: Link;
  readonly bytesPerSec: number;
}

export interface TransferRequest<Tag> {
  /** At least one. */
  readonly legs: readonly Leg[];
  readonly bytes: number;
  /** Before the first byte, whole ns; takes no share of a link. */
  readonly setupNs: number;
  /** What the caller gets back at the end. */
  readonly tag: Tag;
}

interface Sharer {
  readonly legs: readonly Leg[];
  /** Work left at `settledNs`: bytes * 1e9 * SHARES. */
  left: bigint;
  /** Work a nanosecond. */
  speed: bigint;
  settledNs: number;
  /** When it ends, if nothing joins or leaves its links until then. */
  dueNs: number;
}

export interface Transfer<Tag> extends TransferRequest<Tag>, Sharer {
  /** Its set-up runs; `dueNs` is the end of that. */
  isSettingUp: boolean;
}

/** All of 1 to 60 divide it: so many sharers split a link without rest, and what more of them lose is below 1e-24. */
const SHARES = 9_690_712_164_777_231_700_912_800n;
const NS_PER_SEC = 1_000_000_000n;

export class Links<Tag> {
  /** Not ended and not cancelled, in order of start. */
  private readonly transfers = new Set<Transfer<Tag>>();

  start(atNs: number, request: TransferRequest<Tag>): Transfer<Tag> {
    checkRequest(request);
    const transfer: Transfer<Tag> = {
      ...request,
      isSettingUp: true,
      left: BigInt(request.bytes) * NS_PER_SEC * SHARES,
      speed: 0n,
      settledNs: atNs,
      dueNs: atNs + request.setupNs,
    };
    this.transfers.add(transfer);
    return transfer;
  }

  /** Ends it early; its shares go to the others. Of one that has ended, does nothing. */
  cancel(atNs: number, transfer: Transfer<Tag>): void {
    if (this.transfers.delete(transfer)) leave(atNs, transfer);
  }

  /** When a transfer next ends or is set up; Infinity when nothing is under way. */
  nextNs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { dueNs } of this.transfers) next = Math.min(next, dueNs);
    return next;
  }

  /** Runs to `ns`. Returns what ended: by time, and in order of start where equal. */
  advanceTo(ns: number): Transfer<Tag>[] {
    const ended: Transfer<Tag>[] = [];
    for (let atNs = this.nextNs(); atNs <= ns; atNs = this.nextNs()) {
      for (const transfer of this.transfers) {
        if (transfer.dueNs === atNs && transfer.isSettingUp) join(atNs, transfer);
      }
      for (const transfer of this.transfers) {
        if (transfer.dueNs !== atNs || transfer.isSettingUp) continue;
        this.transfers.delete(transfer);
        leave(atNs, transfer);
        ended.push(transfer);
      }
    }
    return ended;
  }
}

function join<Tag>(atNs: number, transfer: Transfer<Tag>): void {
  transfer.isSettingUp = false;
  transfer.settledNs = atNs;
  for (const { link } of transfer.legs) link.sharers.add(transfer);
  share(atNs, transfer.legs);
}

function leave(atNs: number, transfer: Sharer): void {
  for (const { link } of transfer.legs) link.sharers.delete(transfer);
  share(atNs, transfer.legs);
}

/** New shares for everything on these links. */
function share(atNs: number, legs: readonly Leg[]): void {
  for (const sharer of new Set(legs.flatMap(({ link }) => [...link.sharers]))) {
    sharer.left -= sharer.speed * BigInt(atNs - sharer.settledNs);
    sharer.settledNs = atNs;
    sharer.speed = smallestShare(sharer.legs);
    const restNs = sharer.left > 0n ? (sharer.left + sharer.speed - 1n) / sharer.speed : 0n;
    sharer.dueNs = atNs + Number(restNs);
  }
}

function smallestShare(legs: readonly Leg[]): bigint {
  const shares = legs.map(
    ({ link, bytesPerSec }) => (SHARES / BigInt(link.sharers.size)) * BigInt(bytesPerSec),
  );
  return shares.reduce((least, each) => (each < least ? each : least));
}

function checkRequest({ legs, bytes, setupNs }: TransferRequest<unknown>): void {
  const isWhole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least;
  invariant(legs.length > 0, () => 'a transfer without a link');
  invariant(isWhole(bytes, 0), () => `a transfer of ${bytes} bytes`);
  invariant(isWhole(setupNs, 0), () => `a transfer with ${setupNs} ns of set-up`);
  for (const { link, bytesPerSec } of legs)
    invariant(isWhole(bytesPerSec, 1), () => `${bytesPerSec} bytes per second over ${link.name}`);
}
