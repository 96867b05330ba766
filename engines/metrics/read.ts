// One scrape of a server, read by the names of its engine. Pure.
import { type BucketCounts, sumBuckets } from '../../scenarios/base/buckets.ts';
import { SERVER_LATENCIES, type ServerLatency } from '../../scenarios/formats/measured.ts';
import { COUNTERS, type Counter, type EngineMetrics, type Gauge, type MetricName } from './engine-metrics.ts';
import { ENGINE_METRICS } from './index.ts';
import { linesOf, type MetricSample, type MetricsText, parseMetrics } from './text.ts';

/** What a server says at one instant; what it does not show is null, or is not there. */
export interface ServerReading {
  engine: EngineMetrics;
  gauges: Record<Gauge, number | null>;
  counters: Record<Counter, number | null>;
  /** Cumulative buckets, ms. */
  latencies: Partial<Record<ServerLatency, BucketCounts>>;
  /** When its process began, seconds since 1970. */
  startedUnixSec: number | null;
}

const START_TIME = 'process_start_time_seconds';
/** Ratios of several engines behind one address have a mean; everything else adds up. */
const GAUGE_OF_RATIO: Gauge = 'kvUsedRatio';
/** The same for each of several engines. */
const GAUGES_OF_ALL: ReadonlySet<Gauge> = new Set(['blockTokens']);
const GAUGES: readonly Gauge[] = [
  'runningRequests',
  'waitingRequests',
  'kvUsedRatio',
  'kvBlocks',
  'blockTokens',
];

const namesOf = (metric: MetricName): readonly string[] =>
  typeof metric === 'string' ? [metric] : 'sum' in metric ? metric.sum : [metric.name];

/** All that any engine's names need. */
const WANTED: ReadonlySet<string> = new Set([
  START_TIME,
  ...ENGINE_METRICS.flatMap(({ gauges, counters, latencies, mark }) => [
    ...[...Object.values(gauges), ...Object.values(counters)].flat().flatMap(namesOf),
    ...Object.values(latencies)
      .flat()
      .flatMap(name => [`${name}_bucket`, `${name}_sum`, `${name}_count`]),
    ...('names' in mark ? mark.names : []),
  ]),
]);

/**
 * Reads a server's metrics. `model`: where series carry a `model_name` and one of them is this, the others are left out
 * (several models behind one address). Null: no engine that we know.
 */
export function readServer(text: string, model?: string): ServerReading | null {
  const scrape = parseMetrics(text, name => WANTED.has(name));
  const engine = engineOf(scrape);
  return engine === null ? null : readingOf(engine, scrape, model);
}

/** The gauges alone of a server whose engine is known: for whoever looks many times a second. */
export function readGauges(
  text: string,
  engine: EngineMetrics,
  model?: string,
): Pick<ServerReading, 'gauges'> {
  const names = new Set(Object.values(engine.gauges).flat().flatMap(namesOf));
  return readingOf({ ...engine, counters: {}, latencies: {} }, parseMetrics(linesOf(text, names)), model);
}

/** By names, those included that are declared and have no sample yet. */
function engineOf({ samples, types }: MetricsText): EngineMetrics | null {
  const names = new Set([...samples.keys(), ...types.keys()]);
  const isOf = ({ mark }: EngineMetrics): boolean => {
    if ('names' in mark) return mark.names.some(name => names.has(name));
    for (const name of names) if (name.startsWith(mark.prefix)) return true;
    return false;
  };
  return ENGINE_METRICS.find(isOf) ?? null;
}

function readingOf(engine: EngineMetrics, { samples }: MetricsText, model?: string): ServerReading {
  const seriesOf = (name: string): readonly MetricSample[] => ofModel(samples.get(name) ?? [], model);
  const valuesOf = (metric: MetricName): number[] | null => {
    if (typeof metric !== 'string' && 'sum' in metric) {
      const parts = metric.sum.map(part => valuesOf(part));
      return parts.some(part => part === null) ? null : parts.flatMap(part => part as number[]);
    }
    const name = typeof metric === 'string' ? metric : metric.name;
    let series = seriesOf(name);
    if (typeof metric !== 'string' && 'where' in metric) {
      const { where } = metric;
      series = series.filter(({ labels }) => Object.keys(where).every(key => labels[key] === where[key]));
    }
    const values =
      typeof metric !== 'string' && 'label' in metric
        ? series.map(({ labels }) => Number(labels[metric.label] ?? Number.NaN))
        : series.map(({ value }) => value);
    const known = values.filter(Number.isFinite);
    return known.length === 0 ? null : known;
  };
  const firstOf = (metrics: readonly MetricName[] = []): number[] | null => {
    for (const metric of metrics) {
      const values = valuesOf(metric);
      if (values !== null) return values;
    }
    return null;
  };
  const gaugeOf = (gauge: Gauge): number | null => {
    const values = firstOf(engine.gauges[gauge]);
    if (values === null) return null;
    if (GAUGES_OF_ALL.has(gauge)) return values[0] as number;
    return gauge === GAUGE_OF_RATIO ? sum(values) / values.length : sum(values);
  };
  const counterOf = (counter: Counter): number | null => {
    const values = firstOf(engine.counters[counter]);
    return values === null ? null : sum(values);
  };
  const latencies: ServerReading['latencies'] = {};
  for (const latency of SERVER_LATENCIES) {
    const found = (engine.latencies[latency] ?? [])
      .map(name => histogramOf(name, seriesOf))
      .find(histogram => histogram !== null);
    if (found !== undefined) latencies[latency] = found;
  }
  return {
    engine,
    gauges: Object.fromEntries(GAUGES.map(gauge => [gauge, gaugeOf(gauge)])) as ServerReading['gauges'],
    counters: Object.fromEntries(COUNTERS.map(each => [each, counterOf(each)])) as ServerReading['counters'],
    latencies,
    startedUnixSec: samples.get(START_TIME)?.[0]?.value ?? null,
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function ofModel(series: readonly MetricSample[], model: string | undefined): readonly MetricSample[] {
  if (model === undefined) return series;
  const own = series.filter(({ labels }) => labels.model_name === model);
  return own.length > 0 ? own : series;
}

/** Seconds to ms, over all series; null where it is not there. */
function histogramOf(name: string, seriesOf: (name: string) => readonly MetricSample[]): BucketCounts | null {
  const series = new Map<string, [number | null, number][]>();
  for (const { labels, value } of seriesOf(`${name}_bucket`)) {
    const bound = boundOf(labels.le);
    if (bound === undefined || !(value >= 0)) continue;
    const key = seriesKey(labels);
    const buckets = series.get(key);
    if (buckets === undefined) series.set(key, [[bound, value]]);
    else buckets.push([bound, value]);
  }
  const whole = [...series.values()]
    .filter(buckets => buckets.some(([bound]) => bound === null))
    .map(buckets => ({ count: 0, sum: 0, buckets }));
  const summed = sumBuckets(whole);
  if (summed === null) return null;
  const count = summed.buckets.at(-1)?.[1] ?? 0;
  const seconds = sum(seriesOf(`${name}_sum`).map(({ value }) => value));
  return { count, sum: Number.isFinite(seconds) ? seconds * 1000 : 0, buckets: summed.buckets };
}

/** Upper bound in ms, null without one; undefined: no bucket. */
function boundOf(le: string | undefined): number | null | undefined {
  if (le === undefined || le === '') return undefined;
  if (/^\+?inf$/i.test(le)) return null;
  const seconds = Number(le);
  // To the microsecond: what is not exact in seconds is then exact in ms.
  return Number.isFinite(seconds) ? Math.round(seconds * 1e6) / 1e3 : undefined;
}

function seriesKey(labels: MetricSample['labels']): string {
  let key = '';
  for (const name in labels) if (name !== 'le') key += `${name}=${labels[name]}\n`;
  return key;
}
