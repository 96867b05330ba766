// A Prometheus range query read as figures over time: a matrix of a quantile, a mean or a gauge, or of a histogram's own
// counters. Times in Prometheus are seconds; here they are milliseconds.
import { plural } from '../../reports/numbers.ts';
import { bucketQuantile } from '../../scenarios/base/buckets.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';

export const FIGURES = ['ttft', 'tpot', 'e2e', 'queue', 'running', 'waiting', 'kv'] as const;
export type FigureName = (typeof FIGURES)[number];
const STATISTICS = ['mean', 'p50', 'p90', 'p95', 'p99'] as const;
export type Statistic = (typeof STATISTICS)[number];

/** A figure over time: a gauge has no statistic. */
export interface MetricSeries {
  readonly figure: FigureName;
  readonly statistic: Statistic | null;
  /** What a sample looks back on, ms. */
  readonly windowMs: number;
  /** In order of time; values in ms, a count or a ratio. */
  readonly samples: readonly { unixMs: number; value: number }[];
}

/** How servers call it: vLLM's names, old and new, and those of SGLang. The order matters: the first that fits. */
const NAMES: readonly [FigureName, RegExp][] = [
  ['ttft', /time_to_first_token|(^|[^a-z])ttft/i],
  ['tpot', /time_per_output_token|inter_token_latency|(^|[^a-z])(tpot|itl)/i],
  ['e2e', /e2e_request_latency|request_latency|(^|[^a-z])e2e/i],
  ['queue', /queue_time/i],
  ['running', /num_requests_running|num_running_req/i],
  ['waiting', /num_requests_waiting|num_queue_req/i],
  ['kv', /kv_cache_usage|gpu_cache_usage|token_usage/i],
];
const GAUGES: readonly FigureName[] = ['running', 'waiting', 'kv'];

interface Row {
  readonly labels: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [unixSec: number, value: number])[];
}

export interface RangeHow {
  /** As messages name it. */
  readonly where: string;
  /** The expression, where it is known: it says what a nameless series is. */
  readonly query: string | null;
  /** `ttft.p95`, as the user says; null: from the names or the query. */
  readonly series: string | null;
}

/** Reads the JSON that /api/v1/query_range answers. */
export function readRange(text: string, { where, query, series }: RangeHow): MetricSeries[] {
  const rows = rowsOf(text, where);
  const asked = series === null ? null : figureAsked(series);
  const names = new Set(rows.map(({ labels }) => labels.__name__ ?? ''));
  const isHistogram = [...names].some(name => /_(bucket|sum|count)$/.test(name));
  if (isHistogram && asked === null) return countersOf(rows, where);
  const known = asked ?? figureOf([...names].join(' ') + (query ?? ''), query);
  if (known === null) {
    throw new UserError(`${where}: the series do not say which figure they are`, {
      hint: 'a query drops the names of metrics: say it, e.g. --series ttft.p95, e2e.mean, waiting',
    });
  }
  const isMilli = [...names, query ?? ''].some(name => /milliseconds|_ms\b/.test(name));
  const scale = GAUGES.includes(known.figure) || isMilli ? 1 : 1000;
  const samples = known.statistic === null ? summed(rows, known.figure === 'kv') : single(rows, where);
  const scaled = samples.map(({ unixMs, value }) => ({ unixMs, value: value * scale }));
  return [{ ...known, windowMs: windowOf(query) ?? stepOf(scaled), samples: scaled }];
}

function rowsOf(text: string, where: string): Row[] {
  const how =
    'save the answer of /api/v1/query_range, e.g. curl -G URL/api/v1/query_range --data-urlencode query=… > range.json';
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${where} is not JSON: ${(error as Error).message}`, { hint: how });
  }
  const { status, error, data } = (parsed ?? {}) as {
    status?: unknown;
    error?: unknown;
    data?: { resultType?: unknown; result?: unknown };
  };
  if (status === 'error')
    throw new UserError(`${where}: Prometheus refused the query: ${String(error).slice(0, 300)}`);
  if (data?.resultType !== 'matrix' || !Array.isArray(data.result)) {
    const got = typeof data?.resultType === 'string' ? `a ${data.resultType}` : 'no result';
    throw new UserError(`${where} holds ${got}, not a matrix of values over time`, { hint: how });
  }
  const rows = (data.result as { metric?: unknown; values?: unknown }[]).map(
    ({ metric, values }): Row => ({
      labels: (metric ?? {}) as Record<string, string>,
      values: (Array.isArray(values) ? values : [])
        .map(pair => [Number((pair as unknown[])[0]), Number((pair as unknown[])[1])] as const)
        // An idle window has the quantile of nothing: NaN.
        .filter(([at, value]) => Number.isFinite(at) && Number.isFinite(value)),
    }),
  );
  if (rows.every(({ values }) => values.length === 0)) {
    throw new UserError(`${where} holds no values`, {
      hint: 'the query found nothing in this range: mind its labels, `start` and `end`',
    });
  }
  return rows;
}

function figureAsked(text: string): { figure: FigureName; statistic: Statistic | null } {
  const [name, statistic, ...rest] = text.split('.');
  const figure = FIGURES.find(each => each === name);
  if (figure === undefined || rest.length > 0) {
    throw new UserError(`--series ${text}: there is no such figure`, {
      hint:
        didYouMean(name ?? '', FIGURES) ??
        `one of ${FIGURES.join(', ')}; times with a statistic, as in ttft.p95`,
    });
  }
  if (GAUGES.includes(figure)) {
    if (statistic === undefined) return { figure, statistic: null };
    throw new UserError(`--series ${text}: ${figure} is a gauge and has no statistic`, {
      hint: `--series ${figure}`,
    });
  }
  const found = STATISTICS.find(each => each === statistic);
  if (found === undefined) {
    throw new UserError(`--series ${text}: expected a statistic, one of ${STATISTICS.join(', ')}`, {
      hint: `e.g. --series ${figure}.p95`,
    });
  }
  return { figure, statistic: found };
}

const nameOf = (text: string): FigureName | null =>
  NAMES.find(([, pattern]) => pattern.test(text))?.[0] ?? null;

/** What an expression or the name of a gauge is about; null: nobody can tell. */
function figureOf(
  text: string,
  query: string | null,
): { figure: FigureName; statistic: Statistic | null } | null {
  const figure = nameOf(text);
  if (figure === null) return null;
  if (GAUGES.includes(figure)) return { figure, statistic: null };
  const quantile = /histogram_quantile\s*\(\s*([\d.]+)/.exec(query ?? '')?.[1];
  if (quantile !== undefined) {
    const statistic = STATISTICS.find(each => each === `p${Math.round(Number(quantile) * 100)}`);
    return statistic === undefined ? null : { figure, statistic };
  }
  return /_sum[\s\S]*\/[\s\S]*_count/.test(query ?? '') ? { figure, statistic: 'mean' } : null;
}

/** `[5m]` of a query. */
function windowOf(query: string | null): number | null {
  const found = /\[(\d+)(ms|s|m|h)\]/.exec(query ?? '');
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  return found === null ? null : Number(found[1]) * units[found[2]!]!;
}

/** The usual distance between samples; a minute for a single one. */
function stepOf(samples: readonly { unixMs: number }[]): number {
  const steps = samples.slice(1).map(({ unixMs }, i) => unixMs - samples[i]!.unixMs);
  return steps.length === 0 ? 60_000 : steps.toSorted((a, b) => a - b)[Math.floor(steps.length / 2)]!;
}

/** Latencies of several servers cannot be added up. */
function single(rows: readonly Row[], where: string): { unixMs: number; value: number }[] {
  if (rows.length > 1) {
    throw new UserError(
      `${where} holds ${plural(rows.length, 'series')}: quantiles and means of several cannot be merged`,
      {
        hint: 'aggregate in the query: histogram_quantile(0.95, sum by (le) (rate(…_bucket[1m])))',
      },
    );
  }
  return rows[0]!.values.map(([at, value]) => ({ unixMs: at * 1000, value }));
}

/** Gauges of several servers add up; a share of memory is averaged. */
function summed(rows: readonly Row[], isShare: boolean): { unixMs: number; value: number }[] {
  const at = new Map<number, { sum: number; count: number }>();
  for (const { values } of rows) {
    for (const [unixSec, value] of values) {
      const total = at.get(unixSec) ?? { sum: 0, count: 0 };
      at.set(unixSec, { sum: total.sum + value, count: total.count + 1 });
    }
  }
  return [...at]
    .sort(([a], [b]) => a - b)
    .map(([unixSec, { sum, count }]) => ({ unixMs: unixSec * 1000, value: isShare ? sum / count : sum }));
}

// ---- counters -------------------------------------------------------------------------------------------------

/** A histogram's own counters: mean, p50 and p95 of each interval between two samples. */
function countersOf(rows: readonly Row[], where: string): MetricSeries[] {
  const groups = Map.groupBy(rows, ({ labels }) =>
    (labels.__name__ ?? '').replace(/_(bucket|sum|count)$/, ''),
  );
  const series = [...groups].flatMap(([name, own]) => {
    const figure = nameOf(name);
    if (figure === null || GAUGES.includes(figure)) return [];
    const part = (suffix: string): Row[] =>
      own.filter(({ labels }) => labels.__name__ === `${name}_${suffix}`);
    const scale = /milliseconds|_ms$/.test(name) ? 1 : 1000;
    return [
      ...quantilesOf(figure, part('bucket'), scale),
      ...meansOf(figure, part('sum'), part('count'), scale),
    ].filter(({ samples }) => samples.length > 0);
  });
  if (series.length > 0) return series;
  throw new UserError(`${where}: none of its counters is a latency that is known here`, {
    hint: `they are ${[...groups.keys()].slice(0, 3).join(', ')}; known are those of vLLM and SGLang, such as vllm:time_to_first_token_seconds`,
  });
}

/** Growth between successive samples, summed over servers, by the later instant. A counter that fell began anew. */
function growth(rows: readonly Row[]): Map<number, number> {
  const grown = new Map<number, number>();
  for (const { values } of rows) {
    for (const [i, [unixSec, value]] of values.entries()) {
      if (i === 0) continue;
      const before = values[i - 1]![1];
      grown.set(unixSec, (grown.get(unixSec) ?? 0) + (value >= before ? value - before : value));
    }
  }
  return grown;
}

function meansOf(
  figure: FigureName,
  sums: readonly Row[],
  counts: readonly Row[],
  scale: number,
): MetricSeries[] {
  const [sum, count] = [growth(sums), growth(counts)];
  const samples = [...sum]
    .sort(([a], [b]) => a - b)
    .flatMap(([at, total]) => {
      const calls = count.get(at) ?? 0;
      return calls > 0 ? [{ unixMs: at * 1000, value: (total / calls) * scale }] : [];
    });
  return [{ figure, statistic: 'mean', windowMs: stepOf(samples), samples }];
}

function quantilesOf(figure: FigureName, buckets: readonly Row[], scale: number): MetricSeries[] {
  const byBound = [
    ...Map.groupBy(buckets, ({ labels }) => Number((labels.le ?? '').replace('+Inf', 'Infinity'))),
  ]
    .filter(([bound]) => !Number.isNaN(bound))
    .sort(([a], [b]) => a - b)
    .map(([bound, rows]) => ({ bound, grown: growth(rows) }));
  const instants = [...(byBound.at(-1)?.grown.keys() ?? [])].sort((a, b) => a - b);
  return (['p50', 'p95'] as const).map(statistic => {
    const q = Number(statistic.slice(1)) / 100;
    const samples = instants.flatMap(at => {
      const buckets = byBound.map(({ bound, grown }): [number | null, number] => [
        Number.isFinite(bound) ? bound : null,
        grown.get(at) ?? 0,
      ]);
      const found = bucketQuantile({ count: buckets.at(-1)![1], sum: 0, buckets }, q);
      return found === null ? [] : [{ unixMs: at * 1000, value: found.value * scale }];
    });
    return { figure, statistic, windowMs: stepOf(samples), samples };
  });
}
