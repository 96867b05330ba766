// `catalog`: what there is to name, and where its figures come from: GPUs, models, prices, policies, library entries; and
// `catalog add`, which makes a model of one's own from its config.json.
import { UserError } from '../scenarios/base/errors.ts';
import { libraryEntries, libraryLines } from '../scenarios/cli/library-list.ts';
import {
  type Command,
  type CommonOptions,
  paint,
  printJson,
  say,
  withCommon,
} from '../scenarios/cli/terminal.ts';
import { didYouMean } from '../scenarios/formats/suggest.ts';
import type { Model } from './catalog.ts';
import { hasWords, type Shown, shownLists } from './listings.ts';
import { stepModels } from './step-models.ts';
import { addedModels, addModel, CATALOG_FILE } from './user-catalog.ts';

interface CatalogOptions extends CommonOptions {
  kind: string | undefined;
  text: string[] | undefined;
  id: string | undefined;
  name: string | undefined;
  out: string | undefined;
}

const KINDS = ['gpus', 'models', 'prices', 'policies', 'library'] as const;
type Kind = (typeof KINDS)[number];

/** Policies of one kind by name; only the wiring sees their registries. */
export interface PolicyKind {
  /** What a file writes in front of a name: `routing:`. */
  readonly key: string;
  readonly what: string;
  readonly policies: Readonly<
    Record<string, { readonly name: string; readonly doc: string; readonly source: string }>
  >;
}

export const catalogCommand = (kinds: readonly PolicyKind[]): Command<CatalogOptions> => ({
  builder: yargs =>
    withCommon(yargs)
      .positional('kind', { type: 'string', describe: `one list only: ${KINDS.join(', ')}; or add` })
      .positional('text', {
        type: 'string',
        array: true,
        describe: 'only what has these words; or the config to add',
      })
      .option('id', { type: 'string', describe: "add: what the model is called [the config's own name]" })
      .option('name', { type: 'string', describe: 'add: its name for people [its id]' })
      .option('out', { type: 'string', describe: `add: file of models to write [${CATALOG_FILE}]` })
      .example('$0 catalog models', 'ids to write behind `model:`')
      .example('$0 catalog models mistral', 'some of them, with their whole sources')
      .example('$0 catalog add ./my-model/config.json --id my-model', 'a model of your own')
      .example('$0 catalog library', 'scenarios, presets and deployments to start from'),
  handler: options => {
    if (options.kind === 'add') {
      add(options);
      return;
    }
    refuseAddOptions(options);
    const wanted = KINDS.filter(kind => options.kind === undefined || kind === options.kind);
    // A word that is no list is looked for in all of them.
    const words = [...(wanted.length === 0 ? [options.kind] : []), ...(options.text ?? [])].map(String);
    const lists: Record<Kind, Shown> = {
      ...shownLists(words, addedModels()),
      policies: shownPolicies(kinds, words),
      library: shownLibrary(words),
    };
    const found = (wanted.length === 0 ? KINDS : wanted).filter(kind => lists[kind].rows.length > 0);
    if (found.length === 0) throw nothingFound(options.kind, wanted, words);
    if (options.json) {
      printJson(Object.fromEntries(found.map(kind => [kind, lists[kind].rows])));
      return;
    }
    for (const kind of found) {
      const { title, lines } = lists[kind];
      say(options, [paint('bold', title), ...lines, ''].join('\n'));
    }
    if (options.kind === undefined)
      say(options, `one list: windtunnel catalog ${KINDS.join(' | ')}; with words behind it, a part of it`);
  },
});

// ---- catalog add ------------------------------------------------------------------------------------------------

function add(options: CatalogOptions): void {
  const [config, another] = options.text ?? [];
  if (config === undefined || another !== undefined) {
    throw new UserError(`catalog add takes one config.json${another === undefined ? '' : ` at a time`}`, {
      hint: 'e.g. windtunnel catalog add ./my-model/config.json --id my-model',
    });
  }
  const { id, name, out } = options;
  const added = addModel({ config: String(config), id, name, out });
  if (options.json) {
    printJson(added);
    return;
  }
  const { model, assumed, unread, file, isReplaced } = added;
  const said = [
    paint('bold', `${model.id} ${isReplaced ? 'replaced' : 'added'} in ${file}`),
    ...figuresOf(model),
    ...assumed.map(line => `  assumed: ${line}`),
    ...unread.map(line => `  not read: ${line}`),
    ...hintsOf(model, out),
  ];
  say(options, said.join('\n'));
}

const billions = (params: number | null): string =>
  params === null ? 'not known' : `${(params / 1e9).toPrecision(4)} B`;

function figuresOf(model: Model): string[] {
  const { computedTotalParams: total, computedActiveParams: active, moe } = model;
  const kv = model.kvBytesPerTokenBf16;
  const growing =
    model.kvBytesPerTokenGrowing === kv ? '' : `, ${model.kvBytesPerTokenGrowing} beyond the window`;
  return [
    `  parameters   ${billions(total)}${moe === null ? '' : `, ${billions(active)} for a token`}`,
    `  attention    ${model.attention}, ${model.numLayers} layers`,
    `  KV           ${kv} bytes a token in bf16${growing}`,
    `  window       ${model.maxContextTokens ?? 'not known: give limits.max_model_len in the pool'}`,
    `  stored as    ${model.nativeWeightDtype ?? 'not known'}`,
  ];
}

/** What a pool of this model must say besides. */
function hintsOf(model: Model, out: string | undefined): string[] {
  const type = model.nativeWeightDtype ?? '';
  const weights = /^fp8/.test(type) ? 'fp8' : /fp4/.test(type) ? 'nvfp4' : null;
  return [
    `use it: model: ${model.id}${weights === null ? '' : `, with precision: { weights: ${weights} }`}`,
    ...(model.computedTotalParams === null
      ? [`its parameters are not counted: write the published totalParams into the file`]
      : []),
    ...(out === undefined || out === CATALOG_FILE
      ? []
      : [`commands read ${CATALOG_FILE} in the working folder and beside the deployment: put it there`]),
  ];
}

/** A mistyped `add` would list things instead. */
function refuseAddOptions({ id, name, out }: CatalogOptions): void {
  const [key] = Object.entries({ id, name, out }).find(([, value]) => value !== undefined) ?? [];
  if (key === undefined) return;
  throw new UserError(`--${key} is for catalog add`, { hint: 'windtunnel catalog add config.json' });
}

function nothingFound(
  kind: string | undefined,
  wanted: readonly Kind[],
  words: readonly string[],
): UserError {
  const hint =
    wanted.length === 1
      ? `\`windtunnel catalog ${wanted[0]}\` lists them all`
      : (didYouMean(kind ?? '', KINDS) ?? `lists: ${KINDS.join(', ')}`);
  return new UserError(`the catalogue has nothing with "${words.join(' ')}"`, { hint });
}

function shownLibrary(words: readonly string[]): Shown {
  const rows = libraryEntries().filter(each =>
    hasWords(`${each.kind} ${each.name} ${each.description}`, words),
  );
  return { rows, title: 'library, by name wherever a file may be named', lines: libraryLines(rows) };
}

/** Step models have no policy's registry: they stand in this folder. */
const STEP_MODELS: PolicyKind = {
  key: 'step: { model }',
  what: 'how long an engine step takes',
  policies: Object.fromEntries(
    Object.entries(stepModels).map(([name, { doc, options, source }]) => [
      name,
      { name, doc: `${doc} (options: ${options})`, source },
    ]),
  ),
};

/** What a deployment names besides hardware, kind by kind. */
function shownPolicies(kinds: readonly PolicyKind[], words: readonly string[]): Shown {
  const groups = [...kinds, STEP_MODELS].map(({ key, what, policies }) => ({
    heading: `  ${key}   ${what}`,
    rows: Object.values(policies)
      .map(({ name, doc, source }) => ({ key, name, doc, source }))
      .filter(row => hasWords(`${row.key} ${row.name} ${row.doc} ${row.source}`, words)),
  }));
  const rows = groups.flatMap(group => group.rows);
  const width = Math.max(0, ...rows.map(({ name }) => name.length));
  const lines = groups
    .filter(group => group.rows.length > 0)
    .flatMap(group => [
      group.heading,
      ...group.rows.flatMap(({ name, doc, source }) => [
        `    ${name.padEnd(width)}  ${doc}`,
        `    ${''.padEnd(width)}  as in: ${source}`,
      ]),
    ]);
  const more = '  docs/policies.md has their options, how to choose, and what they do not model';
  return { rows, title: 'policies and step models that a deployment may name', lines: [...lines, more] };
}
