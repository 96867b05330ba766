import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { gpusOf } from '../../../engines/metrics/dcgm.ts';
import { ENGINE_METRICS } from '../../../engines/metrics/index.ts';
import { readGauges, readServer } from '../../../engines/metrics/read.ts';
import { histogramText, vllmText } from '../../builders/metrics.ts';

const fixture = (name: string): string =>
  readFileSync(join(import.meta.dirname, '..', '..', 'fixtures', 'metrics', name), 'utf8');

describe('a real vLLM 0.32', () => {
  const reading = readServer(fixture('vllm-0.32.txt'), 'tiny')!;

  test('shows everything that a report has a place for', () => {
    expect(reading.engine.engine).toBe('vllm');
    expect(Object.values(reading.gauges)).not.toContain(null);
    expect(Object.values(reading.counters)).not.toContain(null);
    expect(Object.keys(reading.latencies).sort()).toEqual([
      'decode',
      'e2e',
      'itl',
      'prefill',
      'queue',
      'ttft',
    ]);
    expect(reading.gauges).toMatchObject({ kvBlocks: 2048, blockTokens: 128 });
  });

  test('its histograms agree with its counters, in ms', () => {
    const { ttft, e2e, itl, decode } = reading.latencies;
    expect(e2e!.count).toBe(reading.counters.requestsFinished);
    expect(decode!.count).toBe(e2e!.count);
    // Requests that were aborted had a first token, and no end.
    expect(ttft!.count).toBeGreaterThan(e2e!.count);
    expect(itl!.count).toBe(reading.counters.outputTokens! - ttft!.count);
    expect(ttft!.buckets[0]![0]).toBe(1);
    expect(ttft!.buckets.at(-1)).toEqual([null, ttft!.count]);
  });
});

test('a vLLM of version 0 is read by its older names', () => {
  const text = [
    'vllm:num_requests_running{model_name="m"} 3',
    'vllm:gpu_cache_usage_perc{model_name="m"} 0.5',
    'vllm:prompt_tokens{model_name="m"} 900',
    'vllm:gpu_prefix_cache_hits{model_name="m"} 8',
    histogramText('vllm:time_per_output_token_seconds', 'model_name="m"', {
      bounds: [0.01, 0.025],
      below: [4, 9, 10],
      sumSeconds: 0.14,
    }),
  ].join('\n');
  const { gauges, counters, latencies } = readServer(text)!;
  expect(gauges).toMatchObject({ runningRequests: 3, waitingRequests: null, kvUsedRatio: 0.5 });
  expect(counters).toMatchObject({ promptTokens: 900, prefixHitTokens: 8, outputTokens: null });
  expect(latencies).toEqual({
    itl: {
      count: 10,
      sum: 140,
      buckets: [
        [10, 4],
        [25, 9],
        [null, 10],
      ],
    },
  });
});

test('SGLang counts hits of every cache, and is known before its first request', () => {
  const text = [
    'sglang:num_running_reqs{dp_rank="0"} 1',
    'sglang:num_running_reqs{dp_rank="1"} 2',
    'sglang:token_usage{dp_rank="0"} 0.2',
    'sglang:token_usage{dp_rank="1"} 0.6',
    'sglang:page_size{dp_rank="0"} 64',
    'sglang:page_size{dp_rank="1"} 64',
    'sglang:num_pages{dp_rank="0"} 500',
    'sglang:num_pages{dp_rank="1"} 500',
    'sglang:prompt_tokens_total{is_streaming="true"} 100',
    'sglang:prompt_tokens_total{is_streaming="false"} 20',
    'sglang:cached_tokens_total{cache_source="device"} 30',
    'sglang:cached_tokens_total{cache_source="host"} 5',
    'sglang:num_retracted_requests_total 2',
    histogramText('sglang:queue_time_seconds', '', { bounds: [0, 0.001], below: [1, 2, 3], sumSeconds: 4 }),
  ].join('\n');
  const { engine, gauges, counters, latencies } = readServer(text)!;
  expect(engine.engine).toBe('sglang');
  expect(gauges).toEqual({
    runningRequests: 3,
    waitingRequests: null,
    kvUsedRatio: 0.4,
    kvBlocks: 1000,
    blockTokens: 64,
  });
  expect(counters).toMatchObject({ prefixQueriedTokens: 120, prefixHitTokens: 35, preemptions: 2 });
  expect(latencies.queue).toEqual({
    count: 3,
    sum: 4000,
    buckets: [
      [0, 1],
      [1, 2],
      [null, 3],
    ],
  });
  expect(readServer('# TYPE sglang:num_running_reqs gauge\n')?.gauges.runningRequests).toBeNull();
});

test('TensorRT-LLM, its Triton backend, llama.cpp and NIM are each known by their names', () => {
  const trtllm = readServer(
    'trtllm_num_requests_running{engine_type="trtllm"} 4\ntrtllm_kv_cache_tokens_per_block{} 32\ntrtllm_prompt_cached_tokens_total 7\n',
  )!;
  expect(trtllm.engine.engine).toBe('tensorrt-llm');
  expect(trtllm.gauges).toMatchObject({ runningRequests: 4, blockTokens: 32 });
  expect(trtllm.counters.prefixHitTokens).toBe(7);

  const triton = readServer(
    ['active', 'max', 'scheduled', 'waiting']
      .map((kind, i) => `nv_trt_llm_request_metrics{model="t",request_type="${kind}",version="1"} ${i + 1}`)
      .join('\n'),
  )!;
  expect(triton.engine.engine).toBe('triton');
  expect(triton.gauges).toMatchObject({ runningRequests: 3, waitingRequests: 4 });

  const llama =
    'llamacpp:prompt_tokens_total 60\nllamacpp:tokens_predicted_total 9\nllamacpp:requests_processing 1\n';
  expect(readServer(llama)!.counters).toMatchObject({
    promptTokens: 60,
    prefixQueriedTokens: null,
    outputTokens: 9,
  });
  expect(readServer(`${llama}llamacpp:prompt_tokens_cached_total 40\n`)!.counters).toMatchObject({
    promptTokens: 100,
    prefixQueriedTokens: 100,
    prefixHitTokens: 40,
  });

  const nim = readServer(
    'num_requests_running{model_name="m"} 2\nnum_request_max{model_name="m"} 64\nprompt_tokens_total 5\n',
  )!;
  expect(nim.engine.engine).toBe('nim');
  expect(nim.gauges.runningRequests).toBe(2);
});

test('a text without an engine of ours is no server', () => {
  for (const text of [
    '',
    'up 1\n',
    'num_requests_running 3\n',
    '[{"iter":1}]',
    fixture('../../fixtures/metrics/vllm-0.32.txt').replaceAll('vllm:', 'other:'),
  ])
    expect(readServer(text)).toBeNull();
});

test('of several models behind one address the asked one is read, and all where none has its name', () => {
  const text = 'vllm:num_requests_running{model_name="a"} 2\nvllm:num_requests_running{model_name="b"} 5\n';
  expect(readServer(text, 'a')!.gauges.runningRequests).toBe(2);
  expect(readServer(text, 'adapter')!.gauges.runningRequests).toBe(7);
  expect(readServer(text)!.gauges.runningRequests).toBe(7);
});

test('gauges alone are those of the whole', () => {
  const text = vllmText(3, { running: 2, waiting: 1 });
  const { engine, gauges } = readServer(text)!;
  expect(readGauges(text, engine).gauges).toEqual(gauges);
});

test('broken histograms are left out, not guessed', () => {
  const broken = (lines: string[]) =>
    readServer(['vllm:num_requests_running 0', ...lines].join('\n'))!.latencies;
  const name = 'vllm:time_to_first_token_seconds';
  expect(broken([`${name}_bucket{le="0.1"} 3`])).toEqual({});
  expect(broken([`${name}_bucket{le="x"} 3`, `${name}_bucket{le="+Inf"} NaN`])).toEqual({});
  expect(broken([`${name}_count 3`])).toEqual({});
  // Series with other bounds: what both have is exact.
  expect(
    broken([
      ...[0.1, 0.2].map(le => `${name}_bucket{engine="0",le="${le}"} 1`),
      `${name}_bucket{engine="0",le="+Inf"} 2`,
      `${name}_bucket{engine="1",le="0.2"} 5`,
      `${name}_bucket{engine="1",le="+Inf"} 6`,
      `${name}_sum 1.5`,
    ]).ttft,
  ).toEqual({
    count: 8,
    sum: 1500,
    buckets: [
      [200, 6],
      [null, 8],
    ],
  });
});

test('no metric name stands in two engines, nor twice in one meaning', () => {
  for (const { engine, gauges, counters, latencies } of ENGINE_METRICS)
    for (const [meaning, names] of Object.entries({ ...gauges, ...counters, ...latencies }))
      expect(new Set(names.map(name => JSON.stringify(name))).size, `${engine} ${meaning}`).toBe(
        names.length,
      );
});

test('a DCGM exporter shows GPUs, in bytes and shares; what it leaves blank is null', () => {
  const text = `
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-aaa",device="nvidia0",modelName="NVIDIA H100",Hostname="node-1"} 85
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-bbb",device="nvidia1",modelName="NVIDIA H100",Hostname="node-1"} 91
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-aaa",device="nvidia0",Hostname="node-1"} 40000
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-aaa",Hostname="node-1"} 305.5
DCGM_FI_DEV_SM_CLOCK{gpu="0",UUID="GPU-aaa",Hostname="node-1"} 9223372036854775794
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="2",GPU_I_ID="3",Hostname="node-1"} 0.5
`;
  const none = { memoryUsedBytes: null, powerW: null, smClockMhz: null, temperatureC: null };
  expect(gpusOf(text, 17)).toEqual([
    {
      ...none,
      atMs: 17,
      gpu: 'node-1/0',
      utilization: 0.85,
      memoryUsedBytes: 40_000 * 2 ** 20,
      powerW: 305.5,
    },
    { ...none, atMs: 17, gpu: 'node-1/1', utilization: 0.91 },
    { ...none, atMs: 17, gpu: 'node-1/2:3', utilization: 0.5 },
  ]);
  expect(gpusOf('<html>', 0)).toEqual([]);
});
