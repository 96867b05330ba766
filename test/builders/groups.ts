// Groups of sessions for tests of the studies that compare them: a hundred that all completed.
import type { GroupFigures } from '../../lab/studies/groups.ts';

export const groupOf = (fields: Partial<GroupFigures> = {}): GroupFigures => ({
  sessions: 100,
  completed: 100,
  finalized: 0,
  broken: 0,
  answers: 1000,
  refusals: 0,
  tokens: 1_000_000,
  wastedTokens: 0,
  tokensMost: 20_000,
  usd: 1,
  wastedUsd: 0,
  makespanMsP50: 20_000,
  makespanMsP95: 40_000,
  ...fields,
});
