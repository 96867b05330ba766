import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attachCriticalPaths, totalMs } from '../../reports/critical-path.ts';
import { exitCodeOf, sha256 } from '../../reports/publish.ts';
import { summarise } from '../../reports/summary.ts';
import { mean, quantile } from '../../scenarios/base/statistics.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import { e2eMs, makespanMs, ttftMs } from '../../scenarios/formats/record.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { anAgentRun } from '../builders/agents.ts';
import { aCall, aHeader, aNode, aRun, aSample, aWorkflow } from '../builders/records.ts';

const summaryOf = (output: RunOutput): RunResult => summarise(output, sha256);
const run = anAgentRun({ workflows: 60 });
const result = summaryOf(run);

describe('laws of the summary', () => {
  test('every planned call is ok, failed, cancelled or unfinished, and so is every workflow', () => {
    const { calls, workflows } = result.counts;
    expect(calls.ok + calls.error + calls.cancelled + calls.unfinished).toBe(calls.planned);
    expect(workflows.completed + workflows.failed + workflows.cancelled + workflows.unfinished).toBe(
      workflows.planned,
    );
  });

  test('quantiles are values of a sorted list, at the nearest rank', () => {
    const values = run.calls
      .map(call => (call.outcome === 'ok' ? ttftMs(call) : null))
      .filter(v => v !== null);
    const ordered = [...values].sort((a, b) => a - b);
    const at = (q: number) => ordered[Math.ceil(q * ordered.length) - 1];
    expect(result.metrics.ttft).toMatchObject({
      n: ordered.length,
      min: ordered[0],
      p50: at(0.5),
      p90: at(0.9),
      p95: at(0.95),
      p99: at(0.99),
      max: ordered.at(-1),
    });
    expect(result.metrics.ttft!.mean).toBeCloseTo(mean(values), 9);
  });

  test('distributions climb in value and share, end at 1 and have at most 400 points', () => {
    for (const cdf of Object.values(result.cdfs)) {
      expect(cdf.length).toBeLessThanOrEqual(400);
      expect(cdf.at(-1)![1]).toBe(1);
      for (let i = 1; i < cdf.length; i++) {
        expect(cdf[i]![0]).toBeGreaterThan(cdf[i - 1]![0]);
        expect(cdf[i]![1]).toBeGreaterThan(cdf[i - 1]![1]);
      }
    }
  });

  test('the parts of each critical path sum to the makespan', () => {
    for (const workflow of attachCriticalPaths(run)) {
      const lengthMs = workflow.endMs! - workflow.plannedMs;
      expect(totalMs(workflow.criticalPath)).toBeCloseTo(lengthMs, 6);
    }
    const makespans = run.workflows.map(makespanMs).filter(v => v !== null);
    expect(totalMs(result.criticalPath)).toBeCloseTo(
      makespans.reduce((a, b) => a + b, 0),
      3,
    );
  });

  test('hits by segment sum to the cached tokens, and segments to the prompts', () => {
    const sum = (field: 'cachedTokens' | 'promptTokens') =>
      result.cacheBySegment.reduce((total, row) => total + row[field], 0);
    expect(sum('cachedTokens')).toBe(result.tokens.cached);
    expect(sum('promptTokens')).toBe(result.tokens.prompt);
  });

  test('groups by step and by workflow each account for every call and token', () => {
    for (const rows of [result.byStep, result.byWorkflow, result.byRole, result.byPass]) {
      expect(rows.reduce((sum, row) => sum + row.calls, 0)).toBe(run.calls.length);
      expect(rows.reduce((sum, row) => sum + row.promptTokens, 0)).toBe(result.tokens.prompt);
      expect(rows.reduce((sum, row) => sum + row.outputTokens, 0)).toBe(result.tokens.output);
    }
  });

  test('a summary of the same records is the same to the byte', () => {
    expect(JSON.stringify(summaryOf(anAgentRun({ workflows: 60 })))).toBe(JSON.stringify(result));
  });

  test('it stays small however long the run', () => {
    const timeline = Array.from({ length: 30_000 }, (_, i) =>
      aSample({ atMs: i * 10, waitingRequests: i === 12_345 ? 99 : i % 7 }),
    );
    const long = summaryOf(aRun({ timeline }));
    expect(long.timeline.length).toBeLessThanOrEqual(2000);
    expect(Math.max(...long.timeline.map(point => point.waitingRequests))).toBe(99);
  });
});

describe('what counts', () => {
  test('failed and cancelled calls never enter the percentiles', () => {
    const calls = [
      aCall(),
      aCall({ call: 'b', outcome: 'error', error: 'timeout', endMs: 60_000 }),
      aCall({ call: 'c', outcome: 'cancelled', firstTokenMs: 50_000, endMs: 50_001 }),
    ];
    const { metrics, counts } = summaryOf(aRun({ calls }));
    expect(metrics.e2e).toMatchObject({ n: 1, max: 1100 });
    expect(metrics.ttft).toMatchObject({ n: 1, max: 100 });
    expect(counts).toMatchObject({ calls: { ok: 1, error: 1, cancelled: 1 }, errors: { timeout: 1 } });
  });

  test('p99 is withheld under 100 samples', () => {
    const calls = Array.from({ length: 100 }, (_, i) => aCall({ call: `c${i}` }));
    expect(summaryOf(aRun({ calls: calls.slice(1) })).metrics.ttft!.p99).toBeNull();
    expect(summaryOf(aRun({ calls })).metrics.ttft!.p99).toBe(100);
  });

  test('lag is reported for live runs only', () => {
    expect(summaryOf(aRun()).metrics.lag).toBeUndefined();
    const live = aRun({ header: aHeader({ world: 'live' }), calls: [aCall({ sentMs: 3 })] });
    expect(summaryOf(live).metrics.lag).toMatchObject({ n: 1, max: 3 });
  });

  test('cached tokens belong to the first parts of the prompt', () => {
    const call = aCall({
      promptTokens: 100,
      cachedTokens: 70,
      parts: [
        { segment: 'system', tokens: 60 },
        { segment: 'history', tokens: 30 },
        { segment: 'input', tokens: 10 },
      ],
    });
    expect(summaryOf(aRun({ calls: [call] })).cacheBySegment).toEqual([
      { segment: 'system', promptTokens: 60, cachedTokens: 60 },
      { segment: 'history', promptTokens: 30, cachedTokens: 10 },
      { segment: 'input', promptTokens: 10, cachedTokens: 0 },
    ]);
  });

  test('a run whose server reports no cached tokens has no segments, rather than zeros', () => {
    expect(summaryOf(aRun({ calls: [aCall({ cachedTokens: null })] })).cacheBySegment).toEqual([]);
  });

  test('an empty run has a summary too', () => {
    const empty = summaryOf(aRun({ calls: [], nodes: [], workflows: [], timeline: [], durationMs: 0 }));
    expect(empty.exemplars).toEqual([]);
    expect(empty.metrics.ttft).toBeUndefined();
    expect(empty.verdict.why).toContain('no workflow completed');
  });
});

describe('the critical path', () => {
  test('follows causes back from the last end, and splits calls into queue, prefill and decode', () => {
    const output = aRun({
      workflows: [aWorkflow({ endMs: 2000 })],
      nodes: [
        aNode({ call: 'plan', endMs: 1100 }),
        aNode({ call: 'slow', kind: 'tool', startMs: 1150, endMs: 2000, cause: 'plan' }),
        aNode({ call: 'quick', kind: 'tool', startMs: 1100, endMs: 1400, cause: 'plan' }),
      ],
      calls: [aCall({ call: 'plan' })],
    });
    expect(attachCriticalPaths(output)[0]!.criticalPath).toEqual({
      queueMs: 10,
      prefillMs: 90,
      decodeMs: 1000,
      toolMs: 850,
      humanMs: 0,
      waitMs: 0,
      retryMs: 0,
      limitMs: 0,
      coldMs: 0,
      transferMs: 0,
      otherMs: 50,
    });
    const [exemplar] = summaryOf(output).exemplars;
    expect(exemplar!.bars.filter(bar => bar.onCriticalPath).map(bar => bar.call)).toEqual(['plan', 'slow']);
  });

  test('sums to the makespan for any graph of nodes, also one that overlaps or points in a circle', () => {
    const nodes = fc.array(
      fc.record({
        startMs: fc.integer({ min: 0, max: 1000 }),
        lengthMs: fc.integer({ min: 0, max: 500 }),
        cause: fc.integer({ min: -1, max: 9 }),
        kind: fc.constantFrom('llm' as const, 'tool' as const, 'human' as const, 'wait' as const),
      }),
      { minLength: 1, maxLength: 10 },
    );
    fc.assert(
      fc.property(nodes, drawn => {
        const records = drawn.map(({ startMs, lengthMs, cause, kind }, i) =>
          aNode({
            call: `n${i}`,
            kind,
            startMs,
            endMs: startMs + lengthMs,
            cause: cause < 0 ? null : `n${cause}`,
          }),
        );
        const endMs = Math.max(...records.map(node => node.endMs));
        const [workflow] = attachCriticalPaths({
          workflows: [aWorkflow({ endMs })],
          nodes: records,
          calls: [aCall({ call: 'n0' })],
          durationMs: endMs,
        });
        expect(totalMs(workflow!.criticalPath)).toBeCloseTo(endMs, 6);
      }),
    );
  });
});

describe('the digest', () => {
  const digest = result.digest;

  test('does not change with the header, the assertions or the order of keys', () => {
    expect(
      summaryOf({ ...run, header: aHeader({ seed: 99, startedAt: '2026-01-01T00:00:00Z' }) }).digest,
    ).toBe(digest);
    const turned = run.calls.map(
      call => Object.fromEntries(Object.entries(call).reverse()) as unknown as typeof call,
    );
    expect(summaryOf({ ...run, calls: turned }).digest).toBe(digest);
  });

  test('changes when any record changes', () => {
    const [call, ...calls] = run.calls;
    const [node, ...nodes] = run.nodes;
    const [workflow, ...workflows] = run.workflows;
    const [sample, ...timeline] = run.timeline;
    const changed: Partial<RunOutput>[] = [
      { calls: [{ ...call!, endMs: call!.endMs! + 1e-6 }, ...calls] },
      { nodes: [{ ...node!, cause: 'else' }, ...nodes] },
      { workflows: [{ ...workflow!, widthMax: 7 }, ...workflows] },
      { timeline: [{ ...sample!, kvUsedRatio: 0.5 }, ...timeline] },
      { itlMs: { ...run.itlMs, sum: run.itlMs.sum + 1 } },
    ];
    for (const change of changed) expect(summaryOf({ ...run, ...change }).digest).not.toBe(digest);
  });
});

describe('assertions', () => {
  const judge = (assertion: Omit<Assertion, 'text'>, output = run) =>
    summaryOf({ ...output, assertions: [{ text: 'it', ...assertion }] }).assertions[0]!;
  const p95 = (metric: 'e2e' | 'ttft' | 'itl', filter: Assertion['filter'] = {}) =>
    judge({ subject: { kind: 'quantile', quantile: 0.95, metric }, filter, op: '<', target: 1e9 });

  test('e2e of a workflow alone is its makespan, of a step the call', () => {
    const own = run.workflows.filter(({ workflow }) => workflow === 'research');
    expect(p95('e2e', { workflow: 'research' }).value).toBe(
      quantile(
        own.map(makespanMs).filter(v => v !== null),
        0.95,
      ),
    );
    const calls = run.calls.filter(({ workflow, step }) => workflow === 'research' && step === 'plan');
    expect(p95('e2e', { workflow: 'research', step: 'plan' }).value).toBe(
      quantile(
        calls.map(e2eMs).filter(v => v !== null),
        0.95,
      ),
    );
  });

  test('rate(429) is the share of calls that ended with it', () => {
    const calls = [aCall(), aCall({ call: 'b', outcome: 'error', error: 'http_429' })];
    const rate = { subject: { kind: 'rate', code: '429' }, filter: {}, op: '<', target: 0.01 } as const;
    expect(judge(rate, aRun({ calls }))).toMatchObject({ value: 0.5, unit: 'ratio', pass: false });
  });

  test('cache_hit is cached over prompt tokens, and counts count', () => {
    const hit = { subject: { kind: 'cache_hit' }, filter: { role: 'worker' }, op: '>', target: 0 } as const;
    const workers = run.calls.filter(({ role, cachedTokens }) => role === 'worker' && cachedTokens !== null);
    const tokens = (field: 'cachedTokens' | 'promptTokens') =>
      workers.reduce((sum, call) => sum + call[field]!, 0);
    expect(judge(hit).value).toBe(tokens('cachedTokens') / tokens('promptTokens'));
    const count = (what: 'calls' | 'workflows' | 'tool_calls', filter: Assertion['filter'] = {}) =>
      judge({ subject: { kind: 'count', what }, filter, op: '>=', target: 1 }).value;
    expect(count('calls')).toBe(run.calls.length);
    expect(count('workflows', { workflow: 'critic' })).toBe(20);
    expect(count('tool_calls')).toBe(run.nodes.filter(({ kind }) => kind === 'tool').length);
    expect(count('tool_calls', { step: 'lookup' })).toBe(20);
  });

  test('what did not run is neither passed nor failed, and does not change the exit code', () => {
    expect(p95('e2e', { workflow: 'nowhere' })).toMatchObject({ value: null, pass: null });
    expect(p95('itl', { step: 'plan' })).toMatchObject({ value: null, pass: null });
    expect(p95('itl').value).toBe(result.metrics.itl!.p95);
  });

  test.each([
    ['a target missed', { assertions: [{ target: 1 }] }, 'fail', 99],
    ['a target met', { assertions: [{ target: 1e9 }] }, 'pass', 0],
    ['no assertion', {}, 'done', 0],
    [
      'a lagging client',
      { assertions: [{ target: 1 }], valid: false, invalidReason: 'lag p99 80 ms' },
      'invalid',
      3,
    ],
    ['Ctrl-C', { assertions: [{ target: 1 }], valid: false, interrupted: true }, 'interrupted', 105],
  ] as const)(
    '%s',
    (_, { assertions = [], ...fields }: { assertions?: readonly { target: number }[] }, status, code) => {
      const lines = assertions.map(({ target }) => ({
        text: 'max(e2e)',
        subject: { kind: 'max', metric: 'e2e' } as const,
        filter: {},
        op: '<' as const,
        target,
      }));
      const judged = summaryOf(aRun({ ...fields, assertions: lines }));
      expect(judged.verdict.status).toBe(status);
      expect(exitCodeOf(judged)).toBe(code);
    },
  );
});
