// Weights that do not sum to 100 %: they are taken as parts of their sum, which may not be what the numbers say.
import type { InputPath } from '../base/issue.ts';
import { parseScalar } from '../formats/quantity.ts';
import { defineLint, type Finding, percent } from './lint.ts';

const exact = (ratio: number): string => percent(ratio, 3);

/** Rounding in the text: three thirds of 33.3 %. */
const TOLERANCE = 0.005;

export const weights = defineLint('WT2006', function* ({ file, workflows }): Generator<Finding> {
  const reached = Object.fromEntries(
    Object.entries(file.workflows ?? {}).filter(([name]) => workflows.has(name)),
  );
  yield* lists({ ...file, workflows: reached }, []);
});

/** Every list of weights below a node, where it stands. */
function* lists(node: unknown, path: InputPath): Generator<Finding> {
  if (typeof node !== 'object' || node === null) return;
  for (const [key, value] of Object.entries(node)) {
    const at = [...path, Array.isArray(node) ? Number(key) : key];
    const found = weightsOf(key, value, path);
    if (found !== null) yield* unlikeWhole(found, at);
    yield* lists(value, at);
  }
}

/** The weights under a key that has some, else null. */
function weightsOf(key: string, value: unknown, path: InputPath): readonly unknown[] | null {
  const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
  const isCohort = path[0] === 'traffic' && path.length === 2;
  if (isMapping && (key === 'choice' || (isCohort && (key === 'mix' || key === 'tenants'))))
    return Object.values(value);
  if (Array.isArray(value) && (key === 'cases' || key === 'mixture'))
    return value.map(each => (each as { weight?: unknown } | null)?.weight);
  return null;
}

function* unlikeWhole(given: readonly unknown[], path: InputPath): Generator<Finding> {
  const parsed = given.map(each => (each === undefined ? null : parseScalar(each, 'ratio')));
  const values = parsed.map(each => (each !== null && 'value' in each ? each.value : null));
  if (values.length === 0 || values.some(value => value === null)) return;
  const shares = values as number[];
  const sum = shares.reduce((total, share) => total + share, 0);
  const [first] = shares;
  // Equal weights say "alike", whatever they sum to.
  if (sum === 0 || Math.abs(sum - 1) <= TOLERANCE || shares.every(share => share === first)) return;
  yield {
    path,
    atKey: true,
    message: `the weights sum to ${exact(sum)}: ${shares.map(exact).join(', ')} are taken as ${shares.map(share => exact(share / sum)).join(', ')}`,
    hint: 'let them sum to 100 %',
  };
}
