// The measured runs themselves: what the workload and the engine must get right whatever the step model's last percent.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { clockOf, FRONT_END } from '../../../lab/backtest/defaults.ts';
import { type Metric, readExperiment, readMeasured } from '../../../lab/backtest/experiment.ts';
import { predict } from '../../../lab/backtest/predict.ts';
import { stepBy } from '../../../lab/backtest/step.ts';
import { ROOT } from '../../cli/run.ts';

const EXPERIMENTS = join(ROOT, '..', 'shared', 'data', 'ground-truth', 'experiments');

const jsonOf = (id: string): unknown => JSON.parse(readFileSync(join(EXPERIMENTS, `${id}.json`), 'utf8'));

/** Predicted over measured, of one metric of one run. */
function ratio(id: string, scope: string, metric: Metric): number {
  const experiment = readExperiment(jsonOf(id));
  const options = { stepOf: stepBy('auto'), frontEndOf: () => FRONT_END[clockOf(experiment.family)] };
  const run = `${id}/${scope}`;
  const measured = readMeasured(jsonOf(id)).find(each => each.runId === run)!;
  return predict(experiment, options)[run]![metric]! / measured.metrics[metric]!;
}

describe.skipIf(!existsSync(EXPERIMENTS))('measured runs', () => {
  test('234 requests that wait for 2,588 KV blocks wait as long as they did', () => {
    // A minute of queueing, 253 preemptions: a few percent of step time would be tens of percent here.
    expect(ratio('lss-rtx4090-llama-3-1-8b', 'all', 'ttft_mean_ms')).toBeCloseTo(1, 0.8);
    expect(ratio('lss-rtx4090-llama-3-1-8b', 'all', 'e2e_mean_ms')).toBeCloseTo(1, 0.8);
  });

  test('prompts of thousands of tokens that come one by one, all at once and at rates', () => {
    for (const scope of ['all', 'sync'])
      expect(ratio('blis-h100-jan20-codellama-train-1', scope, 'ttft_mean_ms')).toBeCloseTo(1, 0.6);
  });

  test('a cached prompt waits two to three steps, not for its prefill', () => {
    expect(ratio('blis-h100-codellama-34b-tp2-general-perreq', 's0', 'ttft_p50_ms')).toBeCloseTo(1, 0.6);
  });

  test('the KV blocks that are left decide at which concurrency a loop begins to queue', () => {
    // 24 requests fit: 0.7 s at 4 in flight, a minute at 64.
    expect(ratio('inferencex-h100-llama-3-1-70b-fp8-tp2-8192x1024', 'c4', 'ttft_mean_ms')).toBeCloseTo(
      1,
      0.6,
    );
    expect(ratio('inferencex-h100-llama-3-1-70b-fp8-tp2-8192x1024', 'c64', 'ttft_mean_ms')).toBeCloseTo(
      1,
      0.6,
    );
  });

  test('text that came back shorter was generated in full', () => {
    // A quarter of these requests record fewer than 200 of their 248 tokens, and took as long as the others.
    const json = jsonOf('blis-h100-llama-2-7b-tp1-general-perreq') as { requests: Record<string, number[]> };
    const { output_tokens: counted, e2e_ms: e2e, stage } = json.requests;
    const mean = (keep: (tokens: number) => boolean): number => {
      const rows = counted!.flatMap((tokens, row) => (stage![row] === 0 && keep(tokens) ? [e2e![row]!] : []));
      return rows.reduce((sum, each) => sum + each, 0) / rows.length;
    };
    expect(mean(tokens => tokens < 100) / mean(tokens => tokens > 200)).toBeCloseTo(1, 2);
  });
});
