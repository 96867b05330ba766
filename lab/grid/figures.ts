// The figures of a run, taken call by call as it goes, so that no record is kept.
import { jainIndex, mean, quantileSorted, sorted } from '../../scenarios/base/statistics.ts';
import type { SloMetric } from '../../scenarios/formats/assertion.ts';
import type { RunFigures } from '../../scenarios/formats/grid.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import {
  type CallRecord,
  e2eMs,
  gpuHours,
  makespanMs,
  type ReplicaSpan,
  tpotMs,
  ttftMs,
  type WorkflowRecord,
} from '../../scenarios/formats/record.ts';

/** What a call must keep to be good. */
export type Targets = Partial<Record<SloMetric, number>>;

/** What a call must keep where the scenario gives its step no SLO: a person waits for the first token, then reads. */
export const DEFAULT_SLO = { ttft: 2000, tpot: 50 } as const satisfies Targets;
/** The same in words. */
export const DEFAULT_SLO_TEXT = 'TTFT <= 2 s and TPOT <= 50 ms';

const isWithin = (value: number | null, limit: number | undefined): boolean =>
  value === null || limit === undefined || value <= limit;

function keeps(call: CallRecord, { ttft, tpot, e2e, itl }: Targets): boolean {
  return (
    isWithin(ttftMs(call), ttft) &&
    isWithin(tpotMs(call), tpot) &&
    isWithin(e2eMs(call), e2e) &&
    isWithin(call.itlMsMax, itl)
  );
}

const byDefault = (): Targets => DEFAULT_SLO;

/** The targets of a call by the SLOs of the plan's steps, else the default. */
function targetsOf({ assertions }: Plan): (call: CallRecord) => Targets {
  const slos = assertions.flatMap(({ subject, filter }) =>
    subject.kind === 'attainment' && subject.of === 'calls' ? [{ filter, targets: subject.withinMs }] : [],
  );
  if (slos.length === 0) return byDefault;
  return ({ workflow, step }) =>
    slos.find(
      ({ filter }) => filter.step === step && (filter.workflow === undefined || filter.workflow === workflow),
    )?.targets ?? DEFAULT_SLO;
}

/** Whether every call is judged by `DEFAULT_SLO`. */
export const isJudgedByDefault = (plan: Plan): boolean => targetsOf(plan) === byDefault;

/** GPUs and money from the wish for a replica to its end; `usd` null where one has no price. */
function paidFor(
  spans: readonly ReplicaSpan[],
  durationMs: number,
): Pick<RunFigures, 'gpuHours' | 'coldGpuHours' | 'usd'> {
  let sum = 0;
  let cold = 0;
  let usd: number | null = 0;
  for (const span of spans) {
    const hours = gpuHours(span, durationMs);
    sum += hours;
    cold += gpuHours({ ...span, goneMs: span.readyMs ?? span.goneMs }, durationMs);
    usd = usd === null || span.usdPerGpuHour === null ? null : usd + hours * span.usdPerGpuHour;
  }
  return { gpuHours: sum, coldGpuHours: cold, usd };
}

/** Most of what begins and ends at these times that is under way at once, and when it first is. */
export function mostAtOnce(
  begins: readonly number[],
  ends: readonly number[],
): { most: number; atMs: number } {
  const [from, to] = [sorted(begins), sorted(ends)];
  let [most, atMs, ended] = [0, 0, 0];
  for (const [index, beginMs] of from.entries()) {
    while (ended < to.length && to[ended]! <= beginMs) ended += 1;
    if (index + 1 - ended <= most) continue;
    most = index + 1 - ended;
    atMs = beginMs;
  }
  return { most, atMs };
}

/** Collects one run: its `onCall` and `onSession` go to the simulation. */
export class FigureCollector {
  private readonly targets: (call: CallRecord) => Targets;
  private readonly ttfts: number[] = [];
  private readonly e2es: number[] = [];
  private ttftMsSum = 0;
  private readonly makespans: number[] = [];
  /** In order. */
  private readonly ends: number[] = [];
  /** By tenant, or by cohort where there are none. */
  private readonly tenants = new Map<string, { judged: number; good: number }>();
  private calls = 0;
  private cancelled = 0;
  private failed = 0;
  private good = 0;
  private sessions = 0;
  private completed = 0;
  private goodSessions = 0;
  /** Sessions with a call that was not good, until they are over. */
  private readonly missed = new Set<string>();
  private firstCallMs = Number.POSITIVE_INFINITY;
  private firstTokenMs = Number.POSITIVE_INFINITY;
  /** Of calls that waited: from when to when. */
  private readonly waitFromMs: number[] = [];
  private readonly waitToMs: number[] = [];
  private windowMs = 0;
  private readonly widths: number[] = [];
  private promptTokens = 0;
  private outputTokens = 0;
  private cachedTokens = 0;
  private computedTokens = 0;
  private wastedTokens = 0;
  /** Where the last call of each session in flight ran. */
  private readonly replicas = new Map<string, string>();
  /** Calls after the first of their session, and those of them that ran where the one before did. */
  private laterCalls = 0;
  private stayedCalls = 0;
  private laterPromptTokens = 0;
  private laterCachedTokens = 0;

  private readonly slos: readonly Targets[];
  /** Calls that kept each of these. */
  private readonly kept: number[];

  /** `slos`: what the calls are judged by beside their own targets. */
  constructor(plan: Plan, slos: readonly Targets[] = []) {
    this.slos = slos;
    this.targets = targetsOf(plan);
    this.kept = slos.map(() => 0);
  }

  readonly onCall = (call: CallRecord): void => {
    this.calls += 1;
    this.firstCallMs = Math.min(this.firstCallMs, call.plannedMs);
    if (call.firstTokenMs !== null) this.firstTokenMs = Math.min(this.firstTokenMs, call.firstTokenMs);
    const waitedTo = call.scheduledMs ?? call.endMs ?? call.plannedMs;
    if (waitedTo > call.plannedMs) {
      this.waitFromMs.push(call.plannedMs);
      this.waitToMs.push(waitedTo);
    }
    const computed = call.computedTokens ?? 0;
    const cached = call.cachedTokens ?? 0;
    this.computedTokens += computed;
    if (call.scheduledMs !== null) {
      this.promptTokens += call.promptTokens;
      this.cachedTokens += cached;
      this.outputTokens += call.outputTokens;
      this.follow(call, cached);
    }
    if (call.outcome !== 'ok') {
      this.wastedTokens += computed;
      if (call.outcome === 'cancelled') {
        this.cancelled += 1;
        return;
      }
      this.failed += 1;
      this.missed.add(call.session);
      this.tenantOf(call).judged += 1;
      return;
    }
    const onceTokens = call.promptTokens - cached + Math.max(0, call.outputTokens - 1);
    this.wastedTokens += Math.max(0, computed - onceTokens);
    this.ends.push(call.endMs as number);
    const firstMs = ttftMs(call) as number;
    this.ttfts.push(firstMs);
    this.ttftMsSum += firstMs;
    this.e2es.push(e2eMs(call) as number);
    for (const [i, slo] of this.slos.entries()) if (keeps(call, slo)) this.kept[i]! += 1;
    const tenant = this.tenantOf(call);
    tenant.judged += 1;
    if (!keeps(call, this.targets(call))) {
      this.missed.add(call.session);
      return;
    }
    tenant.good += 1;
    this.good += 1;
  };

  /** Hot: once per call. What a session finds where it goes on. */
  private follow({ session, replica, promptTokens }: CallRecord, cachedTokens: number): void {
    const before = this.replicas.get(session);
    if (before !== undefined) {
      this.laterCalls += 1;
      if (before === replica) this.stayedCalls += 1;
      this.laterPromptTokens += promptTokens;
      this.laterCachedTokens += cachedTokens;
    }
    if (replica !== null) this.replicas.set(session, replica);
  }

  readonly onSession = (session: WorkflowRecord): void => {
    this.sessions += 1;
    this.replicas.delete(session.session);
    this.widths.push(session.widthMax);
    this.windowMs = Math.max(this.windowMs, session.startMs);
    const tookMs = makespanMs(session);
    const isGood = !this.missed.delete(session.session);
    if (tookMs === null) return;
    this.completed += 1;
    if (isGood) this.goodSessions += 1;
    this.makespans.push(tookMs);
  };

  private tenantOf({ tenant, cohort }: CallRecord): { judged: number; good: number } {
    const name = tenant ?? cohort;
    const known = this.tenants.get(name);
    if (known !== undefined) return known;
    const made = { judged: 0, good: 0 };
    this.tenants.set(name, made);
    return made;
  }

  /** Without the start of a run, where little is under way, and its tail. */
  private servedPerSec(): number {
    const from = Math.floor(this.ends.length / 4);
    const to = Math.floor((this.ends.length * 3) / 4);
    const tookMs = (this.ends[to] ?? 0) - (this.ends[from] ?? 0);
    return tookMs > 0 ? ((to - from) / tookMs) * 1000 : 0;
  }

  /** Calls that ended well and kept each of the SLOs asked about, over calls; 0 where there was none. */
  keptRatios(): number[] {
    const judged = this.calls - this.cancelled;
    return this.kept.map(kept => (judged === 0 ? 0 : kept / judged));
  }

  figures(durationMs: number, spans: readonly ReplicaSpan[]): RunFigures {
    const [ttfts, e2es, makespans, widths] = [this.ttfts, this.e2es, this.makespans, this.widths].map(sorted);
    const at = (values: Float64Array | undefined, q: number): number | null =>
      values === undefined || values.length === 0 ? null : quantileSorted(values, q);
    const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);
    const windowMs = this.windowMs > 0 ? this.windowMs : durationMs;
    const perSec = (count: number): number => (windowMs === 0 ? 0 : (count / windowMs) * 1000);
    const shares = [...this.tenants.values()].map(({ good, judged }) => good / judged);
    const answeredMs = this.firstTokenMs - this.firstCallMs;
    const replicas = mostAtOnce(
      spans.map(({ askedMs }) => askedMs),
      spans.map(({ goneMs }) => goneMs ?? durationMs),
    );
    return {
      durationMs,
      windowMs,
      calls: this.calls,
      failedCalls: this.failed,
      goodCalls: this.good,
      sessions: this.sessions,
      completedSessions: this.completed,
      goodSessions: this.goodSessions,
      firstAnswerMs: Number.isFinite(answeredMs) ? answeredMs : null,
      waitingMost: mostAtOnce(this.waitFromMs, this.waitToMs).most,
      offeredPerSec: perSec(this.calls),
      servedPerSec: this.servedPerSec(),
      goodputPerSec: perSec(this.good),
      sloRatio: share(this.good, this.calls - this.cancelled),
      makespanMsMean: this.makespans.length === 0 ? null : mean(this.makespans),
      makespanMsP50: at(makespans, 0.5),
      makespanMsP95: at(makespans, 0.95),
      makespanMsP99: at(makespans, 0.99),
      ttftMsMean: share(this.ttftMsSum, this.ttfts.length),
      ttftMsP50: at(ttfts, 0.5),
      ttftMsP95: at(ttfts, 0.95),
      ttftMsP99: at(ttfts, 0.99),
      e2eMsP95: at(e2es, 0.95),
      e2eMsP99: at(e2es, 0.99),
      sessionWidthP95: at(widths, 0.95),
      hitRatio: share(this.cachedTokens, this.promptTokens),
      laterHitRatio: share(this.laterCachedTokens, this.laterPromptTokens),
      stayRatio: share(this.stayedCalls, this.laterCalls),
      promptTokens: this.promptTokens,
      computedTokens: this.computedTokens,
      outputTokens: this.outputTokens,
      wasteRatio: share(this.wastedTokens, this.computedTokens),
      ...paidFor(spans, durationMs),
      replicasMost: replicas.most,
      replicasMostAtMs: replicas.atMs,
      fairnessRatio: jainIndex(shares),
    };
  }
}
