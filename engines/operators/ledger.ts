// Which keys of a file were used, so that the rest can be listed: a key is mapped or told, never dropped.
import type { InputPath } from '../../scenarios/base/issue.ts';

export interface Ledger {
  /** The value at a path, which counts as used with all that is below it; undefined where there is none. */
  take(...path: InputPath): unknown;
  /** The same without counting it as used. */
  look(...path: InputPath): unknown;
  /** What nobody used: each key that nothing was used below, once. */
  left(): InputPath[];
}

export const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const childrenOf = (value: unknown): [string | number, unknown][] => {
  if (Array.isArray(value)) return value.map((each, index) => [index, each]);
  if (!isMapping(value)) return [];
  return Object.entries(value).filter(([, each]) => each !== undefined);
};

export function valueAt(root: unknown, path: InputPath): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}

const keyOf = (path: InputPath): string => JSON.stringify(path);

export function ledgerOf(root: unknown): Ledger {
  const used = new Set<string>();
  const rest = (value: unknown, path: InputPath): { left: InputPath[]; isTouched: boolean } => {
    if (used.has(keyOf(path))) return { left: [], isTouched: true };
    const below = childrenOf(value).map(([key, each]) => rest(each, [...path, key]));
    const isTouched = below.some(each => each.isTouched);
    return { left: isTouched ? below.flatMap(each => each.left) : [path], isTouched };
  };
  return {
    take(...path) {
      used.add(keyOf(path));
      return valueAt(root, path);
    },
    look: (...path) => valueAt(root, path),
    left: () => rest(root, []).left,
  };
}

/** A path as messages show it: spec.template.spec.containers[0].env. */
export const pathText = (path: InputPath): string =>
  path
    .map((each, index) => {
      if (typeof each === 'number') return `[${each}]`;
      const isPlain = /^[\w-]+$/.test(each);
      return isPlain ? `${index === 0 ? '' : '.'}${each}` : `["${each}"]`;
    })
    .join('');

/** Why keys are left, by a pattern of their path; the first that fits. */
export type Whys = readonly (readonly [RegExp, string])[];

export const whyOf = (path: string, whys: Whys, otherwise: string): string =>
  whys.find(([pattern]) => pattern.test(path))?.[1] ?? otherwise;
