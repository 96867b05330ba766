// The deployment that candidates are made of, and what may be chosen: from a deployment file, or where there is none from
// the model that the scenario names.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { allGpus, allModels, type Gpu } from '../../engines/catalog.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import type { CatalogModel } from '../../scenarios/formats/catalog.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';
import { assignment, fieldsOf, parseAxes, valueLabel } from '../../scenarios/formats/vary.ts';
import type { LabContext } from '../lint/context.ts';
import { SHAPES, type Shape, type Space, type Variant } from './space.ts';

export interface SpaceOptions {
  gpu: string | undefined;
  tp: string | undefined;
  replicas: string;
  split: boolean;
  routing: string | undefined;
  vary: string[];
  price: string[];
}

type Mapping = Record<string, unknown>;
const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What a search chooses, so that none of it may stand in the base. */
const CHOSEN = [
  'gpu',
  'gpu_figures',
  'tensor_parallel',
  'replicas',
  'prefill',
  'decode',
  'price',
  'autoscaler',
  'cold_start',
  'endpoints',
] as const;

export interface Base {
  /** As a deployment file holds it, without what is chosen. */
  readonly value: Mapping;
  readonly models: readonly CatalogModel[];
  /** The pool that is sized. */
  readonly pool: string;
  /** GPU and price that the file had: USD per GPU-hour. */
  readonly own: { readonly gpu: string | null; readonly price: string | null };
  readonly notes: readonly string[];
}

/** Of a deployment file. `wanted` names the pool where there are several. */
export function baseOfDeployment(
  value: unknown,
  models: readonly CatalogModel[],
  wanted: string | undefined,
): Base {
  const pools = isMapping(value) && isMapping(value.pools) ? value.pools : {};
  const names = Object.keys(pools);
  if (names.length === 0)
    throw new UserError('the deployment has no pool to size', {
      hint: 'leave -d out to size for the model that the scenario names, or give its pools',
    });
  if (wanted !== undefined && !names.includes(wanted))
    throw new UserError(`--pool ${wanted}: no such pool`, {
      hint: didYouMean(wanted, names) ?? `there: ${names.join(', ')}`,
    });
  if (wanted === undefined && names.length > 1)
    throw new UserError(`the deployment has ${names.length} pools: which one is to be sized?`, {
      hint: `--pool ${names[0]}; the others stay as they are (${names.slice(1).join(', ')})`,
    });
  const pool = wanted ?? names[0]!;
  const given = pools[pool] as Mapping;
  const rest = Object.fromEntries(Object.entries(given).filter(([key]) => !CHOSEN.includes(key as never)));
  const gone = Object.keys(given).filter(key => key === 'autoscaler' || key === 'endpoints');
  return {
    value: { ...(value as Mapping), pools: { ...pools, [pool]: rest } },
    models,
    pool,
    own: {
      gpu: typeof given.gpu === 'string' ? given.gpu : null,
      price: given.price === undefined ? null : String(given.price),
    },
    notes:
      gone.length === 0
        ? []
        : [`while sizing, pool "${pool}" has as many replicas all the time: no ${gone.join(', ')}`],
  };
}

/** Tokens to which a window is rounded up. */
const WINDOW_STEP = 4096;
const WINDOW_TIMES = 2;

/** Where there is no deployment: one pool of the only model that the scenario asks for. */
export function baseOfScenario({ plan, walks }: LabContext, model: string | undefined): Base {
  const asked = [...new Set(plan.modelsUsed.map(alias => plan.models.get(alias)?.modelId ?? alias))];
  if (model === undefined && asked.length !== 1)
    throw new UserError(
      asked.length === 0
        ? 'the scenario names no model'
        : `the scenario asks for ${asked.length} models: ${asked.join(', ')}`,
      { hint: '--model NAME to serve all of it by one, or -d DEPLOYMENT with its pools and --pool' },
    );
  const id = model ?? asked[0]!;
  const found = allModels().find(each => each.id === id);
  if (found === undefined)
    throw new UserError(`the catalogue has no open model "${id}", so nothing can serve it`, {
      hint:
        didYouMean(
          id,
          allModels().map(each => each.id),
        ) ?? '--model of `windtunnel catalog models`, or -d DEPLOYMENT',
    });
  const longest = walks
    .flatMap(({ calls }) => calls)
    .reduce((most, call) => Math.max(most, call.promptTokens + call.outputTokens), 0);
  // Of the walked sessions: others are longer, and a window takes no memory until it is used.
  const needed = Math.ceil((WINDOW_TIMES * longest) / WINDOW_STEP) * WINDOW_STEP;
  const window = Math.min(needed, found.maxContextTokens ?? needed);
  return {
    value: {
      windtunnel: 1,
      deployment: `sized-${id}`,
      pools: { main: { model: id, limits: { max_model_len: window }, api_latency: '2ms' } },
    },
    models: [],
    pool: 'main',
    own: { gpu: null, price: null },
    notes: [`a window of ${window} tokens, twice the longest call of the first sessions (${longest})`],
  };
}

/** A GPU by its id, or by the beginning of one. */
function gpuNamed(text: string): string {
  const ids = allGpus().map(({ id }) => id);
  const found = ids.includes(text) ? text : ids.find(id => id.startsWith(`${text}-`));
  if (found !== undefined) return found;
  throw new UserError(`--gpu ${text}: the catalogue has no such GPU`, {
    hint: didYouMean(text, ids) ?? 'windtunnel catalog gpus lists them',
  });
}

const isSold = ({ prices, status }: Gpu): boolean => prices.length > 0 && !status.startsWith('announced');

/** GPUs, tensor parallelism and the rest, from the options. */
export function spaceOf(base: Base, options: SpaceOptions, routings: readonly string[]): Space {
  const prices = pricesOf(options.price);
  if (base.own.gpu !== null && base.own.price !== null && !prices.has(base.own.gpu))
    prices.set(base.own.gpu, base.own.price);
  const gpus =
    options.gpu === undefined
      ? allGpus()
          .filter(gpu => isSold(gpu) || prices.has(gpu.id))
          .map(({ id }) => id)
      : listOf(options.gpu).map(gpuNamed);
  return {
    pool: base.pool,
    gpus,
    prices,
    tensorParallels: listOf(options.tp ?? '1,2,4,8').map(text => wholeOf('--tp', text)),
    shapes: options.split ? SHAPES : (['aggregated'] satisfies Shape[]),
    routings: routingsOf(base, options.routing, routings),
    replicas: rangeOf(options.replicas),
    variants: variantsOf(options.vary),
  };
}

const listOf = (text: string): string[] => [
  ...new Set(
    text
      .split(',')
      .map(each => each.trim())
      .filter(each => each !== ''),
  ),
];

function wholeOf(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new UserError(`${option} ${text}: expected whole numbers above 0`, { hint: `e.g. ${option} 1,2,4` });
}

/** `1..64`, or one number. */
function rangeOf(text: string): { min: number; max: number } {
  const [from = '', to = from] = text.split('..');
  const [min, max] = [wholeOf('--replicas', from), wholeOf('--replicas', to)];
  if (min <= max) return { min, max };
  throw new UserError(`--replicas ${text}: expected from..to with to above from`);
}

/** `h100=2.50/h`, by GPU. */
function pricesOf(texts: readonly string[]): Map<string, string> {
  return new Map(
    texts.flatMap(listOf).map(text => {
      const [gpu = '', price = ''] = text.split('=');
      if (!/^\d+(\.\d+)?(\/h)?$/.test(price))
        throw new UserError(`--price ${text}: expected GPU=USD/h`, { hint: 'e.g. --price h100=2.50/h' });
      return [gpuNamed(gpu), price.endsWith('/h') ? price : `${price}/h`];
    }),
  );
}

function routingsOf({ value }: Base, asked: string | undefined, known: readonly string[]): string[] {
  if (asked !== undefined) {
    const names = listOf(asked);
    const unknown = names.find(name => !known.includes(name));
    if (unknown === undefined) return names;
    throw new UserError(`--routing: unknown policy "${unknown}"`, {
      hint: didYouMean(unknown, known) ?? `known: ${known.join(', ')}`,
    });
  }
  const own = isMapping(value.routing) ? value.routing.policy : value.routing;
  return typeof own === 'string' ? [own] : ['session-affinity'];
}

function variantsOf(texts: readonly string[]): Variant[] {
  let variants: Variant[] = [{ choices: {}, set: [] }];
  for (const axis of parseAxes(texts)) {
    const fields = fieldsOf(axis);
    const foreign = fields.find(({ of }) => of !== 'deployment');
    if (foreign !== undefined)
      throw new UserError(`--vary ${foreign.path}: a deployment is sized, so only its settings are chosen`, {
        hint: '--set changes the scenario; windtunnel sweep varies both',
      });
    variants = variants.flatMap(variant =>
      axis.values.map((_, i) => ({
        choices: {
          ...variant.choices,
          ...Object.fromEntries(
            fields.map(({ path, values }) => [path.split('.').at(-1)!, valueLabel(values[i])]),
          ),
        },
        set: [...variant.set, ...fields.map(({ path, values }) => assignment(path, values[i]))],
      })),
    );
  }
  return variants;
}

/** Written where cases find it; models of the user's own beside it. */
export function writeBase({ value, models }: Pick<Base, 'value' | 'models'>, folder: string): string {
  mkdirSync(folder, { recursive: true });
  if (models.length > 0)
    writeFileSync(join(folder, 'windtunnel.catalog.json'), `${JSON.stringify({ windtunnel: 1, models })}\n`);
  const path = join(folder, 'base.json');
  writeFileSync(path, `${JSON.stringify(value, null, 1)}\n`);
  return path;
}
