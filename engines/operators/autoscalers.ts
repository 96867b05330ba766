// Autoscalers of Kubernetes, both ways: `hpa` is a HorizontalPodAutoscaler (autoscaling/v2), `keda` a ScaledObject
// [reference/policies.md §3.1]. Times are whole seconds there.
import type { InputPath } from '../../scenarios/base/issue.ts';
import type { MachineFile } from '../../scenarios/formats/deployment/pool.ts';
import { isMapping, type Ledger } from './ledger.ts';
import type { Fields } from './vllm-flags.ts';

type Autoscaler = NonNullable<MachineFile['autoscaler']>;
type Horizontal = Extract<Autoscaler, { policy: 'hpa' | 'keda' }>;
type Metric = Horizontal['metric'];

/** Of one pod: the metric as an adapter serves it, and what it is in Prometheus. */
const METRICS: Record<Metric, { name: string; query: (pods: string) => string }> = {
  queue: { name: 'vllm_num_requests_waiting', query: pods => `vllm:num_requests_waiting{${pods}}` },
  running: { name: 'vllm_num_requests_running', query: pods => `vllm:num_requests_running{${pods}}` },
  in_flight: {
    name: 'vllm_num_requests_in_flight',
    query: pods => `vllm:num_requests_running{${pods}} + vllm:num_requests_waiting{${pods}}`,
  },
  kv_usage: { name: 'vllm_kv_cache_usage_perc', query: pods => `vllm:kv_cache_usage_perc{${pods}}` },
  rate: {
    name: 'vllm_requests_per_second',
    query: pods => `rate(vllm:request_success_total{${pods}}[1m])`,
  },
};

/** The metric that a name or a query is about; null: none of ours. */
function metricOf(text: string): Metric | null {
  const word = text.replaceAll(':', '_');
  const isRunning = word.includes('num_requests_running');
  const isWaiting = word.includes('num_requests_waiting');
  if (word.includes('num_requests_in_flight') || (isRunning && isWaiting)) return 'in_flight';
  if (isWaiting) return 'queue';
  if (isRunning) return 'running';
  if (/(kv|gpu)_cache_usage_perc/.test(word)) return 'kv_usage';
  return /requests_per_second|request_success_total/.test(word) ? 'rate' : null;
}

const seconds = (ms: number): number => Math.round(ms / 1000);

/** A quantity of Kubernetes: whole, or in thousandths. */
const quantityOf = (value: number): string =>
  Number.isInteger(value) ? String(value) : `${Math.round(value * 1000)}m`;
function numberOf(quantity: unknown): number | null {
  const [, digits, milli] = /^(\d+(?:\.\d+)?)(m?)$/.exec(String(quantity)) ?? [];
  return digits === undefined ? null : Number(digits) / (milli === 'm' ? 1000 : 1);
}

/** Kubernetes' own rates and the file's [policies.md §3.1]. */
const RATES = { up_ratio: 1, up_replicas: 4, down_ratio: 1 } as const;
const PERIOD_SEC = 15;

export interface ScaledBy {
  readonly manifest: Fields;
  /** Keys of `autoscaler` that are in it. */
  readonly mapped: readonly string[];
  /** What must be there for it to work. */
  readonly needs: readonly string[];
}

export interface ScaleTarget {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
}

/** The object that scales a workload; null where Kubernetes has no such policy. */
export function scalerOf(autoscaler: Autoscaler, target: ScaleTarget): ScaledBy | null {
  if (autoscaler.policy !== 'hpa' && autoscaler.policy !== 'keda') return null;
  const { policy, min = 1, max, metric, target: aim, also = {} } = autoscaler;
  const metrics = [[metric, aim] as const, ...(Object.entries(also) as [Metric, number][])];
  const mapped = ['policy', 'min', 'max', 'metric', 'target', 'also', 'tolerance', 'down_window'];
  mapped.push(...Object.keys(RATES));
  if (autoscaler.interval === PERIOD_SEC * 1000) mapped.push('interval');
  const metadata = { name: target.name };
  if (policy === 'hpa') {
    const spec = {
      scaleTargetRef: { ...target },
      minReplicas: min,
      maxReplicas: max,
      metrics: metrics.map(([each, value]) => ({
        type: 'Pods',
        pods: {
          metric: { name: METRICS[each].name },
          target: { type: 'AverageValue', averageValue: quantityOf(value) },
        },
      })),
      ...behaviorOf(autoscaler),
    };
    return {
      manifest: { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', metadata, spec },
      mapped,
      needs: metrics.map(([each]) => {
        const { name, query } = METRICS[each];
        return `the pod metric ${name} in the custom metrics API: ${query('')}`.replaceAll('{}', '');
      }),
    };
  }
  const { polling, cooldown, activation } = autoscaler;
  const pods = `pod=~"${target.name}-.*"`;
  const behavior = behaviorOf(autoscaler);
  const spec = {
    scaleTargetRef: { ...target },
    minReplicaCount: min,
    maxReplicaCount: max,
    ...(polling === undefined ? {} : { pollingInterval: seconds(polling) }),
    ...(cooldown === undefined ? {} : { cooldownPeriod: seconds(cooldown) }),
    ...('behavior' in behavior ? { advanced: { horizontalPodAutoscalerConfig: behavior } } : {}),
    triggers: metrics.map(([each, value]) => ({
      type: 'prometheus',
      metricType: 'AverageValue',
      metadata: {
        serverAddress: PROMETHEUS,
        query: `sum(${METRICS[each].query(pods)})`,
        threshold: String(value),
        ...(activation === undefined ? {} : { activationThreshold: String(activation) }),
      },
    })),
  };
  return {
    manifest: { apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', metadata, spec },
    mapped: [...mapped, 'polling', 'cooldown', 'activation'],
    needs: [`KEDA, and Prometheus at ${PROMETHEUS}: change serverAddress to where yours is`],
  };
}

const PROMETHEUS = 'http://prometheus.monitoring.svc:9090';

/** Only what the file says: the rest are Kubernetes' defaults, which are the file's. */
function behaviorOf({ tolerance, down_window: window, ...rates }: Horizontal): { behavior?: Fields } {
  const share = (value: number) => ({
    type: 'Percent',
    value: Math.round(value * 100),
    periodSeconds: PERIOD_SEC,
  });
  const { up_ratio, up_replicas, down_ratio } = rates;
  const slack = tolerance === undefined ? {} : { tolerance: quantityOf(tolerance) };
  const up =
    up_ratio === undefined && up_replicas === undefined
      ? slack
      : {
          ...slack,
          selectPolicy: 'Max',
          policies: [
            share(up_ratio ?? RATES.up_ratio),
            { type: 'Pods', value: up_replicas ?? RATES.up_replicas, periodSeconds: PERIOD_SEC },
          ],
        };
  const down = {
    ...slack,
    ...(window === undefined ? {} : { stabilizationWindowSeconds: seconds(window) }),
    ...(down_ratio === undefined ? {} : { policies: [share(down_ratio)] }),
  };
  const behavior = {
    ...(Object.keys(up).length === 0 ? {} : { scaleUp: up }),
    ...(Object.keys(down).length === 0 ? {} : { scaleDown: down }),
  };
  return Object.keys(behavior).length === 0 ? {} : { behavior };
}

// ---- inwards ----------------------------------------------------------------------------------------------------

export interface ReadScaler {
  /** Name of the workload that it scales. */
  readonly target: string;
  /** As a deployment file writes it; null where none of its metrics is an engine's. */
  readonly autoscaler: Fields | null;
}

/** Reads a HorizontalPodAutoscaler or a ScaledObject at `at`; what it does not understand stays in the ledger. */
export function readScaler(ledger: Ledger, at: InputPath): ReadScaler {
  const isKeda = ledger.look(...at, 'kind') === 'ScaledObject';
  const spec: InputPath = [...at, 'spec'];
  const target = String(ledger.take(...spec, 'scaleTargetRef', 'name') ?? '');
  for (const key of ['kind', 'apiVersion']) ledger.take(...spec, 'scaleTargetRef', key);
  const targets = isKeda ? kedaTargets(ledger, spec) : hpaTargets(ledger, spec);
  const [first, ...more] = [...targets.metrics];
  if (first === undefined) return { target, autoscaler: null };
  const number = (key: string): number | undefined => {
    const value = ledger.look(...spec, key);
    if (typeof value !== 'number') return undefined;
    ledger.take(...spec, key);
    return value;
  };
  const min = number(isKeda ? 'minReplicaCount' : 'minReplicas') ?? (isKeda ? 0 : 1);
  const max = number(isKeda ? 'maxReplicaCount' : 'maxReplicas') ?? (isKeda ? 100 : min);
  const [polling, cooldown] = isKeda ? [number('pollingInterval'), number('cooldownPeriod')] : [];
  const inner: InputPath = isKeda
    ? [...spec, 'advanced', 'horizontalPodAutoscalerConfig', 'behavior']
    : [...spec, 'behavior'];
  return {
    target,
    autoscaler: {
      policy: isKeda ? 'keda' : 'hpa',
      metric: first[0],
      target: first[1],
      ...(more.length === 0 ? {} : { also: Object.fromEntries(more) }),
      min,
      max,
      ...readBehavior(ledger, inner),
      ...(polling === undefined ? {} : { polling: `${polling}s` }),
      ...(cooldown === undefined ? {} : { cooldown: `${cooldown}s` }),
      ...targets.activation,
    },
  };
}

interface Targets {
  metrics: Map<Metric, number>;
  activation: { activation?: number };
}

const listAt = (ledger: Ledger, at: InputPath): readonly unknown[] => {
  const value = ledger.look(...at);
  return Array.isArray(value) ? value : [];
};

function hpaTargets(ledger: Ledger, spec: InputPath): Targets {
  const metrics = new Map<Metric, number>();
  for (const [index, each] of listAt(ledger, [...spec, 'metrics']).entries()) {
    const type = isMapping(each) ? each.type : undefined;
    const key = type === 'Pods' ? 'pods' : type === 'External' ? 'external' : null;
    if (key === null) continue;
    const at = [...spec, 'metrics', index, key];
    const metric = metricOf(String(ledger.look(...at, 'metric', 'name') ?? ''));
    const value = numberOf(ledger.look(...at, 'target', 'averageValue'));
    if (metric === null || value === null || metrics.has(metric)) continue;
    ledger.take(...spec, 'metrics', index, 'type');
    ledger.take(...at, 'metric', 'name');
    for (const inner of ['type', 'averageValue']) ledger.take(...at, 'target', inner);
    metrics.set(metric, value);
  }
  return { metrics, activation: {} };
}

function kedaTargets(ledger: Ledger, spec: InputPath): Targets {
  const metrics = new Map<Metric, number>();
  let activation: Targets['activation'] = {};
  for (const [index, each] of listAt(ledger, [...spec, 'triggers']).entries()) {
    if (!isMapping(each) || each.type !== 'prometheus' || !isMapping(each.metadata)) continue;
    const at = [...spec, 'triggers', index];
    const metric = metricOf(String(each.metadata.query ?? ''));
    const value = numberOf(each.metadata.threshold);
    const isMean = (each.metricType ?? 'AverageValue') === 'AverageValue';
    if (metric === null || value === null || !isMean || metrics.has(metric)) continue;
    metrics.set(metric, value);
    for (const key of ['type', 'metricType']) ledger.take(...at, key);
    for (const key of ['serverAddress', 'query', 'threshold']) ledger.take(...at, 'metadata', key);
    const from = numberOf(each.metadata.activationThreshold);
    if (from === null) continue;
    ledger.take(...at, 'metadata', 'activationThreshold');
    activation = { activation: from };
  }
  return { metrics, activation };
}

function readBehavior(ledger: Ledger, at: InputPath): Fields {
  const fields: Fields = {};
  const window = ledger.look(...at, 'scaleDown', 'stabilizationWindowSeconds');
  if (typeof window === 'number') {
    ledger.take(...at, 'scaleDown', 'stabilizationWindowSeconds');
    fields.down_window = `${window}s`;
  }
  const slack = [
    numberOf(ledger.look(...at, 'scaleUp', 'tolerance')),
    numberOf(ledger.look(...at, 'scaleDown', 'tolerance')),
  ];
  if (slack[0] !== null && slack[0] === slack[1]) {
    for (const way of ['scaleUp', 'scaleDown']) ledger.take(...at, way, 'tolerance');
    fields.tolerance = slack[0];
  }
  // Zero is what there is without it.
  if (ledger.look(...at, 'scaleUp', 'stabilizationWindowSeconds') === 0)
    ledger.take(...at, 'scaleUp', 'stabilizationWindowSeconds');
  const isMax = (ledger.look(...at, 'scaleUp', 'selectPolicy') ?? 'Max') === 'Max';
  if (isMax) ledger.take(...at, 'scaleUp', 'selectPolicy');
  for (const way of ['scaleUp', 'scaleDown'] as const) {
    for (const [index, each] of listAt(ledger, [...at, way, 'policies']).entries()) {
      if (!isMapping(each) || each.periodSeconds !== PERIOD_SEC || typeof each.value !== 'number') continue;
      const isShare = each.type === 'Percent';
      // A file adds or removes at most what there is.
      if (way === 'scaleDown' ? !isShare : isShare && each.value > 100) continue;
      for (const inner of ['type', 'value', 'periodSeconds'])
        ledger.take(...at, way, 'policies', index, inner);
      const key = way === 'scaleDown' ? 'down_ratio' : isShare ? 'up_ratio' : 'up_replicas';
      fields[key] = isShare ? each.value / 100 : each.value;
    }
  }
  return fields;
}
