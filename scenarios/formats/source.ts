// A YAML or JSON file that a user wrote: its value, and where each part of it stands, so that every issue is shown
// at its line with the text around it. YAML 1.2 core schema; no merge keys, no duplicate keys, at
// most 1 MB, beyond which only JSON is read, without places.
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  stringify,
  visit,
  type YAMLError,
} from 'yaml';
import { z } from 'zod';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { didYouMean, show } from './suggest.ts';
import { around, wrap } from './wrap.ts';

/** A span on one line. Lines and columns count from 1; `endColumn` is exclusive. */
export interface Position {
  /** The file it is in, with its text: a scenario may stand in several (`extends`). */
  file: string;
  text: string;
  line: number;
  column: number;
  endColumn: number;
  lineText: string;
}

export interface Source {
  file: string;
  text: string;
  /** Plain objects, arrays, strings, numbers, booleans and null; null when the text is not valid. */
  value: unknown;
  /** What is wrong with the text itself: syntax, duplicate keys, size. */
  issues: Issue[];
  /** Where the value at `path` stands (its key, with `atKey`); what is missing is shown at its nearest parent. */
  position(path: InputPath, atKey?: boolean): Position;
  /** Where an issue stands: a syntax error at its own place, any other at its path. */
  locate(issue: Issue): Position;
}

const MAX_CHARACTERS = 1_000_000;
/** Expansions of anchors, against "billion laughs" files. */
const MAX_ALIASES = 1000;
const MAX_DEPTH = 100;

type Span = readonly [start: number, end: number];

const codeOf = (error: YAMLError): string => (error.code === 'DUPLICATE_KEY' ? 'WT1005' : 'WT1002');

function words(error: YAMLError, text: string): string {
  if (error.message.includes('call stack')) return 'nested too deep to be read';
  if (error.code !== 'DUPLICATE_KEY') return `not valid YAML: ${error.message}`;
  const key = /^[^\s:]+/.exec(text.slice(error.pos[0]))?.[0] ?? '';
  return `the key "${key.replace(/^["']|["']$/g, '')}" appears twice`;
}

/** Nesting of brackets is bounded before parsing, because the parser recurses. */
function tooDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '[' || character === '{') depth++;
    else if (character === ']' || character === '}') depth = Math.max(0, depth - 1);
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** What YAML allows and no plain value can hold: an alias inside its own anchor, a key that means a prototype. */
function unsafeNodes(document: Document.Parsed): [Issue, Node][] {
  const found: [Issue, Node][] = [];
  if (document.errors.length > 0) return found;
  visit(document, {
    Alias: (_key, alias, above) => {
      if (above.some(node => isCollection(node) && node.anchor === alias.source))
        found.push([issue([], 'WT1002', `*${alias.source} stands inside of what it repeats`), alias]);
    },
    Pair: (_key, { key }) => {
      if (isScalar(key) && key.value === '__proto__')
        found.push([issue([], 'WT1003', 'unknown key "__proto__"'), key]);
    },
  });
  return found;
}

/** The span of the value at `path`, or of its key; of the nearest parent when there is no such value. */
function spanOf(document: Document.Parsed, path: InputPath, atKey: boolean): Span {
  let node: unknown = document.contents;
  let key: unknown = null;
  for (const element of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(each => isScalar(each.key) && String(each.key.value) === String(element));
      if (pair === undefined) return rangeOf(key) ?? rangeOf(node) ?? [0, 0];
      key = pair.key;
      node = pair.value;
    } else if (isSeq(node) && typeof element === 'number' && node.items[element] !== undefined) {
      key = null;
      node = node.items[element];
    } else {
      return rangeOf(key) ?? rangeOf(node) ?? [0, 0];
    }
  }
  const empty = rangeOf(node) === null || rangeOf(node)?.[0] === rangeOf(node)?.[1];
  const preferKey = atKey || empty || (isCollection(node) && !node.flow);
  return (preferKey ? rangeOf(key) : null) ?? rangeOf(node) ?? [0, 0];
}

function rangeOf(node: unknown): Span | null {
  if (!isNode(node)) return null;
  const range = (node as Node).range;
  return range ? [range[0], range[1]] : null;
}

/** Parses `text`; `file` is the name that messages show. Never throws. */
export function parseSource(text: string, file: string): Source {
  const lines = new LineCounter();
  const issues: Issue[] = [];
  const spans = new Map<Issue, Span>();
  const report = (found: Issue, span: Span): void => {
    issues.push(found);
    spans.set(found, span);
  };
  const positionOf = ([start, end]: Span): Position => {
    const { line, col } = lines.linePos(start);
    const from = start - (col - 1);
    const newline = text.indexOf('\n', from);
    const lineText = text.slice(from, newline < 0 ? text.length : newline).replace(/\r$/, '');
    const length = lineText.trimEnd().length;
    const endColumn = Math.max(col + 1, Math.min(col + (end - start), length + 1));
    return { file, text, line: Math.max(1, line), column: Math.max(1, col), endColumn, lineText };
  };
  const first: Position = { file, text: '', line: 1, column: 1, endColumn: 2, lineText: '' };
  const unread = (message: string, hint: string | null): Source => {
    issues.push(issue([], 'WT1002', message, hint));
    return { file, text, value: null, issues, position: () => first, locate: () => first };
  };
  if (text.length > MAX_CHARACTERS) {
    const written = /^\s*\{/.test(text) ? jsonValue(text) : undefined;
    if (written !== undefined) return valueSource(written, file);
    return unread(`the file has ${text.length} characters; at most ${MAX_CHARACTERS} are read`, 'split it');
  }
  if (tooDeep(text)) return unread(`brackets are nested deeper than ${MAX_DEPTH}`, null);

  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    merge: false,
    uniqueKeys: true,
    lineCounter: lines,
    prettyErrors: false,
  });
  for (const error of document.errors) report(issue([], codeOf(error), words(error, text)), error.pos);
  for (const error of document.warnings) report(issue([], 'WT1002', error.message), error.pos);
  for (const [found, node] of unsafeNodes(document)) report(found, rangeOf(node) ?? [0, 0]);
  let value: unknown = null;
  if (issues.length === 0) {
    try {
      value = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      report(issue([], 'WT1002', `not valid YAML: ${(error as Error).message}`), [0, 0]);
    }
  }
  const position = (path: InputPath, atKey = false): Position => positionOf(spanOf(document, path, atKey));
  const locate = (found: Issue): Position => {
    const span = spans.get(found);
    return span === undefined ? position(found.path, found.atKey) : positionOf(span);
  };
  return { file, text, value, issues, position, locate };
}

/** The value of a text that a program wrote; undefined where it is not JSON. */
function jsonValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A value that no text stands behind, such as what a TypeScript file exports: issues are told by their path. */
export function valueSource(value: unknown, file: string): Source {
  const nowhere: Position = { file, text: '', line: 1, column: 1, endColumn: 2, lineText: '' };
  return { file, text: '', value, issues: [], position: () => nowhere, locate: () => nowhere };
}

// ---- issues in words ------------------------------------------------------------------------------------------

const plainText = (text: string): string => text;
const PAINT = {
  red: (text: string) => `\u001b[31m${text}\u001b[39m`,
  yellow: (text: string) => `\u001b[33m${text}\u001b[39m`,
  bold: (text: string) => `\u001b[1m${text}\u001b[22m`,
  dim: (text: string) => `\u001b[2m${text}\u001b[22m`,
};
const NO_PAINT = { red: plainText, yellow: plainText, bold: plainText, dim: plainText };

function ordered(issues: readonly Issue[], source: Source): { found: Issue; at: Position }[] {
  const placed = issues.map((found, index) => ({ found, at: source.locate(found), index }));
  const files = [...new Set([source.file, ...placed.map(({ at }) => at.file)])];
  const rank = (at: Position): number => files.indexOf(at.file);
  return placed.sort(
    (a, b) =>
      rank(a.at) - rank(b.at) || a.at.line - b.at.line || a.at.column - b.at.column || a.index - b.index,
  );
}

/** A key that someone wrote into the file does not go on into a log; the text keeps its width. */
const withoutSecrets = (line: string): string =>
  line.replace(
    /((?:api_?key|secret|password|authorization)["']?\s*:\s*["']?)([^\s"',}]+)|\b(sk-[\w-]{4,})/gi,
    (all, key: string | undefined, value: string | undefined) =>
      (key ?? '') + '•'.repeat((value ?? all).length),
  );

/** The line before, the line itself with ^^^^ under the span, the line after; long ones cut around the span. */
function frame(at: Position, allLines: readonly string[], paint: typeof NO_PAINT, width: number): string[] {
  const digits = String(at.line + 1).length;
  const room = width - digits - 7;
  const span = { start: at.column - 1, end: at.endColumn - 1 };
  const shown = around(withoutSecrets(allLines[at.line - 1] ?? ''), span, room);
  const row = (line: number, mark: string, text: string): string =>
    `${mark} ${String(line).padStart(digits)} | ${text}`.trimEnd();
  const beside = (line: number): string =>
    paint.dim(
      row(line, ' ', around(withoutSecrets(allLines[line - 1] ?? ''), { start: 0, end: 1 }, room).text),
    );
  const indent = shown.text.slice(0, shown.start).replace(/[^\t]/g, ' ');
  const rows: string[] = [];
  if (at.line > 1) rows.push(beside(at.line - 1));
  rows.push(row(at.line, '>', shown.text));
  rows.push(
    `  ${' '.repeat(digits)} | ${indent}${paint.red('^'.repeat(Math.max(1, shown.end - shown.start)))}`,
  );
  if (at.line < allLines.length) rows.push(beside(at.line + 1));
  return rows.map(each => `  ${each}`);
}

/**
 * Every issue with its place, the lines around it and its hint, ordered by place. Ends without a newline. `width` is that
 * of the terminal; without one nothing is broken or cut.
 */
export function formatIssues(
  issues: readonly Issue[],
  source: Source,
  options: { colour: boolean; width?: number | undefined },
): string {
  const paint = options.colour ? PAINT : NO_PAINT;
  const { width = Number.POSITIVE_INFINITY } = options;
  const blocks = ordered(issues, source).map(({ found, at }) => {
    const inText = at.text !== '';
    const place = inText ? `${at.file}:${at.line}:${at.column}` : `${at.file} ${pathText(found.path)}`.trim();
    const plain = `${place}  ${found.severity}  ${found.code} ${found.message}`;
    const [first = '', ...more] = wrap(plain, width, '  ');
    const severity = found.severity === 'error' ? paint.red('error') : paint.yellow('warning');
    const painted = first.startsWith(`${place}  ${found.severity}`)
      ? `${paint.bold(place)}  ${severity}${first.slice(place.length + 2 + found.severity.length)}`
      : first;
    const lines = inText ? frame(at, at.text.replace(/\n$/, '').split(/\r?\n/), paint, width) : [];
    const hint =
      found.hint === null ? [] : wrap(`hint: ${found.hint}`, width - 2, '  ').map(each => `  ${each}`);
    return [painted, ...more, ...lines, ...hint].join('\n');
  });
  return blocks.join('\n\n');
}

/** A value as YAML that this file's parser reads back; keys in their order. */
export const toYaml = (value: unknown): string =>
  stringify(value, { aliasDuplicateObjects: false, lineWidth: 110 });

/** A path as a program writes it: workflows.chat.steps[0].out. */
const pathText = (path: InputPath): string =>
  path
    .map((each, index) => (typeof each === 'number' ? `[${each}]` : index === 0 ? each : `.${each}`))
    .join('');

/** The same for programs, ordered by place. */
export function issuesToJson(issues: readonly Issue[], source: Source) {
  return ordered(issues, source).map(({ found, at }) => ({
    file: at.file,
    line: at.line,
    column: at.column,
    endColumn: at.endColumn,
    severity: found.severity,
    code: found.code,
    message: found.message,
    hint: found.hint,
    path: found.path,
  }));
}

// ---- zod errors -----------------------------------------------------------------------------------------------

type ZodIssue = z.core.$ZodIssue;

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping (key: value)',
  record: 'a mapping (key: value)',
  array: 'a list',
  null: 'null',
};

const typeWords = (type: string): string => TYPE_WORDS[type] ?? type;

function valueAt(input: unknown, path: InputPath): unknown {
  let value = input;
  for (const element of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, element)) return undefined;
    value = (value as Record<string | number, unknown>)[element];
  }
  return value;
}

const inputPath = (path: readonly PropertyKey[]): InputPath =>
  path.map(element => (typeof element === 'symbol' ? String(element) : element));

function bound(found: ZodIssue, got: string): string | null {
  if (found.code !== 'too_small' && found.code !== 'too_big') return null;
  const small = found.code === 'too_small';
  const limit = String(small ? found.minimum : found.maximum);
  const counted: Record<string, string> = {
    string: 'character',
    array: 'item',
    object: 'key',
    record: 'key',
  };
  const thing = counted[found.origin];
  const unit = thing === undefined ? '' : ` ${thing}${limit === '1' ? '' : 's'}`;
  const strict = found.inclusive === false;
  const comparison = small ? (strict ? 'more than' : 'at least') : strict ? 'less than' : 'at most';
  return `expected ${comparison} ${limit}${unit}, got ${got}`;
}

/** Known keys of the mapping at a path of the input. */
export type KnownKeys = readonly string[] | ((path: InputPath) => readonly string[]);

interface ZodContext {
  basePath: InputPath;
  input: unknown;
  keys: KnownKeys;
}

const unionsOf = (found: ZodIssue): ZodIssue[][] => (found.code === 'invalid_union' ? found.errors : []);

function unionIssues(
  found: Extract<ZodIssue, { code: 'invalid_union' }>,
  context: ZodContext,
  at: InputPath,
): Issue[] {
  const options: unknown = 'options' in found ? found.options : undefined;
  if (found.errors.length === 0 && Array.isArray(options)) {
    const got = valueAt(context.input, inputPath(found.path));
    const near = typeof got === 'string' ? didYouMean(got, options.map(String)) : null;
    return [issue(at, 'WT1005', `expected one of ${options.map(show).join(', ')}; got ${show(got)}`, near)];
  }
  /** The value is of another kind altogether: no part of it is to blame. */
  const here = (each: ZodIssue): boolean =>
    each.path.length === 0 &&
    (each.code === 'invalid_type' ||
      (unionsOf(each).length > 0 && unionsOf(each).every(branch => branch.some(here))));
  const elsewhere = (each: ZodIssue): boolean => each.path.length === 0 && each.code === 'invalid_value';
  const fitting = found.errors.filter(
    branch => branch.length > 0 && !branch.some(each => here(each) || elsewhere(each)),
  );
  const inner = fitting.length === 1 ? fitting[0] : undefined;
  if (inner !== undefined) {
    return inner.flatMap(each =>
      toIssues({ ...each, path: [...found.path, ...each.path] } as ZodIssue, context),
    );
  }
  const kindsOf = (each: ZodIssue): string[] => {
    if (each.path.length > 0) return [];
    if (each.code === 'invalid_type') return [typeWords(each.expected)];
    return each.code === 'invalid_value' ? each.values.map(show) : unionsOf(each).flat().flatMap(kindsOf);
  };
  const choices = [...new Set(found.errors.flat().flatMap(kindsOf))];
  const expected = fitting.length === 0 && choices.length > 0 ? choices.join(' or ') : 'another form';
  return [
    issue(at, 'WT1005', `expected ${expected}, got ${show(valueAt(context.input, inputPath(found.path)))}`),
  ];
}

function toIssues(found: ZodIssue, context: ZodContext): Issue[] {
  const inner = inputPath(found.path);
  const at: InputPath = [...context.basePath, ...inner];
  if (found.code === 'unrecognized_keys') {
    const known = typeof context.keys === 'function' ? context.keys(inner) : context.keys;
    return found.keys.map(key => {
      const list = known.length > 0 && known.length <= 12 ? `known keys: ${known.join(', ')}` : null;
      // { adds: =max(200, tokens(prev)) } ends at its comma.
      const comma = /[()]/.test(key)
        ? 'quote an expression that has a comma: "=max(200, tokens(prev))"'
        : null;
      const hint = comma ?? didYouMean(key, known) ?? list;
      return issue([...at, key], 'WT1003', `unknown key "${key}"`, hint, { atKey: true });
    });
  }
  const got = valueAt(context.input, inner);
  const last = inner.at(-1);
  if (got === undefined && last !== undefined) return [issue(at, 'WT1004', `missing key "${String(last)}"`)];
  switch (found.code) {
    case 'invalid_type':
      return [issue(at, 'WT1005', `expected ${typeWords(found.expected)}, got ${show(got)}`)];
    case 'invalid_value': {
      const known = found.values.map(value => show(value)).join(', ');
      const texts = found.values.filter(value => typeof value === 'string');
      const near = typeof got === 'string' ? didYouMean(got, texts) : null;
      const expected = found.values.length === 1 ? known : `one of ${known}`;
      return [issue(at, 'WT1005', `expected ${expected}; got ${show(got)}`, near)];
    }
    case 'invalid_key':
      return [issue(at, 'WT1005', found.issues[0]?.message ?? found.message, null, { atKey: true })];
    case 'invalid_union':
      return unionIssues(found, context, at);
    case 'custom': {
      const params: Record<string, unknown> = found.params ?? {};
      const code = typeof params.code === 'string' ? params.code : 'WT1005';
      const hint = typeof params.hint === 'string' ? params.hint : null;
      return [issue(at, code, found.message, hint, { atKey: params.atKey === true })];
    }
    default:
      return [issue(at, 'WT1005', bound(found, show(got)) ?? `${found.message}; got ${show(got)}`)];
  }
}

/**
 * Issues in plain words from a zod error. `input` is the value that was parsed, for "got"; `keys` are the known keys
 * for did-you-mean. A custom zod issue may carry `params: { code, hint }`.
 */
export function issuesFromZod(
  error: z.core.$ZodError,
  basePath: InputPath,
  options: { input?: unknown; keys?: KnownKeys } = {},
): Issue[] {
  const context: ZodContext = { basePath, input: options.input, keys: options.keys ?? [] };
  return error.issues.flatMap(found => toIssues(found, context));
}

/** The keys that `schema` knows at `path`, looked up through optionals, unions, records and lists. */
export function keysOf(schema: z.core.$ZodType, path: InputPath = []): string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault) {
    return keysOf(schema.def.innerType, path);
  }
  if (schema instanceof z.ZodPipe) return keysOf(schema.def.in, path);
  if (schema instanceof z.ZodLazy) return keysOf(schema.def.getter(), path);
  if (schema instanceof z.ZodUnion) {
    return [...new Set(schema.def.options.flatMap((option: z.core.$ZodType) => keysOf(option, path)))];
  }
  const [first, ...rest] = path;
  if (schema instanceof z.ZodObject) {
    if (first === undefined) return Object.keys(schema.def.shape);
    const inner = schema.def.shape[String(first)];
    return inner === undefined ? [] : keysOf(inner, rest);
  }
  if (first === undefined) return [];
  if (schema instanceof z.ZodRecord) return keysOf(schema.def.valueType, rest);
  if (schema instanceof z.ZodArray) return keysOf(schema.def.element, rest);
  return [];
}

/** Checks `input` against a schema: its output, or null with the issues. */
export function checkSchema<T extends z.ZodType>(
  schema: T,
  input: unknown,
  basePath: InputPath,
): { value: z.output<T> | null; issues: Issue[] } {
  const result = schema.safeParse(input);
  if (result.success) return { value: result.data, issues: [] };
  const keys = (path: InputPath): string[] => keysOf(schema, path);
  return { value: null, issues: issuesFromZod(result.error, basePath, { input, keys }) };
}
