// The page of a sweep: the answer, the best points, the charts, and what failed.
import type { SweepPoint, SweepResult } from '../../scenarios/formats/sweep.ts';
import { type Html, html } from '../html.ts';
import { plural, unbroken } from '../numbers.ts';
import { table } from '../page/table.ts';
import { document, figure, type Payload } from '../page.ts';
import type { PageRuntime } from '../runtime.ts';
import { SWEEP_CHARTS } from './charts/index.ts';
import { frontOf } from './charts/pareto.ts';
import {
  axisLabels,
  capital,
  designText,
  effectText,
  failureText,
  holdsText,
  metricLabel,
  pointName,
  showWithSpread,
  sweepHeadline,
} from './words.ts';

/** Best points and failures that are listed; files have all. */
const ROWS_MAX = 25;

function pointTable(sweep: SweepResult): Html {
  const { metric, cost, ranking, points, assertions } = sweep;
  const numbers = new Map(frontOf(sweep).map(({ index }, i) => [index, String(i + 1)]));
  const figures = [...new Set([metric, cost, 'workflow.p95', 'e2e.p95', 'ttft.p95', 'goodput'] as const)];
  const row = (point: SweepPoint, place: number): string[] => [
    String(place + 1),
    ...point.values,
    ...figures.map(name => unbroken(showWithSpread(name, point.metrics[name]))),
    numbers.get(point.index) ?? '',
    ...(assertions > 0 ? [holdsWord(point)] : []),
  ];
  return table(
    [
      'place',
      ...axisLabels(sweep),
      ...figures.map(metricLabel),
      'front',
      ...(assertions > 0 ? ['assertions'] : []),
    ],
    ranking.slice(0, ROWS_MAX).map((i, place) => row(points[i]!, place)),
  );
}

function holdsWord({ holdsRatio, seeds }: SweepPoint): string {
  if (holdsRatio === null) return '–';
  if (holdsRatio === 1) return 'hold';
  return seeds === 1 ? '✗ fail' : `✗ hold in ${Math.round(holdsRatio * seeds)} of ${plural(seeds, 'seed')}`;
}

function failures(sweep: SweepResult): Html | null {
  const rows = sweep.points.flatMap(point =>
    point.failures.map(({ seed, message }) => [
      pointName(point, sweep),
      String(seed),
      message.split('\n')[0]!,
    ]),
  );
  return rows.length === 0
    ? null
    : html`<section class="block"><h2>Failed</h2><p class="note">${failureText(sweep)}</p>${table(
        ['Point', 'seed', 'why'],
        rows.slice(0, ROWS_MAX),
      )}</section>`;
}

/** What `±` and the words of the table mean. */
function notes({ slo, seeds, assertions, ranking }: SweepResult): string[] {
  return [
    ...(seeds.length > 1
      ? [
          `percentiles are those of the calls of all ${seeds.length} seeds together; ± half the 95 % interval of the mean over seeds; every point meets the same agents`,
        ]
      : ['one seed: differences of a few percent may be luck; --seeds 5 says which are not']),
    `good calls end well and keep ${slo}`,
    ...(assertions > 0 ? ['assertions hold: every line, with every seed'] : []),
    ...(ranking.length > ROWS_MAX ? [`the best ${ROWS_MAX} of ${ranking.length}; points.csv has all`] : []),
  ];
}

/** What a program wants of the page: result.json without the points that nobody picks. */
const machineReadable = (sweep: SweepResult) => ({
  ...sweep,
  points: sweep.ranking.slice(0, ROWS_MAX).map(i => sweep.points[i]),
  ranking: undefined,
});

export function sweepPage(sweep: SweepResult, runtime: PageRuntime): string {
  const { header, metric } = sweep;
  const payload: Payload = {};
  const [first, ...rest] = SWEEP_CHARTS.map(chart => figure(chart, sweep, 'sweep', payload));
  const facts = [holdsText(sweep), effectText(sweep), failureText(sweep)].filter(text => text !== null);
  const status = sweep.runs < sweep.runsPlanned ? 'interrupted' : 'done';
  const title = `sweep: ${header.scenario.name} @ ${header.deployment.name}`;
  const body = html`<header class="verdict ${status}">
      <p class="eyebrow"><span class="status">● ${status === 'done' ? 'swept' : 'interrupted'}</span> ${header.scenario.name} @ ${header.deployment.name}, simulated: ${unbroken(designText(sweep))}</p>
      <h1>${unbroken(sweepHeadline(sweep))}</h1>
      ${facts.map(text => html`<p>${unbroken(capital(text))}.</p>`)}
      ${header.warnings.length > 0 && html`<ul class="warnings">${header.warnings.map(text => html`<li>${text}</li>`)}</ul>`}
    </header>
    <section class="block"><h2>What it trades</h2>${first}</section>
    <section class="block"><h2>The best points by ${metricLabel(metric)}</h2>${pointTable(sweep)}
      ${notes(sweep).map(text => html`<p class="note">${unbroken(text)}</p>`)}
    </section>
    <section class="block"><h2>What each setting does</h2>${rest}</section>
    ${failures(sweep)}
    <section class="block"><h2>Where these numbers come from</h2><dl class="facts">
      <dt>Run it again</dt><dd><code class="command">${header.command}</code></dd>
      <dt>Axes</dt><dd><ul>${sweep.axes.map(({ name, values }) => html`<li><code>${name}</code>: ${plural(values.length, 'value')}, ${values.slice(0, 12).join(', ')}${values.length > 12 && '…'}</li>`)}</ul></dd>
      <dt>Rests on</dt><dd><ul>${header.evidence.map(text => html`<li>${text}</li>`)}</ul></dd>
    </dl></section>`;
  return document(
    {
      title,
      body,
      summary: machineReadable(sweep),
      payload,
      footer:
        'One file, no network. Numbers come from result.json beside it; points.csv and runs.csv, and both as Parquet, have a row a point and a row a run.',
    },
    runtime,
  );
}
