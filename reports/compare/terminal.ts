// What a comparison prints: the answer first, at most 25 lines for one candidate.
import type {
  ComparisonResult,
  ExplainedDifference,
  RunComparison,
} from '../../scenarios/formats/comparison.ts';
import { showMs, showSignedRatio } from '../numbers.ts';
import { shownFigure } from '../page/compare.ts';
import { changeText, pairingWords, VERDICT_MARKS, VERDICT_WORDS } from './words.ts';

const FIGURES_MAX = 9;
const REASONS_MAX = 4;
const WARNINGS_MAX = 3;

/** Cells in columns: the first two to the left, the others to the right. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map(row => row[i]!.length)));
  return rows.map(row =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]! + 2))).join(''),
  );
}

/** Those that decide, then those that moved. */
function figureLines({ figures, name }: RunComparison, baselineName: string): string[] {
  const rank = (figure: RunComparison['figures'][number]): number =>
    figure.isPrimary ? 0 : figure.verdict === 'unchanged' ? 2 : 1;
  const ordered = figures.toSorted((a, b) => rank(a) - rank(b));
  const shown = ordered.slice(0, FIGURES_MAX);
  if (shown.length === 0) return [];
  const left = figures.length - shown.length;
  const lines = columns([
    ['', baselineName, name, 'change', ''],
    ...shown.map(each => [
      `${VERDICT_MARKS[each.verdict]} ${each.label}`,
      shownFigure(each.baseline, each.unit),
      shownFigure(each.candidate, each.unit),
      changeText(each),
      VERDICT_WORDS[each.verdict],
    ]),
  ]);
  return [...lines, ...(left > 0 ? [`and ${left} more, in the report`] : [])];
}

function reasonLines(explained: readonly ExplainedDifference[] | null): string[] {
  if (explained === null) return [];
  if (explained.length === 0) return ['why: nothing differs between the inputs'];
  const shown = explained.slice(0, REASONS_MAX).map(({ where, baseline, candidate, effects, problem }) => {
    const change = baseline === '' && candidate === '' ? '' : ` ${baseline} → ${candidate}`;
    const said =
      problem ?? effects.map(({ id, changeRatio }) => `${id} ${showSignedRatio(changeRatio)}`).join(', ');
    return `why: ${where}${change}: ${said.split('\n')[0]}`;
  });
  const left = explained.length - shown.length;
  return [...shown, ...(left > 0 ? [`     and ${left} more, in the report`] : [])];
}

function oneCandidate(compared: RunComparison, baselineName: string): string[] {
  const { headline, verdict, firstDifference, explained, warnings } = compared;
  const parting =
    firstDifference === null
      ? []
      : [
          `first difference: at ${showMs(firstDifference.atMs)}, ${firstDifference.session}${firstDifference.call === null ? '' : ` ${firstDifference.call}`}: ${firstDifference.text}`,
        ];
  return [
    `${VERDICT_MARKS[verdict]} ${headline}`,
    ...[
      ...figureLines(compared, baselineName),
      pairingWords(compared),
      ...parting,
      ...reasonLines(explained),
      ...warnings.slice(0, WARNINGS_MAX).map(text => `note: ${text}`),
    ].map(line => `  ${line}`.trimEnd()),
  ];
}

export function comparisonSummary(
  { comparisons, baselineName }: ComparisonResult,
  { reportPath }: { reportPath?: string } = {},
): string {
  // Of many candidates an answer each; the figures are on the page.
  const lines =
    comparisons.length === 1
      ? oneCandidate(comparisons[0]!, baselineName)
      : comparisons.map(({ verdict, headline }) => `${VERDICT_MARKS[verdict]} ${headline}`);
  return [...lines, ...(reportPath === undefined ? [] : [`report: ${reportPath}`])].join('\n');
}
