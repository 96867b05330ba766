// The lints of the language: what a scenario says by itself, on no cluster and at no price.
import { changedPrefix } from './changed-prefix.ts';
import { circles } from './circles.ts';
import type { Lint } from './lint.ts';
import { loops } from './loops.ts';
import { prefixOrder } from './prefix-order.ts';
import { harmfulRetries } from './retries.ts';
import { unreachable, unusedWorkflows } from './unreachable.ts';
import { unused } from './unused.ts';
import { weights } from './weights.ts';

export const LANGUAGE_LINTS: readonly Lint[] = [
  prefixOrder,
  changedPrefix,
  unreachable,
  unusedWorkflows,
  unused,
  loops,
  weights,
  harmfulRetries,
  circles,
];
