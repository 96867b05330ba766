// The clock of a queue, which all machines of a run can ask: how far it is from one's own, as NTP measures it. An answer
// was written somewhere between question and answer, so that half of the smallest round trip bounds the error.

export interface ClockOffset {
  /** The other clock minus ours, ms. */
  readonly offsetMs: number;
  /** How wrong that may be at most, either way, ms. */
  readonly errorMs: number;
}

const ROUND_TRIPS = 16;

/** `ask`: what the other clock shows, ms. `nowMs`: ours, which must never go back. */
export async function clockOffset(
  ask: () => Promise<number>,
  nowMs: () => number,
  roundTrips = ROUND_TRIPS,
): Promise<ClockOffset> {
  let best: ClockOffset = { offsetMs: 0, errorMs: Number.POSITIVE_INFINITY };
  for (let trip = 0; trip < roundTrips; trip++) {
    const askedMs = nowMs();
    const theirsMs = await ask();
    const answeredMs = nowMs();
    const errorMs = (answeredMs - askedMs) / 2;
    if (errorMs < best.errorMs) best = { offsetMs: theirsMs - (askedMs + answeredMs) / 2, errorMs };
  }
  return best;
}

/** A Redis' own clock, ms since 1970. */
export async function redisMs(redis: { time(): Promise<(number | string)[]> }): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Number(micros) / 1000;
}
