// What each tenant of a run got.
import type { Measure } from '../grid/case.ts';
import { type GroupFigures, groupsOf } from './groups.ts';

const byTenant: Measure<Record<string, GroupFigures>> = run =>
  groupsOf(run, ({ tenant, cohort }) => tenant ?? cohort);

export default byTenant;
