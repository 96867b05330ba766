// Cumulative distributions of prompt, output and uncached tokens of a call.
import type { TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import { type Chart, COUNT_LABEL, logTicks, PALETTE } from '../charts/chart.ts';
import { type Curve, curvesSpec, curvesTable, drawn } from './curves.ts';
import { lengthFinding, sentence } from './findings.ts';

const curvesOf = ({ call, cdfs }: TraceProfile): Curve[] =>
  drawn([
    { name: 'output', colour: PALETTE.green, cdf: cdfs.outputTokens, spread: call.outputTokens },
    {
      name: 'prompt, not cached',
      colour: PALETTE.orange,
      cdf: cdfs.uncachedTokens,
      spread: call.uncachedTokens,
    },
    { name: 'prompt', colour: PALETTE.blue, cdf: cdfs.promptTokens, spread: call.promptTokens },
  ]);

export const lengths: Chart<TraceProfile> = {
  id: 'lengths',
  title: profile => sentence(lengthFinding(profile)),
  howToRead:
    'Each curve climbs from 0 to 100 % of the calls: a point says what share of them was at most that long. The axis ' +
    'is logarithmic: each step to the right multiplies. What lies between “prompt, not cached” and “prompt” is what a ' +
    'cache that never evicts would save; it is counted in whole blocks of the trace.',
  spec(profile) {
    const curves = curvesOf(profile);
    if (curves.length === 0) return { absent: 'no call has a length' };
    const values = curves.flatMap(({ cdf }) => cdf.map(([value]) => value)).filter(value => value > 0);
    return curvesSpec(
      curves,
      {
        scale: { type: 'log', nice: false, padding: 4 },
        axis: {
          grid: false,
          values: logTicks(values),
          labelExpr: COUNT_LABEL,
          labelOverlap: 'greedy',
          labelSeparation: 6,
        },
        title: 'tokens of a call',
        label: "format(datum.value, ',.0f') + ' tokens'",
      },
      true,
    );
  },
  table: profile => curvesTable(curvesOf(profile), 'tokens'),
};
