// The lists of the catalogue as tables: how a row is found, what is shown of it, and where its figures come from.
import {
  allGpus,
  allListPrices,
  allModels,
  type Gpu,
  type ListPrice,
  listPrice,
  type Model,
} from './catalog.ts';

/** One list: its rows, and how a row is found and shown. */
interface Listing<Row> {
  readonly title: string;
  readonly rows: readonly Row[];
  /** What a filter is looked for in. */
  readonly words: (row: Row) => string;
  readonly columns: readonly string[];
  readonly cells: (row: Row) => readonly string[];
  /** Where the figures of a row come from. */
  readonly sources: (row: Row) => readonly string[];
  /** The same of a few rows, word for word. */
  readonly details: (row: Row) => readonly string[];
}

/** A list as it is printed: rows for programs; a heading and lines for people. */
export interface Shown {
  readonly rows: readonly object[];
  readonly title: string;
  readonly lines: readonly string[];
}

const NONE = '-';
const scaled = (value: number | null, unit: number): string => {
  if (value === null) return NONE;
  return value / unit < 10 ? String(Number((value / unit).toPrecision(2))) : (value / unit).toFixed(0);
};
const usd = (value: number): string => `$${Number(value.toFixed(3))}`;

const gpus: Listing<Gpu> = {
  title: 'GPUs, for `gpu:` of a pool; TFLOP/s are dense, the price is the first one seen',
  rows: allGpus(),
  words: gpu => `${gpu.id} ${gpu.name} ${gpu.vendor} ${gpu.architecture}`,
  columns: ['gpu', 'GiB', 'GB/s', 'bf16', 'fp8', 'per hour'],
  cells: gpu => [
    `${gpu.id}${gpu.status.startsWith('announced') ? ' (announced)' : ''}`,
    scaled(gpu.memoryBytes, 1024 ** 3),
    scaled(gpu.memoryBandwidthBytesPerSec, 1e9),
    scaled(gpu.bf16DenseFlops, 1e12),
    scaled(gpu.fp8DenseFlops, 1e12),
    gpu.prices[0] === undefined ? NONE : `${usd(gpu.prices[0].usdPerGpuHour)} ${gpu.prices[0].provider}`,
  ],
  sources: gpu => gpu.source,
  details: gpu => [
    ...gpu.source,
    ...gpu.prices.map(each => `${usd(each.usdPerGpuHour)} ${each.provider}: ${each.source}`),
  ],
};

/** Models that ship, and those of the user's own, which say so. */
const models = (added: readonly Model[]): Listing<Model> => ({
  title: 'models, for `model:` of a pool or an alias; the price is that of the same open model on an API',
  rows: [...allModels(), ...added],
  words: model => `${model.id} ${model.name} ${model.vendor} ${model.attention}`,
  columns: ['model', 'params B', 'active B', 'window', 'KV B/token', '$ per M in/out'],
  cells: model => {
    const price = listPrice(model.id);
    return [
      `${model.id}${added.includes(model) ? ' (yours)' : ''}`,
      scaled(model.totalParams ?? model.computedTotalParams, 1e9),
      scaled(model.activeParamsPerToken ?? model.computedActiveParams, 1e9),
      String(model.maxContextTokens ?? NONE),
      String(model.kvBytesPerTokenBf16 ?? NONE),
      price === null ? NONE : `${price.inputUsdPerMTok}/${price.outputUsdPerMTok}`,
    ];
  },
  sources: model => [added.includes(model) ? 'yours: windtunnel.catalog.json' : model.source],
  details: model => [added.includes(model) ? `yours: ${model.source}` : model.source],
});

const prices: Listing<ListPrice> = {
  title: 'prices of APIs, for `model:` of a provider or an alias; USD per million tokens',
  rows: allListPrices(),
  words: price => `${price.id} ${price.provider}`,
  columns: ['API model', 'in', 'cached in', 'out', 'as of'],
  cells: price => [
    price.id,
    String(price.inputUsdPerMTok),
    String(price.cacheReadUsdPerMTok ?? NONE),
    String(price.outputUsdPerMTok),
    price.asOf,
  ],
  sources: price => [price.source],
  details: price => [price.source],
};

/** GPUs, models and prices that have all of these words; the sources of a part are given word for word. */
export function shownLists(
  words: readonly string[],
  added: readonly Model[],
): Record<'gpus' | 'models' | 'prices', Shown> {
  return { gpus: shown(gpus, words), models: shown(models(added), words), prices: shown(prices, words) };
}

/** Whether a text has all of these words, whatever their case. */
export const hasWords = (text: string, words: readonly string[]): boolean =>
  words.every(word => text.toLowerCase().includes(word.toLowerCase()));

/** A table with its sources below: numbered works of a whole list, every source of a part. */
function shown<Row extends { id: string }>(listing: Listing<Row>, wanted: readonly string[]): Shown {
  const { title, columns, cells, sources, details, words } = listing;
  const rows = listing.rows.filter(row => hasWords(words(row), wanted));
  const isPart = wanted.length > 0;
  const works = [...new Set(rows.flatMap(row => sources(row).map(workOf)))];
  const numbered = !isPart && works.length > 1;
  const marks = (row: Row): string =>
    [...new Set(sources(row).map(source => works.indexOf(workOf(source)) + 1))].join(', ');
  const below = isPart
    ? rows.flatMap(row => details(row).map(each => `  ${row.id}: ${each}`))
    : works.map((work, index) => (numbered ? `  ${index + 1}  ${work}` : `  ${work}`));
  const head = [...columns, ...(numbered ? ['sources'] : [])];
  const body = rows.map(row => [...cells(row), ...(numbered ? [marks(row)] : [])]);
  return { rows, title, lines: [...table([head, ...body]), 'sources:', ...below] };
}

/** Longest name of a work. */
const WORK_CHARACTERS = 90;

/** The work that a source names, without the place inside it. */
function workOf(source: string): string {
  const words = source.split(' ');
  const end = words.findIndex(
    (word, index) => index > 0 && (/\.(json|yaml|py|md|csv)\b/.test(word) || words[index - 1]!.endsWith(';')),
  );
  const work = (end < 0 ? words : words.slice(0, end)).join(' ').replace(/[;,]$/, '');
  return work.length <= WORK_CHARACTERS ? work : `${work.slice(0, WORK_CHARACTERS - 1)}…`;
}

/** Numbers to the right, words to the left. */
function table(rows: readonly (readonly string[])[]): string[] {
  const [head = [], ...body] = rows;
  const columns = head.map((_, column) => ({
    width: Math.max(...rows.map(row => (row[column] ?? '').length)),
    isNumeric: column > 0 && body.every(row => /^[\d-]/.test(row[column] ?? '')),
  }));
  return rows.map(row =>
    columns
      .map(({ width, isNumeric }, column) =>
        isNumeric ? (row[column] ?? '').padStart(width) : (row[column] ?? '').padEnd(width),
      )
      .join('  ')
      .trimEnd(),
  );
}
