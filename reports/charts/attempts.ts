// The session that a gateway had most to do with: a lane for each attempt, so that retries, hedges and fallbacks stand
// under one another, and a line where somebody ended it.
import type { AttemptBar, RunResult } from '../../scenarios/formats/result.ts';
import { plural, showUsd } from '../numbers.ts';
import { type Chart, chartSpec, INK, LABEL_SIDE, msAxis, msLabel, PALETTE, topLegend } from './chart.ts';

const FATES = [
  { name: 'waited', colour: PALETTE.orange },
  { name: 'answered', colour: PALETTE.blue },
  { name: 'failed', colour: PALETTE.vermilion },
  { name: 'given up', colour: PALETTE.grey },
] as const;
type Fate = (typeof FATES)[number]['name'];

function fateOf({ outcome }: AttemptBar): Fate {
  if (outcome === 'ok') return 'answered';
  return outcome === 'error' ? 'failed' : 'given up';
}

const labelOf = ({ call, attempt, kind, because, error, outcome }: AttemptBar): string => {
  const what = attempt === 0 ? call : `${kind}${because === null ? '' : ` after ${because}`}`;
  return outcome === 'ok' || error === null ? what : `${what}: ${error}`;
};

/** Lanes of one call stand together, calls in order of their first attempt. */
function lanesOf({ governed }: RunResult): AttemptBar[] {
  const attempts = governed?.troubled?.attempts ?? [];
  return [...Map.groupBy(attempts, ({ call }) => call).values()].flatMap(own =>
    own.toSorted((a, b) => a.attempt - b.attempt),
  );
}

export const attemptsChart: Chart<RunResult> = {
  id: 'attempts',
  howToRead:
    'A lane is one request to one server, from when it was sent: waiting for the first token, then how it ended. ' +
    'The lanes of one call stand together, the first attempt on top; under it why another was made. The dashed line is ' +
    'where the session was ended, the second one when nothing of it ran any more.',

  title({ governed }) {
    const troubled = governed?.troubled;
    if (troubled == null) return 'Attempts of one session';
    const further = troubled.attempts.filter(({ attempt }) => attempt > 0).length;
    const end = troubled.cancel === null ? '' : `, and ended early: ${troubled.cancel.reason}`;
    return `The session with most trouble took ${plural(further, 'further attempt')}${end}`;
  },

  spec(result) {
    const lanes = lanesOf(result);
    const cancel = result.governed?.troubled?.cancel ?? null;
    if (lanes.length === 0)
      return { absent: 'every call went well at its first attempt, and no session was ended' };
    const rows = lanes.map((bar, row) => ({ row, bar }));
    const parts = rows.flatMap(({ row, bar }) => {
      const fate = fateOf(bar);
      const part = (name: Fate, startMs: number, endMs: number) => ({
        row,
        fate: name,
        startMs,
        endMs,
        call: bar.call,
        target: bar.target,
        ended: bar.error ?? bar.outcome,
        cost: bar.usd === null ? '–' : showUsd(bar.usd),
      });
      const { startMs, firstTokenMs, endMs } = bar;
      if (firstTokenMs === null) return [part(fate === 'answered' ? 'waited' : fate, startMs, endMs)];
      return [part('waited', startMs, firstTokenMs), part(fate, firstTokenMs, endMs)];
    });
    const labels = rows.map(({ row, bar }) => ({
      row,
      startMs: bar.startMs,
      endMs: bar.endMs,
      label: labelOf(bar),
    }));
    const marks =
      cancel === null
        ? []
        : [
            { atMs: cancel.atMs, label: `ended: ${cancel.reason}` },
            { atMs: cancel.cleanMs, label: 'clean' },
          ];
    const y = { field: 'row', type: 'ordinal', title: null, axis: null, scale: { paddingInner: 0.3 } };
    const x = {
      field: 'startMs',
      type: 'quantitative',
      title: null,
      axis: msAxis({ tickCount: 6, orient: 'top' }),
    };
    const present = FATES.filter(({ name }) => parts.some(({ fate }) => fate === name));
    return chartSpec(
      { parts, labels, marks },
      {
        height: { step: 20 },
        layer: [
          {
            data: { name: 'parts' },
            transform: [
              { calculate: msLabel('(datum.endMs - datum.startMs)'), as: 'took' },
              { calculate: msLabel('datum.startMs'), as: 'from' },
            ],
            mark: { type: 'bar', cornerRadius: 1 },
            encoding: {
              x,
              x2: { field: 'endMs' },
              y,
              color: {
                field: 'fate',
                type: 'nominal',
                scale: {
                  domain: present.map(({ name }) => name),
                  range: present.map(({ colour }) => colour),
                },
                legend: topLegend(),
              },
              tooltip: [
                { field: 'call', title: 'call' },
                { field: 'target', title: 'sent to' },
                { field: 'fate', title: 'part' },
                { field: 'took', title: 'took' },
                { field: 'from', title: 'from' },
                { field: 'ended', title: 'ended' },
                { field: 'cost', title: 'cost' },
              ],
            },
          },
          ...(marks.length === 0
            ? []
            : [
                {
                  data: { name: 'marks' },
                  mark: { type: 'rule', strokeDash: [4, 4], color: INK },
                  encoding: { x: { ...x, field: 'atMs' }, tooltip: [{ field: 'label', title: 'session' }] },
                },
              ]),
          {
            data: { name: 'labels' },
            transform: [
              { joinaggregate: [{ op: 'max', field: 'endMs', as: 'lastMs' }] },
              { calculate: LABEL_SIDE, as: 'side' },
              { calculate: "datum.side === 'before' ? datum.startMs : datum.endMs", as: 'labelMs' },
            ],
            mark: {
              type: 'text',
              fontSize: 10.5,
              baseline: 'middle',
              color: { expr: "datum.side === 'inside' ? 'white' : ink" },
              align: { expr: "datum.side === 'after' ? 'left' : 'right'" },
              dx: { expr: "datum.side === 'after' ? 6 : -6" },
              limit: { expr: 'width * 0.5' },
            },
            encoding: { x: { ...x, field: 'labelMs' }, y, text: { field: 'label' } },
          },
        ],
      },
    );
  },

  table(result) {
    return {
      columns: [
        'call',
        'attempt',
        'kind',
        'because',
        'sent to',
        'outcome',
        'error',
        'start (ms)',
        'first token (ms)',
        'end (ms)',
        'USD',
      ],
      rows: lanesOf(result).map(bar => [
        bar.call,
        bar.attempt,
        bar.kind,
        bar.because,
        bar.target,
        bar.outcome,
        bar.error,
        bar.startMs,
        bar.firstTokenMs,
        bar.endMs,
        bar.usd,
      ]),
    };
  },
};
