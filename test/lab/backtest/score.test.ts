import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readExperiment, readMeasured } from '../../../lab/backtest/experiment.ts';
import { labelsOf, type Scorable, score } from '../../../lab/backtest/score.ts';
import { scoreText } from '../../../lab/backtest/table.ts';
import { extendText, textKey, uniform } from '../../../scenarios/base/key.ts';
import { ROOT } from '../../cli/run.ts';

const labels = (group: string) => ({ family: 'f', hardware: 'h', model: 'm', workload: 'w', group });
const measured = (runId: string, ttft: number, leftOut = false) => ({
  runId,
  metrics: { ttft_mean_ms: ttft },
  leftOut,
});

describe('score', () => {
  const experiments: Scorable[] = [
    { labels: labels('a'), measured: [measured('a/c1', 100), measured('a/c2', 100), measured('a/c4', 100)] },
    { labels: labels('b'), measured: [measured('b/all', 50), measured('b/s0', 50)] },
    { labels: labels('c'), measured: [measured('c/all', 1, true)] },
  ];
  const predictions = {
    'a/c1': { ttft_mean_ms: 110 },
    'a/c2': { ttft_mean_ms: 80 },
    'b/all': { ttft_mean_ms: 70 },
    'b/s0': { ttft_mean_ms: 50 },
    'c/all': { ttft_mean_ms: 1000 },
  };

  test('a group counts once, however many runs it has; left out are stages, odd runs and what is not predicted', () => {
    const result = score({ experiments, predictions, anchors: {}, stages: false });
    // Group a: 10 and 20 %; group b: 40 %.
    expect(result.families).toEqual([
      {
        family: 'f',
        metric: 'ttft_mean_ms',
        runs: 3,
        byGroupPercent: 27.5,
        byRunPercent: 70 / 3,
        medianPercent: 20,
        biasPercent: 10,
      },
    ]);
    expect([result.predicted, result.runs, result.overallPercent]).toEqual([3, 4, 27.5]);
    const staged = score({ experiments, predictions, anchors: {}, stages: true });
    expect(staged.families[0]!.byGroupPercent).toBe((15 + 20) / 2);
  });

  test('a published simulator is compared on the runs that both predicted, against what it was compared with', () => {
    const anchors = {
      'a/c1': { other: { ttft_mean_ms: 150, _actual_ttft_mean_ms: 200 } },
      'a/c2': { other: { ttft_mean_ms: 100 } },
      'a/c4': { other: { ttft_mean_ms: 900 } },
    };
    const [versus] = score({ experiments, predictions, anchors, stages: false }).versus;
    expect(versus).toMatchObject({
      simulator: 'other',
      runs: 3,
      paired: 2,
      theirsPercent: 12.5,
      oursPercent: 15,
    });
  });

  test('the text says how much could be scored first', () => {
    const text = scoreText(score({ experiments, predictions, anchors: {}, stages: false }));
    expect(text.split('\n')[0]).toBe('3 of 4 runs predicted; mean error of TTFT, TPOT and E2E 27.5 %');
    expect(scoreText(score({ experiments, predictions: {}, anchors: {}, stages: false }))).toMatch(/nothing/);
  });
});

const TRUTH = join(ROOT, '..', 'shared', 'data', 'ground-truth');

describe.skipIf(!existsSync(join(TRUTH, 'score.mjs')))('beside the scorer of the measured data', () => {
  test('predictions that are wrong by chance score the same in both', () => {
    const predictions: Record<string, Record<string, number>> = {};
    const experiments = readdirSync(join(TRUTH, 'experiments')).map((name): Scorable => {
      const json: unknown = JSON.parse(readFileSync(join(TRUTH, 'experiments', name), 'utf8'));
      const outcomes = readMeasured(json);
      for (const { runId, metrics } of outcomes) {
        const off = uniform(extendText(textKey('off'), runId));
        if (off < 0.2) continue;
        predictions[runId] = Object.fromEntries(
          Object.entries(metrics).map(([k, v]) => [k, v * (off + 0.5)]),
        );
      }
      return { labels: labelsOf(readExperiment(json)), measured: outcomes };
    });
    const folder = mkdtempSync(join(tmpdir(), 'windtunnel-score-'));
    writeFileSync(join(folder, 'predictions.json'), JSON.stringify(predictions));
    const anchors = JSON.parse(readFileSync(join(TRUTH, 'anchors.json'), 'utf8'));
    for (const stages of [false, true]) {
      const args = [join(TRUTH, 'score.mjs'), folder, '--json', ...(stages ? ['--stages'] : [])];
      const theirs = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1e8 }));
      const ours = score({ experiments, predictions, anchors, stages });
      expect(ours.overallPercent).toBeCloseTo(theirs.overall, 9);
      expect([ours.predicted, ours.runs]).toEqual([theirs.runsScored, theirs.runsUsable]);
      for (const cell of theirs.cells) {
        const own = ours.families.find(each => each.family === cell.family && each.metric === cell.metric);
        expect(own?.byGroupPercent).toBeCloseTo(cell.mape, 9);
        expect(own?.medianPercent).toBeCloseTo(cell.median, 9);
      }
      for (const each of theirs.vs.filter((row: { nPaired: number }) => row.nPaired > 0)) {
        const { simulator, family, metric } = each;
        const own = ours.versus.find(
          row => row.simulator === simulator && row.family === family && row.metric === metric,
        );
        expect(own).toMatchObject({ paired: each.nPaired, runs: each.nAll });
        expect(own?.theirsPercent).toBeCloseTo(each.theirsMean, 6);
        expect(own?.oursPercent).toBeCloseTo(each.oursMean, 6);
      }
    }
  });
});
