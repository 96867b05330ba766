// What a model alias costs: the scenario's own price, else that of the provider who serves it, else the catalogue's list
// price of the model behind it.
import { findModel, listPrice } from '../engines/catalog.ts';
import type { DeploymentSpec } from '../engines/engine.ts';
import { serverOf } from '../engines/prepare.ts';
import type { Plan } from '../scenarios/formats/plan.ts';

/** USD per million tokens. */
export interface Price {
  in: number;
  cachedIn: number;
  out: number;
}

/** USD of one call, of whose prompt so many tokens come from a cache. */
export const callUsd = (
  call: { readonly promptTokens: number; readonly outputTokens: number },
  cachedTokens: number,
  price: Price,
): number =>
  ((call.promptTokens - cachedTokens) * price.in +
    cachedTokens * price.cachedIn +
    call.outputTokens * price.out) /
  1e6;

/** Prices by alias; a trace's model name that the catalogue lacks is priced as the model that serves it. */
export function pricesOf(plan: Plan, deployment: DeploymentSpec | null): (model: string) => Price | null {
  return model => {
    const alias = plan.models.get(model);
    if (alias?.price != null) return alias.price;
    const server = deployment === null ? null : serverOf(model, plan, deployment);
    if (server?.kind === 'hosted' && server.hosted.price !== null) return server.hosted.price;
    const served = server?.kind === 'pool' && findModel(model) === null ? server.pool.modelId : undefined;
    const listed = listPrice(alias?.modelId ?? served ?? model);
    if (listed === null) return null;
    const { inputUsdPerMTok, outputUsdPerMTok, cacheReadUsdPerMTok } = listed;
    return { in: inputUsdPerMTok, out: outputUsdPerMTok, cachedIn: cacheReadUsdPerMTok ?? inputUsdPerMTok };
  };
}
