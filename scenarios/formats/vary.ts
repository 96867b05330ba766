// What `--vary path=values` says: a setting of a scenario or a deployment, and the values that it takes. Paths are those
// of `--set`, beside `load` and `seed`.
import { UserError } from '../base/errors.ts';
import { deploymentSchema } from './deployment/deployment.ts';
import { scenarioSchema } from './scenario.ts';
import { parseSource } from './source.ts';
import { didYouMean } from './suggest.ts';

/** Which input a path belongs to; `load` is the load factor, `seed` the seed of the scenario. */
export type AxisTarget = 'scenario' | 'deployment' | 'load' | 'seed';

/** One setting and the values it takes, as YAML reads them. */
export interface VariedField {
  readonly path: string;
  readonly of: AxisTarget;
  readonly values: readonly unknown[];
}

export interface Axis extends VariedField {
  /** `from..to#n`: a sample of all numbers between; a Latin hypercube draws from those. */
  readonly range: { readonly from: number; readonly to: number; readonly unit: string } | null;
  /** What moves with it: each has as many values. */
  readonly linked: readonly VariedField[];
}

/** More values than these are no axis to run. */
const VALUES_MAX = 10_000;

const SCENARIO_KEYS = Object.keys(scenarioSchema.shape);
const DEPLOYMENT_KEYS = Object.keys(deploymentSchema.shape).filter(key => !SCENARIO_KEYS.includes(key));
/** Say what a file is, not what runs. */
const FIXED = ['windtunnel', 'extends', 'deployment', 'name', 'description'];

/** Whether a path begins with a key of a deployment that no scenario has. */
export const isOfDeployment = (path: string): boolean => DEPLOYMENT_KEYS.includes(/^[^.=]*/.exec(path)![0]);

const HINT =
  'a list (8,16), whole numbers (1..16), times two (1..64:x2), steps (0.5..2:0.25) or evenly spaced (0.5..2#9)';

/** One `--vary`; what is wrong with it is a UserError. */
export function parseVary(text: string): Axis {
  const refused = (why: string, hint: string): UserError => new UserError(`--vary ${text}: ${why}`, { hint });
  const equals = text.indexOf('=');
  if (equals < 1) throw refused('expected path=values', 'e.g. --vary pools.main.replicas=1..8');
  const paths = text
    .slice(0, equals)
    .split(',')
    .map(path => path.trim());
  const given = text.slice(equals + 1).trim();
  const targets = paths.map(path => targetOf(path, refused));
  if (given === '') throw refused('no value', HINT);
  const range = paths.length === 1 ? evenly(given) : null;
  const rows = itemsOf(given, refused).flatMap(item => {
    if (paths.length > 1) return [together(item, paths.length, refused)];
    return (typeof item === 'string' ? expanded(item, refused) : [item]).map(value => [value]);
  });
  if (rows.length > VALUES_MAX) throw refused(`${rows.length} values`, `at most ${VALUES_MAX}`);
  const shown = rows.map(row => JSON.stringify(row));
  const twice = rows.find((_, i) => shown.indexOf(shown[i]!) < i);
  if (twice !== undefined) throw refused(`${twice.map(valueLabel).join('/')} is there twice`, 'name it once');
  const fields = paths.map(
    (path, i): VariedField => ({ path, of: targets[i]!, values: rows.map(row => row[i]) }),
  );
  for (const field of fields) checkValues(field, refused);
  const [first, ...linked] = fields as [VariedField, ...VariedField[]];
  return { ...first, range, linked };
}

/** Several `--vary`; a path stands in one of them. */
export function parseAxes(texts: readonly string[]): Axis[] {
  const axes = texts.map(parseVary);
  const paths = axes.flatMap(axis => fieldsOf(axis).map(({ path }) => path));
  const twice = paths.find((path, i) => paths.indexOf(path) < i);
  if (twice !== undefined) {
    throw new UserError(`--vary ${twice} is given twice`, {
      hint: `name its values in one list: --vary ${twice}=a,b,c`,
    });
  }
  return axes;
}

export const fieldsOf = (axis: Axis): readonly VariedField[] => [axis, ...axis.linked];

/** `pools.main.gpu,pools.main.precision.weights`. */
export const axisName = (axis: Axis): string =>
  fieldsOf(axis)
    .map(({ path }) => path)
    .join(',');

/** A value as a person would write it: `8`, `round-robin`, `{"policy":"random"}`. */
export const valueLabel = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

/** `path=value` as `--set` takes it. */
export const assignment = (path: string, value: unknown): string => `${path}=${JSON.stringify(value)}`;

type Refused = (why: string, hint: string) => UserError;

function targetOf(path: string, refused: Refused): AxisTarget {
  if (path === 'load' || path === 'seed') return path;
  if (!/^[\w-]+(\.[\w-]+)*$/.test(path))
    throw refused(`"${path}" is no path`, 'keys with dots between them, e.g. pools.main.replicas');
  const key = path.split('.')[0] as string;
  if (FIXED.includes(key)) throw refused(`"${key}" cannot vary`, 'name a setting of the files');
  if (DEPLOYMENT_KEYS.includes(key)) return 'deployment';
  if (SCENARIO_KEYS.includes(key)) return 'scenario';
  const known = ['load', ...DEPLOYMENT_KEYS, ...SCENARIO_KEYS].filter(each => !FIXED.includes(each));
  throw refused(
    `neither a scenario nor a deployment has "${key}"`,
    didYouMean(key, known) ?? `they have ${known.join(', ')}`,
  );
}

/** The items of a list: commas inside of brackets and quotes belong to their item. */
function itemsOf(given: string, refused: Refused): readonly unknown[] {
  const { value, issues } = parseSource(`[${given}]`, '--vary');
  if (issues.length > 0 || !Array.isArray(value))
    throw refused('the values are not valid YAML', 'quote text that has commas, brackets or colons');
  if (value.some(item => item === null))
    throw refused('an empty value', 'for nothing at a key write no --vary of it');
  return value;
}

const NUMBER = '-?(?:\\d+\\.?\\d*|\\.\\d+)(?:e-?\\d+)?';
const RANGE = new RegExp(
  `^(${NUMBER})([a-z%/]*)\\.\\.(${NUMBER})([a-z%/]*)(?::x(${NUMBER})|:(${NUMBER})|#(\\d+))?$`,
  'i',
);

/** Rounded, so that a tenth is written as one. */
const clean = (value: number): number => Number(value.toPrecision(12));

const evenly = (text: string): Axis['range'] => {
  const [, from, , to, unit = '', , , count] = RANGE.exec(text) ?? [];
  return count === undefined ? null : { from: Number(from), to: Number(to), unit };
};

/** The numbers of a range, or the item itself. */
function expanded(text: string, refused: Refused): readonly unknown[] {
  const found = RANGE.exec(text);
  if (found === null) {
    if (/^[-\d.]+\.\.|\.\.[-\d.]+/.test(text)) throw refused(`"${text}" is no range`, HINT);
    return [text];
  }
  const [, low, lowUnit, high, unit = '', factor, step, count] = found;
  const [from, to] = [Number(low), Number(high)];
  if (lowUnit !== '' && lowUnit !== unit)
    throw refused(`"${text}" goes from ${lowUnit} to ${unit || 'no unit'}`, 'write the same unit at both');
  if (!(from < to)) throw refused(`"${text}": expected from..to with to above from`, HINT);
  const written = (value: number): unknown => (unit === '' ? clean(value) : `${clean(value)}${unit}`);
  return numbersOf({ text, from, to, factor, step, count }, refused).map(written);
}

interface Range {
  readonly text: string;
  readonly from: number;
  readonly to: number;
  readonly factor: string | undefined;
  readonly step: string | undefined;
  readonly count: string | undefined;
}

function numbersOf({ text, from, to, factor, step, count }: Range, refused: Refused): number[] {
  const refuse = (size: number): void => {
    if (size > VALUES_MAX) throw refused(`"${text}" has ${Math.round(size)} values`, `at most ${VALUES_MAX}`);
  };
  if (factor !== undefined) {
    const by = Number(factor);
    if (!(by > 1 && from > 0)) throw refused(`"${text}" never gets there`, 'e.g. 1..64:x2');
    const steps = Math.floor(Math.log(to / from) / Math.log(by) + 1e-9);
    refuse(steps + 1);
    return Array.from({ length: steps + 1 }, (_, i) => from * by ** i);
  }
  if (count !== undefined) {
    const points = Number(count);
    if (points < 2) throw refused(`"${text}": expected 2 values or more`, 'e.g. 0.5..2#9');
    refuse(points);
    return Array.from({ length: points }, (_, i) => from + ((to - from) * i) / (points - 1));
  }
  if (step === undefined && !(Number.isInteger(from) && Number.isInteger(to)))
    throw refused(`"${text}" needs a step`, `e.g. ${from}..${to}:0.25, or ${from}..${to}#9`);
  const by = Number(step ?? 1);
  if (!(by > 0)) throw refused(`"${text}": expected a step above 0`, 'e.g. 0.5..2:0.25');
  const steps = Math.floor((to - from) / by + 1e-9);
  refuse(steps + 1);
  return Array.from({ length: steps + 1 }, (_, i) => from + i * by);
}

/** `h100-80gb-sxm/fp8` or `[h100-80gb-sxm, fp8]`: one value of each path. */
function together(item: unknown, count: number, refused: Refused): readonly unknown[] {
  const parts = Array.isArray(item)
    ? item
    : valueLabel(item)
        .split('/')
        .map(part => parseSource(part.trim(), '--vary').value);
  if (parts.length === count && parts.every(part => part !== null)) return parts;
  throw refused(
    `${valueLabel(item)} is not one value of each of ${count} paths`,
    'with a / between them, e.g. h100-80gb-sxm/fp8; or in brackets, e.g. [1/s, 8]',
  );
}

function checkValues({ path, of, values }: VariedField, refused: Refused): void {
  const wrong = values.find(value =>
    of === 'load'
      ? !(typeof value === 'number' && value > 0 && Number.isFinite(value))
      : of === 'seed' && !(typeof value === 'string' || Number.isInteger(value)),
  );
  if (wrong === undefined) return;
  const hint = of === 'load' ? 'a factor above 0: 1 is as the scenario says' : 'a whole number or a word';
  throw refused(`${valueLabel(wrong)} is no ${path}`, hint);
}
