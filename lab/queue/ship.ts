// The inputs of cases as content: a worker has no disk in common with us. What comes with Windtunnel travels by name,
// since workers of the same build have it; everything else as files, told apart by their SHA-256.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addedModels, CATALOG_FILE } from '../../engines/user-catalog.ts';
import { isPath } from '../../gateway/routing/outside.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { findInput, headOf, type LibraryKind } from '../../scenarios/cli/library.ts';
import { applySet, type LoadOptions } from '../../scenarios/cli/load.ts';
import { resolveSource } from '../../scenarios/cli/resolve.ts';
import { filesIn, isFolder } from '../../scenarios/importers/paths.ts';
import { PLAN_HEAD } from '../../scenarios/plan-file.ts';
import type { GridCase } from '../grid/case.ts';
import { ROOT } from './build.ts';
import { SHIPPED, type ShippedInput } from './message.ts';

/** A case that any worker can run, and what it needs. */
export interface Portable {
  readonly of: GridCase;
  readonly inputs: readonly ShippedInput[];
}

/** A file to be: its place in the folder of its input, and its bytes. */
interface Content {
  readonly path: string;
  readonly bytes: () => Buffer;
}

interface Shipped {
  readonly input: ShippedInput | null;
  /** As the case names it. */
  readonly name: string;
  readonly traceFiles: Readonly<Record<string, string>>;
}

/** Paths of `--set` that may name a trace. */
const SETS_TRACE = /^traffic(\.\d+(\.trace(\.\d+)?)?)?=/;
/** Measures of ours; they are code, so that only their name travels. */
const MEASURE = /^lab\/[\w/-]+measure\.ts$/;

export class Shipper {
  private readonly shipped = new Map<string, Shipped>();
  private readonly contents = new Map<string, () => Buffer>();

  /** A UserError where an input cannot be read, or cannot travel. */
  portable(given: GridCase): Portable {
    const { scenario, deployment, measure } = given;
    const { change } = deployment;
    if (change?.routing !== undefined && isPath(change.routing.policy))
      throw new UserError(
        `--queue: the routing policy ${change.routing.policy} is code, and no code travels`,
        {
          hint: 'run it without --queue, or add the policy to gateway/routing of every machine',
        },
      );
    const from = this.scenario(scenario.input, scenario.options);
    const onto = this.deployment(deployment.input);
    const options: LoadOptions = {
      ...scenario.options,
      ...(Object.keys(from.traceFiles).length > 0 && { traceFiles: from.traceFiles }),
    };
    return {
      of: {
        ...given,
        scenario: { input: from.name, options },
        deployment: { ...deployment, input: onto.name },
        ...(measure !== undefined && { measure: measureName(measure) }),
      },
      inputs: [from.input, onto.input].filter(input => input !== null),
    };
  }

  /** The bytes of a file that some input has. */
  bytesOf(sha256: string): Buffer {
    const bytes = this.contents.get(sha256)?.();
    if (bytes === undefined) throw new Error(`no input has the file ${sha256}`);
    return bytes;
  }

  private scenario(input: string, { set = [] }: LoadOptions): Shipped {
    const traceSets = set.filter(each => SETS_TRACE.test(each));
    return this.once(`scenario ${input} ${JSON.stringify(traceSets)}`, input, 'scenarios', path => {
      if (isFolder(path))
        return { files: folderFiles(path, basename(resolve(path))), main: basename(resolve(path)) };
      if (/\.(jsonl?|csv)$/.test(path) && !isJsonScenario(path)) return dataFiles(path);
      return scenarioFiles(path, traceSets);
    });
  }

  private deployment(input: string): Shipped {
    return this.once(`deployment ${input}`, input, 'deployments', path => {
      const main = `${stem(path)}.yaml`;
      const models = addedModels(path);
      const catalog = { windtunnel: 1, models };
      return {
        main,
        files: [
          { path: main, bytes: asJson(resolveSource(path, 'deployments').value) },
          ...(models.length > 0 ? [{ path: CATALOG_FILE, bytes: asJson(catalog) }] : []),
        ],
      };
    });
  }

  private once(
    key: string,
    input: string,
    kind: LibraryKind,
    make: (path: string) => { files: Content[]; main: string; traceFiles?: Record<string, string> },
  ): Shipped {
    const known = this.shipped.get(key);
    if (known !== undefined) return known;
    const path = findInput(input, kind);
    const made =
      isOurs(path) && isLibraryName(input)
        ? { input: null, name: input, traceFiles: {} }
        : this.folder(make(path));
    this.shipped.set(key, made);
    return made;
  }

  private folder(of: { files: Content[]; main: string; traceFiles?: Record<string, string> }): Shipped {
    const files = of.files.map(({ path, bytes: read }) => {
      const bytes = read();
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      this.contents.set(sha256, read);
      return { path, sha256, bytes: bytes.length };
    });
    const id = createHash('sha256').update(JSON.stringify(files)).digest('hex').slice(0, 16);
    const named = (path: string): string => `${SHIPPED}${id}/${path}`;
    const traceFiles = Object.entries(of.traceFiles ?? {}).map(
      ([name, path]) => [name, named(path)] as const,
    );
    return { input: { id, files }, name: named(of.main), traceFiles: Object.fromEntries(traceFiles) };
  }
}

const isOurs = (path: string): boolean => resolve(path).startsWith(`${join(ROOT, 'scenarios')}${sep}`);

/** How a library entry or a study is named; nothing else is looked for on a worker. */
export const isLibraryName = (name: string): boolean => /^((library|studies)\/)?[\w-]+(\.yaml)?$/.test(name);

const stem = (path: string): string => basename(path).replace(/\.(ya?ml|json|m?ts)$/, '');
const asJson = (value: unknown) => (): Buffer => Buffer.from(JSON.stringify(value));
const asFile = (path: string) => (): Buffer => readFileSync(path);

/** As load.ts tells a scenario written as JSON from a trace or plan. */
const isJsonScenario = (path: string): boolean =>
  !headOf(path).startsWith(PLAN_HEAD) && /^\s*\{\s*"(windtunnel|extends)"\s*:/.test(headOf(path));

/** What an importer reads of a folder. */
const folderFiles = (path: string, under: string): Content[] =>
  filesIn(path, name => /\.(jsonl?|csv)$/.test(name)).map(file => ({
    path: `${under}/${basename(file)}`,
    bytes: asFile(file),
  }));

/** A plan, a trace, or a file of ServeGen with its partner; the folder's name names ServeGen data. */
function dataFiles(path: string): { files: Content[]; main: string } {
  const folder = dirname(resolve(path));
  const under = basename(folder) || 'data';
  const [, chunk] = /^(chunk-.+-)(?:trace\.csv|dataset\.json)$/.exec(basename(path)) ?? [];
  const names =
    chunk === undefined
      ? [basename(path)]
      : [`${chunk}trace.csv`, `${chunk}dataset.json`].filter(name => existsSync(join(folder, name)));
  return {
    files: names.map(name => ({ path: `${under}/${name}`, bytes: asFile(join(folder, name)) })),
    main: `${under}/${basename(path)}`,
  };
}

/** With bases merged and measured values read in; what its cohorts name as traces beside it. */
function scenarioFiles(
  path: string,
  traceSets: readonly string[],
): { files: Content[]; main: string; traceFiles: Record<string, string> } {
  const { value } = resolveSource(path, 'scenarios');
  const main = `${stem(path)}.yaml`;
  const files: Content[] = [{ path: main, bytes: asJson(value) }];
  const traceFiles: Record<string, string> = {};
  for (const name of tracesOf(applySet(value, traceSets))) {
    const at = resolve(dirname(path), name);
    const under = `trace-${Object.keys(traceFiles).length}`;
    const isWhole = statSync(at, { throwIfNoEntry: false })?.isDirectory() ?? false;
    files.push(
      ...(isWhole
        ? folderFiles(at, `${under}/${basename(at)}`)
        : [{ path: `${under}/${basename(at)}`, bytes: asFile(at) }]),
    );
    traceFiles[name] = `${under}/${basename(at)}`;
  }
  return { files, main, traceFiles };
}

function tracesOf(value: unknown): string[] {
  const { traffic } = (value ?? {}) as { traffic?: unknown };
  if (!Array.isArray(traffic)) return [];
  const names = traffic.flatMap((cohort: { trace?: unknown } | null) => [cohort?.trace ?? []].flat());
  return [...new Set(names.filter(name => typeof name === 'string'))];
}

function measureName(url: string): string {
  const name = url.startsWith('file:') ? relative(ROOT, fileURLToPath(url)).replaceAll('\\', '/') : url;
  if (MEASURE.test(name)) return name;
  throw new UserError(`--queue: the measure ${name} is code of your own, and no code travels`, {
    hint: 'run it without --queue',
  });
}

/** The measure of a name, as the case of a worker has it. */
export function measureUrl(name: string): string {
  if (!MEASURE.test(name)) throw new Error(`no measure of ours is called ${JSON.stringify(name)}`);
  return new URL(name, `file://${ROOT}/`).href;
}
