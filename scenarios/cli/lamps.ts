// The promises of a scenario while its run goes on: how much of what each allows is used up so far. Pure; a few additions
// per ended call, and nothing is kept of it.
import type { AssertedMetric, Assertion } from '../formats/assertion.ts';
import {
  callKeeps,
  isFailure,
  isJudged,
  namesCalls,
  passes,
  workflowKeeps,
  workflowPasses,
} from '../formats/kept.ts';
import {
  type CallRecord,
  e2eMs,
  makespanMs,
  queueMs,
  tpotMs,
  ttftMs,
  type WorkflowRecord,
} from '../formats/record.ts';

/** Lit green, red, or not yet. `used` of `allowed`: e.g. the share beyond p95's limit, of 5 %. */
export interface Lamp {
  readonly text: string;
  readonly state: 'kept' | 'broken' | 'open';
  /** null: nothing of the kind has ended, or only the end knows. */
  readonly used: number | null;
  readonly allowed: number;
  readonly unit: 'ratio' | 'ms' | 'count';
  /** True where less is better. */
  readonly isLimit: boolean;
}

interface Watch {
  /** `times`: how many a record stands for. */
  call?(call: CallRecord, times: number): void;
  session?(session: WorkflowRecord, times: number): void;
  used(): number | null;
}

type Op = Assertion['op'];

const HOLDS: Record<Op, (value: number, target: number) => boolean> = {
  '<': (value, target) => value < target,
  '<=': (value, target) => value <= target,
  '>': (value, target) => value > target,
  '>=': (value, target) => value >= target,
  '==': (value, target) => value === target,
};

const CALL_VALUES: Partial<Record<AssertedMetric, (call: CallRecord) => number | null>> = {
  ttft: ttftMs,
  tpot: tpotMs,
  e2e: e2eMs,
  queue: queueMs,
};

/** The share of some values, or of others. */
class Share {
  count = 0;
  all = 0;
  add(counts: boolean, times: number): void {
    this.all += times;
    if (counts) this.count += times;
  }
  get ratio(): number | null {
    return this.all === 0 ? null : this.count / this.all;
  }
}

/** Tells `take` of each value of a metric as it comes. */
function valuesInto(
  metric: AssertedMetric,
  filter: Assertion['filter'],
  take: (value: number, times: number) => void,
): Omit<Watch, 'used'> {
  if (metric === 'makespan' || (metric === 'e2e' && filter.workflow !== undefined && !namesCalls(filter))) {
    const isMeant = workflowPasses(filter);
    return {
      session: (record, times) => {
        const value = isMeant(record) ? makespanMs(record) : null;
        if (value !== null) take(value, times);
      },
    };
  }
  const measured = CALL_VALUES[metric];
  if (measured === undefined) return {};
  const isMeant = passes(filter);
  return {
    call: (call, times) => {
      const value = call.outcome === 'ok' && isMeant(call) ? measured(call) : null;
      if (value !== null) take(value, times);
    },
  };
}

interface Watched extends Pick<Lamp, 'allowed' | 'unit' | 'isLimit'> {
  readonly watch: Watch;
}

function watched(assertion: Assertion): Watched {
  const { subject, filter, op, target } = assertion;
  const isLimit = op === '<' || op === '<=';
  switch (subject.kind) {
    case 'quantile': {
      const share = new Share();
      const values = valuesInto(subject.metric, filter, (value, times) =>
        share.add(!HOLDS[op](value, target), times),
      );
      const allowed = isLimit ? 1 - subject.quantile : subject.quantile;
      return { watch: { ...values, used: () => share.ratio }, allowed, unit: 'ratio', isLimit: true };
    }
    case 'mean':
    case 'max': {
      let sum = 0;
      let count = 0;
      let most = Number.NEGATIVE_INFINITY;
      const values = valuesInto(subject.metric, filter, (value, times) => {
        sum += value * times;
        count += times;
        most = Math.max(most, value);
      });
      const used = (): number | null => {
        if (count === 0) return null;
        return subject.kind === 'max' ? most : sum / count;
      };
      return { watch: { ...values, used }, allowed: target, unit: 'ms', isLimit };
    }
    case 'rate': {
      const share = new Share();
      const [isMeant, failed] = [passes(filter), isFailure(subject.code)];
      const call = (record: CallRecord, times: number): void => {
        if (isMeant(record)) share.add(failed(record), times);
      };
      return { watch: { call, used: () => share.ratio }, allowed: target, unit: 'ratio', isLimit };
    }
    case 'cache_hit': {
      const hits = new Share();
      const isMeant = passes(filter);
      const call = (record: CallRecord, times: number): void => {
        if (record.cachedTokens === null || !isMeant(record)) return;
        hits.add(true, record.cachedTokens * times);
        hits.add(false, (record.promptTokens - record.cachedTokens) * times);
      };
      return { watch: { call, used: () => hits.ratio }, allowed: target, unit: 'ratio', isLimit };
    }
    case 'attainment': {
      const missed = new Share();
      const used = (): number | null => missed.ratio;
      const common = { allowed: 1 - target, unit: 'ratio' as const, isLimit: true };
      if (subject.of === 'sessions') {
        const isMeant = workflowPasses(filter);
        const session = (record: WorkflowRecord, times: number): void => {
          if (isMeant(record) && isJudged(record)) missed.add(!workflowKeeps(assertion, record), times);
        };
        return { watch: { session, used }, ...common };
      }
      const isMeant = passes(filter);
      const call = (record: CallRecord, times: number): void => {
        if (isMeant(record) && isJudged(record)) missed.add(!callKeeps(assertion, record), times);
      };
      return { watch: { call, used }, ...common };
    }
    default:
      // Counts grow to the end.
      return { watch: { used: () => null }, allowed: target, unit: 'count', isLimit };
  }
}

/** How far floating point may miss 1 - 0.95. */
const SLACK = 1e-9;

export class Lamps {
  private readonly all: readonly (Watched & { text: string; op: Op })[];

  constructor(assertions: readonly Assertion[]) {
    this.all = assertions.map(assertion => ({
      ...watched(assertion),
      text: assertion.text,
      op: assertion.op,
    }));
  }

  /** `times`: how many such records there were. */
  call(call: CallRecord, times = 1): void {
    for (const { watch } of this.all) watch.call?.(call, times);
  }

  session(session: WorkflowRecord, times = 1): void {
    for (const { watch } of this.all) watch.session?.(session, times);
  }

  /** As they are now. */
  lit(): Lamp[] {
    return this.all.map(({ watch, text, allowed, unit, isLimit }) => {
      const used = watch.used();
      const isKept = used !== null && (isLimit ? used <= allowed + SLACK : used >= allowed - SLACK);
      return {
        text,
        used,
        allowed,
        unit,
        isLimit,
        state: used === null ? 'open' : isKept ? 'kept' : 'broken',
      };
    });
  }
}
