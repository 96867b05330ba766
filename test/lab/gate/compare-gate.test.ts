// A gate over simulations as a CI owner meets it: save, pass, fail, update, drift; and what a second live run changes.
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { confirmedBy, gated, needsConfirming } from '../../../lab/gate/compare-gate.ts';
import type { FigureComparison, RunComparison, Verdict } from '../../../scenarios/formats/comparison.ts';
import { emptyFolder, windtunnel } from '../../cli/run.ts';

const ON = ['-d', 'workstation-ministral-14b', '--quiet'];

describe('compare --gate', () => {
  let folder = '';
  beforeAll(() => {
    folder = emptyFolder();
    windtunnel(['simulate', 'job-scanner', ...ON, '--out', 'base'], folder);
    windtunnel(['simulate', 'job-scanner', ...ON, '--set', 'params.postings=24', '--out', 'wide'], folder);
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (...args: string[]) => windtunnel(args, folder);
  const gate = (what: string, ...args: string[]) =>
    run('compare', what, '--gate', '--out', 'out', '--quiet', ...args);

  test('needs a baseline, and says how to save one', () => {
    const { code, err } = gate('base');
    expect(code).toBe(104);
    expect(err).toContain('save one: windtunnel baseline save base');
  });

  test('holds the run that it was saved from: the very same records', () => {
    expect(run('baseline', 'save', 'base', '--seeds', '4')).toMatchObject({ code: 0 });
    const { code, out } = gate('base');
    expect(code).toBe(0);
    expect(out).toContain('are the same run: every record is equal');
    expect(out).toContain('✓ GATE PASSED');
  });

  test('fails a wider fan-out with 99, and tells everyone', () => {
    const { code, out } = gate(
      'wide',
      '--reporter',
      'junit=ci/junit.xml',
      '--reporter',
      'markdown=ci/gate.md',
    );
    expect(code).toBe(99);
    expect(out).toContain('✗ GATE FAILED');
    expect(out).toMatch(/✗ workflow p95 regressed: \+/);
    expect(readFileSync(join(folder, 'ci/junit.xml'), 'utf8')).toContain(
      '<failure message="workflow p95 regressed',
    );
    expect(readFileSync(join(folder, 'ci/gate.md'), 'utf8')).toContain('### windtunnel: ✗ failed');
    const kept = JSON.parse(readFileSync(join(folder, 'out/comparison.json'), 'utf8'));
    expect(kept.gate.pass).toBe(false);
  });

  test('of slower on purpose makes the new normal, and the drift is seen', () => {
    expect(run('baseline', 'update', 'wide', '--name', 'job-scanner', '--seeds', '4').out).toMatch(
      /workflow p95: .+ to .+ \(\+/,
    );
    const { code, out } = gate('wide');
    expect(code).toBe(0);
    expect(out).toMatch(/[▁-█]{3} workflow p95 .+ over 3\)/);
    expect(gate('base').code).toBe(0);
  });

  test('writes nothing where it is asked for something wrong', () => {
    expect(run('compare', 'base', 'wide', '--strict', '--out', 'none').err).toContain(
      '--strict needs --gate',
    );
    expect(run('compare', 'base', '--gate', '--reporter', 'nothing', '--out', 'none').code).toBe(104);
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });
});

const aFigure = (id: string, verdict: Verdict): FigureComparison => ({
  id,
  label: id,
  unit: 'ms',
  better: 'lower',
  isPrimary: true,
  baseline: 100,
  candidate: 110,
  changeRatio: 0.1,
  ci95: [0.05, 0.15],
  pValue: 0.01,
  minEffectRatio: 0.05,
  verdict,
  blocksMissing: null,
});

const aComparison = (...figures: FigureComparison[]): RunComparison => ({
  name: 'candidate',
  pairing: 'apart',
  blocks: 10,
  figures,
  verdict: figures.some(({ verdict }) => verdict === 'regressed') ? 'regressed' : 'unchanged',
  headline: 'candidate is slower',
  firstDifference: null,
  explained: null,
  warnings: [],
});

describe('a live regression', () => {
  const result = (compared: RunComparison) => ({
    schemaVersion: 1,
    kind: 'comparison' as const,
    baselineName: 'base',
    runs: [],
    comparisons: [compared],
    gate: null,
  });

  test('asks for a second run, a simulated one does not', () => {
    const slow = result(aComparison(aFigure('ttft.p95', 'regressed')));
    expect(needsConfirming(slow, [{ world: 'live' }])).toBe(true);
    expect(needsConfirming(slow, [{ world: 'sim' }])).toBe(false);
    expect(needsConfirming(result(aComparison(aFigure('ttft.p95', 'unchanged'))), [{ world: 'live' }])).toBe(
      false,
    );
  });

  test('fails where both runs show it, figure by figure', () => {
    const first = aComparison(aFigure('ttft.p95', 'regressed'), aFigure('makespan.p95', 'regressed'));
    const second = aComparison(aFigure('ttft.p95', 'unchanged'), aFigure('makespan.p95', 'regressed'));
    const both = confirmedBy(first, second);
    expect(both.figures.map(({ verdict }) => verdict)).toEqual(['inconclusive', 'regressed']);
    expect(gated(result(both), { baseline: null, strict: false }).exitCode).toBe(99);
  });

  test('that a second run does not show is not settled: it passes, unless strict', () => {
    const both = confirmedBy(
      aComparison(aFigure('ttft.p95', 'regressed')),
      aComparison(aFigure('ttft.p95', 'improved')),
    );
    expect(both.headline).toContain('a second run does not show it: ttft.p95');
    expect(gated(result(both), { baseline: null, strict: false }).exitCode).toBe(0);
    expect(gated(result(both), { baseline: null, strict: true }).exitCode).toBe(3);
  });
});
