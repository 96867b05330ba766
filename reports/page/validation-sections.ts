// Sections over more than one run: the validation's verdict and rows, and several runs side by side.
import type { RunResult, ValidationResult, ValidationRow } from '../../scenarios/formats/result.ts';
import { type Html, html } from '../html.ts';
import { plural, showMs, showRatio, showSignedRatio, showValue, unbroken } from '../numbers.ts';
import { STATUS_WORDS } from './run-sections.ts';
import { table } from './table.ts';

const worstFirst = (rows: readonly ValidationRow[]): ValidationRow[] =>
  [...rows].sort((a, b) => Math.abs(b.errorRatio ?? 0) - Math.abs(a.errorRatio ?? 0));

export function validationHeadline({ rows, pass }: ValidationResult): string {
  const failed = rows.filter(row => !row.pass);
  const worst = worstFirst(failed.length > 0 ? failed : rows)[0];
  const largest = worst === undefined ? '' : `${worst.metric} is off by ${showSignedRatio(worst.errorRatio)}`;
  if (pass)
    return `The simulation agrees with the live run on all ${plural(rows.length, 'metric')}${largest && `; at most, ${largest}`}`;
  return `The simulation misses the live run on ${failed.length} of ${plural(rows.length, 'metric')}${largest && `; worst, ${largest}`}`;
}

export function validationHeader(validation: ValidationResult): Html {
  const { rows, pass, live } = validation;
  return html`<header class="verdict ${pass ? 'pass' : 'fail'}">
    <p class="eyebrow"><span class="status">${pass ? '✓ within tolerance' : '✗ out of tolerance'}</span> ${live.header.scenario.name} @ ${live.header.deployment.name}, simulated against live</p>
    <h1>${unbroken(validationHeadline(validation))}</h1>
    <ul class="chips">${rows.map(
      row =>
        html`<li class="chip ${row.pass ? 'pass' : 'fail'}"><span class="mark">${row.pass ? '✓' : '✗'}</span><code>${row.metric}</code><b>${row.errorRatio === null ? (row.sim === row.live ? 'exact' : 'differs') : showSignedRatio(row.errorRatio)}</b></li>`,
    )}</ul>
  </header>`;
}

export const validationTable = ({ rows }: ValidationResult): Html =>
  table(
    ['Metric', 'simulated', 'live', 'error', '95 % interval', 'tolerance', ''],
    rows.map(row => [
      row.metric,
      showValue(row.sim, row.unit),
      showValue(row.live, row.unit),
      showSignedRatio(row.errorRatio),
      row.ci95 === null ? 'exact count' : `${showSignedRatio(row.ci95[0])} … ${showSignedRatio(row.ci95[1])}`,
      `± ${showRatio(row.toleranceRatio)}`,
      row.pass ? '✓' : '✗',
    ]),
  );

/** Several runs, a row each. */
export const comparisonTable = (runs: readonly RunResult[], names: readonly string[]): Html =>
  html`<section class="block"><h2>Side by side</h2>${table(
    ['Run', 'verdict', 'completed', 'workflow p95', 'TTFT p95', 'ITL p95', 'E2E p95', 'cache hits'],
    runs.map(({ verdict, counts, metrics, tokens, cacheBySegment }, i) => [
      names[i]!,
      STATUS_WORDS[verdict.status],
      `${counts.workflows.completed} / ${counts.workflows.planned}`,
      ...[metrics.makespan, metrics.ttft, metrics.itl, metrics.e2e].map(metric => showMs(metric?.p95)),
      cacheBySegment.length === 0 || tokens.prompt === 0 ? '–' : showRatio(tokens.cached / tokens.prompt),
    ]),
  )}</section>`;
