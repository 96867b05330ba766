// The prompt of the main thread by the number of the turn: median, and the band that holds 80 % of the sessions.
import type { TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import { type Chart, COUNT_LABEL, chartSpec, logTicks, PALETTE, PAPER } from '../charts/chart.ts';
import { contextFinding, sentence } from './findings.ts';

/** Turns that fewer prompts than this reached say more about those few than about the trace. */
const PROMPTS_MIN = 5;

const binsOf = ({ contextByTurn, sessions }: TraceProfile) => {
  const enough = contextByTurn.filter(({ n }) => n >= Math.min(PROMPTS_MIN, sessions));
  return enough.map(bin => ({ ...bin, turn: (bin.from + bin.to) / 2 }));
};

export const context: Chart<TraceProfile> = {
  id: 'context',
  title: profile => sentence(contextFinding(profile)),
  howToRead:
    'The line is the median prompt of the main thread at that turn; eight in ten prompts lie inside the band. Later ' +
    'turns are those of longer sessions only, so a bend can also mean that other sessions have ended. Turns that fewer ' +
    'than five prompts reach are left out of the drawing and stand in the table.',
  spec(profile) {
    const bins = binsOf(profile);
    if (bins.length < 2) return { absent: 'no session goes on after its first call' };
    const last = bins.at(-1)!.to;
    const isLong = last > 40;
    const x = {
      field: 'turn',
      type: 'quantitative',
      title: 'turn of the session',
      scale: isLong ? { type: 'log', nice: false } : { nice: false, zero: false },
      axis: {
        grid: false,
        format: 'd',
        ...(isLong ? { values: logTicks([1, last]) } : { tickMinStep: 1 }),
        labelFlush: false,
      },
    };
    const y = (field: string) => ({
      field,
      type: 'quantitative',
      title: 'prompt tokens',
      axis: { labelExpr: COUNT_LABEL, tickCount: 5 },
    });
    return chartSpec(
      { bins },
      {
        height: 260,
        data: { name: 'bins' },
        layer: [
          {
            mark: { type: 'area', color: PALETTE.sky, opacity: 0.28 },
            encoding: { x, y: y('p10'), y2: { field: 'p90' } },
          },
          { mark: { type: 'line', color: PALETTE.blue, strokeWidth: 2.25 }, encoding: { x, y: y('p50') } },
          {
            mark: {
              type: 'point',
              filled: true,
              size: 40,
              color: PALETTE.blue,
              opacity: 1,
              stroke: PAPER,
              strokeWidth: 1.5,
            },
            encoding: {
              x,
              y: y('p50'),
              tooltip: [
                { field: 'from', title: 'turn' },
                { field: 'to', title: 'to turn' },
                { field: 'n', title: 'prompts', format: ',' },
                { field: 'p10', title: 'p10 tokens', format: ',' },
                { field: 'p50', title: 'median tokens', format: ',' },
                { field: 'p90', title: 'p90 tokens', format: ',' },
              ],
            },
          },
        ],
      },
    );
  },
  table: ({ contextByTurn }) => ({
    columns: ['from turn', 'to turn', 'prompts', 'p10 (tokens)', 'p50 (tokens)', 'p90 (tokens)'],
    rows: contextByTurn.map(({ from, to, n, p10, p50, p90 }) => [from, to, n, p10, p50, p90]),
  }),
};
