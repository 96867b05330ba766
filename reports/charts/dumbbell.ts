// How far each figure of a run moved against the baseline, with its interval. Verdicts have a shape as well as a colour.
import type {
  ComparisonResult,
  FigureComparison,
  RunComparison,
  Verdict,
} from '../../scenarios/formats/comparison.ts';
import { changeText, countWords } from '../compare/words.ts';
import { plural } from '../numbers.ts';
import { BAND, type Chart, chartSpec, FAINT, INK, PALETTE, PAPER, topLegend } from './chart.ts';

/** In the order of the legend. */
const LOOKS: Record<Verdict, { word: string; colour: string; shape: string }> = {
  improved: { word: 'better', colour: PALETTE.green, shape: 'triangle-up' },
  regressed: { word: 'worse', colour: PALETTE.vermilion, shape: 'triangle-down' },
  unchanged: { word: 'unchanged', colour: PALETTE.sky, shape: 'circle' },
  inconclusive: { word: 'not settled', colour: PALETTE.grey, shape: 'diamond' },
};

/** Beyond a doubling, or what fits, a dot stands at the edge; its label has the number. */
const EDGE_MAX = 1;

type Drawn = FigureComparison & { changeRatio: number };

const drawnOf = ({ figures }: RunComparison): Drawn[] =>
  figures.filter((figure): figure is Drawn => figure.changeRatio !== null);

const labelOf = (figure: FigureComparison): string =>
  `${figure.label}${figure.isPrimary ? ' ●' : ''}\n${changeText(figure)}`;

/** From the least to the most of all changes, zero and its band inside. */
function domainOf(figures: readonly Drawn[]): [low: number, high: number] {
  const ends = figures.flatMap(({ changeRatio, ci95, minEffectRatio }) => [
    changeRatio,
    ...(ci95 ?? []),
    2 * minEffectRatio,
    -2 * minEffectRatio,
  ]);
  const low = Math.max(-EDGE_MAX, Math.min(...ends));
  const high = Math.min(EDGE_MAX, Math.max(...ends));
  const room = 0.04 * (high - low);
  return [low - room, high + room];
}

/** The chart of the `row`-th candidate. */
export const dumbbell = (row: number): Chart<ComparisonResult> => ({
  id: `dumbbell-${row}`,
  howToRead:
    'The ring at zero is the baseline, the filled mark the candidate; the line between them is the change, the thin ' +
    'line its 95 % interval. Inside the grey band a change is too small to matter. Triangles point up where the figure ' +
    'got better and down where it got worse, whichever way it moved; a diamond is not settled: its interval allows ' +
    'more than one answer. ● marks the figures that decide. Marks at the very edge lie beyond it.',

  title({ comparisons, baselineName }) {
    const { name, figures } = comparisons[row]!;
    // One run each: nothing is known of chance.
    const sizes = figures.filter(({ isPrimary, ci95 }) => isPrimary && ci95 === null);
    return sizes.length === 0
      ? `Against ${baselineName}, ${name} has ${countWords(figures)}`
      : `Against ${baselineName}, one run each, ${name} has ${sizes.map(each => `${each.label} ${changeText(each)}`).join(', ')}`;
  },

  spec({ comparisons }) {
    const figures = drawnOf(comparisons[row]!);
    if (figures.length === 0) return { absent: 'the two runs have no figure in common' };
    const [low, high] = domainOf(figures);
    const within = (value: number): number => Math.min(high, Math.max(low, value));
    const rows = figures.map(figure => ({
      label: labelOf(figure),
      change: within(figure.changeRatio),
      low: within(figure.ci95?.[0] ?? figure.changeRatio),
      high: within(figure.ci95?.[1] ?? figure.changeRatio),
      least: -figure.minEffectRatio,
      most: figure.minEffectRatio,
      zero: 0,
      verdict: LOOKS[figure.verdict].word,
      figure: figure.label,
      text: changeText(figure),
    }));
    const present = Object.values(LOOKS).filter(({ word }) => rows.some(({ verdict }) => verdict === word));
    const y = {
      field: 'label',
      type: 'nominal',
      sort: null,
      title: null,
      axis: { labelExpr: "split(datum.label, '\\n')", labelLimit: 220, domain: false, ticks: false },
    };
    const x = {
      type: 'quantitative',
      scale: { domain: [low, high], nice: false },
      title: null,
      axis: {
        format: '+~%',
        grid: false,
        tickCount: { expr: 'width < 260 ? 3 : 6' },
        labelOverlap: 'greedy',
      },
    };
    // Beside two lines of label a phone leaves little room.
    const { symbolType: _, ...legend } = topLegend({
      columnPadding: 6,
      labelFontSize: { expr: 'width < 220 ? 9 : 11' },
    });
    const scaleOf = (look: 'colour' | 'shape') => ({
      field: 'verdict',
      type: 'nominal',
      scale: { domain: present.map(({ word }) => word), range: present.map(each => each[look]) },
      legend,
    });
    return chartSpec(
      { rows, origin: [{ at: 0 }] },
      {
        height: { step: 36 },
        data: { name: 'rows' },
        layer: [
          {
            mark: { type: 'bar', color: BAND, height: { band: 0.9 } },
            encoding: { y, x: { ...x, field: 'least' }, x2: { field: 'most' } },
          },
          {
            data: { name: 'origin' },
            mark: { type: 'rule', color: FAINT },
            encoding: { x: { ...x, field: 'at' } },
          },
          {
            mark: { type: 'rule', color: FAINT, strokeWidth: 3, opacity: 0.55 },
            encoding: { y, x: { ...x, field: 'zero' }, x2: { field: 'change' } },
          },
          {
            mark: { type: 'rule', color: INK, strokeWidth: 1.25 },
            encoding: { y, x: { ...x, field: 'low' }, x2: { field: 'high' } },
          },
          {
            mark: { type: 'point', shape: 'circle', size: 60, opacity: 1, fill: PAPER, stroke: FAINT },
            encoding: { y, x: { ...x, field: 'zero' } },
          },
          {
            mark: { type: 'point', filled: true, size: 110, opacity: 1, stroke: PAPER, strokeWidth: 1 },
            encoding: {
              y,
              x: { ...x, field: 'change' },
              color: scaleOf('colour'),
              shape: scaleOf('shape'),
              tooltip: [
                { field: 'figure', title: 'figure' },
                { field: 'text', title: 'change' },
                { field: 'verdict', title: 'verdict' },
              ],
            },
          },
        ],
      },
    );
  },

  table({ comparisons, baselineName }) {
    const { figures, name } = comparisons[row]!;
    return {
      columns: [
        'figure',
        'unit',
        baselineName,
        name,
        'change (0-1)',
        '95 % from',
        '95 % to',
        'p',
        'minimum effect (0-1)',
        'verdict',
        'blocks missing',
      ],
      rows: figures.map(each => [
        each.label,
        each.unit,
        each.baseline,
        each.candidate,
        each.changeRatio,
        each.ci95?.[0] ?? null,
        each.ci95?.[1] ?? null,
        each.pValue,
        each.minEffectRatio,
        each.verdict,
        each.blocksMissing,
      ]),
    };
  },
});

/** Candidates that a page draws; the others are in the table. */
export const DUMBBELLS_MAX = 8;

export const dumbbells = ({ comparisons }: ComparisonResult): Chart<ComparisonResult>[] =>
  comparisons.slice(0, DUMBBELLS_MAX).map((_, row) => dumbbell(row));

/** What is left out, in words; null: nothing is. */
export const leftOutWords = ({ comparisons }: ComparisonResult): string | null =>
  comparisons.length <= DUMBBELLS_MAX
    ? null
    : `${plural(comparisons.length - DUMBBELLS_MAX, 'further run')} in the table only`;
