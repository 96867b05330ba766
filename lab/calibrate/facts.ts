// What a server says of itself before anything is measured: its models, version and KV cache. Black boxes say little.
import { readServer, type ServerReading } from '../../engines/metrics/read.ts';
import { parseMetrics } from '../../engines/metrics/text.ts';
import { jsonOf, type Target } from './target.ts';

export interface Facts {
  /** Of the model that is asked for; null: not said. */
  maxModelTokens: number | null;
  models: string[];
  /** `vllm 0.32.0`; null: not said. */
  engine: string | null;
  blockTokens: number | null;
  kvBlocks: number | null;
  prefixCaching: boolean | null;
  /** It tells how many requests run. */
  hasMetrics: boolean;
}

export async function readFacts(target: Target): Promise<Facts> {
  const [models, version, metrics] = await Promise.all([
    target.text('/models'),
    target.text('/version', 'root'),
    target.text('/metrics', 'root'),
  ]);
  const listed = modelsOf(models);
  const reading = metrics === null ? null : readServer(metrics, target.options.model);
  const said = versionOf(version);
  return {
    maxModelTokens: listed.find(({ id }) => id === target.options.model)?.maxModelTokens ?? null,
    models: listed.map(({ id }) => id),
    engine:
      reading === null && said === null
        ? null
        : `${reading?.engine.engine ?? 'version'} ${said ?? ''}`.trim(),
    blockTokens: reading?.gauges.blockTokens ?? null,
    kvBlocks: reading?.gauges.kvBlocks ?? null,
    prefixCaching: metrics === null ? null : cachesPrefixes(metrics),
    hasMetrics: (reading?.gauges.runningRequests ?? null) !== null,
  };
}

async function readingOf(target: Target): Promise<ServerReading | null> {
  const text = await target.text('/metrics', 'root');
  return text === null ? null : readServer(text, target.options.model);
}

/** Requests in the batch and waiting; null where the server does not say. */
export async function busyRequests(target: Target): Promise<number | null> {
  const gauges = (await readingOf(target))?.gauges;
  if (gauges?.runningRequests == null) return null;
  return gauges.runningRequests + (gauges.waitingRequests ?? 0);
}

/** Those in the batch alone. */
export const runningRequests = async (target: Target): Promise<number | null> =>
  (await readingOf(target))?.gauges.runningRequests ?? null;

function modelsOf(text: string | null): { id: string; maxModelTokens: number | null }[] {
  const { data } = (jsonOf(text) ?? {}) as { data?: unknown };
  if (!Array.isArray(data)) return [];
  return data.flatMap((each: { id?: unknown; max_model_len?: unknown }) =>
    typeof each?.id === 'string'
      ? [{ id: each.id, maxModelTokens: typeof each.max_model_len === 'number' ? each.max_model_len : null }]
      : [],
  );
}

function versionOf(text: string | null): string | null {
  const { version } = (jsonOf(text) ?? {}) as { version?: unknown };
  return typeof version === 'string' ? version : null;
}

/** A label of vLLM's `cache_config_info`. */
function cachesPrefixes(metrics: string): boolean | null {
  const name = 'vllm:cache_config_info';
  const said = parseMetrics(metrics, each => each === name).samples.get(name)?.[0]?.labels
    .enable_prefix_caching;
  return said === undefined ? null : said === 'True';
}
