// A run in short pieces: a tally of the calls and sessions that were planned in each, so that before, during and after a
// fault can be judged apart.
import { TallyCollector } from '../../../reports/tally/collect.ts';
import { Histogram } from '../../../scenarios/base/histogram.ts';
import type { RunTally } from '../../../scenarios/formats/tally.ts';
import type { Measure } from '../../grid/case.ts';

/** Length of a piece, ms of the run. */
export const PIECE_MS = 5000;

/** From the start of the run on; gaps between tokens are of the whole run and so in none. */
const measure: Measure<RunTally[]> = ({ calls, workflows }, { assertions }) => {
  const pieces: TallyCollector[] = [];
  const pieceOf = ({ plannedMs }: { plannedMs: number }): TallyCollector => {
    const index = Math.floor(plannedMs / PIECE_MS);
    while (pieces.length <= index) pieces.push(new TallyCollector(assertions));
    return pieces[index]!;
  };
  for (const call of calls) pieceOf(call).onCall(call);
  for (const workflow of workflows) pieceOf(workflow).onSession(workflow);
  return pieces.map(piece => piece.tally(PIECE_MS, [], new Histogram().toCounts()));
};
export default measure;
