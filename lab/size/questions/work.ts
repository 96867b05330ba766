// What a workflow's tokens would cost by the list price of an API, whatever serves them now.

import type { DeploymentSpec } from '../../../engines/engine.ts';
import { apiOffers } from '../../../engines/offers.ts';
import { HIT_UNCERTAINTY, hitRatioOf, usdOf } from '../../../reports/money.ts';
import type { ApiOffer } from '../../../scenarios/formats/ledger.ts';
import type { ServedWork } from '../../../scenarios/formats/result.ts';
import type { RunTally } from '../../../scenarios/formats/tally.ts';
import type { Evaluation } from '../evaluate.ts';

/** Prices of an hour's traffic. */
export interface Priced {
  readonly offer: ApiOffer;
  readonly usdPerWorkflow: number;
  /** With more and with fewer cache hits. */
  readonly low: number;
  readonly high: number;
}

const workOf = ({ calls, tokens }: RunTally): ServedWork => ({
  calls: calls.ok,
  promptTokens: tokens.prompt,
  cachedTokens: tokens.cached,
  outputTokens: tokens.output,
});

/** Share of prompt tokens that the servers found in a cache. */
export const hitsOf = (tally: RunTally): number => hitRatioOf(workOf(tally));

/** The same models first, then those nearest in size; empty where nothing completed. */
export function pricedElsewhere(
  { tally }: Pick<Evaluation, 'tally'>,
  deployment: Pick<DeploymentSpec, 'pools' | 'hosted'>,
): Priced[] {
  if (tally === null || tally.sessions.completed === 0) return [];
  const work = workOf(tally);
  const hits = hitRatioOf(work);
  return apiOffers(deployment).map(offer => {
    const at = (ratio: number): number =>
      usdOf(work, offer.price, Math.min(1, Math.max(0, ratio))) / tally.sessions.completed;
    return {
      offer,
      usdPerWorkflow: at(hits),
      low: at(hits + HIT_UNCERTAINTY),
      high: at(hits - HIT_UNCERTAINTY),
    };
  });
}
