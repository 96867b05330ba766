// What a model alias costs: the scenario's own price, else the catalogue's list price of the model behind it.
import { findModel, listPrice } from '../engines/catalog.ts';
import type { PoolSpec } from '../engines/engine.ts';
import type { Plan } from '../scenarios/formats/plan.ts';

/** USD per million tokens. */
export interface Price {
  in: number;
  cachedIn: number;
  out: number;
}

/** Prices by alias; a trace's model name that the catalogue lacks is priced as the model that serves it. */
export function pricesOf(plan: Plan, pools: readonly PoolSpec[]): (model: string) => Price | null {
  return model => {
    const alias = plan.models.get(model);
    if (alias?.price != null) return alias.price;
    const served = pools.length === 1 && findModel(model) === null ? pools[0]?.modelId : undefined;
    const listed = listPrice(alias?.modelId ?? served ?? model);
    if (listed === null) return null;
    const { inputUsdPerMTok, outputUsdPerMTok, cacheReadUsdPerMTok } = listed;
    return { in: inputUsdPerMTok, out: outputUsdPerMTok, cachedIn: cacheReadUsdPerMTok ?? inputUsdPerMTok };
  };
}
