// Our command lines before vLLM's own parser of arguments (WINDTUNNEL_VLLM, as in REAL-ENGINES.md): every flag is one that
// it has, with a value that it takes, and means what the deployment says.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { operatorFiles } from '../../../engines/operators/index.ts';
import { commandsOf } from '../../../engines/operators/read-words.ts';
import { hasVllm } from '../../builders/vllm.ts';
import { fileOf } from './files.ts';

const PARSE = `
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser())
keys = json.loads(sys.argv[1])
print(json.dumps([{key: getattr(parser.parse_args(words), key) for key in keys} for words in json.load(sys.stdin)]))
`;

describe.skipIf(!hasVllm)('vLLM', () => {
  test('takes every flag that we write', { timeout: 180_000 }, () => {
    const every = fileOf({
      windtunnel: 1,
      deployment: 'every',
      pools: {
        one: {
          model: 'qwen3-30b-a3b',
          gpu: 'h100-80gb-sxm',
          tensor_parallel: 2,
          pipeline_parallel: 2,
          data_parallel: 2,
          expert_parallel: true,
          precision: { weights: 'fp8', kv: 'fp8' },
          limits: {
            max_model_len: 32_768,
            max_num_seqs: 64,
            max_num_batched_tokens: 4096,
            gpu_memory_utilization: 0.85,
            block_size: 32,
            kv_blocks: 5000,
            enable_prefix_caching: false,
            enable_chunked_prefill: true,
            long_prefill_token_threshold: 2048,
            async_scheduling: false,
            scheduling_policy: 'priority',
            performance_mode: 'throughput',
            max_queued_tokens: 100_000,
            cpu_offload_gb: 4,
          },
          speculative: { method: 'eagle', tokens: 3, accepted: 2 },
        },
        two: { model: 'llama-3.1-70b', gpu: 'b200-sxm', precision: { weights: 'nvfp4', kv: 'bf16' } },
        split: {
          model: 'llama-3.1-70b',
          gpu: 'h100-80gb-sxm',
          prefill: { tensor_parallel: 2 },
          decode: { tensor_parallel: 4 },
          link: { bandwidth: '50GB/s' },
        },
      },
    });
    const [file] = operatorFiles(every, ['vllm']);
    const lines = commandsOf(file?.text ?? '').map(({ words }) => words.slice(2));
    expect(lines).toHaveLength(4);
    const keys = [
      'model_tag',
      'tensor_parallel_size',
      'pipeline_parallel_size',
      'data_parallel_size',
      'enable_expert_parallel',
      'quantization',
      'kv_cache_dtype',
      'max_model_len',
      'max_num_seqs',
      'gpu_memory_utilization',
      'block_size',
      'num_gpu_blocks_override',
      'enable_prefix_caching',
      'async_scheduling',
      'scheduling_policy',
      'performance_mode',
      'max_num_queued_tokens',
      'cpu_offload_gb',
    ];
    const python = join(dirname(process.env.WINDTUNNEL_VLLM ?? ''), 'python');
    const ran = spawnSync(python, ['-c', PARSE, JSON.stringify(keys)], {
      input: JSON.stringify(lines),
      encoding: 'utf8',
      env: { ...process.env, VLLM_LOGGING_LEVEL: 'ERROR' },
    });
    expect(ran.status, ran.stderr.slice(-2000)).toBe(0);
    const parsed = JSON.parse(ran.stdout.trim().split('\n').at(-1) as string);
    expect(parsed[0]).toEqual({
      model_tag: 'Qwen/Qwen3-30B-A3B',
      tensor_parallel_size: 2,
      pipeline_parallel_size: 2,
      data_parallel_size: 2,
      enable_expert_parallel: true,
      quantization: 'fp8',
      kv_cache_dtype: 'fp8',
      max_model_len: 32_768,
      max_num_seqs: 64,
      gpu_memory_utilization: 0.85,
      block_size: 32,
      num_gpu_blocks_override: 5000,
      enable_prefix_caching: false,
      async_scheduling: false,
      scheduling_policy: 'priority',
      performance_mode: 'throughput',
      max_num_queued_tokens: 100_000,
      cpu_offload_gb: 4,
    });
    expect(parsed[1]).toMatchObject({ quantization: 'modelopt_fp4', kv_cache_dtype: 'bfloat16' });
  });
});
