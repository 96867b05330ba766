// The page of a calibration: the answer, the plots, what was found and where it came from.
import { html } from '../../reports/html.ts';
import { unbroken } from '../../reports/numbers.ts';
import { table } from '../../reports/page/table.ts';
import { document, figure, type Payload } from '../../reports/page.ts';
import type { PageRuntime } from '../../reports/runtime.ts';
import type { Calibration } from './calibration.ts';
import { CALIBRATION_CHARTS } from './charts.ts';
import { answer, expectation, KIND_COLUMNS, kindRows, limitRows, termRows } from './words.ts';

const kept = (rows: readonly (readonly string[])[]): string[][] => rows.map(cells => cells.map(unbroken));

export function calibrationPage(calibration: Calibration, runtime: PageRuntime): string {
  const { target, engine, hardware, at, command, warnings, profile } = calibration;
  const payload: Payload = {};
  const charts = CALIBRATION_CHARTS.map(chart => figure(chart, calibration, 'calibration', payload));
  const body = html`<header class="verdict done">
      <p class="eyebrow"><span class="status">● calibrated</span> ${target.model} at ${target.baseUrl} (${target.api})</p>
      <h1>${unbroken(answer(calibration))}</h1>
      <p>${unbroken(expectation(calibration))}</p>
      ${warnings.length > 0 && html`<ul class="warnings">${warnings.map(text => html`<li>${unbroken(text)}</li>`)}</ul>`}
    </header>
    <section class="block"><h2>How well it fits</h2>${charts}${table(KIND_COLUMNS, kept(kindRows(calibration)))}
      <p class="note">error: of settings, by the fit on all of them; unseen: by a fit without the setting; repeats: their deviation beside their mean.</p>
    </section>
    <section class="block"><h2>What a step costs</h2>${table(['Cost', 'fitted', '95 %'], kept(termRows(calibration)))}</section>
    <section class="block"><h2>Limits</h2>${table(['Limit', 'value', 'where from'], kept(limitRows(calibration)))}</section>
    <section class="block"><h2>Where these numbers come from</h2><dl class="facts">
      <dt>Run it again</dt><dd><code class="command">${command}</code></dd>
      <dt>Measured</dt><dd>${engine ?? 'unknown engine'} on ${hardware}, ${at}; ${profile.measured.note}</dd>
    </dl></section>`;
  const { observations: _, joins: __, ...summary } = calibration;
  return document(
    {
      title: `Calibration: ${calibration.name}`,
      body,
      summary,
      payload,
      footer: 'One file, no network. Numbers come from result.json beside it, every measured time included.',
    },
    runtime,
  );
}
