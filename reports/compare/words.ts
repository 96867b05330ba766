// How a comparison reads on a page and on a terminal.
import type {
  ComparisonResult,
  FigureComparison,
  Pairing,
  RunComparison,
  Verdict,
} from '../../scenarios/formats/comparison.ts';
import { showRatio, showSignedRatio } from '../numbers.ts';

/** With as many places as tell the ends apart, and from 0; at most two. */
function percents(ends: readonly number[]): string {
  const isTold = (places: number): boolean => {
    const shown = ends.map(end => Number((100 * end).toFixed(places)));
    return shown[0] !== shown[1] && shown.every((end, i) => (end === 0) === (ends[i] === 0));
  };
  const least = Math.max(...ends) - Math.min(...ends) < 0.1 ? 1 : 0;
  const places = [least, 1, 2].find(isTold) ?? 2;
  return ends
    .map(end =>
      (100 * end)
        .toFixed(places)
        .replace(/^-(?=[0.]+$)/, '')
        .replace('-', '−'),
    )
    .join(', ');
}

/** Percents of an interval, in brackets; an exact one needs none. */
function interval({ ci95 }: Pick<FigureComparison, 'ci95'>, sign = 1): string {
  if (ci95 === null || ci95[0] === ci95[1]) return '';
  return ` [${percents(ci95.map(end => end * sign).toSorted((a, b) => a - b))}]`;
}

/** `+12 % [9, 15]`. */
export function changeText(figure: Pick<FigureComparison, 'changeRatio' | 'ci95'>): string {
  const { changeRatio } = figure;
  if (changeRatio === null) return '–';
  return changeRatio === 0 && interval(figure) === ''
    ? 'equal'
    : `${showSignedRatio(changeRatio)}${interval(figure)}`;
}

/** `12 % slower at the workflow p95 [9, 15]`. */
function changeWords(figure: FigureComparison): string {
  const { unit, label, changeRatio } = figure;
  if (changeRatio === null) return `otherwise in ${label}, which was 0`;
  const isUp = changeRatio > 0;
  const by = showRatio(Math.abs(changeRatio));
  const range = interval(figure, isUp ? 1 : -1);
  if (unit === 'ms') return `${by} ${isUp ? 'slower' : 'faster'} at the ${label}${range}`;
  if (unit === 'usd') return `${by} ${isUp ? 'dearer' : 'cheaper'} ${label.replace('cost ', '')}${range}`;
  return `${by} ${isUp ? 'higher' : 'lower'} in ${label}${range}`;
}

const list = (words: readonly string[]): string =>
  words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;

const bySize = (a: FigureComparison, b: FigureComparison): number =>
  Math.abs(b.changeRatio ?? Number.POSITIVE_INFINITY) - Math.abs(a.changeRatio ?? Number.POSITIVE_INFINITY);

/** The answer in a sentence. */
export function headlineOf(
  { name, pairing, figures }: Pick<RunComparison, 'name' | 'pairing' | 'figures'>,
  baseline: string,
): string {
  if (pairing === 'identical') return `${name} and ${baseline} are the same run: every record is equal`;
  const primary = figures.filter(({ isPrimary }) => isPrimary);
  if (primary.length === 0) return `${name} and ${baseline} have no deciding figure in common`;
  const of = (verdict: Verdict) => primary.filter(figure => figure.verdict === verdict).toSorted(bySize);
  const moved = [...of('regressed'), ...of('improved')].map(changeWords);
  const open = of('inconclusive').map(openWords);
  const unsettled = open.length === 0 ? '' : `not settled: ${open.join('; ')}`;
  if (moved.length > 0)
    return `${name} is ${list(moved)}${unsettled === '' ? `, against ${baseline}` : `; ${unsettled}`}`;
  if (unsettled !== '') return `${name} against ${baseline} is ${unsettled}`;
  const what = list(primary.map(({ label }) => label));
  if (primary.every(({ changeRatio }) => changeRatio === 0)) return `${name} equals ${baseline} in ${what}`;
  const limit = Math.max(...primary.map(({ minEffectRatio }) => minEffectRatio));
  return `${name} is within ±${showRatio(limit)} of ${baseline} in ${what}`;
}

function openWords(figure: FigureComparison): string {
  const more = figure.blocksMissing === null ? '' : ` (${missingWords(figure.blocksMissing)})`;
  return `${figure.label} ${changeText(figure)}${more}`;
}

/** `12 more blocks a side would tell`. */
export const missingWords = (blocksMissing: number): string =>
  blocksMissing >= 1000
    ? 'a thousand blocks more would not tell'
    : `${blocksMissing} more ${blocksMissing === 1 ? 'block' : 'blocks'} a side would tell`;

export const VERDICT_MARKS: Record<Verdict, string> = {
  improved: '✓',
  unchanged: '=',
  regressed: '✗',
  inconclusive: '?',
};

export const VERDICT_WORDS: Record<Verdict, string> = {
  improved: 'better',
  unchanged: 'unchanged',
  regressed: 'worse',
  inconclusive: 'not settled',
};

/** `2 of 14 figures worse, 1 better and 3 not settled`. */
export function countWords(figures: readonly FigureComparison[]): string {
  const kinds: readonly Verdict[] = ['regressed', 'improved', 'inconclusive', 'unchanged'];
  const counts = kinds.flatMap(kind => {
    const count = figures.filter(({ verdict }) => verdict === kind).length;
    return count === 0 ? [] : [`${count} ${VERDICT_WORDS[kind]}`];
  });
  const [first = '0', ...rest] = counts;
  return list([first.replace(/^\d+/, count => `${count} of ${figures.length} figures`), ...rest]);
}

/** Of the runs of a comparison; of a baseline that kept no run there is none. */
export const sideNames = ({ baselineName, comparisons, runs }: ComparisonResult): string[] =>
  [baselineName, ...comparisons.map(({ name }) => name)].slice(-runs.length);

/** How the sides were held against each other. */
export function pairingWords({ pairing, blocks }: Pick<RunComparison, 'pairing' | 'blocks'>): string {
  const said: Record<Pairing, string> = {
    identical: 'equal digests: the same records',
    seeds: `${blocks} seeds, each giving both sides the same agents; paired t intervals`,
    interleaved: `${blocks} live runs a side that took turns; signed-rank intervals`,
    apart:
      blocks < 2
        ? 'one run each, without slices of time: no interval'
        : `${blocks} slices of time of runs made one after the other; rank-sum intervals`,
    exact: 'no seed decides anything here: the differences are exact',
  };
  return said[pairing];
}
