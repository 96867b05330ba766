// What sessions that run away cost beside those that do not, and how well the rules told them apart.
import { type AnomalyScore, scoreAnomalies } from '../../scenarios/formats/anomaly-score.ts';
import type { Measure } from '../grid/case.ts';
import { type GroupFigures, groupsOf } from './groups.ts';

export interface RunawayFigures {
  /** By what was injected; `sound`: nothing was. */
  readonly groups: Readonly<Record<string, GroupFigures>>;
  readonly score: AnomalyScore;
}

const measure: Measure<RunawayFigures> = run => ({
  groups: groupsOf(run, ({ injected }) => injected ?? 'sound'),
  score: scoreAnomalies(run.governed?.anomalies ?? []),
});

export default measure;
