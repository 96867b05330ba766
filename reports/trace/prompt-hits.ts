// How much of each prompt an infinite cache would find.
import type { TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import { type Chart, PALETTE } from '../charts/chart.ts';
import { type Curve, curvesSpec, curvesTable } from './curves.ts';
import { hitFinding, sentence } from './findings.ts';

const curvesOf = ({ call, cdfs }: TraceProfile): Curve[] =>
  call.hitRatio === null
    ? []
    : [{ name: 'calls', colour: PALETTE.blue, cdf: cdfs.callHitRatio, spread: call.hitRatio }];

export const promptHits: Chart<TraceProfile> = {
  id: 'prompt-hits',
  title: profile => sentence(hitFinding(profile)),
  howToRead:
    'The curve climbs from 0 to 100 % of the calls: a point says for what share of them a cache that never evicts ' +
    'holds at most that much of the prompt. A curve that stays low and climbs at the right end is agent traffic: nearly ' +
    'all of nearly every prompt repeats. A step at 0 % are prompts that share nothing, such as the first of a session.',
  spec(profile) {
    const curves = curvesOf(profile);
    if (curves.length === 0)
      return { absent: 'the trace names no blocks, so what prompts share is not known' };
    return curvesSpec(
      curves,
      {
        scale: { domain: [0, 1], nice: false },
        axis: { format: '~%', grid: false, values: [0, 0.25, 0.5, 0.75, 1] },
        title: 'of the prompt, found in the cache',
        label: "format(datum.value, '.1%')",
      },
      false,
    );
  },
  table: profile => curvesTable(curvesOf(profile), '0-1'),
};
