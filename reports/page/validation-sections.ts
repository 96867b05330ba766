// Sections over more than one run: the validation's verdict, rows and steps, and several runs side by side.
import type { RunResult } from '../../scenarios/formats/result.ts';
import type {
  Comparison,
  Estimate,
  GroupComparison,
  TimeComparison,
  ValidationResult,
  ValidationRow,
} from '../../scenarios/formats/validation.ts';
import { isAbsent } from '../charts/chart.ts';
import { VALIDATION_CHARTS } from '../charts/index.ts';
import { overTime } from '../charts/over-time.ts';
import { simAgainstLive } from '../charts/sim-against-live.ts';
import { type Html, html } from '../html.ts';
import { showCount, showMs, showRatio, showSignedRatio, showValue, unbroken } from '../numbers.ts';
import { timeLabel, WORLD_WORDS, worldsOf } from '../worlds.ts';
import { STATUS_WORDS } from './run-sections.ts';
import { table } from './table.ts';
import type { Section } from './view.ts';

/** The mark of a verdict, as in a terminal. */
export function markOf({ verdict, pass }: ValidationResult): {
  text: string;
  style: 'pass' | 'fail' | 'invalid';
} {
  if (verdict.fitness === 'not-valid') return { text: '! not valid', style: 'invalid' };
  return pass ? { text: '✓ within tolerance', style: 'pass' } : { text: '✗ out of tolerance', style: 'fail' };
}

/** An error in words: equal counts are exact, and what one world lacks differs. */
const errorText = ({ errorRatio, predicted, measured }: ValidationRow): string =>
  errorRatio === null ? (predicted === measured ? 'exact' : 'differs') : showSignedRatio(errorRatio);

/** null: not a validation. */
export const validationSection: Section = ({ validation }) =>
  validation === null ? null : validationHeader(validation);

function validationHeader(validation: ValidationResult): Html {
  const { verdict, comparisons, warnings, sim } = validation;
  const { text, style } = markOf(validation);
  const [predicted, measured] = worldsOf(validation);
  return html`<header class="verdict ${style}">
    <p class="eyebrow"><span class="status">${text}</span> ${sim.header.scenario.name} @ ${sim.header.deployment.name}, ${predicted} against ${measured}</p>
    <h1>${unbroken(verdict.headline)}</h1>
    ${verdict.reasons.length > 0 && html`<dl class="reasons">${verdict.reasons.map((reason, i) => html`<dt>${i === 0 ? 'Why' : ''}</dt><dd>${unbroken(reason)}</dd>`)}</dl>`}
    <ul class="chips">${(comparisons[0]?.rows ?? []).map(
      row =>
        html`<li class="chip ${row.pass ? 'pass' : 'fail'}"><span class="mark">${row.pass ? '✓' : '✗'}</span><code>${row.metric}</code><b>${errorText(row)}</b></li>`,
    )}</ul>
    ${warnings.length > 0 && html`<ul class="warnings">${warnings.map(warning => html`<li>${warning}</li>`)}</ul>`}
  </header>`;
}

const interval = (ci95: readonly [number, number] | null): string =>
  ci95 === null ? '–' : `${showSignedRatio(ci95[0])} … ${showSignedRatio(ci95[1])}`;

/** Tables of one comparison: what is judged, then every group. */
const comparisonSections = (comparison: Comparison): Html =>
  html`<h3>${WORLD_WORDS[comparison.predicted]} against ${WORLD_WORDS[comparison.measured]}</h3>
  ${judgedTable(comparison)}
  ${comparison.groups.length > 0 && groupTable(comparison)}`;

const judgedTable = ({ rows, predicted, measured }: Comparison): Html =>
  table(
    [
      'Judged',
      WORLD_WORDS[predicted],
      WORLD_WORDS[measured],
      'error',
      '95 % interval',
      'repeats differ by',
      'may be off by',
      'holds',
    ],
    rows.map(row => [
      row.metric,
      showValue(row.predicted, row.unit),
      showValue(row.measured, row.unit),
      showSignedRatio(row.errorRatio),
      row.unit === 'ms' ? interval(row.ci95) : 'exact count',
      row.noiseRatio === null ? '–' : showRatio(row.noiseRatio),
      `± ${showRatio(row.limitRatio)}`,
      row.pass ? '✓' : '✗',
    ]),
  );

/** Beyond so many the rows are folded away. */
const OPEN_GROUPS_MAX = 12;

function groupTable({ groups, stepsLeftOut, predicted, measured }: Comparison): Html {
  const body = table(
    [
      'Latency',
      'samples',
      `mean, ${WORLD_WORDS[predicted]}`,
      WORLD_WORDS[measured],
      'error',
      '95 % interval',
      'p50 error',
      `p95, ${WORLD_WORDS[predicted]}`,
      WORLD_WORDS[measured],
      'error',
      'KS distance',
    ],
    groups.flatMap(group => group.times.map(time => groupRow(group, time))),
  );
  const note = html`<p class="note">Failed and cancelled calls are in no latency. KS distance is the largest distance between the two distributions, 0 to 1; beside it what chance alone exceeds in 5 % of cases, were calls independent, and how far two repeats are apart.${stepsLeftOut > 0 && ` ${showCount(stepsLeftOut)} steps with fewer calls are left out.`}</p>`;
  if (groups.length <= OPEN_GROUPS_MAX) return html`${body}${note}`;
  return html`<details><summary>Every workflow and step</summary>${body}${note}</details>`;
}

const NAMES: Record<GroupComparison['kind'], string> = {
  all: 'All calls',
  workflow: 'workflow',
  step: 'step',
};

const errorAndNoise = ({ errorRatio, noise }: Estimate): string =>
  noise === null
    ? showSignedRatio(errorRatio)
    : `${showSignedRatio(errorRatio)} (± ${showRatio(noise.deviationRatio)})`;

function groupRow(
  group: GroupComparison,
  { metric, predictedCount, measuredCount, mean, p50, p95, ks }: TimeComparison,
) {
  const name = group.kind === 'all' ? NAMES.all : group.name;
  return [
    html`${name} <small>${timeLabel(metric)}${group.kind === 'all' ? null : `, ${NAMES[group.kind]}`}</small>`,
    `${showCount(predictedCount)} / ${showCount(measuredCount)}`,
    showMs(mean.predictedMs),
    showMs(mean.measuredMs),
    errorAndNoise(mean),
    interval(mean.ci95),
    showSignedRatio(p50.errorRatio),
    showMs(p95.predictedMs),
    showMs(p95.measuredMs),
    errorAndNoise(p95),
    ks === null
      ? '–'
      : `${ks.distance.toFixed(2)} (chance ${ks.critical.toFixed(2)}${ks.betweenRepeats === null ? '' : `, repeats ${ks.betweenRepeats.toFixed(2)}`})`,
  ];
}

/** Several runs, a row each. */
const sideBySide = (runs: readonly RunResult[], names: readonly string[]): Html =>
  table(
    ['Run', 'verdict', 'completed', 'workflow p95', 'TTFT p95', 'ITL p95', 'E2E p95', 'cache hits'],
    runs.map(({ verdict, counts, metrics, tokens, cacheBySegment }, i) => [
      names[i]!,
      STATUS_WORDS[verdict.status],
      `${counts.workflows.completed} / ${counts.workflows.planned}`,
      ...[metrics.makespan, metrics.ttft, metrics.itl, metrics.e2e].map(metric => showMs(metric?.p95)),
      cacheBySegment.length === 0 || tokens.prompt === 0 ? '–' : showRatio(tokens.cached / tokens.prompt),
    ]),
  );

/** null: one run. */
export const sideBySideSection: Section = ({ runs, names }) =>
  runs.length < 2 ? null : sideBySide(runs, names);

/** The distributions of both worlds over each other; null: not a validation, or nothing to compare. */
export const bothWorldsSection: Section = ({ validation, draw }) =>
  validation === null || isAbsent(simAgainstLive.spec(validation)) ? null : draw(simAgainstLive, validation);

/** null: not a validation. */
export const accuracySection: Section = ({ validation, draw }) => {
  if (validation === null || validation.comparisons.length === 0) return null;
  // The figure over time is the answer where a record decides; a chart with nothing to draw is left out.
  const charts = [...validation.series.map((_, i) => overTime(i)), ...VALIDATION_CHARTS].filter(
    chart => chart !== simAgainstLive && !isAbsent(chart.spec(validation)),
  );
  return html`${charts.map(chart => draw(chart, validation))}${validation.comparisons.map(comparisonSections)}`;
};
