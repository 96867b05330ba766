// Quantities of a deployment as schemas: one number in its unit, or a distribution of such, drawn at each use.
import { z } from 'zod';
import type { Issue } from '../base/issue.ts';
import { type DrawnAmount, parseAmount } from './amount.ts';
import { amount } from './fields.ts';
import { type Dimension, quantity } from './quantity.ts';

/** The expressions of a scenario have nothing to stand on here. */
function parseDrawn(raw: unknown, dimension: Dimension, issues: Issue[]): DrawnAmount | null {
  const parsed = parseAmount(raw, dimension, [], issues);
  if (parsed === null || parsed.kind === 'draw') return parsed;
  issues.push({
    path: [],
    code: 'WT1005',
    message: 'expressions stand in scenarios only',
    hint: 'write a number with its unit, or a distribution',
    severity: 'error',
  });
  return null;
}

/** A number or a distribution, as an amount in the base unit of its dimension. */
export const drawn = (dimension: Dimension, what: string) =>
  amount
    .describe(what)
    .transform((raw, context): DrawnAmount => {
      const issues: Issue[] = [];
      const parsed = parseDrawn(raw, dimension, issues);
      if (parsed !== null) return parsed;
      for (const { path, code, message, hint, atKey } of issues)
        context.issues.push({
          code: 'custom',
          path: [...path],
          message,
          input: raw,
          params: { code, hint, atKey },
        });
      return z.NEVER;
    })
    .meta({ description: what, drawn: dimension });

/** A duration in ms. */
export const duration = (what: string) =>
  quantity('ms').describe(`${what}; a duration, such as 12ms or 60us`);

/** Whole tokens, at least 1. */
export const tokens = (what: string) =>
  quantity('tokens').pipe(z.int().min(1)).describe(`${what}; tokens, such as 8192 or 32k (= 32000)`);

/** A share from 0 to 1. */
export const ratio = (what: string) => quantity('ratio').describe(`${what}; a ratio, such as 80% or 0.8`);

export const bytes = (what: string) => quantity('bytes').describe(`${what}; such as 64GB or 64GiB`);

/** Bytes per second, at least 1: over less nothing ever arrives. */
export const bandwidth = (what: string) =>
  quantity('bytesPerSec').pipe(z.number().min(1)).describe(`${what}; such as 50GB/s or 400Gbit/s`);

/** A whole number from 1 to `maximum`. */
export const whole = (maximum: number, what: string) => z.int().min(1).max(maximum).describe(what);
