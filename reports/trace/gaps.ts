// Cumulative distributions of the gaps before calls, against the lifetimes of caches.
import type { TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import { type Chart, msAxis, PHASE_COLOURS } from '../charts/chart.ts';
import { type Curve, curvesSpec, curvesTable, drawn } from './curves.ts';
import { gapFinding, sentence } from './findings.ts';

const LIFETIMES = [
  { value: 30_000, label: '30 s' },
  { value: 60_000, label: '1 min' },
  { value: 300_000, label: '5 min' },
  { value: 3_600_000, label: '1 h' },
];

/** Round spans of time, from a tool call to a night. */
const TICKS_MS = [1, 10, 100, 1000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000, 360_000_000];

/** A Vega expression that shows milliseconds as a round span: `10 ms`, `10 s`, `10 min`, `10 h`. */
const spanLabel = (value: string): string =>
  `(${value} < 1000 ? format(${value}, '.3~r') + ' ms' : ${value} < 60000 ? format(${value} / 1000, '.3~r') + ' s' : ` +
  `${value} < 3600000 ? format(${value} / 60000, '.3~r') + ' min' : format(${value} / 3600000, '.3~r') + ' h')`;

const curvesOf = ({ gaps: { byKind, other }, cdfs }: TraceProfile): Curve[] =>
  drawn([
    { name: 'tool', colour: PHASE_COLOURS.tool, cdf: cdfs.toolGapMs, spread: byKind.tool },
    { name: 'person', colour: PHASE_COLOURS.human, cdf: cdfs.humanGapMs, spread: byKind.human },
    {
      name: 'other',
      colour: PHASE_COLOURS.other,
      cdf: cdfs.otherGapMs,
      spread: other,
    },
  ]);

export const gaps: Chart<TraceProfile> = {
  id: 'gaps',
  title: profile => sentence(gapFinding(profile)),
  howToRead:
    'A gap is the time from the end of what a call waits for to its start: a tool that runs, a person who reads and ' +
    'writes, or something that the trace does not name. The context lies idle for that long. Where a curve crosses a ' +
    'dotted line, the rest above it finds a cache of that lifetime empty: half a minute or one in a busy pool, five ' +
    'minutes or an hour with API providers.',
  spec(profile) {
    const curves = curvesOf(profile);
    if (profile.gaps.all === null) return { absent: 'no call waits for another, so there are no gaps' };
    if (curves.length === 0) return { absent: 'every call starts as soon as what it waits for has ended' };
    const values = curves.flatMap(({ cdf }) => cdf.map(([value]) => value)).filter(value => value > 0);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return curvesSpec(
      curves,
      {
        scale: { type: 'log', nice: false, padding: 4 },
        axis: msAxis({
          labelExpr: spanLabel('datum.value'),
          grid: false,
          values: TICKS_MS.filter(tick => tick >= least && tick <= most),
          labelOverlap: 'greedy',
          labelSeparation: 6,
        }),
        title: null,
        label: spanLabel('datum.value'),
        marks: LIFETIMES.filter(({ value }) => value > least && value < most),
      },
      true,
    );
  },
  table: profile => curvesTable(curvesOf(profile), 'ms'),
};
