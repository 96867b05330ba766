// Which calls and sessions an assertion is about, and whether one of them kept its word: what judges at the end and what
// is shown while a run goes on mean the same by it.
import type { Assertion, SloMetric } from './assertion.ts';
import { type CallRecord, e2eMs, makespanMs, tpotMs, ttftMs, type WorkflowRecord } from './record.ts';

type Filter = Assertion['filter'];

/** Calls that a filter is for. */
export const passes = (filter: Filter) => {
  const fields = Object.entries(filter).filter(([, wanted]) => wanted !== undefined) as [
    keyof Filter & keyof CallRecord,
    string,
  ][];
  return (call: CallRecord): boolean => fields.every(([field, wanted]) => call[field] === wanted);
};

/** Sessions that a filter is for. */
export const workflowPasses =
  ({ workflow, cohort }: Filter) =>
  (record: WorkflowRecord): boolean =>
    (workflow === undefined || record.workflow === workflow) &&
    (cohort === undefined || record.cohort === cohort);

/** A filter that only a call can meet. */
export const namesCalls = ({ role, step, model }: Filter): boolean =>
  role !== undefined || step !== undefined || model !== undefined;

/** Calls that ended by a code: `429`, `timeout`, `error` of any kind. */
export const isFailure = (code: string) => {
  const error = /^\d+$/.test(code) ? `http_${code}` : code;
  return (call: CallRecord): boolean =>
    call.error === error || (error === 'error' && call.outcome === 'error') || call.outcome === error;
};

const SLO_VALUES: Record<SloMetric, (call: CallRecord) => number | null> = {
  ttft: ttftMs,
  itl: call => call.itlMsMax,
  tpot: tpotMs,
  e2e: e2eMs,
};

const SLO_METRICS = Object.keys(SLO_VALUES) as SloMetric[];

/** A call that ended well and within every limit of an SLO. */
export const callKeeps = ({ subject }: Assertion, call: CallRecord): boolean =>
  subject.kind === 'attainment' &&
  call.outcome === 'ok' &&
  keepsAll(subject.withinMs, metric => SLO_VALUES[metric](call));

/** A session that completed within the limit of an SLO. */
export const workflowKeeps = ({ subject }: Assertion, record: WorkflowRecord): boolean =>
  subject.kind === 'attainment' &&
  record.status === 'completed' &&
  keepsAll(subject.withinMs, () => makespanMs(record));

/** A limit that does not apply, such as the TPOT of one token, is kept. */
function keepsAll(
  withinMs: Partial<Record<SloMetric, number>>,
  measured: (metric: SloMetric) => number | null,
): boolean {
  for (const metric of SLO_METRICS) {
    const limit = withinMs[metric];
    if (limit === undefined) continue;
    const value = measured(metric);
    if (value !== null && value > limit) return false;
  }
  return true;
}

/** Cancelled calls and what Ctrl-C left unfinished say nothing about a target. */
export const isJudged = ({ outcome, status }: { outcome?: string; status?: string }): boolean => {
  const how = outcome ?? status;
  return how !== 'cancelled' && how !== 'unfinished';
};
