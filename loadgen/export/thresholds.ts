// What a scenario asserts, as thresholds of k6: of its metrics, on sub-metrics by tag. A run that misses one exits with 99.
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { Filter, SloRow } from '../k6/settings.ts';

export interface Thresholds {
  readonly thresholds: Record<string, string[]>;
  readonly codes: string[];
  readonly slos: SloRow[];
  /** What k6 cannot judge, a sentence each. */
  readonly lost: string[];
}

/** `streams`: first tokens are seen. */
export function thresholdsOf(assertions: readonly Assertion[], streams: boolean): Thresholds {
  const made: Thresholds = { thresholds: {}, codes: [], slos: [], lost: [] };
  for (const assertion of assertions) {
    const why = add(assertion, streams, made);
    if (why !== null) made.lost.push(`not judged by k6: ${assertion.text}: ${why}`);
  }
  return made;
}

const NO_FIRST_TOKEN = 'it sees no first token (--sse does, a call at a time)';

/** Null, or why k6 cannot. */
function add({ subject, filter, op, target }: Assertion, streams: boolean, made: Thresholds): string | null {
  const odd = Object.values(filter).find(value => /[{},:"]/.test(value ?? ''));
  if (odd !== undefined) return `its filters cannot hold "${odd}"`;
  const judge = (
    metric: string,
    statistic: string,
    by: Readonly<Record<string, string | undefined>>,
  ): null => {
    const tags = Object.entries(by).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}:${value}`],
    );
    const name = tags.length === 0 ? metric : `${metric}{${tags.join(',')}}`;
    made.thresholds[name] = [...(made.thresholds[name] ?? []), `${statistic}${op}${target}`];
    return null;
  };
  const { step, role, model, ...ofSession } = filter;
  switch (subject.kind) {
    case 'quantile':
    case 'mean':
    case 'max': {
      const statistic =
        subject.kind === 'quantile'
          ? `p(${Number((subject.quantile * 100).toFixed(3))})`
          : subject.kind === 'mean'
            ? 'avg'
            : 'max';
      const isOfSessions =
        filter.workflow !== undefined && [step, role, model].every(each => each === undefined);
      if (subject.metric === 'makespan' || (subject.metric === 'e2e' && isOfSessions))
        return judge('windtunnel_workflow_ms', statistic, ofSession);
      if (subject.metric === 'e2e') return judge('windtunnel_call_ms', statistic, filter);
      if (subject.metric === 'ttft')
        return streams ? judge('windtunnel_ttft_ms', statistic, filter) : NO_FIRST_TOKEN;
      return `it has no ${subject.metric}`;
    }
    case 'rate':
      if (!/^\w+$/.test(subject.code)) return `its metrics cannot be called "${subject.code}"`;
      if (!made.codes.includes(subject.code)) made.codes.push(subject.code);
      return judge(`windtunnel_rate_${subject.code}`, 'rate', filter);
    case 'cache_hit':
      return 'its thresholds divide nothing; compare windtunnel_cached_tokens with windtunnel_prompt_tokens';
    case 'count':
      if (subject.what === 'tool_calls' && (step ?? role) !== undefined)
        return 'tools are counted by workflow';
      return judge(COUNTERS[subject.what], 'count', filter);
    case 'attainment': {
      const { e2e = null, ttft = null, tpot, itl } = subject.withinMs;
      if (tpot !== undefined || itl !== undefined) return 'it has no time per token';
      if (ttft !== null && !streams) return NO_FIRST_TOKEN;
      const name = `slo_${made.slos.length}`;
      const kept: Filter = filter;
      made.slos.push({ name, of: subject.of, filter: kept, e2eMs: e2e, ttftMs: ttft });
      return judge('windtunnel_slo', 'rate', { slo: name });
    }
  }
}

const COUNTERS = {
  calls: 'windtunnel_calls',
  workflows: 'windtunnel_workflows',
  tool_calls: 'windtunnel_tool_calls',
} as const;
