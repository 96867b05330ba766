// How long one message takes over a way: half the round trip, jitter, its bytes, and what is sent again when it is lost.
import type { FaultWindows } from '../../gateway/fault-windows.ts';
import { extendText, type Key, uniform } from '../../scenarios/base/key.ts';
import { drawAmount } from '../../scenarios/formats/amount.ts';
import type { Way } from './paths.ts';

/** Least wait of Linux before it sends a lost packet again (TCP_RTO_MIN); each further wait is twice as long (RFC 6298). */
const RTO_MIN_MS = 200;
const RTO_MAX_MS = 120_000;
/** Linux gives up after so many (tcp_retries2): some 13 minutes. */
const RETRANSMITS_MAX = 15;

export interface Passage {
  readonly ms: number;
  /** It never arrives; after `ms` that is known. */
  readonly isLost: boolean;
}

/** `key`: of the message. `faults`: network losses, each of one link, or of all. */
export function passage(
  way: Way,
  message: { readonly key: Key; readonly bytes: number },
  faults: readonly FaultWindows[],
  nowMs: number,
): Passage {
  const { key, bytes } = message;
  const { rttMs } = way;
  let { lossRatio } = way;
  for (const window of faults) {
    const { target, share } = window.fault;
    const isOnWay = target === null || way.links.some(({ name }) => name === target);
    if (isOnWay && window.isOn(nowMs)) lossRatio = 1 - (1 - lossRatio) * (1 - share);
  }
  let ms = rttMs / 2;
  for (const { jitter, name } of way.links)
    if (jitter !== null) ms += drawAmount(jitter, uniform(extendText(key, name)), false);
  if (way.bytesPerSec !== null) ms += (bytes / way.bytesPerSec) * 1000;
  if (lossRatio === 0) return { ms, isLost: false };
  // A uniform number below p is, divided by p, a uniform number: one draw serves all retransmissions.
  let draw = uniform(extendText(key, 'loss'));
  let rtoMs = Math.max(RTO_MIN_MS, 2 * rttMs);
  for (let lost = 0; draw < lossRatio; lost++) {
    if (lost === RETRANSMITS_MAX) return { ms, isLost: true };
    ms += rtoMs;
    rtoMs = Math.min(2 * rtoMs, RTO_MAX_MS);
    draw /= lossRatio;
  }
  return { ms, isLost: false };
}
