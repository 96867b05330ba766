// The page of a policy bench: the answer, the table at the knee, and the curves over load.
import type { PolicyBenchResult } from '../../scenarios/formats/policy-bench.ts';
import { type Html, html } from '../html.ts';
import { unbroken } from '../numbers.ts';
import { table } from '../page/table.ts';
import { document, figure, type Payload } from '../page.ts';
import type { PageRuntime } from '../runtime.ts';
import { BENCH_CHARTS } from './charts.ts';
import { BENCH_COLUMNS, benchHeadline, benchNotes } from './words.ts';

const benchTable = (bench: PolicyBenchResult): Html =>
  table(
    BENCH_COLUMNS.map(({ name }) => name),
    bench.curves.map(curve => BENCH_COLUMNS.map(({ cell }) => unbroken(cell(curve, bench)))),
  );

const leftOutList = ({ leftOut }: PolicyBenchResult): Html | null =>
  leftOut.length === 0
    ? null
    : html`<section class="block"><h2>Not run here</h2>${table(
        ['Policy', 'why'],
        leftOut.map(({ policy, reason }) => [policy, reason.split('\n')[0]!]),
      )}</section>`;

export function benchPage(bench: PolicyBenchResult, runtime: PageRuntime): string {
  const { header, policyKind, curves } = bench;
  const payload: Payload = {};
  const [first, ...rest] = BENCH_CHARTS.map(chart => figure(chart, bench, 'bench', payload));
  const body = html`<header class="verdict done">
      <p class="eyebrow"><span class="status">● compared</span> ${policyKind} policies on ${header.scenario.name} @ ${header.deployment.name}, simulated</p>
      <h1>${unbroken(benchHeadline(bench))}</h1>
      ${header.warnings.length > 0 && html`<ul class="warnings">${header.warnings.map(text => html`<li>${text}</li>`)}</ul>`}
    </header>
    <section class="block"><h2>At the knee</h2>${benchTable(bench)}
      ${benchNotes(bench).map(text => html`<p class="note">${unbroken(text)}</p>`)}
    </section>
    <section class="block"><h2>Over load</h2>${first}${rest}</section>
    ${leftOutList(bench)}
    <section class="block"><h2>The policies</h2><dl class="facts">${curves.map(
      ({ policy, doc, options }) =>
        html`<dt>${policy}</dt><dd>${doc}${Object.keys(options).length > 0 && html` <code>${JSON.stringify(options)}</code>`}</dd>`,
    )}</dl></section>
    <section class="block"><h2>Where these numbers come from</h2><dl class="facts">
      <dt>Run it again</dt><dd><code class="command">${header.command}</code></dd>
      <dt>Rests on</dt><dd><ul>${header.evidence.map(text => html`<li>${text}</li>`)}</ul></dd>
    </dl></section>`;
  return document(
    {
      title: `${policyKind} policies: ${header.scenario.name} @ ${header.deployment.name}`,
      body,
      summary: bench,
      payload,
      footer: 'One file, no network. Numbers come from result.json beside it; curves.csv has them by load.',
    },
    runtime,
  );
}
