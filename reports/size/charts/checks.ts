// How much of the tightest promise is used up in steady traffic, and in what a week may bring.
import type { SizeResult } from '../../../scenarios/formats/size.ts';
import { type Chart, PALETTE } from '../../charts/chart.ts';
import { showRatio } from '../../numbers.ts';
import { barsSpec } from './bars.ts';
import { usedOf } from './trials.ts';

interface Row {
  readonly what: string;
  readonly used: number;
  readonly shown: string;
  readonly isKept: boolean;
}

/** Beyond it a bar says no more. */
const MOST = 4;

function rowsOf({ answer, checks, sustained }: SizeResult): Row[] {
  if (answer === null) return [];
  const all = [
    { what: 'steady traffic', sized: answer },
    ...checks.map(({ words, sized }) => ({ what: words, sized })),
    ...(sustained === null
      ? []
      : [
          { what: 'the first minutes, caches cold', sized: sustained.demo },
          { what: 'sustained', sized: sustained.week },
        ]),
  ];
  return all.flatMap(({ what, sized }) =>
    sized === null
      ? []
      : [{ what, used: usedOf(sized), shown: showRatio(usedOf(sized)), isKept: sized.verdict !== 'broken' }],
  );
}

export const checksChart: Chart<SizeResult> = {
  id: 'size-checks',
  howToRead:
    'Each bar is one condition, and how much of the tightest promise it uses up: at the dotted line it is broken. ' +
    'Blue conditions are held, orange ones are not; the table beside says with how many replicas they would be.',

  title(result) {
    const rows = rowsOf(result);
    const broken = rows.filter(({ isKept }) => !isKept).map(({ what }) => what);
    if (rows.length === 0) return 'Nothing to check: no deployment keeps its promises';
    return broken.length === 0
      ? 'The answer stands everything that was tried on it'
      : `The answer does not stand ${broken.join(', nor ')}`;
  },

  spec(result) {
    const bars = rowsOf(result).map(row => ({ ...row, drawn: Math.min(MOST, row.used) }));
    if (bars.length === 0) return { absent: 'no deployment keeps its promises, so there is none to check' };
    return barsSpec({
      bars,
      name: { field: 'what', limitsPx: [140, 260] },
      x: {
        field: 'drawn',
        type: 'quantitative',
        title: 'of the tightest promise',
        scale: { domain: [0, Math.max(1.3, ...bars.map(({ drawn }) => drawn * 1.15))], nice: false },
        axis: { tickCount: 5, format: '~%', grid: false },
      },
      color: { condition: { test: 'datum.isKept', value: PALETTE.blue }, value: PALETTE.orange },
      tooltip: [
        { field: 'what', title: 'condition' },
        { field: 'shown', title: 'of its tightest promise' },
      ],
      stepPx: 30,
      lineAt: 1,
    });
  },

  table: result => ({
    columns: ['condition', 'of the tightest promise', 'held'],
    rows: rowsOf(result).map(({ what, used, isKept }) => [what, used, isKept ? 'yes' : 'no']),
  }),
};
