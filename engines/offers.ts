// What could be bought by the token in place of GPUs of one's own: the very models that are served, those nearest in size,
// and what the deployment buys already.
import type { ApiOffer, TokenPrice } from '../scenarios/formats/ledger.ts';
import { allModels, findModel, type ListPrice, listPrice, type Model } from './catalog.ts';
import type { DeploymentSpec } from './engine.ts';

/** Beside the models that are served. */
const NEAR_MAX = 2;
const OFFERS_MAX = 5;

const totalParams = ({ totalParams: stated, computedTotalParams }: Model): number =>
  stated ?? computedTotalParams ?? 0;

const tokenPrice = (price: ListPrice): TokenPrice => ({
  in: price.inputUsdPerMTok,
  cachedIn: price.cacheReadUsdPerMTok ?? price.inputUsdPerMTok,
  cacheWrite: price.cacheWriteUsdPerMTok ?? price.inputUsdPerMTok,
  out: price.outputUsdPerMTok,
});

const offerOf = (price: ListPrice, relation: ApiOffer['relation']): ApiOffer => ({
  model: price.id,
  price: tokenPrice(price),
  relation,
  asOf: price.asOf,
});

/** Other open models with a list price, the nearest in size to the largest one that is served first. */
function nearest(modelIds: readonly string[]): ListPrice[] {
  const served = modelIds.flatMap(id => findModel(id) ?? []).filter(model => totalParams(model) > 0);
  if (served.length === 0) return [];
  const sizes = served.map(totalParams);
  const largest = Math.max(...sizes);
  const apart = (model: Model): number =>
    Math.max(totalParams(model), largest) / Math.min(totalParams(model), largest);
  return allModels()
    .filter(model => totalParams(model) > 0 && !modelIds.includes(model.id))
    .flatMap(model => {
      const price = listPrice(model.id);
      return price === null ? [] : [{ price, apart: apart(model) }];
    })
    .sort((a, b) => a.apart - b.apart || (a.price.id < b.price.id ? -1 : 1))
    .slice(0, NEAR_MAX)
    .map(({ price }) => price);
}

/** At most five, each model once; none without pools. */
export function apiOffers({ pools, hosted }: Pick<DeploymentSpec, 'pools' | 'hosted'>): ApiOffer[] {
  if (pools.length === 0) return [];
  const modelIds = [...new Set(pools.map(({ modelId }) => modelId))];
  const offers = [
    ...modelIds.flatMap(id => listPrice(id) ?? []).map(price => offerOf(price, 'same')),
    ...hosted.flatMap(({ name, price }): ApiOffer[] =>
      price === null ? [] : [{ model: name, price, relation: 'used', asOf: null }],
    ),
    ...nearest(modelIds).map(price => offerOf(price, 'near')),
  ];
  const seen = new Set<string>();
  return offers.filter(({ model }) => !seen.has(model) && seen.add(model)).slice(0, OFFERS_MAX);
}
