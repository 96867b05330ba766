// Where prompt tokens were seen before: in the same session, only in others, or nowhere.
import type { TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import { type Chart, chartSpec, PALETTE, topLegend } from '../charts/chart.ts';
import { reuseFinding, sentence } from './findings.ts';

const PARTS = [
  { where: 'same session', colour: PALETTE.blue, ink: '#ffffff' },
  { where: 'other sessions', colour: PALETTE.sky, ink: '#14181f' },
  { where: 'new', colour: PALETTE.orange, ink: '#14181f' },
] as const;

/** Shares under this are too narrow for their number. */
const LABELLED_SHARE_MIN = 0.06;

function partsOf({ reuse, promptTokens }: TraceProfile) {
  if (reuse === null) return [];
  const across = reuse.acrossRatio ?? 0;
  const shares = [reuse.bySessionRatio, across, Math.max(0, 1 - reuse.bySessionRatio - across)];
  return PARTS.map(({ where, ink }, order) => ({
    where,
    ink,
    order,
    share: shares[order]!,
    tokens: shares[order]! * promptTokens,
  }));
}

export const reuse: Chart<TraceProfile> = {
  id: 'reuse',
  title: profile => sentence(reuseFinding(profile)),
  howToRead:
    'The bar is all prompt tokens of the trace. Blue had been read by an earlier call of the same session: any cache that ' +
    'holds a session until its next turn finds it. Light blue was read only by other sessions: system prompts, tools ' +
    'and documents, which need sessions routed to where they are cached. Orange is new and has to be computed.',
  spec(profile) {
    const parts = partsOf(profile).filter(({ share }) => share > 0);
    if (parts.length === 0)
      return { absent: 'the trace names no blocks, so what prompts share is not known' };
    const shown = PARTS.filter(({ where }) => parts.some(part => part.where === where));
    const x = {
      field: 'share',
      type: 'quantitative',
      stack: 'zero',
      scale: { domain: [0, 1], nice: false },
      axis: { format: '~%', values: [0, 0.25, 0.5, 0.75, 1], grid: false },
      title: null,
    };
    const order = { field: 'order', type: 'quantitative' };
    return chartSpec(
      { parts },
      {
        height: 54,
        data: { name: 'parts' },
        layer: [
          {
            mark: { type: 'bar', cornerRadius: 1, size: 40 },
            encoding: {
              x,
              order,
              color: {
                field: 'where',
                type: 'nominal',
                scale: { domain: shown.map(({ where }) => where), range: shown.map(({ colour }) => colour) },
                legend: topLegend(),
              },
              tooltip: [
                { field: 'where', title: 'seen before' },
                { field: 'share', title: 'share', format: '.1%' },
                { field: 'tokens', title: 'tokens', format: ',.0f' },
              ],
            },
          },
          {
            transform: [{ filter: `datum.share >= ${LABELLED_SHARE_MIN}` }],
            mark: { type: 'text', fontSize: 11, fontWeight: 600 },
            encoding: {
              x: { ...x, bandPosition: 0.5 },
              order,
              detail: { field: 'where' },
              text: { field: 'share', format: '.0%' },
              color: { field: 'ink', type: 'nominal', scale: null },
            },
          },
        ],
      },
    );
  },
  table: profile => ({
    columns: ['seen before', 'share (0-1)', 'prompt tokens'],
    rows: partsOf(profile).map(({ where, share, tokens }) => [where, share, Math.round(tokens)]),
  }),
};
