// The page of an answer: what to do, what it rests on, what would change it.
import type { SizeResult } from '../../scenarios/formats/size.ts';
import type { DrawnChart } from '../charts/chart.ts';
import { type Html, html } from '../html.ts';
import { showSignedRatio, unbroken } from '../numbers.ts';
import { table } from '../page/table.ts';
import { document, figure, type Payload } from '../page.ts';
import type { PageRuntime } from '../runtime.ts';
import { checksChart } from './charts/checks.ts';
import { flipsChart } from './charts/flips.ts';
import { groupsChart } from './charts/groups.ts';
import { trialsChart } from './charts/trials.ts';
import {
  checkText,
  confidence,
  effortText,
  headline,
  impossibleLines,
  per1000,
  perHour,
  perMonth,
  promiseText,
  runnerUpText,
  sustainedColumns,
  sustainedRows,
} from './words.ts';

/** Groups that are listed; size.json has all. */
const GROUPS_MAX = 40;

/** A chart that is drawn already, on a page. */
export const drawnFigure = (
  { id, title, howToRead, spec, table: cells }: DrawnChart,
  payload: Payload,
): Html =>
  figure(
    { id, howToRead, title: () => title, spec: () => spec, table: () => cells },
    null,
    'answer',
    payload,
  );

const list = (lines: readonly string[]): Html =>
  html`<ul>${lines.map(line => html`<li>${unbroken(line)}</li>`)}</ul>`;

const section = (title: string, ...body: (Html | null | false)[]): Html =>
  html`<section class="block"><h2>${title}</h2>${body}</section>`;

function answerSection({ answer, alternatives }: SizeResult): Html | null {
  if (answer === null) return null;
  const others = alternatives.map(each => [
    each.name,
    perHour(each.usdPerHour),
    per1000(each),
    each.isJudged ? `promises ${each.verdict}` : 'priced only',
  ]);
  return section(
    'What it costs and what it keeps',
    list([
      `${perHour(answer.usdPerHour)}, ${perMonth(answer.usdPerHour)}; ${per1000(answer)}`,
      ...answer.promises.map(promiseText),
    ]),
    others.length > 0 &&
      html`<h3>Instead of own GPUs</h3>${table(['Bought', 'an hour', 'per 1,000 workflows', 'judged'], others)}
        ${list(alternatives.map(({ name, why }) => `${name}: ${why}`))}`,
  );
}

function flipTable({ flips }: SizeResult): Html | null {
  if (flips.length === 0) return null;
  return table(
    ['Assumption', 'taken as', 'flips at', 'change', 'then'],
    flips.map(({ assumption, now, at, changeRatio, becomes }) => [
      assumption,
      now,
      at,
      changeRatio === null ? '–' : showSignedRatio(changeRatio),
      becomes,
    ]),
  );
}

function groupTable({ groups }: SizeResult): Html {
  const rank = ({ best }: SizeResult['groups'][number]): number =>
    best?.usdPerHour ?? Number.POSITIVE_INFINITY;
  const sorted = groups.toSorted((a, b) => rank(a) - rank(b));
  const rows = sorted.slice(0, GROUPS_MAX).map(({ name, replicasMin, best, rung, left, bound }) => [
    name,
    best === null ? '–' : (best.name.split(' x ')[0] ?? best.name), // the rest is the kind
    best === null ? '–' : perHour(best.usdPerHour),
    String(replicasMin),
    rung === null ? 'none' : rung,
    left === null ? 'among the last' : left === bound ? left : `${left} (${bound})`,
  ]);
  return html`${table(['Kind', 'replicas', 'an hour', 'at least', 'runs', 'why no further'], rows)}
    <p class="note">Replicas: the fewest that kept every promise in its longest runs, and the fewest that arithmetic allows.</p>
    ${groups.length > GROUPS_MAX && html`<p class="note">The first ${GROUPS_MAX} of ${groups.length}; size.json has all.</p>`}`;
}

export function sizePage(size: SizeResult, charts: readonly DrawnChart[], runtime: PageRuntime): string {
  const { answer, scenario, base, checks, headroom, files, notes, evidence, isInterrupted, command } = size;
  const payload: Payload = {};
  const chart = (each: typeof trialsChart): Html => figure(each, size, 'size', payload);
  const facts = [
    confidence(size),
    runnerUpText(size) && `Runner-up: ${runnerUpText(size)}`,
    effortText(size),
  ];
  const status = isInterrupted ? 'interrupted' : answer === null ? 'fail' : 'pass';
  const word = isInterrupted ? 'interrupted' : answer === null ? 'impossible' : 'sized';
  const title = `size: ${scenario.name} @ ${base}`;
  const columns = sustainedColumns(size);
  const body = html`<header class="verdict ${status}">
      <p class="eyebrow"><span class="status">● ${word}</span> ${scenario.name} @ ${base}, simulated</p>
      <h1>${unbroken(headline(size))}</h1>
      ${facts.map(text => text !== null && html`<p>${unbroken(text)}.</p>`)}
    </header>
    ${answer === null && section('How close one can get', list(impossibleLines(size)))}
    ${answerSection(size)}
    ${section('What was tried', chart(trialsChart), chart(groupsChart))}
    ${headroom !== null && section('How much more it holds', html`<p>${unbroken(headroom.title)}.</p>`, list(headroom.lines), ...charts.map(each => drawnFigure(each, payload)))}
    ${answer !== null && section('What it stands', chart(checksChart), list(checks.map(checkText)), columns.length > 0 && table(columns, sustainedRows(size)))}
    ${answer !== null && section('What would change the answer', chart(flipsChart), flipTable(size))}
    ${section('Every kind of deployment, and why it went no further', groupTable(size))}
    <section class="block"><h2>Where these numbers come from</h2><dl class="facts">
      <dt>Run it again</dt><dd><code class="command">${command}</code></dd>
      ${files.length > 0 && html`<dt>Written</dt><dd>${list(files.map(({ path, what }) => `${path}: ${what}`))}</dd>`}
      ${notes.length > 0 && html`<dt>Taken</dt><dd>${list(notes)}</dd>`}
      <dt>Rests on</dt><dd>${list(evidence)}</dd>
    </dl></section>`;
  return document(
    {
      title,
      body,
      summary: { ...size, trials: undefined, groups: undefined },
      payload,
      footer: 'One file, no network. Numbers come from size.json beside it.',
    },
    runtime,
  );
}
