// Runs held against a baseline: the answer, how far each figure moved, the distributions over each other, where two
// simulations part, and what each difference of their inputs did.
import type {
  ComparisonResult,
  ExplainedDifference,
  FigureComparison,
  RunComparison,
  Verdict,
} from '../../scenarios/formats/comparison.ts';
import { isAbsent } from '../charts/chart.ts';
import { dumbbells, leftOutWords } from '../charts/dumbbell.ts';
import { OVERLAID_METRICS, overlaidCdf } from '../charts/overlaid-cdf.ts';
import { sideBySide } from '../compare/side-by-side.ts';
import { changeText, pairingWords, VERDICT_MARKS, VERDICT_WORDS } from '../compare/words.ts';
import { type Html, html } from '../html.ts';
import { showMs, showSignedRatio, showUsd, showValue, unbroken } from '../numbers.ts';
import { table } from './table.ts';
import { part, type Section } from './view.ts';

const STYLES: Record<Verdict, string> = {
  improved: 'pass',
  unchanged: 'pass',
  regressed: 'fail',
  inconclusive: 'interrupted',
};

const CHIPS: Record<Verdict, string> = { ...STYLES, inconclusive: 'unknown' };

const chip = ({ label, verdict, ...figure }: FigureComparison): Html =>
  html`<li class="chip ${CHIPS[verdict]}"><span class="mark">${VERDICT_MARKS[verdict]}</span><code>${label}</code><b>${unbroken(changeText(figure))}</b></li>`;

function header(compared: RunComparison, baselineName: string): Html {
  const { verdict, headline, figures, warnings, name } = compared;
  return html`<header class="verdict ${STYLES[verdict]}">
    <p class="eyebrow"><span class="status">${VERDICT_MARKS[verdict]} ${VERDICT_WORDS[verdict]}</span> ${name} against ${baselineName}: ${pairingWords(compared)}</p>
    <h1>${unbroken(headline)}</h1>
    <ul class="chips">${figures.filter(({ isPrimary }) => isPrimary).map(chip)}</ul>
    ${warnings.length > 0 && html`<ul class="warnings">${warnings.map(text => html`<li>${text}</li>`)}</ul>`}
  </header>`;
}

/** The verdict of each candidate; null: nothing was compared. */
export const comparisonHeader: Section = ({ comparison }) =>
  comparison === null
    ? null
    : html`${comparison.comparisons.map(each => header(each, comparison.baselineName))}`;

export const shownFigure = (value: number | null, unit: FigureComparison['unit']): string =>
  value === null ? '–' : unit === 'usd' ? showUsd(value) : showValue(value, unit);

function figureTable({ figures, name }: RunComparison, baselineName: string): Html {
  return table(
    ['Figure', baselineName, name, 'change [95 %]', 'too small under', 'p', 'verdict'],
    figures.map(each => [
      html`${each.label}${each.isPrimary && html` <small>decides</small>`}`,
      shownFigure(each.baseline, each.unit),
      shownFigure(each.candidate, each.unit),
      unbroken(changeText(each)),
      unbroken(`±${(100 * each.minEffectRatio).toFixed(1)} %`),
      each.pValue === null ? '–' : each.pValue < 0.001 ? '< 0.001' : each.pValue.toFixed(3),
      `${VERDICT_MARKS[each.verdict]} ${VERDICT_WORDS[each.verdict]}`,
    ]),
  );
}

function parting({ firstDifference }: RunComparison): Html | null {
  if (firstDifference === null) return null;
  const { atMs, session, call, text } = firstDifference;
  return part(
    'Where the two part first',
    html`<p>At ${showMs(atMs)}, session <code>${session}</code>${call !== null && html`, step <code>${call}</code>`}: ${text}.</p>`,
  );
}

function reasons(
  explained: readonly ExplainedDifference[] | null,
  figures: readonly FigureComparison[],
): Html | null {
  if (explained === null) return null;
  if (explained.length === 0) return part('Why', html`<p>The two were made of the same inputs.</p>`);
  const primary = figures.filter(({ isPrimary }) => isPrimary);
  return part(
    'What each difference did',
    html`<p class="note">Each was undone alone in the candidate, with the same seeds: what disappears then is its effect, as a share of the baseline.</p>
    ${table(
      ['Difference', 'baseline', 'candidate', ...primary.map(({ label }) => label)],
      explained.map(({ where, baseline, candidate, effects, problem }) => [
        html`${where}${problem !== null && html` <small>${problem}</small>`}`,
        baseline,
        candidate,
        ...primary.map(({ id }) =>
          unbroken(showSignedRatio(effects.find(effect => effect.id === id)?.changeRatio ?? null)),
        ),
      ]),
    )}`,
  );
}

function details(compared: RunComparison, { baselineName, comparisons }: ComparisonResult): Html {
  const body = html`${figureTable(compared, baselineName)}${parting(compared)}${reasons(compared.explained, compared.figures)}`;
  return comparisons.length === 1 ? body : part(`${compared.name} against ${baselineName}`, body);
}

/** Differences to the first run; null: there is one run only. */
export const comparedSection: Section = ({ comparison, runs, names, draw }) => {
  const compared = comparison ?? sideBySide(runs, names);
  if (compared === null) return null;
  const sides = { runs, names };
  const curves = OVERLAID_METRICS.map(overlaidCdf).filter(chart => !isAbsent(chart.spec(sides)));
  const isOneDraw = comparison === null && runs.every(({ blocks }) => blocks === undefined);
  return html`${
    isOneDraw &&
    html`<p class="note">One run of each: sizes without an interval. <code>windtunnel compare</code> simulates both with more seeds and says which differences are real.</p>`
  }
    ${dumbbells(compared).map(chart => draw(chart, compared))}
    ${leftOutWords(compared) !== null && html`<p class="note">${leftOutWords(compared)}</p>`}
    ${curves.map(chart => draw(chart, sides))}
    ${compared.comparisons.map(each => details(each, compared))}`;
};
