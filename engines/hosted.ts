// Models that providers sell: each with its price, window and speed, of the file, else of the catalogue.
import type { Issue } from '../scenarios/base/issue.ts';
import { constant, type DrawnAmount } from '../scenarios/formats/amount.ts';
import type { ProviderFile } from '../scenarios/formats/deployment/provider.ts';
import { type Place, readLimit, under } from '../scenarios/formats/read-rules.ts';
import type { HostedLatency, HostedSpec } from '../scenarios/formats/rules.ts';
import { findModel, listPrice, type Model, measuredLatency, unknownEntry, unknownFigure } from './catalog.ts';
import { resolveEndpoint } from './endpoint.ts';
import type { Endpoint, HostedModel, TokenPrice } from './engine.ts';

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
      api: hostedSpec(file, each, modelId, { path: ['providers', provider], issues }, name),
      endpoint: endpointOf(file, each, name),
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

type ModelFile = ProviderFile['models'][string];

/** Vendors' prompt caches: five minutes since the last use, prompts of 1,024 tokens on [Anthropic and OpenAI docs]. */
const CACHE = { ttlMs: 300_000, minTokens: 1024 };

/** How it answers; null where nothing says how fast. */
function hostedSpec(
  file: ProviderFile,
  model: ModelFile,
  modelId: string,
  at: Place,
  name: string,
): HostedSpec | null {
  const limits = {
    model: readLimit(model.limits, under(at, 'models', name, 'limits')),
    provider: readLimit(file.limits, under(at, 'limits')),
  };
  const latency = latencyOf(file, model, modelId);
  if (latency === null) return null;
  const { cache } = file;
  return {
    latency,
    limits,
    failRatio: file.fail ?? 0,
    outages: (file.outages ?? []).map(each => ({
      atMs: each.at ?? null,
      perSec: each.rate ?? null,
      lastsMs: each.for,
      share: each.share ?? 1,
      slowdown: each.slowdown ?? 1,
    })),
    cache:
      cache === 'off'
        ? null
        : { ttlMs: cache?.ttl ?? CACHE.ttlMs, minTokens: cache?.min_tokens ?? CACHE.minTokens },
    place: file.place ?? null,
  };
}

/** Of the model, else of its provider, else as the catalogue has measured it; each part by itself. */
function latencyOf(file: ProviderFile, model: ModelFile, modelId: string): HostedLatency | null {
  const measured = measuredLatency(modelId);
  const of = (ms: number | null | undefined): DrawnAmount | null => (ms == null ? null : constant(ms));
  const ttft = model.latency?.ttft ?? file.latency?.ttft ?? of(measured?.ttftMs);
  const tpot = model.latency?.tpot ?? file.latency?.tpot ?? of(measured?.tpotMs);
  if (ttft === null || tpot === null) return null;
  const perInputTokenMs = model.latency?.per_input_token ?? file.latency?.per_input_token ?? 0;
  return { ttft, tpot, perInputTokenMs };
}

const endpointOf = ({ endpoint }: ProviderFile, model: ModelFile, name: string): Endpoint | null =>
  endpoint === undefined ? null : resolveEndpoint(endpoint, model.name ?? model.model ?? name, 'hosted');
