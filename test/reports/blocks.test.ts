// A live run in slices of time: which session is in which, the warm-up, the money, and when there are none.
import { describe, expect, test } from 'vitest';
import { blocksOf } from '../../reports/blocks.ts';
import { COMPARED_FIGURES } from '../../reports/compare/figures.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { aCall, aHeader, aRun, aWorkflow } from '../builders/records.ts';

const LIVE = aHeader({ world: 'live' });

/** A session of one call every 100 ms; `tookMs` of each. */
function aLiveRun(tookMs: readonly number[], fields: Partial<RunOutput> = {}): RunOutput {
  const starts = tookMs.map((_, i) => i * 100);
  return aRun({
    header: LIVE,
    workflows: tookMs.map((ms, i) =>
      aWorkflow({ session: `s${i}`, plannedMs: starts[i]!, startMs: starts[i]!, endMs: starts[i]! + ms }),
    ),
    calls: tookMs.map((ms, i) =>
      aCall({
        session: `s${i}`,
        plannedMs: starts[i]!,
        sentMs: starts[i]!,
        scheduledMs: null,
        firstTokenMs: starts[i]! + 50,
        endMs: starts[i]! + ms,
        cachedTokens: 400,
      }),
    ),
    nodes: [],
    timeline: [],
    durationMs: starts.at(-1)! + 1000,
    ...fields,
  });
}

const valuesOf = (run: RunOutput, id: string) => blocksOf(run)?.find(each => each.id === id)?.values;

describe('blocks of a live run', () => {
  // Sessions 0 to 100 at 0, 100, … 10,000 ms: ten slices of 1,000 ms, the last start inside of the last one.
  const tookMs = Array.from({ length: 101 }, (_, i) => 500 + 10 * (Math.floor(i / 10) % 2));
  const run = aLiveRun(tookMs);

  test('are ten slices of equal time by the start of sessions', () => {
    expect(valuesOf(run, 'makespan.mean')).toEqual([
      500,
      510,
      500,
      510,
      500,
      510,
      500,
      510,
      500,
      10 * 51 - 10 / 11,
    ]);
    expect(valuesOf(run, 'throughput.workflows')).toEqual([10, 10, 10, 10, 10, 10, 10, 10, 10, 11]);
    expect(valuesOf(run, 'ttft.p95')).toEqual(Array(10).fill(50));
    expect(valuesOf(run, 'cacheHits')).toEqual(Array(10).fill(0.4));
    expect(valuesOf(run, 'errors')).toEqual(Array(10).fill(0));
  });

  test('have only figures that runs are compared by', () => {
    const known = COMPARED_FIGURES.map(({ id }) => id);
    for (const { id, values } of blocksOf(run)!) {
      expect(known).toContain(id);
      expect(values).toHaveLength(10);
    }
  });

  test('begin after the warm-up', () => {
    const warming = aLiveRun([...Array(20).fill(5000), ...Array(81).fill(500)]);
    expect(valuesOf(warming, 'makespan.p95')).toEqual(Array(10).fill(500));
  });

  test('pay for their own calls, and for idle GPUs by time', () => {
    const ledger: NonNullable<RunOutput['ledger']> = {
      totalNanos: 101e9 + 11e9,
      components: {
        gpu_work: 101e9,
        gpu_idle: 11e9,
        api_input: 0,
        api_cached_input: 0,
        api_cache_write: 0,
        api_output: 0,
        tools: 0,
        tools_idle: 0,
        classifier: 0,
      },
      rows: { workflow: [], step: [], role: [], tenant: [], user: [], target: [] },
      waste: [],
      attemptNanos: new Float64Array(101).fill(1e9),
      toolNanos: new Float64Array(),
      prefillGpuSeconds: 0,
      gpuSeconds: { busy: 0, paid: 0 },
      notes: [],
    };
    // A slice of 1,000 of 11,000 ms: 1 USD of the 11 that stood idle, over ten workflows of 1 USD each.
    const values = valuesOf({ ...run, ledger }, 'cost.per1000Workflows')!;
    expect(values[0]).toBeCloseTo(1100, 9);
    expect(values[9]).toBeCloseTo((12 / 11) * 1000, 9);
  });

  test('are eight where there are sessions for no more, and none where there are fewer or all start at once', () => {
    expect(valuesOf(aLiveRun(Array(16).fill(500)), 'makespan.mean')).toHaveLength(8);
    expect(blocksOf(aLiveRun(Array(15).fill(500)))).toBeNull();
    const atOnce = aLiveRun(Array(40).fill(500));
    for (const workflow of atOnce.workflows) workflow.plannedMs = 0;
    expect(blocksOf(atOnce)).toBeNull();
  });

  test('are none of a simulation, which has seeds, and of a run that was cut off', () => {
    expect(blocksOf({ ...run, header: aHeader() })).toBeNull();
    expect(blocksOf({ ...run, interrupted: true })).toBeNull();
  });
});
