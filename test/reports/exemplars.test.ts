import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAbsent } from '../../reports/charts/chart.ts';
import { sweepChart } from '../../reports/charts/sweep.ts';
import { waterfall } from '../../reports/charts/waterfall.ts';
import { attachCriticalPaths, bySession, criticalNodes } from '../../reports/critical-path.ts';
import { evenly, exemplarsOf } from '../../reports/exemplars.ts';
import { laneAtDepth, laneOf } from '../../reports/lanes.ts';
import { pageShare } from '../../reports/page/share.ts';
import { sharedParts } from '../../reports/page/shared.ts';
import { publish } from '../../reports/publish.ts';
import { savingsMs } from '../../reports/savings.ts';
import { noSuchSession, sessionExemplar, withSession } from '../../reports/session.ts';
import { summarise } from '../../reports/summary.ts';
import type { NodeRecord } from '../../scenarios/formats/record.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { anAgentRun } from '../builders/agents.ts';
import { aGovernedRun } from '../builders/governed.ts';
import { aHugeRun } from '../builders/huge.ts';
import { aNode, aRun, aWorkflow } from '../builders/records.ts';

/** A step of so long after its cause, by name. */
const step = (call: string, startMs: number, endMs: number, cause: string | null = null): NodeRecord =>
  aNode({ call, step: call, kind: 'tool', startMs, endMs, cause });

describe('what a step costs its workflow', () => {
  test('is its whole length where nothing runs beside it', () => {
    const chain = [step('a', 0, 100), step('b', 100, 400, 'a'), step('c', 450, 500, 'b')];
    expect([...savingsMs(chain)]).toEqual([
      ['b', 300],
      ['a', 100],
      ['c', 50],
    ]);
  });

  test('ends where the next branch is the longest', () => {
    // Two branches of 300 and 250 ms between a plan and a summary, which waits for both.
    const nodes = [
      step('plan', 0, 100),
      step('split/slow', 100, 400, 'plan'),
      step('split/fast', 100, 350, 'plan'),
      step('sum', 400, 500, 'split/slow'),
    ];
    const saves = savingsMs(nodes);
    expect(saves.get('split/slow')).toBe(50);
    expect(saves.get('plan')).toBe(100);
    expect(saves.get('sum')).toBe(100);
    expect(saves.has('split/fast')).toBe(false);
  });

  test('of one of several items of a map ends at the second longest, and gaps stay', () => {
    const nodes = [
      step('jobs[0]/work', 0, 300),
      step('jobs[1]/work', 0, 280),
      step('jobs[2]/work', 0, 100),
      step('jobs[2]/more', 100, 200, 'jobs[2]/work'),
      step('end', 310, 400, 'jobs[0]/work'),
    ];
    expect(savingsMs(nodes).get('jobs[0]/work')).toBe(20);
    // The last branch to end outside of any join ends the workflow itself.
    const open = [step('x[0]/work', 0, 300), step('x[1]/work', 0, 290)];
    expect(savingsMs(open).get('x[0]/work')).toBe(10);
  });

  test('knows no cancelled step that ended only because the workflow did', () => {
    const nodes = [
      step('race/first', 0, 200),
      { ...step('race/second', 0, 200), status: 'cancelled' as const },
      step('end', 200, 300, 'race/first'),
    ];
    expect(savingsMs(nodes).get('race/first')).toBe(200);
  });

  test('of no steps, of a circle and of unknown causes is no trouble', () => {
    expect(savingsMs([]).size).toBe(0);
    const circle = [step('a', 0, 10, 'b'), step('b', 10, 20, 'a')];
    expect([...savingsMs(circle).values()].every(ms => ms >= 0 && ms <= 20)).toBe(true);
    expect(savingsMs([step('a', 5, 10, 'nobody')]).get('a')).toBe(5);
  });

  test('is at most its own length and never below zero, and only steps of the path cost anything', () => {
    const runs = fc.integer({ min: 1, max: 500 });
    fc.assert(
      fc.property(runs, seed => {
        const { nodes } = anAgentRun({ workflows: 6, seed });
        for (const own of bySession(nodes).values()) {
          const onPath = new Map(criticalNodes(own).map(node => [node.call, node.endMs - node.startMs]));
          for (const [call, ms] of savingsMs(own)) {
            expect(ms).toBeGreaterThanOrEqual(0);
            expect(ms).toBeLessThanOrEqual(onPath.get(call)! + 1e-6);
          }
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe('lanes', () => {
  test('are the branches and sub-agents of a path; passes of a loop are none', () => {
    const loops = new Set(['refine']);
    expect(laneOf('companies[3]/classify[7]/label', loops)).toBe('companies[3]/classify[7]');
    expect(laneOf('companies[3]/refine[1]/draft', loops)).toBe('companies[3]');
    expect(laneOf('refine[1]/draft', loops)).toBe('');
    expect(laneOf('answer', loops)).toBe('');
    expect(laneAtDepth('companies[3]/classify[7]', 1)).toBe('companies[3]');
  });

  test('hold the steps of one agent together, in rows that none shares with another at the same time', () => {
    const run = aHugeRun(3);
    for (const { datasets } of waterfall.choices!(run).slice(0, 5)) {
      const byRow = Map.groupBy(
        datasets.bars as { row: string; call: string; startMs: number; endMs: number }[],
        ({ row }) => row,
      );
      expect(byRow.size).toBeLessThanOrEqual(60);
      for (const bars of byRow.values()) {
        const ordered = bars.sort((a, b) => a.startMs - b.startMs);
        for (const [i, { startMs }] of ordered.entries())
          if (i > 0) expect(startMs).toBeGreaterThanOrEqual(ordered[i - 1]!.endMs);
        expect(new Set(bars.map(({ call }) => call.split('/')[0])).size).toBe(1);
      }
    }
  });
});

describe('exemplars', () => {
  const exemplars = (output: RunOutput) =>
    exemplarsOf(attachCriticalPaths(output), bySession(output.nodes), bySession(output.calls));

  test('are the median, the p95, the longest, and at most 200 samples from the shortest to the longest', () => {
    const found = exemplars(anAgentRun({ workflows: 700 }));
    expect(found.slice(0, 3).map(({ label }) => label)).toEqual(['p50', 'p95', 'max']);
    const samples = found.slice(3);
    expect(samples.length).toBeLessThanOrEqual(200);
    expect(samples.length).toBeGreaterThan(150);
    const lengths = samples.map(({ makespanMs }) => makespanMs);
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
    expect(new Set(found.map(({ session }) => session)).size).toBe(found.length);
    expect(found.reduce((sum, { bars }) => sum + bars.length, 0)).toBeLessThan(12_000);
  });

  test('show some of those that did not complete, however rare they are', () => {
    const output = anAgentRun({ workflows: 700 });
    const failed = output.workflows.filter(({ status }) => status === 'failed');
    expect(failed.length).toBeGreaterThan(3);
    const shown = exemplars(output).filter(({ status }) => status === 'failed');
    expect(shown.length).toBeGreaterThanOrEqual(Math.min(20, failed.length));
  });

  test('of workflows with thousands of steps are few enough', () => {
    const nodes = Array.from({ length: 40 }, (_, session) =>
      Array.from({ length: 900 }, (_, i) => ({
        ...step(`c[${i}]/work`, i, i + 1),
        session: `s${session}`,
      })),
    ).flat();
    const workflows = Array.from({ length: 40 }, (_, i) =>
      aWorkflow({ session: `s${i}`, endMs: 901 + i, plannedMs: 0 }),
    );
    const found = exemplars(aRun({ nodes, workflows, calls: [] }));
    expect(found.reduce((sum, { bars }) => sum + bars.length, 0)).toBeLessThanOrEqual(3 * 400 + 8000);
    expect(found[0]!.barsLeftOut).toBe(500);
  });

  test('are spread evenly, both ends among them', () => {
    expect(evenly([1, 2, 3, 4, 5, 6, 7, 8, 9], 3)).toEqual([1, 5, 9]);
    expect(evenly([1, 2], 5)).toEqual([1, 2]);
    expect(evenly([1, 2, 3], 1)).toEqual([1]);
    expect(evenly([1, 2, 3], 0)).toEqual([]);
  });
});

describe('a share of the page', () => {
  test('keeps the labelled workflows, the shape of rates and the ends of distributions', () => {
    const run = aHugeRun(1);
    const share = pageShare(run, 10);
    expect(share.exemplars.slice(0, 3).map(({ label }) => label)).toEqual(['p50', 'p95', 'max']);
    expect(share.rates!.length).toBeLessThanOrEqual(250);
    const integral = (rates: NonNullable<RunResult['rates']>) =>
      (rates.reduce((sum, { callsDonePerSec }) => sum + callsDonePerSec, 0) / rates.length) * run.durationMs;
    expect(integral(share.rates!)).toBeCloseTo(integral(run.rates!), 3);
    const peak = ({ timeline }: RunResult) =>
      Math.max(...timeline.map(({ waitingRequests }) => waitingRequests));
    expect(peak(share)).toBe(peak(run));
    expect(share.cdfs.ttft!.at(-1)).toEqual(run.cdfs.ttft!.at(-1));
    expect(share.cdfs.ttft![0]).toEqual(run.cdfs.ttft![0]);
  });

  test('says parts of specs that are alike once, and they can be put back', () => {
    const part = { mark: { type: 'line', strokeWidth: 2 }, encoding: { x: { field: 'a'.repeat(150) } } };
    const specs = [{ layer: [part, { ...part, name: 'b' }] }, { layer: [part] }, null, 'text', { small: 1 }];
    const { values, parts } = sharedParts(specs);
    expect(JSON.stringify(values).length).toBeLessThan(JSON.stringify(specs).length / 2);
    const whole = (node: unknown): unknown => {
      if (Array.isArray(node)) return node.map(whole);
      if (typeof node !== 'object' || node === null) return node;
      if ('$' in node) return whole(parts[node.$ as number]);
      return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, whole(value)]));
    };
    expect(whole(values)).toEqual(specs);
  });
});

describe('any session of a run', () => {
  let folder: string;
  let run: RunResult;
  const output = aGovernedRun({ workflows: 60 });

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'windtunnel-session-'));
    await publish(output, { out: folder });
    run = summarise(output, () => 'digest');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('reads from Parquet as the run itself had it', async () => {
    for (const { label, ...exemplar } of run.exemplars.slice(0, 12)) {
      const read = await sessionExemplar(folder, exemplar.session, run);
      expect(label).not.toBe('asked');
      expect(read).toEqual({ ...exemplar, label: 'asked' });
    }
  });

  test('comes first in the explorer, and takes no other label away', async () => {
    const { session } = run.exemplars.find(({ label }) => label === 'max')!;
    const shown = (await withSession(run, folder, session))!;
    expect(shown.exemplars[0]).toMatchObject({ label: 'asked', session });
    expect(shown.exemplars.map(({ label }) => label)).toContain('max');
    expect(waterfall.title(shown)).toContain(session);
    expect(waterfall.choices!(shown)[0]!.id).toBe(session);
  });

  test('that is not there is an error that names some that are', async () => {
    expect(await withSession(run, folder, 'nobody')).toBeNull();
    const error = await noSuchSession([folder], 'nobody');
    expect(error.message).toContain('"nobody"');
    expect(error.hint).toContain(output.workflows[0]!.session.split('/')[0]);
  });

  test('is asked for by the command line', () => {
    const windtunnel = resolve('windtunnel.ts');
    const { session } = output.workflows[3]!;
    const ask = (name: string) =>
      execFileSync(
        process.execPath,
        [windtunnel, 'report', folder, '--workflow', name, '--out', join(folder, 'asked.html')],
        { encoding: 'utf8', stdio: 'pipe' },
      );
    expect(ask(session)).toContain('asked.html');
    expect(() => ask('nobody')).toThrow(/no session is called "nobody"/);
  });
});

describe('a sweep', () => {
  const run = summarise(anAgentRun({ workflows: 40 }), () => 'digest');
  const withSettings = (settings: string, p95: number): RunResult => ({
    ...run,
    header: { ...run.header, command: `${run.header.command} ${settings}` },
    metrics: { ...run.metrics, makespan: { ...run.metrics.makespan!, p95 } },
  });
  const drawn = (runs: readonly RunResult[]) => {
    const spec = sweepChart.spec(runs);
    if (isAbsent(spec)) throw new Error(spec.absent);
    return spec.datasets.cells as { row: string; column: string; text: string }[];
  };

  test('takes three runs that differ in a setting', () => {
    expect(sweepChart.spec([run, run, run])).toHaveProperty('absent');
    expect(sweepChart.spec([run, withSettings('--set pools.main.replicas=2', 900)])).toHaveProperty('absent');
  });

  test('of two settings is the workflow time over both, and names the best pair', () => {
    const runs = [1, 2].flatMap(replicas =>
      [32, 64].map(seqs =>
        withSettings(
          `--set pools.main.replicas=${replicas} --set pools.main.limits.max_num_seqs=${seqs}`,
          8000 / replicas - seqs,
        ),
      ),
    );
    expect(drawn(runs)).toHaveLength(4);
    expect(drawn(runs).find(({ row, column }) => row === '64' && column === '2')).toMatchObject({
      text: '3.94 s',
    });
    expect(sweepChart.title(runs)).toContain('3.94 s');
    expect(sweepChart.title(runs)).toContain('replicas=2');
  });

  test('of anything else is each run by its figures', () => {
    const runs = ['a', 'b', 'c'].map((policy, i) => withSettings(`--routing ${policy}`, 1000 * (i + 1)));
    expect(
      drawn(runs)
        .filter(({ column }) => column === 'workflow p95')
        .map(({ text }) => text),
    ).toEqual(['1 s', '2 s', '3 s']);
    const { columns, rows } = sweepChart.table(runs);
    expect(rows.map(row => row[columns.indexOf('routing')])).toEqual(['a', 'b', 'c']);
  });
});
