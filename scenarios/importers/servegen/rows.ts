// The two files of a ServeGen client: a CSV without header (window start s, rate per s, CV, family, shape, scale s) and a
// JSON of distributions, each the text of a Python dict. The dicts are parsed here, never evaluated.
import { weibullCv } from '../../base/distributions.ts';
import { UserError } from '../../base/errors.ts';
import { isObject, isText, parsedJson, shown } from '../parts/rows.ts';

/** Values with their probabilities, in the order of the file. */
export interface Pmf {
  readonly values: readonly number[];
  readonly weights: readonly number[];
}

/** Requests of a client at a steady rate. */
export interface ServegenWindow {
  readonly fromMs: number;
  readonly forMs: number;
  readonly perSec: number;
  /** As measured. */
  readonly cv: number;
  /** The fitted inter-arrival times; null: no requests. */
  readonly fit: { readonly family: 'gamma' | 'weibull'; readonly shape: number } | null;
}

/** What the requests of six hours are like; without values where there were none. */
export interface ServegenDataset {
  readonly fromMs: number;
  readonly input: Pmf;
  readonly output: Pmf;
  /** Share of the output that is reasoning; null for models that do not reason. */
  readonly reasonRatio: Pmf | null;
}

/** A file as messages name it. */
export interface NamedText {
  readonly file: string;
  readonly text: string;
}

const WINDOW_MS = 600_000;
const FAMILIES = { Gamma: 'gamma', Weibull: 'weibull' } as const;

const refused = (where: string, why: string): UserError =>
  new UserError(`unreadable trace (WT1301): ${where}: ${why}`, {
    hint: 'a ServeGen client is chunk-K-trace.csv with chunk-K-dataset.json, as ServeGen publishes them',
  });

export function readWindows({ file, text }: NamedText): ServegenWindow[] {
  const rows = text.split(/\r?\n/).flatMap((line, index) => {
    if (line.trim() === '') return [];
    const where = `${file}:${index + 1}`;
    const [start, rate, cv, family = '', shape, scale, ...more] = line.split(',').map(cell => cell.trim());
    const numbers = [start, rate, cv, shape, scale].map(cell =>
      cell === undefined || cell === '' ? Number.NaN : Number(cell),
    );
    if (more.length > 0 || numbers.some(number => !Number.isFinite(number) || number < 0))
      throw refused(where, `is ${shown(line)}, expected start, rate, CV, family, shape, scale`);
    const [startS = 0, perSec = 0, cvRatio = 0, shapeOfFit = 0] = numbers;
    return [
      { where, fromMs: startS * 1000, perSec, cv: cvRatio, fit: fitOf(where, perSec, family, shapeOfFit) },
    ];
  });
  return rows.map(({ where, ...row }, index) => {
    const next = rows[index + 1];
    const before = rows[index - 1];
    if (next !== undefined && next.fromMs <= row.fromMs)
      throw refused(next.where, 'it starts before the window above it');
    // The last window is as long as the one before it.
    const forMs =
      next !== undefined
        ? next.fromMs - row.fromMs
        : before !== undefined
          ? row.fromMs - before.fromMs
          : WINDOW_MS;
    return { ...row, forMs };
  });
}

/** Requests of one client a second, and CVs, that a scenario takes; what lies beyond is a broken row. */
const PER_SEC_MAX = 1e6;
const CV_MIN = 0.01;
const CV_MAX = 1000;

/** ServeGen draws from the fitted distribution, whose CV is its shape's: the measured one differs for a Weibull. */
export const cvOf = ({ family, shape }: NonNullable<ServegenWindow['fit']>): number =>
  family === 'gamma' ? 1 / Math.sqrt(shape) : weibullCv(shape);

function fitOf(where: string, perSec: number, family: string, shape: number): ServegenWindow['fit'] {
  if (perSec === 0) return null;
  if (perSec > PER_SEC_MAX) throw refused(where, `has ${perSec} requests a second, more than ${PER_SEC_MAX}`);
  if (!Object.hasOwn(FAMILIES, family) || shape <= 0)
    throw refused(
      where,
      `has requests, but a fit of ${shown(family)} with shape ${shape}; there are Gamma and Weibull`,
    );
  const fit = { family: FAMILIES[family as keyof typeof FAMILIES], shape };
  const cv = cvOf(fit);
  if (!(cv >= CV_MIN && cv <= CV_MAX))
    throw refused(
      where,
      `has a ${family} of shape ${shape}, whose CV is not between ${CV_MIN} and ${CV_MAX}`,
    );
  return fit;
}

export function readDatasets({ file, text }: NamedText): ServegenDataset[] {
  const parsed = parsedJson(text);
  if ('why' in parsed) throw refused(file, parsed.why);
  if (!isObject(parsed.value))
    throw refused(file, `is ${shown(parsed.value)}, expected windows by their start`);
  return Object.entries(parsed.value)
    .map(([key, fields]): ServegenDataset => {
      const startS = Number(key);
      if (!Number.isInteger(startS) || startS < 0)
        throw refused(file, `key ${shown(key)} is no start in seconds`);
      if (!isObject(fields)) throw refused(file, `${key} is ${shown(fields)}, expected its distributions`);
      const pmfAt = (name: string): Pmf => pmfOf(fields[name], `${file}: ${key}.${name}`);
      return {
        fromMs: startS * 1000,
        input: pmfAt('input_tokens'),
        output: pmfAt('output_tokens'),
        reasonRatio: fields.reason_ratio === undefined ? null : pmfAt('reason_ratio'),
      };
    })
    .toSorted((a, b) => a.fromMs - b.fromMs);
}

const PAIR = /^\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*:\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*$/;

/** `{39: 0.25, 512: 0.75}`; empty where there were no requests. */
export function pmfOf(text: unknown, where: string): Pmf {
  const inner = isText(text) ? /^\s*\{([^{}]*)\}\s*$/.exec(text)?.[1] : undefined;
  if (inner === undefined)
    throw refused(where, `is ${shown(text)}, expected a dict such as "{39: 0.25, 512: 0.75}"`);
  const values: number[] = [];
  const weights: number[] = [];
  const pairs = inner.replace(/,\s*$/, '');
  for (const pair of pairs.trim() === '' ? [] : pairs.split(',')) {
    const [, value, weight] = PAIR.exec(pair) ?? [];
    const numbers = [Number(value), Number(weight)];
    if (numbers.some(number => !Number.isFinite(number) || number < 0))
      throw refused(where, `has ${shown(pair.trim())}, expected value: probability`);
    values.push(numbers[0] as number);
    weights.push(numbers[1] as number);
  }
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (values.length > 0 && Math.abs(sum - 1) > 0.01)
    throw refused(where, `has probabilities that sum to ${sum}, not 1`);
  return { values, weights };
}
