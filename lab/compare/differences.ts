// What two runs were made of, key by key: each difference is one change that can be undone alone.
import type { StoredInputs } from '../../scenarios/formats/stored-inputs.ts';

export interface InputDifference {
  /** `deployment: pools.main.replicas`. */
  readonly where: string;
  readonly part: 'scenario' | 'deployment' | 'routing' | 'seed';
  /** As text, cut to a line. */
  readonly baseline: string;
  readonly candidate: string;
  /** The candidate's inputs with this as in the baseline. */
  readonly undone: (candidate: StoredInputs) => StoredInputs;
}

type Mapping = Readonly<Record<string, unknown>>;
type Path = readonly (string | number)[];

interface Leaf {
  readonly path: Path;
  readonly from: unknown;
  readonly to: unknown;
}

/** So many differences are told apart; more are taken together by where they are. */
const DIFFERENCES_MAX = 12;
const TEXT_MAX = 60;

/** Names are no difference in what runs. */
const NAMES: Readonly<Record<'scenario' | 'deployment', readonly string[]>> = {
  scenario: ['name', 'description', 'seed'],
  deployment: ['deployment', 'description'],
};

const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Order of keys is no difference. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map(key => [key, ordered(value[key])]),
  );
}

/** Below the top, keys that come while others go belong together: another policy has other options. */
const isReplaced = (from: Mapping, to: Mapping): boolean =>
  Object.keys(from).some(key => !Object.hasOwn(to, key)) &&
  Object.keys(to).some(key => !Object.hasOwn(from, key));

function leaves(from: unknown, to: unknown, path: Path = []): Leaf[] {
  if (same(from, to)) return [];
  if (isMapping(from) && isMapping(to) && !(path.length > 0 && isReplaced(from, to))) {
    const keys = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort();
    return keys.flatMap(key => leaves(from[key], to[key], [...path, key]));
  }
  if (Array.isArray(from) && Array.isArray(to) && from.length === to.length)
    return from.flatMap((each, i) => leaves(each, to[i], [...path, i]));
  return [{ path, from, to }];
}

const at = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<string | number, unknown> | undefined)?.[key], value);

/** The deepest places taken together until there are at most `most`. */
function grouped(from: unknown, to: unknown, found: readonly Leaf[], most: number): readonly Leaf[] {
  if (found.length <= most) return found;
  const depth = Math.max(...found.map(({ path }) => path.length));
  if (depth <= 1) return found;
  const paths = found.map(({ path }) => path.slice(0, depth - 1));
  const distinct = [...new Map(paths.map(path => [JSON.stringify(path), path])).values()];
  const merged = distinct.map(path => ({ path, from: at(from, path), to: at(to, path) }));
  return grouped(from, to, merged, most);
}

/** The value with what is at the path set, in its place; undefined takes it out. */
function withAt(value: unknown, [key, ...rest]: Path, inner: unknown): unknown {
  if (key === undefined) return inner;
  if (Array.isArray(value)) return value.map((each, i) => (i === key ? withAt(each, rest, inner) : each));
  const old = isMapping(value) ? value : {};
  const set = withAt(old[key], rest, inner);
  const keys = Object.hasOwn(old, key) ? Object.keys(old) : [...Object.keys(old), String(key)];
  const entries = keys.map(each => [each, each === String(key) ? set : old[each]] as const);
  return Object.fromEntries(entries.filter(([, each]) => each !== undefined));
}

function shown(value: unknown): string {
  if (value === undefined) return '(not there)';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 1)}…`;
}

const without = (value: unknown, names: readonly string[]): unknown =>
  isMapping(value)
    ? Object.fromEntries(Object.entries(value).filter(([key]) => !names.includes(key)))
    : value;

/** Differences in the file of a part. */
function ofPart(
  part: 'scenario' | 'deployment',
  base: StoredInputs,
  candidate: StoredInputs,
): InputDifference[] {
  const [from, to] = [base, candidate].map(inputs => ordered(without(inputs[part].value, NAMES[part])));
  return grouped(from, to, leaves(from, to), DIFFERENCES_MAX).map(leaf => ({
    where: `${part}: ${leaf.path.join('.') || 'all of it'}`,
    part,
    baseline: shown(leaf.from),
    candidate: shown(leaf.to),
    undone: inputs => ({
      ...inputs,
      [part]: {
        ...inputs[part],
        value: withAt(inputs[part].value, leaf.path, at(base[part].value, leaf.path)),
      },
    }),
  }));
}

/** All that differs, at most some twelve a file; none where both run the same. */
export function differencesOf(base: StoredInputs, candidate: StoredInputs): InputDifference[] {
  const found = [...ofPart('scenario', base, candidate), ...ofPart('deployment', base, candidate)];
  const { models } = base.deployment;
  if (!same(ordered(models), ordered(candidate.deployment.models))) {
    found.push({
      where: 'deployment: models of your own',
      part: 'deployment',
      baseline: shown(models.map(({ id }) => id).join(', ')),
      candidate: shown(candidate.deployment.models.map(({ id }) => id).join(', ')),
      undone: inputs => ({ ...inputs, deployment: { ...inputs.deployment, models } }),
    });
  }
  if (base.routing !== candidate.routing) {
    found.push({
      where: 'routing',
      part: 'routing',
      baseline: base.routing ?? "the deployment's",
      candidate: candidate.routing ?? "the deployment's",
      undone: inputs => ({ ...inputs, routing: base.routing }),
    });
  }
  if (base.seed !== candidate.seed) {
    found.push({
      where: 'seed',
      part: 'seed',
      baseline: String(base.seed),
      candidate: String(candidate.seed),
      undone: inputs => ({ ...inputs, seed: base.seed }),
    });
  }
  return found;
}
