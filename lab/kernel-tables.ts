// Condenses the kernel profiles of others into the tables that the package ships (engines/kernels/*.json). Run by hand
// when a profile changes: node lab/kernel-tables.ts ../shared/data/profiles
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

type Row = Readonly<Record<string, string>>;

function readCsv(path: string): Row[] {
  const [head = '', ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n');
  const names = head.split(',');
  return lines.map(line => {
    const cells = line.split(',');
    return Object.fromEntries(names.map((name, column) => [name, cells[column] ?? '']));
  });
}

/** Four significant digits: a tenth of the spread between two measurements of one kernel. */
const rounded = (us: number): number => Number(us.toPrecision(4));

const distinct = (rows: readonly Row[], column: string): number[] =>
  [...new Set(rows.map(row => Number(row[column])))].sort((a, b) => a - b);

/** Time by a key of columns; the mean where a kernel was measured twice. */
function lookup(rows: readonly Row[], columns: readonly string[], time: string) {
  const sums = new Map<string, [sum: number, count: number]>();
  for (const row of rows) {
    const key = columns.map(column => Number(row[column])).join();
    const [sum, count] = sums.get(key) ?? [0, 0];
    sums.set(key, [sum + Number(row[time]), count + 1]);
  }
  return (...key: readonly number[]): number => {
    const found = sums.get(key.join());
    if (found === undefined) throw new Error(`no ${time} at ${columns.join()} = ${key.join()}`);
    return found[0] / found[1];
  };
}

/** A larger load never takes less time: a table is raised to the largest value before it, along each axis. */
function raised(values: number[]): number[] {
  let least = 0;
  return values.map(value => (least = Math.max(least, value)));
}
function raisedGrid(grid: number[][]): number[][] {
  const rows = grid.map(raised);
  return rows.map((row, at) =>
    row.map((_, column) => rounded(Math.max(...rows.slice(0, at + 1).map(each => each[column]!)))),
  );
}

/** The other way to the same rule, where a kernel is poorly chosen for few tokens: it could take more, padded. */
const lowered = (values: readonly number[]): number[] => values.map((_, at) => Math.min(...values.slice(at)));

// 1. LLMServingSim: every kernel of a layer by tokens, attention of mixed batches, for three models on two cards.

const LSS_GPU: Readonly<Record<string, string>> = { RTXPRO6000: 'rtx-pro-6000-server', RTX4090: 'rtx-4090' };
const LSS_MODEL: Readonly<Record<string, string>> = {
  'meta-llama/Llama-3.1-8B': 'llama-3.1-8b',
  'Qwen/Qwen3-32B': 'qwen3-32b',
  'Qwen/Qwen3-30B-A3B-Instruct-2507': 'qwen3-30b-a3b',
};
/** Kernels of one layer; the norm runs before attention and before the MLP. */
const LSS_LAYER: Readonly<Record<string, number>> = {
  layernorm: 2,
  qkv_proj: 1,
  qk_norm: 1,
  rotary_emb: 1,
  o_proj: 1,
  gate_up_proj: 1,
  act_fn: 1,
  down_proj: 1,
};
const LSS_STEP: Readonly<Record<string, number>> = { embedding: 1, final_layernorm: 1 };
const range = (from: number, to: number, by: number): number[] =>
  Array.from({ length: Math.floor((to - from) / by) + 1 }, (_, index) => from + index * by);
const LSS_TOKENS = [
  1,
  2,
  4,
  ...range(8, 64, 8),
  ...range(80, 256, 16),
  ...range(288, 512, 32),
  ...range(576, 1024, 64),
  ...range(1152, 2048, 128),
];
const LSS_SEQUENCES = [1, 8, 16, 32, 64, 96, 128, 160, 192, 224, 256];
const LSS_CONTEXT = [16, 64, 128, 256, 512, 768, 1024, 1728, 2048, 2592, 4096, 8192, 16_384];
const LSS_CHUNK = [16, 64, 128, 256, 512, 1024, 2048];
const LSS_BEFORE = [0, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384];
const LSS_BESIDE_CHUNK = [16, 128, 512, 2048];
const LSS_BESIDE_CONTEXT = [16, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384];

/**
 * All-reduce, all-gather and reduce-scatter of vLLM's NCCL communicator between two RTX PRO 6000 over PCIe, inside a
 * CUDA graph, us: LLMServingSim e08dc388 profiler/perf/RTXPRO6000/hardware.yaml (MIT), the machine of its bench.
 */
const PCIE_COLLECTIVES = {
  ranks: 2,
  bytes: [
    10_240, 40_960, 139_264, 327_680, 557_056, 1_114_112, 1_310_720, 2_228_224, 5_242_880, 8_912_896,
    16_777_216, 20_971_520,
  ],
  allReduceUs: [16.24, 17.5, 22.78, 30.6, 42.64, 78.36, 90.59, 148.95, 335.41, 566.73, 1051.83, 1309.13],
  allGatherUs: [14.52, 16.44, 20.15, 30.36, 46.12, 84.1, 95.45, 154.57, 352.81, 589.39, 1093.41, 1362.23],
  reduceScatterUs: [
    13.45, 15.68, 20.96, 32.81, 48.59, 86.98, 100.54, 161.63, 378.89, 639.52, 1136.82, 1405.58,
  ],
};

function llmServingSim(folder: string): object {
  const [dense, attention, perSequence, moe] = ['dense', 'attention', 'per-sequence', 'moe'].map(name =>
    readCsv(join(folder, `lss-${name}.csv`)),
  ) as [Row[], Row[], Row[], Row[]];
  const keyOf = (row: Row): string => `${row.hardware},${row.model},${row.tp}`;
  const replicas = [...new Set(dense.map(keyOf))].sort().map(key => {
    const own = (rows: readonly Row[]): Row[] => rows.filter(row => keyOf(row) === key);
    const [hardware = '', model = '', tp = ''] = key.split(',');
    const perToken = own(dense);
    const layers = new Set(perToken.map(row => row.layer));
    const sumOf = (parts: Readonly<Record<string, number>>): number[] => {
      const present = Object.entries(parts).filter(([layer]) => layers.has(layer));
      const times = present.map(([layer, count]) => {
        const at = lookup(
          perToken.filter(row => row.layer === layer),
          ['tokens'],
          'time_us',
        );
        return LSS_TOKENS.map(tokens => count * at(tokens));
      });
      return raised(LSS_TOKENS.map((_, index) => times.reduce((sum, each) => sum + each[index]!, 0))).map(
        rounded,
      );
    };
    const sequences = own(perSequence);
    const head = lookup(
      sequences.filter(row => row.layer === 'lm_head'),
      ['sequences'],
      'time_us',
    );
    const sampler = lookup(
      sequences.filter(row => row.layer === 'sampler'),
      ['sequences'],
      'time_us',
    );

    const mixed = own(attention);
    const at = lookup(mixed, ['prefill_chunk', 'kv_prefill', 'n_decode', 'kv_decode'], 'time_us');
    const alone = mixed.filter(row => row.prefill_chunk === '0');
    const known = (wanted: readonly number[], rows: readonly Row[], column: string): number[] => {
      const there = new Set(distinct(rows, column));
      return wanted.filter(value => there.has(value));
    };
    const contextTokens = known(LSS_CONTEXT, alone, 'kv_decode');
    const decodes = distinct(alone, 'n_decode');
    const beside = mixed.filter(
      row => row.prefill_chunk === '16' && row.kv_prefill === '0' && row.n_decode !== '0',
    );
    const besideDecodes = distinct(beside, 'n_decode');
    const experts = own(moe);
    return {
      gpu: LSS_GPU[hardware],
      model: LSS_MODEL[model],
      tensorParallel: Number(tp),
      tokens: LSS_TOKENS,
      layerUs: sumOf(LSS_LAYER),
      stepUs: sumOf(LSS_STEP),
      sequences: LSS_SEQUENCES,
      sequencesUs: raised(LSS_SEQUENCES.map(count => head(count) + sampler(count))).map(rounded),
      decode: {
        decodes,
        contextTokens,
        us: raisedGrid(decodes.map(count => contextTokens.map(context => at(0, 0, count, context)))),
      },
      prefill: {
        chunkTokens: LSS_CHUNK,
        beforeTokens: LSS_BEFORE,
        us: raisedGrid(LSS_CHUNK.map(chunk => LSS_BEFORE.map(before => at(chunk, before, 0, 0)))),
      },
      beside: {
        chunkTokens: LSS_BESIDE_CHUNK,
        decodes: besideDecodes,
        contextTokens: LSS_BESIDE_CONTEXT,
        us: LSS_BESIDE_CHUNK.map(chunk =>
          raisedGrid(
            besideDecodes.map(count =>
              LSS_BESIDE_CONTEXT.map(context =>
                Math.max(0, at(chunk, 0, count, context) - at(chunk, 0, 0, 0)),
              ),
            ),
          ),
        ),
      },
      ...(experts.length === 0 ? {} : { moe: expertTable(experts) }),
    };
  });
  return {
    source:
      'casys-kaist/LLMServingSim 5daddb21 profiler/perf (dense, attention, per_sequence, moe) and e08dc388 profiler/perf/RTXPRO6000/hardware.yaml (collectives)',
    license: 'MIT, Copyright (c) 2024, CASYS Lab at KAIST',
    engine: 'vLLM 0.19.0, bf16',
    unit: 'us',
    collectives: [{ gpu: 'rtx-pro-6000-server', ...PCIE_COLLECTIVES }],
    replicas,
  };
}

/** A batch of t tokens cannot touch fewer experts than one token does, nor more than t times that. */
function expertTable(rows: readonly Row[]): object {
  const at = lookup(rows, ['tokens', 'activated_experts'], 'time_us');
  const tokens = distinct(rows, 'tokens');
  const experts = distinct(rows, 'activated_experts');
  const least = experts[0]!;
  const us = tokens.map(count => experts.map(touched => at(count, Math.min(touched, count * least))));
  return { tokens, activatedExperts: experts, us: raisedGrid(us) };
}

// 2. aiconfigurator: operators of vLLM by shape, on six cards.

const AIC_GPU: Readonly<Record<string, string>> = {
  a100_sxm: 'a100-80gb-sxm',
  h100_sxm: 'h100-80gb-sxm',
  h200_sxm: 'h200-141gb-sxm',
  b200_sxm: 'b200-sxm',
  l40s: 'l40s',
  rtx_pro_6000_server: 'rtx-pro-6000-server',
};
const GEMM_TYPE: Readonly<Record<string, string>> = { bfloat16: 'bf16', fp8: 'fp8', nvfp4: 'nvfp4' };
const GEMM_TOKENS = [1, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 1536, 2048, 4096, 8192, 16_384];
const GEMM_OUT = [512, 1024, 2048, 3072, 4096, 6144, 8192, 12_288, 16_384, 65_536];
const GEMM_IN = [512, 1024, 2048, 4096, 8192, 16_384, 51_200];
/** Contexts from here on: below them the launch is all there is. */
const DECODE_CONTEXT = [16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072];
/**
 * L2 of a card, bytes. The benchmark reads the same KV again and again, so up to twice this it times the cache; in
 * serving the KV of a layer has long been evicted when its turn comes, and is read from memory.
 */
const L2_BYTES: Readonly<Record<string, number>> = {
  a100_sxm: 40e6,
  h100_sxm: 50e6,
  h200_sxm: 50e6,
  b200_sxm: 126e6,
  l40s: 96e6,
  rtx_pro_6000_server: 128e6,
};
/** Query heads for each KV head in the decode table: time hardly depends on it, as the KV read dominates. */
const DECODE_QUERY_HEADS = 4;

type Cells = (...key: readonly number[]) => number | null;

/** Like `lookup`, null where the table has a gap. */
function cells(rows: readonly Row[], columns: readonly string[]): Cells {
  const at = lookup(rows, columns, 'us');
  const keys = new Set(rows.map(row => columns.map(column => Number(row[column])).join()));
  return (...key) => (keys.has(key.join()) ? at(...key) : null);
}

/** us by tokens, out and in, lowered by tokens (see `lowered`); a shape that was not measured (the largest) scales from the next smaller one. */
function gemmTable(rows: readonly Row[]): number[][][] {
  const at = cells(rows, ['m', 'n', 'k']);
  const time = (m: number, out: number, into: number): number => {
    const found = at(m, out, into);
    if (found !== null) return found;
    if (!distinct(rows, 'm').includes(m)) {
      const less = Math.max(...distinct(rows, 'm').filter(each => each < m));
      return (time(less, out, into) * m) / less;
    }
    const smaller = GEMM_IN[GEMM_IN.indexOf(into) - 1]!;
    return (time(m, out, smaller) * into) / smaller;
  };
  const grids = GEMM_TOKENS.map(m => GEMM_OUT.map(out => GEMM_IN.map(into => time(m, out, into))));
  return grids.map((grid, at) =>
    grid.map((row, r) => row.map((_, c) => rounded(Math.min(...grids.slice(at).map(each => each[r]![c]!))))),
  );
}

/** us by streams (batch times KV heads of the GPU) and context, KV read from memory. */
function decodeTable(rows: readonly Row[], system: string, headDim: number): object {
  const own = rows.filter(
    row =>
      row.head_dim === String(headDim) &&
      row.window_size === '0' &&
      Number(row.num_heads) === DECODE_QUERY_HEADS * Number(row.num_key_value_heads),
  );
  const at = cells(own, ['batch_size', 'kv_len', 'num_key_value_heads']);
  const bytesOf = (streams: number, context: number): number => streams * context * headDim * 4;
  const rates = own
    .map(row => ({
      bytes: bytesOf(Number(row.batch_size) * Number(row.num_key_value_heads), Number(row.kv_len)),
      us: Number(row.us),
    }))
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, 10)
    .map(({ bytes, us }) => bytes / us)
    .sort((a, b) => a - b);
  const bytesPerUs = rates[5]!;
  const shapes = [
    ...[1, 2, 4].map(batch => [batch, 1] as const),
    ...[1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map(batch => [batch, 8] as const),
  ];
  const us = shapes.map(([batch, kvHeads]) => {
    const launch = at(batch, 2, kvHeads)!;
    return DECODE_CONTEXT.map(context => {
      const bytes = bytesOf(batch * kvHeads, context);
      const fromMemory = launch + bytes / bytesPerUs;
      const measured = at(batch, context, kvHeads) ?? fromMemory;
      return bytes < 2 * L2_BYTES[system]! ? Math.max(measured, fromMemory) : measured;
    });
  });
  return {
    headDim,
    streams: shapes.map(([batch, kvHeads]) => batch * kvHeads),
    contextTokens: DECODE_CONTEXT,
    us: raisedGrid(us),
  };
}

/** Least squares of the relative error: the weights w that bring `terms` w closest to 1, by the normal equations. */
function relativeFit(rows: readonly (readonly number[])[]): number[] {
  const width = rows[0]!.length;
  const sides = Array.from({ length: width }, (_, i) => [
    ...Array.from({ length: width }, (_, j) => rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0)),
    rows.reduce((sum, row) => sum + row[i]!, 0),
  ]);
  for (let i = 0; i < width; i++) {
    const pivot = sides[i]![i]!;
    sides[i] = sides[i]!.map(value => value / pivot);
    for (let j = 0; j < width; j++) {
      const factor = sides[j]![i]!;
      if (j !== i) sides[j] = sides[j]!.map((value, at) => value - factor * sides[i]![at]!);
    }
  }
  return sides.map(side => side[width]!);
}

/**
 * Attention of prompts: launch, reading and writing of each token's heads, appending its KV, and the products of each
 * (query, key) pair. Four figures say what some 3,000 measurements do.
 */
function prefillFit(rows: readonly Row[], headDim: number): object {
  const own = rows
    .filter(
      row =>
        row.head_dim === String(headDim) &&
        row.window_size === '0' &&
        Number(row.isl) >= 128 &&
        Number(row.num_heads) >= 4,
    )
    .map(row => {
      const [batch, isl, heads, kvHeads, us] = [
        'batch_size',
        'isl',
        'num_heads',
        'num_key_value_heads',
        'us',
      ].map(column => Number(row[column])) as [number, number, number, number, number];
      return [1, batch * isl * heads, batch * isl * kvHeads, ((batch * isl * (isl + 1)) / 2) * heads].map(
        term => term / us,
      );
    });
  const [launchUs, tokenHeadUs, tokenKvHeadUs, pairHeadUs] = relativeFit(own).map(rounded) as [
    number,
    number,
    number,
    number,
  ];
  const weights = [launchUs, tokenHeadUs, tokenKvHeadUs, pairHeadUs];
  const errors = own.map(terms =>
    Math.abs(terms.reduce((sum, term, at) => sum + term * weights[at]!, 0) - 1),
  );
  const errorRatio = rounded(errors.reduce((sum, each) => sum + each, 0) / errors.length);
  return { headDim, launchUs, tokenHeadUs, tokenKvHeadUs, pairHeadUs, measurements: own.length, errorRatio };
}

const MOE_TYPE: Readonly<Record<string, string>> = {
  bfloat16: 'bf16',
  fp8: 'fp8',
  fp8_block: 'fp8',
  nvfp4: 'nvfp4',
};
/** Attention of these is MLA, for which there is no table. */
const MLA_HIDDEN = '7168';
/**
 * How tokens spread over the experts. A trained router is between these: few tokens collide on the same experts, which
 * an even spread denies; many tokens load all experts evenly, which a skewed one denies. The lesser of the two is taken.
 */
const MOE_ROUTINGS = ['balanced', 'power_law_1.01'];

function moeTables(rows: readonly Row[]): object[] {
  const columns = [
    'moe_dtype',
    'hidden_size',
    'inter_size',
    'num_experts',
    'topk',
    'moe_tp_size',
    'moe_ep_size',
  ];
  const wanted = rows.filter(
    row =>
      MOE_ROUTINGS.includes(row.distribution!) &&
      MOE_TYPE[row.moe_dtype!] !== undefined &&
      row.hidden_size !== MLA_HIDDEN &&
      (row.moe_tp_size === '1' || row.moe_ep_size === '1') &&
      Number(row.moe_tp_size) <= 8 &&
      Number(row.moe_ep_size) <= 8,
  );
  const groups = Map.groupBy(wanted, row => columns.map(column => row[column]).join());
  // FP8 checkpoints have block scales; per-tensor kernels stand in where those were not measured.
  const blocks = new Set(
    wanted
      .filter(row => row.moe_dtype === 'fp8_block')
      .map(row =>
        columns
          .slice(1)
          .map(column => row[column])
          .join(),
      ),
  );
  return [...groups.entries()]
    .filter(
      ([, [first]]) =>
        first?.moe_dtype !== 'fp8' ||
        !blocks.has(
          columns
            .slice(1)
            .map(column => first[column])
            .join(),
        ),
    )
    .map(([, own]) => {
      const spreads = MOE_ROUTINGS.map(routing => own.filter(row => row.distribution === routing))
        .filter(rows => rows.length > 0)
        .map(rows => cells(rows, ['num_tokens']));
      const at = (count: number): number =>
        Math.min(...spreads.map(spread => spread(count) ?? Number.POSITIVE_INFINITY));
      const tokens = distinct(own, 'num_tokens').filter(
        (count, index) => count <= 16_384 && (count < 4 || index % 2 === 0 || count <= 256),
      );
      const first = own[0]!;
      return {
        weights: MOE_TYPE[first.moe_dtype!],
        hiddenSize: Number(first.hidden_size),
        expertIntermediateSize: Number(first.inter_size),
        numExperts: Number(first.num_experts),
        expertsPerToken: Number(first.topk),
        tensorParallel: Number(first.moe_tp_size),
        expertParallel: Number(first.moe_ep_size),
        tokens,
        us: lowered(tokens.map(count => at(count))).map(rounded),
      };
    });
}

function allReduceTables(rows: readonly Row[]): object[] {
  return [...Map.groupBy(rows, row => row.num_gpus!).entries()].map(([ranks, own]) => {
    const elements = distinct(own, 'message_elements').filter(count => count >= 1024 && count <= 268_435_456);
    const timesOf = (backend: string): number[] => {
      const at = lookup(
        own.filter(row => row.backend === backend),
        ['message_elements'],
        'us',
      );
      return raised(elements.map(count => at(count))).map(rounded);
    };
    return {
      ranks: Number(ranks),
      bytes: elements.map(count => 2 * count),
      graphUs: timesOf('vllm_graph'),
      eagerUs: timesOf('vllm_eager'),
    };
  });
}

function aiconfigurator(folder: string): object {
  const [gemm, prefill, decode, moe, reduce] = [
    'gemm',
    'attention-prefill',
    'attention-decode',
    'moe',
    'allreduce-vllm',
  ].map(name => readCsv(join(folder, `aic-${name}.csv`))) as [Row[], Row[], Row[], Row[], Row[]];
  const cards = Object.entries(AIC_GPU).map(([system, gpu]) => {
    const own = (rows: readonly Row[]): Row[] => rows.filter(row => row.system === system);
    const headDims = [64, 128].filter(dim =>
      own(decode).some(row => row.head_dim === String(dim) && row.window_size === '0'),
    );
    const types = Object.entries(GEMM_TYPE).filter(([type]) =>
      own(gemm).some(row => row.gemm_dtype === type),
    );
    return {
      gpu,
      gemm: types.map(([type, weights]) => ({
        weights,
        us: gemmTable(own(gemm).filter(row => row.gemm_dtype === type)),
      })),
      decode: headDims.map(dim => decodeTable(own(decode), system, dim)),
      prefill: headDims.map(dim => prefillFit(own(prefill), dim)),
      moe: moeTables(own(moe)),
      allReduce: allReduceTables(own(reduce)),
    };
  });
  return {
    source:
      'ai-dynamo/aiconfigurator 095f58a5 systems/data: gemm, attention context and generation, moe, custom_allreduce of vLLM',
    license: 'Apache-2.0, Copyright (c) NVIDIA CORPORATION & AFFILIATES',
    engine: 'vLLM 0.24.0 (A100: 0.14.0)',
    unit: 'us',
    gemmTokens: GEMM_TOKENS,
    gemmOut: GEMM_OUT,
    gemmIn: GEMM_IN,
    cards,
  };
}

const { positionals } = parseArgs({ allowPositionals: true });
const folder = positionals[0];
if (folder === undefined) throw new Error('usage: node lab/kernel-tables.ts PROFILES_DIR');
const write = (name: string, table: object): void => {
  const path = join(import.meta.dirname, '..', 'engines', 'kernels', name);
  writeFileSync(path, `${JSON.stringify(table)}\n`);
  console.log(`${path}: ${(JSON.stringify(table).length / 1024).toFixed(0)} KiB`);
};
write('llmservingsim.json', llmServingSim(folder));
write('aiconfigurator.json', aiconfigurator(folder));
