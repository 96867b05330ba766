// Workloads and the client that plays them, on steps of 10 ms whatever they hold.
import { describe, expect, test } from 'vitest';
import { affine } from '../../../engines/affine.ts';
import { drive, type FrontEnd, type Timings } from '../../../lab/backtest/drive.ts';
import { readExperiment } from '../../../lab/backtest/experiment.ts';
import { metricsOf, percentile, predict } from '../../../lab/backtest/predict.ts';
import { POOL, poolOf, replicaOf } from '../../../lab/backtest/setup.ts';
import { type Phase, scenesOf } from '../../../lab/backtest/workload.ts';
import { textKey } from '../../../scenarios/base/key.ts';
import { runTokens } from '../../../scenarios/formats/prompt.ts';
import { createCluster } from '../../../sim/reference/cluster.ts';
import { experimentJson, stagedJson } from '../../builders/experiments.ts';
import { deployment } from '../../sim/reference/build.ts';

const step = affine({ model: 'affine', base: 10 });
const NO_FRONT_END: FrontEnd = { beforeMs: 0, beforeMsPerToken: 0, afterMs: 0 };

const request = (name: string, arrivalMs: number, promptTokens: number, outputTokens: number) => ({
  arrivalMs,
  promptTokens,
  outputTokens,
  prompt: [{ key: textKey(name), from: 0, tokens: promptTokens }],
  warmTokens: 0,
  stage: 0,
});

function played(phases: readonly Phase[], frontEnd = NO_FRONT_END, version = '0.15.1'): Timings {
  const experiment = readExperiment(experimentJson('x', { engine: { name: 'vLLM', version } }));
  const pool = poolOf(experiment, experiment.runs[0]!, replicaOf(experiment), step);
  const routing = { policy: 'least-outstanding', options: {} };
  const cluster = createCluster({ ...deployment([pool]), routing });
  return drive(cluster, POOL, phases, frontEnd);
}

const ttft = ({ sentMs, firstTokenMs }: Timings, row: number): number => firstTokenMs[row]! - sentMs[row]!;
const e2e = ({ sentMs, endMs }: Timings, row: number): number => endMs[row]! - sentMs[row]!;

describe('one client', () => {
  test('a request alone takes a step a token, and the front end once', () => {
    const timings = played([{ requests: [request('a', 5, 30, 4)], concurrency: null, pauseMs: 0 }], {
      beforeMs: 2.4,
      beforeMsPerToken: 0.02,
      afterMs: 2,
    });
    expect(timings.sentMs[0]).toBe(5);
    expect(ttft(timings, 0)).toBeCloseTo(3 + 10 + 2, 6);
    expect(e2e(timings, 0)).toBeCloseTo(3 + 40 + 2, 6);
  });

  test('a step ahead costs whoever comes to a busy engine one step more', () => {
    // The first request's steps end at 10, 20, …; the second comes 4 ms before the end of one.
    const requests = [request('a', 0, 30, 50), request('b', 26, 30, 2)];
    const phase = { requests, concurrency: null, pauseMs: 0 };
    expect(ttft(played([phase]), 1)).toBeCloseTo(4 + 10 + 10, 6);
    expect(ttft(played([phase], NO_FRONT_END, '0.11.0'), 1)).toBeCloseTo(4 + 10, 6);
  });

  test('a closed loop has as many in flight as it says, and never more', () => {
    const requests = Array.from({ length: 40 }, (_, i) => request(`r${i}`, 0, 20 + i, 3 + (i % 7)));
    const { sentMs, endMs } = played([{ requests, concurrency: 4, pauseMs: 0 }], {
      ...NO_FRONT_END,
      beforeMs: 1,
      afterMs: 1,
    });
    const inFlight = [...sentMs.keys()].map(
      row => [...sentMs.keys()].filter(at => sentMs[at]! <= sentMs[row]! && endMs[at]! > sentMs[row]!).length,
    );
    expect(Math.max(...inFlight)).toBe(4);
    expect(inFlight.slice(4).every(count => count === 4)).toBe(true);
  });

  test('a phase begins when the one before has drained and the pause is over', () => {
    const timings = played([
      { requests: [request('a', 0, 30, 10)], concurrency: null, pauseMs: 0 },
      { requests: [request('b', 7, 30, 1)], concurrency: null, pauseMs: 50 },
    ]);
    expect(timings.endMs[0]).toBeCloseTo(100, 6);
    expect(timings.sentMs[1]).toBeCloseTo(100 + 50 + 7, 6);
  });

  test('a request that the engine refuses is told with its message', () => {
    const requests = [request('a', 0, 4096 * 16 + 1, 1)];
    expect(() => played([{ requests, concurrency: 1, pauseMs: 0 }])).toThrow(/request 0: .*KV blocks/);
  });
});

describe('metrics', () => {
  test('percentiles lie on the line between their neighbours', () => {
    expect([0, 0.5, 0.9, 1].map(share => percentile([10, 20, 40], share))).toEqual([10, 20, 36, 40]);
  });

  test('TPOT and throughput count the tokens that the client counted', () => {
    const requests = [request('a', 0, 30, 11), request('b', 1000, 30, 11)];
    const timings = played([{ requests, concurrency: null, pauseMs: 0 }]);
    const run = { id: 'x/all', concurrency: null, requests: null, inputs: null };
    // Each takes 110 ms, the first token 10 of them; from first sent to last end 1,110 ms.
    const counted = { ...run, inputs: { input_tokens_mean: null, output_tokens_mean: 6 } };
    expect(metricsOf(timings, run, () => true).tpot_mean_ms).toBeCloseTo(100 / 10, 6);
    expect(metricsOf(timings, counted, () => true).tpot_mean_ms).toBeCloseTo(100 / 5, 6);
    expect(metricsOf(timings, counted, () => true).throughput_out_tok_s).toBeCloseTo(12 / 1.11, 6);
  });
});

describe('workloads', () => {
  test('a closed loop draws lengths from 80 % of the nominal one on, exact ones where no ratio is stated', () => {
    const lengths = (upstream: string) => {
      const experiment = readExperiment(experimentJson('x', { source: { upstream } }));
      return scenesOf(experiment)[0]!.phases[0]!.requests.map(each => [each.promptTokens, each.outputTokens]);
    };
    const drawn = lengths('SemiAnalysis InferenceX database dump');
    expect(drawn).toHaveLength(40);
    for (const [input, output] of drawn) {
      expect(input).toBeGreaterThanOrEqual(80);
      expect(input).toBeLessThanOrEqual(100);
      expect(output).toBeGreaterThanOrEqual(40);
      expect(output).toBeLessThanOrEqual(50);
    }
    expect(new Set(drawn.map(String)).size).toBeGreaterThan(30);
    expect(new Set(lengths('NVIDIA gap-analysis runs').map(String))).toEqual(new Set(['100,50']));
  });

  test("a closed loop's prompts share nothing, but for aiperf's hundred", () => {
    const distinct = (upstream: string, isl: number) => {
      const workload = { type: 'closed', isl, osl: 10 };
      const runs = [{ id: 'x/c64', concurrency: 64 }];
      const experiment = readExperiment(experimentJson('x', { source: { upstream }, workload, runs }));
      const { requests } = scenesOf(experiment)[0]!.phases[0]!;
      return new Set(requests.map(({ prompt }) => JSON.stringify(prompt))).size;
    };
    expect(distinct('SemiAnalysis InferenceX database dump', 1000)).toBe(640);
    expect(distinct('NVIDIA gap-analysis runs', 1024)).toBe(640);
    expect(distinct('NVIDIA gap-analysis runs', 1000)).toBeLessThanOrEqual(100);
  });

  test('stages have exactly their requests, and the pool of prompts goes round', () => {
    const [scene] = scenesOf(readExperiment(stagedJson('x')));
    const [first, second] = scene!.phases;
    expect([first!.requests.length, second!.requests.length]).toEqual([120, 300]);
    expect(second!.requests.every(({ arrivalMs }) => arrivalMs >= 0 && arrivalMs < 60_000)).toBe(true);
    const prompts = scene!.phases.flatMap(phase => phase.requests.map(each => each.prompt));
    expect(prompts[3]).toEqual(prompts[133]);
    expect(prompts[3]).not.toEqual(prompts[4]);
    // 500 tokens asked for become some 523.
    const tokens = prompts.slice(0, 10).map(runTokens);
    expect(Math.min(...tokens)).toBeGreaterThan(495);
    expect(Math.max(...tokens)).toBeLessThan(550);
    expect(scene!.phases.flatMap(phase => phase.requests).every(each => each.outputTokens === 20)).toBe(true);
  });

  test('after one round of the pool a prompt costs its last block alone', () => {
    const json = stagedJson('x');
    const perToken = affine({ model: 'affine', base: 1, per_token: 0.1 });
    const metrics = predict(readExperiment(json), { stepOf: () => perToken, frontEndOf: () => NO_FRONT_END });
    // 520 tokens would be 53 ms; at most 16 of them, two steps' wait and the others' decodes are below 10.
    expect(metrics['x/s1']!.ttft_p99_ms).toBeLessThan(10);
    expect(metrics['x/s0']!.ttft_p99_ms).toBeGreaterThan(30);
  });

  test('recorded requests come when they came, but generate what the generator asked for', () => {
    const requests = {
      arrival_ms: [0, 250],
      input_tokens: [64, 64],
      output_tokens: [3, 9],
      prompt_id: [0, 0],
      stage: [0, 1],
    };
    const workload = { type: 'general', outputTokens: { max: 12 } };
    const runs = [{ id: 'x/all' }, { id: 'x/s1' }];
    const [scene] = scenesOf(readExperiment(experimentJson('x', { requests, workload, runs })));
    expect(scene!.phases[0]!.requests.map(each => each.outputTokens)).toEqual([12, 12]);
    expect(scene!.phases[0]!.requests.map(each => each.arrivalMs)).toEqual([0, 250]);
    expect(scene!.runs.map(({ includes }) => scene!.phases[0]!.requests.filter(includes).length)).toEqual([
      2, 1,
    ]);
    const free = readExperiment(experimentJson('x', { requests, workload: { type: 'chat' }, runs }));
    expect(scenesOf(free)[0]!.phases[0]!.requests.map(each => each.outputTokens)).toEqual([3, 9]);
  });

  test('a synchronous strategy is one at a time, however fast the engine; its last row may be of the burst', () => {
    const requests = {
      arrival_ms: [0, 1000, 1990, 2000, 2001],
      input_tokens: 64,
      output_tokens: 200,
      strategy: [0, 0, 0, 1, 1],
    };
    const runs = [{ id: 'x/all' }, { id: 'x/sync' }];
    const json = experimentJson('x', { requests, workload: { type: 'sweep' }, runs });
    const phases = scenesOf(readExperiment(json))[0]!.phases;
    expect(phases.map(phase => [phase.requests.length, phase.concurrency])).toEqual([
      [2, 1],
      [3, null],
    ]);
    // 2 s each, though the second was recorded 1 s after the first.
    const { sentMs } = played(phases);
    expect(sentMs[1]).toBeCloseTo(2000, 6);
  });

  test('the same experiment is predicted the same, and what was measured does not matter', () => {
    const json = stagedJson('x');
    const options = { stepOf: () => step, frontEndOf: () => NO_FRONT_END };
    const once = predict(readExperiment(json), options);
    const measured = { ttft_mean_ms: 1, e2e_mean_ms: 2, tpot_mean_ms: 3 };
    const other = { ...json, quality: 'overload', runs: json.runs.map(run => ({ ...run, measured })) };
    expect(predict(readExperiment(other), options)).toEqual(once);
  });
});
