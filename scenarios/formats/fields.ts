// Fields that the schemas of scenarios and deployments share: amounts as a user writes them, shares and names.
import { z } from 'zod';

/** A number with or without a unit, a distribution or an expression; amount.ts reads it. */
export const amount = z.union([z.number(), z.string(), z.record(z.string(), z.unknown())]);
export const tokens = amount.describe('tokens: 160k, { median: 216, p90: 899 } or =tokens(prev)');
export const duration = amount.describe('a duration: 350ms, 1.1s, 10m, or a distribution of such');
export const share = z.union([z.number(), z.string()]).describe('a share: 80% or 0.8');
export const name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]*$/, 'a name starts with a letter; then letters, digits, - and _');

export const ROLES = ['planner', 'worker', 'evaluator', 'router', 'final', 'summarizer'] as const;
