// Quantities with their unit in the text: 350ms, 160k, 80%, 0.05/s. Formats hold milliseconds, ratios and plain
// counts; a text in the wrong unit is refused, and so is a bare number where a unit could be guessed wrong.
import { z } from 'zod';
import { show } from './suggest.ts';

export type Dimension =
  | 'tokens'
  | 'ms'
  | 'ratio'
  | 'perSec'
  | 'usd'
  | 'usdPerHour'
  | 'count'
  | 'bytes'
  | 'bytesPerSec';

export type ScalarResult = { value: number } | { error: string; hint: string | null };

interface DimensionRow {
  /** What a message says was expected. */
  expected: string;
  /** Unit text to [multiplier, divisor]; two whole numbers, so that 60us is 0.06 ms to the last bit. */
  units: Readonly<Record<string, readonly [number, number]>>;
  /** Whether a number without unit is understood. */
  bare: boolean;
}

const HUNDRED = 100;
const counts = { '': [1, 1], k: [1000, 1], M: [1_000_000, 1] } as const;

export const DIMENSIONS: Record<Dimension, DimensionRow> = {
  tokens: { expected: 'a number of tokens, such as 160k', units: counts, bare: true },
  ms: {
    expected: 'a duration, such as 350ms',
    units: {
      ns: [1, 1_000_000],
      us: [1, 1000],
      ms: [1, 1],
      s: [1000, 1],
      m: [60_000, 1],
      h: [3_600_000, 1],
      d: [86_400_000, 1],
    },
    bare: false,
  },
  ratio: {
    expected: 'a ratio from 0 to 1, such as 80% or 0.8',
    units: { '': [1, 1], '%': [1, HUNDRED] },
    bare: true,
  },
  perSec: {
    expected: 'a rate, such as 0.05/s',
    units: {
      '/s': [1, 1],
      '/min': [1, 60],
      '/h': [1, 3600],
      '/d': [1, 86_400],
      '%/s': [1, HUNDRED],
      '%/min': [1, 60 * HUNDRED],
      '%/h': [1, 3600 * HUNDRED],
    },
    bare: false,
  },
  usd: {
    expected: 'an amount in USD, such as 0.05',
    units: { '': [1, 1], usd: [1, 1], USD: [1, 1] },
    bare: true,
  },
  usdPerHour: {
    expected: 'a price in USD per hour, such as 3.39/h',
    units: { '/h': [1, 1], 'USD/h': [1, 1] },
    bare: false,
  },
  count: { expected: 'a count, such as 12', units: counts, bare: true },
  bytes: {
    expected: 'an amount of memory, such as 64GB or 64GiB',
    units: {
      kB: [1e3, 1],
      MB: [1e6, 1],
      GB: [1e9, 1],
      TB: [1e12, 1],
      MiB: [2 ** 20, 1],
      GiB: [2 ** 30, 1],
      TiB: [2 ** 40, 1],
    },
    bare: false,
  },
  bytesPerSec: {
    expected: 'a bandwidth, such as 50GB/s or 400Gbit/s',
    units: {
      'kB/s': [1e3, 1],
      'MB/s': [1e6, 1],
      'GB/s': [1e9, 1],
      'TB/s': [1e12, 1],
      'Mbit/s': [1e6, 8],
      'Gbit/s': [1e9, 8],
    },
    bare: false,
  },
};

const NUMBER_AND_UNIT = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zA-Z%/]*)$/;

const refused = (dimension: Dimension, raw: unknown, hint: string | null): ScalarResult => ({
  error: `expected ${DIMENSIONS[dimension].expected}; got ${show(raw)}`,
  hint,
});

/** How the number would be written with a unit; the likely meanings, not a guess. */
function bareHint(dimension: Dimension, value: number): string | null {
  switch (dimension) {
    case 'ms':
      return `write ${value}ms or ${value / 1000}s`;
    case 'perSec':
      return `write ${value}/s or ${value}/min`;
    case 'usdPerHour':
      return `write ${value}/h`;
    case 'bytes':
      return `write ${value}GB`;
    case 'bytesPerSec':
      return `write ${value}GB/s or ${value}Gbit/s`;
    case 'tokens':
    case 'ratio':
    case 'usd':
    case 'count':
      return null;
  }
}

/** What is commonly written instead of a unit we know. */
function unitHint(dimension: Dimension, number: string, unit: string): string | null {
  const units = DIMENSIONS[dimension].units;
  if (unit === '' && !DIMENSIONS[dimension].bare) return bareHint(dimension, Number(number));
  if (dimension === 'ms' && /^(min|mins|minutes?)$/i.test(unit)) return `write ${number}m`;
  if (dimension === 'ms' && /^(sec|secs|seconds?)$/i.test(unit)) return `write ${number}s`;
  if (dimension === 'ms' && unit === 'M') return `write ${number}m for minutes`;
  if (dimension === 'perSec' && /^\/(m|minute)$/.test(unit)) return `write ${number}/min`;
  if (dimension === 'perSec' && /^\/(sec|second)$/.test(unit)) return `write ${number}/s`;
  if ((dimension === 'tokens' || dimension === 'count') && unit === 'm')
    return `write ${number}M for millions`;
  if ((dimension === 'tokens' || dimension === 'count') && unit === 'K') {
    return `write ${number}k for ${Number(number) * 1000}, or ${Number(number) * 1024}`;
  }
  const known = Object.keys(units).filter(each => each !== '');
  return known.length === 0 ? null : `units: ${known.join(', ')}`;
}

function bounded(dimension: Dimension, value: number, raw: unknown): ScalarResult {
  if (!Number.isFinite(value)) return refused(dimension, raw, null);
  if (value < 0) return refused(dimension, raw, 'it must not be negative');
  if (dimension === 'ratio' && value > 1) {
    const percent = typeof raw === 'number' && raw <= HUNDRED;
    return refused(dimension, raw, percent ? `did you mean ${raw}%?` : null);
  }
  return { value };
}

/**
 * The value of one quantity: ms for durations, events per second for rates, 0 to 1 for ratios; counts and tokens may
 * be fractional here (a mean is) and are rounded where they are used. Never negative, NaN or infinite.
 */
export function parseScalar(raw: unknown, dimension: Dimension): ScalarResult {
  const { units, bare } = DIMENSIONS[dimension];
  if (typeof raw === 'number') {
    if (bare || raw === 0) return bounded(dimension, raw, raw);
    return refused(dimension, raw, Number.isFinite(raw) && raw > 0 ? bareHint(dimension, raw) : null);
  }
  if (typeof raw !== 'string') return refused(dimension, raw, null);
  const text = dimension === 'usd' || dimension === 'usdPerHour' ? raw.trim().replace(/^\$/, '') : raw.trim();
  if (/^\d[\d,_]*[,_]\d/.test(text)) {
    return refused(dimension, raw, `write it without separators: ${text.replace(/[,_]/g, '')}`);
  }
  const match = NUMBER_AND_UNIT.exec(text);
  if (match === null) return refused(dimension, raw, null);
  const [, number = '', unit = ''] = match;
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
  const zero = unit === '' && Number(number) === 0;
  if (zero) return { value: 0 };
  if (factor === undefined) return refused(dimension, raw, unitHint(dimension, number, unit));
  return bounded(dimension, (Number(number) * factor[0]) / factor[1], raw);
}

/** The same as a zod schema, whose output is the number. */
export function quantity(dimension: Dimension) {
  const read = z.union([z.string(), z.number()]).transform((raw, context): number => {
    const result = parseScalar(raw, dimension);
    if ('value' in result) return result.value;
    context.issues.push({
      code: 'custom',
      message: result.error,
      input: raw,
      params: { code: 'WT1006', hint: result.hint },
    });
    return z.NEVER;
  });
  return read.meta({ dimension });
}

/** Checked like `quantity`, but kept as written: for files that are written out again. */
export function written(dimension: Dimension) {
  const checked = z.union([z.string(), z.number()]).check(context => {
    const result = parseScalar(context.value, dimension);
    if ('value' in result) return;
    context.issues.push({
      code: 'custom',
      message: result.error,
      input: context.value,
      params: { code: 'WT1006', hint: result.hint },
    });
  });
  return checked.meta({ dimension });
}
