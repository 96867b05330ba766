// Every lint there is, the language's own, and those that need sessions, the catalogue or a
// deployment.
import type { Issue } from '../../scenarios/base/issue.ts';
import { LANGUAGE_LINTS } from '../../scenarios/lint/index.ts';
import type { Lint } from '../../scenarios/lint/lint.ts';
import { notAllowed } from './allowed.ts';
import { budgets, timeouts } from './budgets.ts';
import type { LabContext } from './context.ts';
import { deniedData, unknownLabels } from './destinations.ts';
import { impossibleTargets, nothingToJudge } from './judged.ts';
import { missingPrices } from './missing-prices.ts';
import { overload } from './offered-load.ts';
import { unserved } from './unserved.ts';
import { windows } from './window.ts';

export const LINTS: readonly Lint<LabContext>[] = [
  ...LANGUAGE_LINTS,
  budgets,
  timeouts,
  windows,
  overload,
  nothingToJudge,
  impossibleTargets,
  missingPrices,
  unknownLabels,
  notAllowed,
  unserved,
  deniedData,
];

/** What all lints find. `isOwn` says whether a place stands in the file that the user named. */
export const lint = (context: LabContext, isOwn: (found: Issue) => boolean = () => true): Issue[] =>
  LINTS.flatMap(each => {
    const found = each.find(context);
    return each.ownFileOnly === true ? found.filter(isOwn) : found;
  });
