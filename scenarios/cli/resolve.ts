// A scenario file with what it starts from: bases under `extends` merged below it, files of measured values read in, and
// TypeScript scenarios run. The value is one, but every part of it still knows the file it stands in.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire, registerHooks } from 'node:module';
import { dirname, extname, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { UserError } from '../base/errors.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { type Position, parseSource, type Source, valueSource } from '../formats/source.ts';
import { didYouMean, show } from '../formats/suggest.ts';
import { readProfile } from './engine-profile.ts';
import { libraryNames, libraryPath, readText, shown } from './library.ts';

type Mapping = Record<string, unknown>;

const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Bases of bases; more than this is a mistake. */
const MAX_CHAIN = 16;

/** Reads a scenario or deployment file: YAML, JSON, or TypeScript whose default export it is. */
export function resolveSource(path: string, kind: 'scenarios' | 'deployments'): Source {
  return resolved(path, { kind, root: dirname(resolve(path)), above: [] });
}

interface Chain {
  readonly kind: 'scenarios' | 'deployments';
  /** Folder of the file that was named: paths of traces are rewritten from here. */
  readonly root: string;
  /** Files that extend this one, outermost first. */
  readonly above: readonly string[];
}

function resolved(path: string, chain: Chain): Source {
  const own = sourceAt(path);
  const issues: Issue[] = [];
  if (!isMapping(own.value)) return own;
  const value = withFiles(own.value, dirname(resolve(path)), chain.root, issues);
  const { extends: given, ...rest } = value as Mapping;
  const bases =
    given === undefined
      ? []
      : [given].flat().map((ref, index) => baseAt({ ref, index, path, given }, chain, issues));
  if (Array.isArray(given) && given.length === 0)
    issues.push(issue(['extends'], 'WT1005', 'expected at least 1 item, got []'));
  const found = bases.filter(base => base !== null);
  const whole = [...found.map(base => withoutName(base.value)), rest].reduce(merged, {});
  return {
    ...own,
    value: whole,
    issues: [...own.issues, ...found.flatMap(base => base.issues), ...issues],
    // The nearest file that says it: this one, else the last base that does.
    position: (at, atKey) => ownerOf(at, own, rest, found).position(at, atKey),
    locate: each => locateIn(each, own, rest, found),
  };
}

function baseAt(
  { ref, index, path, given }: { ref: unknown; index: number; path: string; given: unknown },
  chain: Chain,
  issues: Issue[],
): Source | null {
  const at: InputPath = Array.isArray(given) ? ['extends', index] : ['extends'];
  const refuse = (code: string, message: string, hint: string): null => {
    issues.push(issue(at, code, message, hint));
    return null;
  };
  if (typeof ref !== 'string')
    return refuse('WT1005', `expected the name of a file, got ${show(ref)}`, 'e.g. extends: job-scanner');
  const beside = resolve(dirname(path), ref);
  const file = existsSync(beside) && statSync(beside).isFile() ? beside : libraryPath(ref, chain.kind);
  if (file === null) {
    const names = libraryNames(chain.kind);
    const hint =
      didYouMean(ref, names) ??
      `name a file from this one's folder on, or one of the library: ${names.join(', ')}`;
    return refuse('WT1102', `no ${chain.kind.slice(0, -1)} "${ref}" to extend`, hint);
  }
  const above = [...chain.above, resolve(path)];
  if (above.includes(resolve(file)) || above.length > MAX_CHAIN) {
    const circle = [...above, resolve(file)].map(shown).join(' -> ');
    return refuse('WT1104', `files extend each other in a circle: ${circle}`, 'take one `extends` out');
  }
  const base = resolved(file, { ...chain, above });
  if (base.issues.length === 0 && !isMapping(base.value))
    return refuse(
      'WT1005',
      `${shown(file)} is no ${chain.kind.slice(0, -1)}: it is not a mapping`,
      'name another file',
    );
  return base;
}

/** A scenario that extends another has its own name. */
function withoutName(value: unknown): Mapping {
  if (!isMapping(value)) return {};
  const { name: _name, deployment: _deployment, ...rest } = value;
  return rest;
}

/** Mappings merge; everything else replaces; null removes. */
function merged(base: Mapping, over: Mapping): Mapping {
  const result: Mapping = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const under = result[key];
    if (value === null) delete result[key];
    else
      result[key] = isMapping(value) && isMapping(under) && !isAmount(under) ? merged(under, value) : value;
  }
  return result;
}

/** An amount is one value: half a distribution of the base under half of ours would be a third one. */
const isAmount = (value: Mapping): boolean =>
  ['dist', 'median', 'mean', 'mixture', 'choice', 'empirical'].some(key => key in value);

const has = (value: unknown, path: InputPath): boolean =>
  path.length === 0 ||
  (typeof value === 'object' &&
    value !== null &&
    Object.hasOwn(value, path[0] as string | number) &&
    has((value as Mapping)[path[0] as string], path.slice(1)));

function ownerOf(path: InputPath, own: Source, value: unknown, bases: readonly Source[]): Source {
  if (path[0] === 'extends') return own;
  for (let length = path.length; length > 0; length--) {
    const part = path.slice(0, length);
    if (has(value, part)) return own;
    const base = bases.findLast(each => has(each.value, part));
    if (base !== undefined) return base;
  }
  return own;
}

/** A syntax error knows its own place in its own file. */
function locateIn(found: Issue, own: Source, value: unknown, bases: readonly Source[]): Position {
  const home = [own, ...bases].find(source => source.issues.includes(found));
  if (home !== undefined) return home.locate(found);
  return ownerOf(found.path, own, value, bases).position(found.path, found.atKey);
}

function sourceAt(path: string): Source {
  return extname(path) === '.ts' || extname(path) === '.mts'
    ? typescriptSource(path)
    : parseSource(readText(path), shown(path));
}

// ---- TypeScript -----------------------------------------------------------------------------------------------

const PACKAGE = fileURLToPath(new URL('../../index.ts', import.meta.url));
let hooked = false;

/** `import { scenario } from 'agent-windtunnel'` means this very installation, wherever the file lies. */
function hookPackage(): void {
  if (hooked) return;
  hooked = true;
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'agent-windtunnel'
        ? { url: pathToFileURL(PACKAGE).href, shortCircuit: true }
        : next(specifier, context),
  });
}

/** Runs the user's own file and takes its default export, as JSON holds it. */
function typescriptSource(path: string): Source {
  hookPackage();
  let exported: unknown;
  let text: string | undefined;
  try {
    const loaded = createRequire(import.meta.url)(resolve(path)) as { default?: unknown };
    exported = typeof loaded.default === 'function' ? (loaded.default as () => unknown)() : loaded.default;
    if (!(exported instanceof Promise)) text = JSON.stringify(exported, plainNumbers);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`${shown(path)} cannot be run: ${why}`, {
      hint: 'a TypeScript scenario is a module without top-level await; only types that can be stripped',
    });
  }
  if (exported instanceof Promise) {
    throw new UserError(`${shown(path)} gives a promise, and nothing waits for it`, {
      hint: 'export the scenario itself; read files with readFileSync',
    });
  }
  const value: unknown = text === undefined ? null : JSON.parse(text);
  if (!isMapping(value)) {
    throw new UserError(`${shown(path)} has no scenario as its default export`, {
      hint: "write `export default scenario({ windtunnel: 1, … })` with `import { scenario } from 'agent-windtunnel'`",
    });
  }
  return valueSource(value, shown(path));
}

/** JSON would write null: a number that is none is shown as what it is. */
const plainNumbers = (_key: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;

// ---- files that a scenario names ------------------------------------------------------------------------------

/** The value with trace paths seen from `root`, and files of measured values read. */
function withFiles(
  value: unknown,
  folder: string,
  root: string,
  issues: Issue[],
  path: InputPath = [],
): unknown {
  if (Array.isArray(value))
    return value.map((each, index) => withFiles(each, folder, root, issues, [...path, index]));
  if (!isMapping(value)) return value;
  const result: Mapping = {};
  for (const [key, inner] of Object.entries(value)) {
    const at = [...path, key];
    if (key === 'trace' && path[0] === 'traffic' && path.length === 2)
      result[key] = Array.isArray(inner)
        ? inner.map(each => rebased(each, folder, root))
        : rebased(inner, folder, root);
    else if (key === 'empirical' && isMapping(inner) && 'file' in inner)
      result[key] = measuredValues(inner, folder, at, issues) ?? inner;
    else if (key === 'file' && value.model === 'profile' && typeof inner === 'string') {
      const read = readProfile(inner, folder, at);
      issues.push(...read.issues);
      result[key] = read.profile ?? inner;
    } else result[key] = withFiles(inner, folder, root, issues, at);
  }
  return result;
}

const rebased = (path: unknown, folder: string, root: string): unknown =>
  typeof path !== 'string' || folder === root ? path : relative(root, resolve(folder, path));

/** So many different values are kept as they are; more become this many quantiles. */
const MAX_VALUES = 20_000;
const QUANTILES = 4096;

/** Numbers of a file: one a line, a column of a CSV, a field of JSON lines, or a JSON list. */
function measuredValues(
  given: Mapping,
  folder: string,
  path: InputPath,
  issues: Issue[],
): { values: number[]; weights: number[] } | null {
  const fail = (message: string, hint: string | null, key: string): null => {
    issues.push(issue([...path, key], 'WT1005', message, hint));
    return null;
  };
  const { file, column, ...others } = given;
  const [other] = Object.keys(others);
  if (other !== undefined) return fail(`unknown key "${other}"`, 'empirical: { file, column }', other);
  if (typeof file !== 'string') return fail('expected the name of a file', null, 'file');
  const at = resolve(folder, file);
  if (!existsSync(at))
    return fail(`there is no file ${file}`, "the path is seen from this file's folder", 'file');
  let text: string;
  try {
    text = readFileSync(at, 'utf8');
  } catch (error) {
    return fail(`cannot read ${file}: ${(error as Error).message}`, 'name a file of numbers', 'file');
  }
  const rows = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .map((row, index) => ({ row, line: index + 1 }))
    .filter(({ row }) => row.trim() !== '');
  const numbers = numbersOf(rows, column === undefined ? null : String(column));
  if (typeof numbers === 'string')
    return fail(`${file}: ${numbers}`, null, column === undefined ? 'file' : 'column');
  const counts = new Map<number, number>();
  for (const each of numbers) counts.set(each, (counts.get(each) ?? 0) + 1);
  if (counts.size <= MAX_VALUES) {
    const values = [...counts.keys()].sort((a, b) => a - b);
    return { values, weights: values.map(each => counts.get(each) as number) };
  }
  const sorted = numbers.toSorted((a, b) => a - b);
  const quantiles = Array.from(
    { length: QUANTILES },
    (_, i) => sorted[Math.floor(((i + 0.5) / QUANTILES) * sorted.length)] as number,
  );
  return { values: quantiles, weights: quantiles.map(() => 1) };
}

interface Row {
  readonly row: string;
  readonly line: number;
}

/** The numbers, or what is wrong. */
function numbersOf(rows: readonly Row[], column: string | null): number[] | string {
  try {
    return parsedNumbers(rows, column);
  } catch (error) {
    return `not valid JSON: ${(error as Error).message}`;
  }
}

function parsedNumbers(rows: readonly Row[], column: string | null): number[] | string {
  const first = rows[0]?.row ?? '';
  const lineOf = (index: number): string => `line ${rows[index]?.line}`;
  if (first.startsWith('[')) {
    const list: unknown = JSON.parse(rows.map(({ row }) => row).join('\n'));
    return Array.isArray(list)
      ? checked(list, index => `item ${index + 1}`)
      : 'expected a JSON list of numbers';
  }
  if (first.startsWith('{')) {
    if (column === null) return 'which field? add `column`';
    const fields = rows.map(({ row }) => (JSON.parse(row) as Mapping | null)?.[column]);
    return checked(fields, lineOf);
  }
  if (column === null && !first.includes(',')) {
    return checked(
      rows.map(({ row }) => numberIn(row)),
      lineOf,
    );
  }
  const names = first.split(',').map(each => each.trim());
  const index = names.indexOf(column ?? '');
  if (index < 0)
    return `${column === null ? 'which column? add `column`' : `no column "${column}"`}: ${names.join(', ')}`;
  const cells = rows.slice(1).map(({ row }) => numberIn(row.split(',')[index]));
  return checked(cells, each => lineOf(each + 1));
}

/** An empty cell is no 0. */
const numberIn = (cell = ''): number => (cell.trim() === '' ? Number.NaN : Number(cell));

function checked(values: readonly unknown[], where: (index: number) => string): number[] | string {
  const wrong = values.findIndex(value => typeof value !== 'number' || !Number.isFinite(value) || value < 0);
  if (wrong >= 0) return `${where(wrong)} is not a number of 0 or more`;
  return values.length === 0 ? 'there is no value in it' : (values as number[]);
}
