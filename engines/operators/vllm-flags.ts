// Flags of `vllm serve` and the fields of a pool that they set: one table for both ways, so that what is written is
// read back [vLLM 0.32 `vllm serve --help=all`; reference/policies.md §1.1].
import type { MachineFile } from '../../scenarios/formats/deployment/pool.ts';
import { isMapping, valueAt, type Whys, whyOf } from './ledger.ts';
import type { Unmapped } from './operator-file.ts';

/** Of the server whose flags these are. */
export const VLLM_VERSION = '0.32.0';

/** Fields of a pool by key, as a deployment file writes them. */
export type Fields = Record<string, unknown>;
export type FieldPath = readonly [string] | readonly [string, string];

interface Kind {
  /** The words behind the flag; null: this value has no flag. */
  write(value: unknown): string | null;
  /** The value, or why there is none. */
  read(text: string): { value: unknown } | { why: string };
}

/** `32k` is 32,000 and `32K` 32,768, as vLLM reads them. */
const SUFFIX: Readonly<Record<string, number>> = {
  k: 1e3,
  m: 1e6,
  g: 1e9,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
};

const count: Kind = {
  write: value => (value === null ? null : String(value)),
  read(text) {
    const [, number, suffix] = /^(\d+(?:\.\d+)?)([kmgKMG]?)$/.exec(text) ?? [];
    const value = Math.floor(Number(number) * (SUFFIX[suffix ?? ''] ?? 1));
    return number === undefined ? { why: 'its value is not a number: the default stays' } : { value };
  },
};
const decimal: Kind = {
  write: String,
  read: text =>
    text.trim() !== '' && Number.isFinite(Number(text))
      ? { value: Number(text) }
      : { why: 'its value is not a number: the default stays' },
};
const switched: Kind = { write: String, read: text => ({ value: text !== 'false' }) };

/** `toFlag`: what is written for a value; `toField`: what each word of the flag means, beside those. */
const choice = (
  toFlag: Readonly<Record<string, string | null>>,
  toField: Readonly<Record<string, string>>,
  why: string,
): Kind => ({
  write: value => toFlag[String(value)] ?? null,
  read(text) {
    const value = Object.hasOwn(toField, text)
      ? toField[text]
      : Object.entries(toFlag).find(([, word]) => word === text)?.[0];
    return value === undefined ? { why } : { value };
  },
});

interface FlagRow {
  readonly flag: string;
  readonly also?: readonly string[];
  readonly at: FieldPath;
  readonly kind: Kind;
}

const weights = choice(
  { bf16: null, fp8: 'fp8', nvfp4: 'modelopt_fp4' },
  {
    fp8_per_tensor: 'fp8',
    fp8_per_block: 'fp8',
    fp8_per_channel: 'fp8',
    fbgemm_fp8: 'fp8',
    modelopt: 'fp8',
    deepseek_v4_fp8: 'fp8',
    nvfp4_per_token: 'nvfp4',
  },
  'weights are bf16, fp8 or nvfp4 in a deployment file',
);
const kvType = choice(
  { bf16: 'bfloat16', fp8: 'fp8' },
  { auto: 'bf16', float16: 'bf16', fp8_e4m3: 'fp8', fp8_e5m2: 'fp8', fp8_inc: 'fp8', fp8_ds_mla: 'fp8' },
  'the KV cache is bf16 or fp8 in a deployment file',
);
const scheduling = choice(
  { fcfs: 'fcfs', priority: 'priority' },
  {},
  'no scheduling policy of a deployment file',
);
const mode = choice(
  { balanced: 'balanced', throughput: 'throughput' },
  {},
  'a deployment file has balanced and throughput',
);

const FLAGS: readonly FlagRow[] = [
  { flag: 'tensor-parallel-size', also: ['tp'], at: ['tensor_parallel'], kind: count },
  { flag: 'pipeline-parallel-size', also: ['pp'], at: ['pipeline_parallel'], kind: count },
  { flag: 'data-parallel-size', also: ['dp'], at: ['data_parallel'], kind: count },
  { flag: 'enable-expert-parallel', also: ['ep'], at: ['expert_parallel'], kind: switched },
  { flag: 'quantization', also: ['q'], at: ['precision', 'weights'], kind: weights },
  { flag: 'kv-cache-dtype', at: ['precision', 'kv'], kind: kvType },
  { flag: 'max-model-len', at: ['limits', 'max_model_len'], kind: count },
  { flag: 'max-num-seqs', at: ['limits', 'max_num_seqs'], kind: count },
  { flag: 'max-num-batched-tokens', at: ['limits', 'max_num_batched_tokens'], kind: count },
  {
    flag: 'gpu-memory-utilization',
    also: ['device-memory-utilization'],
    at: ['limits', 'gpu_memory_utilization'],
    kind: decimal,
  },
  { flag: 'block-size', at: ['limits', 'block_size'], kind: count },
  { flag: 'num-gpu-blocks-override', at: ['limits', 'kv_blocks'], kind: count },
  { flag: 'enable-prefix-caching', at: ['limits', 'enable_prefix_caching'], kind: switched },
  { flag: 'enable-chunked-prefill', at: ['limits', 'enable_chunked_prefill'], kind: switched },
  { flag: 'long-prefill-token-threshold', at: ['limits', 'long_prefill_token_threshold'], kind: count },
  { flag: 'async-scheduling', at: ['limits', 'async_scheduling'], kind: switched },
  { flag: 'scheduling-policy', at: ['limits', 'scheduling_policy'], kind: scheduling },
  { flag: 'performance-mode', at: ['limits', 'performance_mode'], kind: mode },
  { flag: 'max-num-queued-tokens', at: ['limits', 'max_queued_tokens'], kind: count },
  { flag: 'cpu-offload-gb', at: ['limits', 'cpu_offload_gb'], kind: decimal },
];

/** By every name that a flag goes by. */
const BY_NAME = new Map(FLAGS.flatMap(row => [row.flag, ...(row.also ?? [])].map(name => [name, row])));

/** Drafting methods: ours, vLLM's, and its others that mean the same. */
const METHODS = { mtp: 'mtp', eagle: 'eagle3', draft: 'draft_model', ngram: 'ngram' } as const;
const methodOf = (word: string): keyof typeof METHODS | null => {
  if (/(^|_)mtp$/.test(word)) return 'mtp';
  if (/^eagle3?$/.test(word)) return 'eagle';
  return word === 'draft_model' ? 'draft' : word === 'ngram' ? 'ngram' : null;
};

// ---- outwards ---------------------------------------------------------------------------------------------------

export interface WriteOptions {
  /** Hugging Face name of a catalogue id. */
  nameOf: (id: string) => string;
  /** Fields that the target says elsewhere. */
  without?: readonly string[];
}

/** A flag with its value, one list a flag; `take` is told which fields are in it. */
export function vllmFlags(
  machine: MachineFile,
  { nameOf, without = [] }: WriteOptions,
  take: (path: FieldPath) => void,
): string[][] {
  const flags: string[][] = [];
  for (const { flag, at, kind } of FLAGS) {
    const value = valueAt(machine, at);
    if (value === undefined || without.includes(at[0])) continue;
    const word = kind.write(value);
    // bf16 weights and no limit are what the server does without a flag.
    const isSilent = word === null && (value === 'bf16' || value === null);
    if (word !== null || isSilent) take(at);
    if (word === null) continue;
    if (kind === switched) flags.push([value === true ? `--${flag}` : `--no-${flag}`]);
    else flags.push([`--${flag}`, word]);
  }
  const { speculative } = machine;
  if (speculative !== undefined) {
    const { method, tokens, model } = speculative;
    const config = {
      method: METHODS[method],
      num_speculative_tokens: tokens,
      ...(model === undefined ? {} : { model: nameOf(model) }),
    };
    for (const key of ['method', 'tokens', 'model']) take(['speculative', key]);
    flags.push(['--speculative-config', JSON.stringify(config)]);
  }
  return flags;
}

/** KV goes from prefill to decode over NIXL. */
export const kvTransfer = (half: 'prefill' | 'decode'): string[] => [
  '--kv-transfer-config',
  JSON.stringify({
    kv_connector: 'NixlConnector',
    kv_role: half === 'prefill' ? 'kv_producer' : 'kv_consumer',
  }),
];

// ---- inwards ----------------------------------------------------------------------------------------------------

/** What the arguments of one server say. */
export interface ReadArgs {
  /** Every model that is named: one, where all is well. */
  readonly models: readonly string[];
  readonly fields: Fields;
  readonly half: 'prefill' | 'decode' | null;
  /** Hugging Face name of the draft model; `fields.speculative` waits for its id. */
  readonly draft: string | null;
  readonly unmapped: readonly Unmapped[];
}

/** Flags without a value, beside those of the table: what follows them is a word of its own. */
const SWITCHES =
  /^(no-.*|enable-(?!lora-bias).*|disable-(?!access-log-for-endpoints).*|enforce-eager|trust-.*|skip-.*|async-scheduling|headless|grpc|language-model-only|mm-encoder-only|use-.*|fully-sharded-loras|data-parallel-(external|hybrid)-lb|return-tokens-as-token-ids|log-error-stack|numa-bind|is-(prefill|decode)-worker|multimodal.*|route-to-encoder)$/;

const FLAG_WHYS: Whys = [
  [
    /^(host|port|uds|root-path|api-key|ssl-.*|allow.*|middleware|h11-.*|grpc.*)$/,
    'how the server is reached',
  ],
  [/^served-model-name$/, 'a name on the wire: it goes to `endpoints`, with the address'],
  [
    /log|metrics|otlp|uvicorn|profil|collect|fastapi-docs|offline-docs|nvtx|tracing/,
    'logs and metrics change nothing that is simulated',
  ],
  [
    /eager|compilation|cudagraph|attention|backend|optimization|kernel|all-reduce|dbo|cascade|expert-placement|eplb/,
    'step times are those of vLLM as it comes: `windtunnel calibrate` measures this server',
  ],
  [
    /^(trust-.*|download-dir|load-format|.*revision|.*tokenizer.*|.*chat-template.*|.*parser.*|enable-auto-tool-choice|.*generation-config|seed|hf-.*|config.*|response-role|safetensors-.*|model-loader.*|generation.*)$/,
    'which files are read and how text is parsed',
  ],
  [/lora/, 'adapters are no part of runs yet: `lora` of a pool'],
  [/^(kv-offloading|.*offload)/, 'a tier needs its bandwidth: write it as `kv_tiers`'],
  [/^max-num-queued-reqs$/, 'it counts running requests too, `max_queued_requests` those that wait'],
  [/^kv-events-config$/, 'how late the router learns of KV: `signals.kv_events`'],
  [/^(mm-|limit-mm|media|multimodal|video|interleave-mm)/, 'prompts are tokens here'],
];
const NO_FIELD = 'no field of a deployment file says this';
export const whyFlag = (flag: string): string => whyOf(flag, FLAG_WHYS, NO_FIELD);

const setField = (fields: Fields, [key, inner]: FieldPath, value: unknown): void => {
  if (inner === undefined) fields[key] = value;
  else fields[key] = { ...(fields[key] as Fields | undefined), [inner]: value };
};

const parsedJson = (text: string): Fields | null => {
  try {
    const value: unknown = JSON.parse(text);
    return isMapping(value) ? value : null;
  } catch {
    return null;
  }
};

/** Reads the words behind `vllm serve`; every flag is a field, or told. */
export function readVllmArgs(words: readonly string[]): ReadArgs {
  const fields: Fields = {};
  const unmapped: Unmapped[] = [];
  const models: string[] = [];
  /** Parts of --speculative-config and --kv-transfer-config, as JSON or one by one. */
  const speculative: Fields = {};
  const transfer: Fields = {};
  let half: ReadArgs['half'] = null;
  const tell = (flag: string, why = whyFlag(flag)): void => {
    const path = flag.length <= 2 ? `-${flag}` : `--${flag}`;
    if (!unmapped.some(each => each.path === path)) unmapped.push({ path, why });
  };

  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (!/^--?[A-Za-z]/.test(word)) {
      models.push(word);
      continue;
    }
    const [, dashed = '', glued] = /^--?([^=]+)(?:=([\s\S]*))?$/.exec(word) ?? [];
    const [name = '', part] = dashed.replaceAll('_', '-').split(/\.(.*)/s);
    const plain = name.replace(/^no-/, '');
    const row = BY_NAME.get(name) ?? BY_NAME.get(plain);
    const next = words[i + 1];
    const isSwitch = row?.kind === switched || (row === undefined && SWITCHES.test(name));
    const hasNext = next !== undefined && !/^--?[A-Za-z]/.test(next);
    let text = glued;
    if (text === undefined && !isSwitch && hasNext) {
      text = next;
      i++;
    }
    if (isSwitch && text === undefined && /^(true|false)$/i.test(next ?? ''))
      text = words[++i]?.toLowerCase();

    if (row !== undefined) {
      const said = name === plain ? (text ?? 'true') : 'false';
      const read = row.kind.read(said);
      if ('why' in read) tell(name, read.why);
      else setField(fields, row.at, read.value);
    } else if (name === 'model' || name === 'model-path') models.push(text ?? '');
    else if (name === 'dtype') {
      if (!/^(auto|bfloat16|float16|half)$/.test(text ?? '')) tell(name, 'weights are bf16, fp8 or nvfp4');
    } else if (name === 'speculative-config' || name === 'sc') {
      if (part !== undefined) speculative[part.replaceAll('-', '_')] = text;
      else Object.assign(speculative, parsedJson(text ?? '') ?? { unreadable: text });
    } else if (/^spec-(method|model|tokens)$/.test(name))
      speculative[name === 'spec-tokens' ? 'num_speculative_tokens' : name.slice(5)] = text;
    else if (name === 'kv-transfer-config') {
      if (part !== undefined) transfer[part.replaceAll('-', '_')] = text;
      else Object.assign(transfer, parsedJson(text ?? '') ?? { unreadable: text });
    } else if (name === 'disaggregation-mode') {
      if (text === 'prefill' || text === 'decode') half = text;
      else if (text !== 'agg') tell(name);
    } else if (/^is-(prefill|decode)-worker$/.test(name))
      half = name === 'is-prefill-worker' ? 'prefill' : 'decode';
    else {
      tell(name);
      // --served-model-name and others take several words.
      while (
        text !== undefined &&
        !isSwitch &&
        words[i + 1] !== undefined &&
        !/^--?[A-Za-z]/.test(words[i + 1] as string)
      )
        i++;
    }
  }
  half = readTransfer(transfer, unmapped) ?? half;
  const draft = readSpeculative(speculative, fields, unmapped);
  return { models: [...new Set(models)], fields, half, draft, unmapped };
}

function readTransfer(config: Fields, unmapped: Unmapped[]): ReadArgs['half'] {
  const { kv_connector: connector, kv_role: role, ...rest } = config;
  const path = '--kv-transfer-config';
  for (const key of Object.keys(rest)) unmapped.push({ path: `${path}.${key}`, why: NO_FIELD });
  if (connector !== undefined && connector !== 'NixlConnector') {
    const why = 'KV beyond the GPU needs the bandwidths of its tiers: write them as `kv_tiers`, or as `link`';
    unmapped.push({ path: `${path}.kv_connector`, why });
    return null;
  }
  return role === 'kv_producer' ? 'prefill' : role === 'kv_consumer' ? 'decode' : null;
}

/** Name of the draft model, where there is one. */
function readSpeculative(config: Fields, fields: Fields, unmapped: Unmapped[]): string | null {
  const { method, num_speculative_tokens: tokens, model, ...rest } = config;
  if (Object.keys(config).length === 0) return null;
  const path = '--speculative-config';
  const drafts = Number(tokens);
  const name = methodOf(typeof method === 'string' ? method : model === undefined ? '' : 'draft_model');
  if (name === null || !Number.isInteger(drafts) || drafts < 1) {
    const why = 'a deployment file drafts a given number of tokens by mtp, eagle, draft or ngram';
    unmapped.push({ path, why });
    return null;
  }
  for (const key of Object.keys(rest)) unmapped.push({ path: `${path}.${key}`, why: NO_FIELD });
  fields.speculative = { method: name, tokens: drafts };
  return typeof model === 'string' ? model : null;
}
