// A real vLLM on the CPU, with a tiny model of random weights: REAL-ENGINES.md. WINDTUNNEL_VLLM names its executable.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const EXECUTABLE = process.env.WINDTUNNEL_VLLM ?? '';

/** In CI a missing part is a failure: nothing is skipped there. */
export const hasVllm = existsSync(EXECUTABLE) || process.env.CI === 'true';

/** A Llama of 8 layers, 256 wide: a decode step takes some 10 ms on one core. */
const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 256,
  intermediate_size: 704,
  num_hidden_layers: 8,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 4096,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  hidden_act: 'silu',
  torch_dtype: 'bfloat16',
  bos_token_id: 0,
  eos_token_id: 1,
  tie_word_embeddings: false,
};
const TOKENIZER = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  bos_token: '<s>',
  eos_token: '</s>',
  model_max_length: 8192,
  chat_template: "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:",
};
/** A byte-level BPE, trained on words that mean nothing. */
const TRAIN = `
import random, sys
from tokenizers import Tokenizer, models, trainers, pre_tokenizers, decoders
random.seed(1)
t = Tokenizer(models.BPE())
t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
t.decoder = decoders.ByteLevel()
words = [''.join(random.choice('abcdefghijklmnopqrstuvwxyz') for _ in range(random.randint(2, 9))) for _ in range(20000)]
t.train_from_iterator([' '.join(words)], trainers.BpeTrainer(vocab_size=4096, special_tokens=['<s>', '</s>'], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
t.save(sys.argv[1])
`;

/**
 * Its processes wait for one another in a loop of sched_yield. With two of them on two cores, Linux 6.18 left every other
 * process without CPU for up to 40 s, so they sleep for 50 µs instead.
 */
const WAIT = `
import os, time
os.sched_yield = lambda: time.sleep(0.00005)
`;

export interface Vllm {
  /** Up to /v1; the model is called tiny. */
  readonly url: string;
  close(): Promise<void>;
}

/** The model and its tokenizer, in a folder that is there. */
export function modelFolder(folder = mkdtempSync(join(tmpdir(), 'windtunnel-vllm-'))): string {
  writeFileSync(join(folder, 'config.json'), JSON.stringify(CONFIG));
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(TOKENIZER));
  const python = join(dirname(EXECUTABLE), 'python');
  const trained = spawnSync(python, ['-c', TRAIN, join(folder, 'tokenizer.json')], { encoding: 'utf8' });
  if (trained.status !== 0) throw new Error(`no tokenizer: ${trained.stderr}`);
  return folder;
}

/**
 * Its engine computes on one core. Ready after a minute or two, on a busy machine many: the files of one live run share
 * those that are there (live-servers.ts ends them).
 */
export async function startVllm({ core = 0 }: { core?: number } = {}): Promise<Vllm> {
  const shared = process.env.WINDTUNNEL_LIVE_SERVERS;
  if (shared === undefined) return spawnVllm(core, modelFolder());
  const place = join(shared, `vllm-${core}`);
  const told = join(place, 'url.txt');
  const close = async (): Promise<void> => {};
  if (existsSync(told)) return { url: readFileSync(told, 'utf8'), close };
  mkdirSync(place, { recursive: true });
  const { url } = await spawnVllm(core, modelFolder(place));
  writeFileSync(told, url);
  return { url, close };
}

async function spawnVllm(core: number, folder: string): Promise<Vllm> {
  const port = await freePort();
  const args = `serve ${folder} --served-model-name tiny --load-format dummy --dtype bfloat16 --host 127.0.0.1 --port ${port} --max-model-len 4096 --max-num-seqs 32 --max-num-batched-tokens 1024 --enforce-eager --enable-prefix-caching`;
  const log = join(folder, 'log.txt');
  writeFileSync(join(folder, 'sitecustomize.py'), WAIT);
  const child = spawn(EXECUTABLE, args.split(' '), {
    // A group of its own: it outlives the test that started it, and is ended whole.
    detached: true,
    stdio: ['ignore', 'ignore', openSync(log, 'a')],
    env: {
      ...process.env,
      PYTHONPATH: folder,
      VLLM_CPU_KVCACHE_SPACE: '1',
      VLLM_CPU_OMP_THREADS_BIND: String(core),
      HF_HUB_OFFLINE: '1',
      VLLM_NO_USAGE_STATS: '1',
      DO_NOT_TRACK: '1',
    },
  });
  writeFileSync(join(folder, 'pid.txt'), String(child.pid));
  child.unref();
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()));
  const close = async (): Promise<void> => {
    child.ref();
    endGroup(child.pid!);
    await ended;
    rmSync(folder, { recursive: true });
  };
  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    const answer = await fetch(`${url}/health`).catch(() => null);
    if (answer?.ok === true) return { url: `${url}/v1`, close };
    if (child.exitCode !== null)
      throw new Error(`vLLM ended with ${child.exitCode}:\n${readFileSync(log, 'utf8').slice(-2000)}`);
    await new Promise(resolve => setTimeout(resolve, 500));
  }
}

/** Ends a process and those that it started; one that is gone is no failure. */
export function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGTERM');
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ESRCH') throw error;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}
