// The figures of a preset beside those of a trace: how far the trace is from what is known of such work.
import { FIGURES, type Figure, type FigureValue } from '../../scenarios/formats/figures.ts';
import type { TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import { type Html, html } from '../html.ts';
import { showMs, showNumber, showRatio, showTokens } from '../numbers.ts';
import { table } from '../page/table.ts';

const STATISTICS = { p50: 'median', p90: 'p90', mean: 'mean', value: '' } as const;

export interface FigureRow {
  figure: Figure;
  statistic: keyof FigureValue;
  cited: number;
  /** Null where the trace does not say. */
  own: number | null;
  /** Own over cited; null where there is none. */
  ratio: number | null;
}

/** One row for each number that the preset cites. */
export const figureRows = (figures: readonly Figure[], profile: TraceProfile): FigureRow[] =>
  figures.flatMap(figure => {
    const values = FIGURES[figure.of].of(profile);
    return (Object.keys(STATISTICS) as (keyof FigureValue)[]).flatMap(statistic => {
      const cited = figure[statistic];
      if (cited === undefined) return [];
      const own = values?.[statistic] ?? null;
      return [{ figure, statistic, cited, own, ratio: own === null || cited === 0 ? null : own / cited }];
    });
  });

/** Ratios between these count as the same kind of work. */
const NEAR = [0.5, 2] as const;
const isNear = (ratio: number): boolean => ratio >= NEAR[0] && ratio <= NEAR[1];

/** How alike they are, in one sentence. */
export function figureFinding(preset: string, rows: readonly FigureRow[]): string {
  const known = rows.filter(row => row.ratio !== null);
  if (known.length === 0) return `the trace says nothing of what ${preset} cites`;
  const near = known.filter(({ ratio }) => isNear(ratio!));
  const distance = ({ ratio }: FigureRow): number => Math.max(ratio!, 1 / ratio!);
  const [furthest] = known.filter(({ ratio }) => ratio! > 0).toSorted((a, b) => distance(b) - distance(a));
  const words = `${near.length} of ${known.length} figures are within a factor of 2 of ${preset}`;
  return near.length === known.length || furthest === undefined
    ? words
    : `${words}; furthest is ${nameOf(furthest)}, ${showTimes(furthest.ratio!)}`;
}

const nameOf = ({ figure, statistic }: FigureRow): string =>
  [STATISTICS[statistic], figure.of.replace(/_(s|ratio|per_s)$/, '').replaceAll('_', ' ')].join(' ').trim();

/** `× 0.27`, `× 14`: two digits say enough. */
const showTimes = (ratio: number): string =>
  `×\u00a0${ratio === 0 ? '0' : showNumber(Number(ratio.toPrecision(2)))}`;

/** A number in the unit of its figure. */
export function showFigure(of: Figure['of'], value: number): string {
  switch (FIGURES[of].unit) {
    case 'tokens':
      return showTokens(value);
    case 's':
      return showMs(value * 1000);
    case 'ratio':
      return showRatio(value);
    case '/s':
      return `${showNumber(value)} /s`;
    case 'calls':
    case 'turns':
    case 'agents':
    case 'times':
      return showNumber(value);
  }
}

export function figureTable(rows: readonly FigureRow[], preset: string): Html {
  return table(
    ['Figure', '', preset, 'this trace', 'ratio', 'evidence'],
    rows.map(({ figure, statistic, cited, own, ratio }, row) => {
      // A figure is named on its first row, and for those who listen on every one.
      const isFirst = rows[row - 1]?.figure !== figure;
      const doc = FIGURES[figure.of].doc.replace(/ \[[^\]]*\]$/, '');
      return [
        isFirst ? html`${doc} <small>${figure.source}</small>` : html`<span class="sr">${doc}</span>`,
        STATISTICS[statistic],
        showFigure(figure.of, cited),
        own === null ? html`<span title="the trace does not say">–</span>` : showFigure(figure.of, own),
        ratio === null ? '–' : isNear(ratio) ? showTimes(ratio) : html`<b>${showTimes(ratio)}</b>`,
        isFirst ? figure.evidence : '',
      ];
    }),
  );
}
