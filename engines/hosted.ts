// Models that providers sell: each with its price and window, of the file, else of the catalogue.
import type { Issue } from '../scenarios/base/issue.ts';
import type { ProviderFile } from '../scenarios/formats/deployment/provider.ts';
import { findModel, listPrice, type Model, unknownEntry, unknownFigure } from './catalog.ts';
import type { HostedModel, TokenPrice } from './engine.ts';

/** Figures of the file, else of the catalogue; a model that neither can price is likely mistyped. */
export function resolveProvider(
  provider: string,
  file: ProviderFile,
  added: readonly Model[],
): { hosted: HostedModel[]; issues: Issue[] } {
  const issues: Issue[] = [];
  const hosted = Object.entries(file.models).map(([name, each]): HostedModel => {
    const modelId = each.model ?? name;
    const listed = listPrice(modelId);
    const model = findModel(modelId, added);
    if (each.price === undefined && listed === null) {
      const path = ['providers', provider, 'models', name];
      const found =
        model === null
          ? unknownEntry('price', modelId, path)
          : unknownFigure(path, modelId, 'price', 'the cost of a call', 'give `price: { in: …, out: … }`');
      issues.push(
        each.model === undefined ? { ...found, atKey: true } : { ...found, path: [...path, 'model'] },
      );
    }
    const window = each.max_model_len ?? model?.maxContextTokens ?? listed?.maxInputTokens ?? null;
    return {
      name,
      provider,
      modelId,
      price: tokenPrice(each.price, listed),
      maxModelTokens: window,
      api: null,
      endpoint: null,
    };
  });
  return { hosted, issues };
}

function tokenPrice(
  given: ProviderFile['models'][string]['price'],
  listed: ReturnType<typeof listPrice>,
): TokenPrice | null {
  if (given !== undefined) {
    const { in: input, cached_in: cachedIn = input, cache_write: cacheWrite = input, out } = given;
    return { in: input, cachedIn, cacheWrite, out };
  }
  if (listed === null) return null;
  const input = listed.inputUsdPerMTok;
  return {
    in: input,
    cachedIn: listed.cacheReadUsdPerMTok ?? input,
    cacheWrite: listed.cacheWriteUsdPerMTok ?? input,
    out: listed.outputUsdPerMTok,
  };
}
