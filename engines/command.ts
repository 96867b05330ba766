// `catalog`: what there is to name, and where its figures come from: GPUs, models, prices, policies, library entries.
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
import { hasWords, type Shown, shownLists } from './listings.ts';
import { stepModels } from './step-models.ts';

interface CatalogOptions extends CommonOptions {
  kind: string | undefined;
  text: string[] | undefined;
}

const KINDS = ['gpus', 'models', 'prices', 'policies', 'library'] as const;
type Kind = (typeof KINDS)[number];

/** Routing policies by name; only the wiring sees their registry. */
type Routing = Readonly<
  Record<string, { readonly name: string; readonly doc: string; readonly source: string }>
>;

export const catalogCommand = (routing: Routing): Command<CatalogOptions> => ({
  builder: yargs =>
    withCommon(yargs)
      .positional('kind', { type: 'string', describe: `one list only: ${KINDS.join(', ')}` })
      .positional('text', { type: 'string', array: true, describe: 'only what has these words' })
      .example('$0 catalog models', 'ids to write behind `model:`')
      .example('$0 catalog models mistral', 'some of them, with their whole sources')
      .example('$0 catalog library', 'scenarios, presets and deployments to start from'),
  handler: options => {
    const wanted = KINDS.filter(kind => options.kind === undefined || kind === options.kind);
    // A word that is no list is looked for in all of them.
    const words = [...(wanted.length === 0 ? [options.kind] : []), ...(options.text ?? [])].map(String);
    const lists: Record<Kind, Shown> = {
      ...shownLists(words),
      policies: shownPolicies(routing, words),
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

const LATER = [
  'Runs obey these alone. What comes later, and `check` understands already: a gateway (admission, rate limits,',
  'retries, breakers, fallbacks, model choice), autoscalers, KV retention, scheduling by program.',
];

/** Routing policies and step models: what a deployment names besides hardware. */
function shownPolicies(routing: Routing, words: readonly string[]): Shown {
  const rows = [
    ...Object.values(routing).map(({ name, doc, source }) => ({
      key: 'routing',
      name,
      doc,
      options: 'none',
      source,
    })),
    ...Object.entries(stepModels).map(([name, { doc, options, source }]) => ({
      key: 'step',
      name,
      doc,
      options,
      source,
    })),
  ].filter(({ key, name, doc }) => hasWords(`${key} ${name} ${doc}`, words));
  const width = Math.max(0, ...rows.map(each => `${each.key}: ${each.name}`.length));
  const lines = rows.flatMap(({ key, name, doc, options, source }) => [
    `  ${`${key}: ${name}`.padEnd(width)}  ${doc}`,
    `  ${''.padEnd(width)}  options: ${options}; as in: ${source}`,
  ]);
  return { rows, title: 'policies and step models that a deployment may name', lines: [...lines, ...LATER] };
}
