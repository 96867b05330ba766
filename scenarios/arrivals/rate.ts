// The rate of arrivals over time: phases or a ramp, times a daily curve, times a spike, as straight pieces one after the
// other. A renewal process with unit gaps runs through them by area: a gap of 1 is one expected arrival.
import { cosine, type Distribution } from '../base/distributions.ts';

/** What lies between two arrivals, in units of the mean gap. */
export interface Gaps {
  readonly process: 'poisson' | 'gamma' | 'weibull' | 'constant';
  /** Mean 1. */
  readonly unit: Distribution;
}

export interface Phase {
  readonly forMs: number;
  readonly fromPerSec: number;
  readonly toPerSec: number;
  readonly gaps: Gaps;
}

export interface Rate {
  readonly phases: readonly Phase[];
  /** After the last phase its end rate stays; else arrivals end with it. */
  readonly stays: boolean;
  readonly spike: { readonly atMs: number; readonly forMs: number; readonly times: number } | null;
  readonly diurnal: { readonly peakMs: number; readonly peakToTrough: number } | null;
}

/** A stretch on which the rate is a straight line. */
export interface Piece {
  readonly fromMs: number;
  readonly toMs: number;
  readonly fromPerMs: number;
  readonly toPerMs: number;
  readonly gaps: Gaps;
}

const DAY_MS = 86_400_000;
/** The daily curve is drawn with straight lines from knot to knot: within 3e-5 of the cosine. */
const KNOT_MS = 300_000;

/** Daily factor around 1: the mean over a day is 1, peak over trough as asked. */
function dailyFactor({ peakMs, peakToTrough }: NonNullable<Rate['diurnal']>, atMs: number): number {
  const depth = (peakToTrough - 1) / (peakToTrough + 1);
  return 1 + depth * cosine((atMs - peakMs) / DAY_MS);
}

function* phasesOf(rate: Rate): Generator<Piece> {
  let fromMs = 0;
  for (const { forMs, fromPerSec, toPerSec, gaps } of rate.phases) {
    yield { fromMs, toMs: fromMs + forMs, fromPerMs: fromPerSec / 1000, toPerMs: toPerSec / 1000, gaps };
    fromMs += forMs;
  }
  const last = rate.phases.at(-1);
  if (!rate.stays || last === undefined) return;
  const perMs = last.toPerSec / 1000;
  // A rate of 0 that stays is the end: no daily curve makes more of it.
  if (perMs === 0) return;
  yield { fromMs, toMs: Number.POSITIVE_INFINITY, fromPerMs: perMs, toPerMs: perMs, gaps: last.gaps };
}

/** The part of a piece between two instants. */
function cut(piece: Piece, fromMs: number, toMs: number): Piece {
  const slope =
    piece.toMs === Number.POSITIVE_INFINITY
      ? 0
      : (piece.toPerMs - piece.fromPerMs) / (piece.toMs - piece.fromMs);
  const at = (ms: number): number => piece.fromPerMs + slope * (ms - piece.fromMs);
  return {
    ...piece,
    fromMs,
    toMs,
    fromPerMs: at(fromMs),
    toPerMs: toMs === piece.toMs ? piece.toPerMs : at(toMs),
  };
}

/** The pieces of a rate, in order, lazily: with a daily curve there is no last one. */
export function* piecesOf(rate: Rate): Generator<Piece> {
  const { spike, diurnal } = rate;
  const edges = spike === null ? [] : [spike.atMs, spike.atMs + spike.forMs];
  for (const phase of phasesOf(rate)) {
    let fromMs = phase.fromMs;
    while (fromMs < phase.toMs) {
      const knotMs =
        diurnal === null ? Number.POSITIVE_INFINITY : (Math.floor(fromMs / KNOT_MS) + 1) * KNOT_MS;
      const edgeMs = edges.find(each => each > fromMs) ?? Number.POSITIVE_INFINITY;
      const toMs = Math.min(phase.toMs, knotMs, edgeMs);
      const piece = cut(phase, fromMs, toMs);
      const inSpike = spike !== null && fromMs >= spike.atMs && fromMs < spike.atMs + spike.forMs;
      const times = inSpike ? spike.times : 1;
      const daily = (ms: number): number => (diurnal === null ? 1 : dailyFactor(diurnal, ms));
      yield {
        ...piece,
        fromPerMs: piece.fromPerMs * times * daily(fromMs),
        toPerMs: piece.toPerMs * times * daily(toMs),
      };
      fromMs = toMs;
    }
  }
}

/** Walks along a rate by area, up to an instant. */
export class RateWalk {
  private readonly pieces: Iterator<Piece>;
  private readonly untilMs: number;
  private piece: Piece | null;
  private atMs = 0;

  constructor(rate: Rate, untilMs = Number.POSITIVE_INFINITY) {
    this.untilMs = untilMs;
    this.pieces = piecesOf(rate)[Symbol.iterator]();
    this.piece = this.nextPiece();
  }

  /** The gaps that hold where the walk stands; null at the end. */
  get gaps(): Gaps | null {
    return this.piece?.gaps ?? null;
  }

  private nextPiece(): Piece | null {
    const next = this.pieces.next();
    return next.done === true || next.value.fromMs > this.untilMs ? null : next.value;
  }

  /** The instant at which `area` more arrivals are expected; null when the rate ends before. */
  advance(area: number): number | null {
    let left = area;
    while (this.piece !== null) {
      const { fromMs, toMs, fromPerMs, toPerMs } = this.piece;
      const open = toMs === Number.POSITIVE_INFINITY;
      const slope = open ? 0 : (toPerMs - fromPerMs) / (toMs - fromMs);
      const perMs = Math.max(0, fromPerMs + slope * (this.atMs - fromMs));
      const room = open ? Number.POSITIVE_INFINITY : ((perMs + toPerMs) / 2) * (toMs - this.atMs);
      if (left < room || (left === 0 && room === 0 && perMs > 0)) {
        // perMs x + slope x^2 / 2 = left, in the form that does not cancel.
        const root = Math.sqrt(Math.max(0, perMs * perMs + 2 * slope * left));
        this.atMs = left === 0 ? this.atMs : Math.min(toMs, this.atMs + (2 * left) / (perMs + root));
        return this.atMs;
      }
      left -= room;
      this.atMs = toMs;
      this.piece = this.nextPiece();
    }
    return null;
  }
}

/** Whether no arrival ever comes. */
export const isSilent = ({ phases, stays }: Rate): boolean =>
  phases.every(({ forMs, fromPerSec, toPerSec }) => forMs === 0 || fromPerSec + toPerSec === 0) &&
  !(stays && (phases.at(-1)?.toPerSec ?? 0) > 0);

/** Highest rate within the first `withinMs`, per second: what a capacity check has to hold. */
export function peakPerSec(rate: Rate, withinMs: number): number {
  const bound = Math.min(withinMs, 8 * DAY_MS);
  let most = 0;
  for (const { fromMs, fromPerMs, toPerMs } of piecesOf(rate)) {
    if (fromMs > 0 && fromMs >= bound) break;
    most = Math.max(most, fromPerMs, toPerMs);
  }
  return most * 1000;
}
