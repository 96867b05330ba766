// Answers to questions about a deployment: on the terminal, as answers.json, as a page. A rim.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { wrap } from '../../scenarios/formats/wrap.ts';
import type { DrawnChart } from '../charts/chart.ts';
import { type Html, html } from '../html.ts';
import { unbroken } from '../numbers.ts';
import { document, type Payload } from '../page.ts';
import { drawnFigure } from './page.ts';
import { writeCharts } from './publish.ts';

export interface AnsweredQuestion {
  /** Its option. */
  readonly question: string;
  readonly title: string;
  readonly lines: readonly string[];
  readonly data: unknown;
  readonly charts: readonly DrawnChart[];
  readonly isMet: boolean;
}

export interface Answers {
  readonly kind: 'answers';
  readonly tool: { readonly name: 'agent-windtunnel'; readonly version: string };
  readonly command: string;
  readonly scenario: string;
  readonly deployment: string;
  readonly trafficRatio: number;
  readonly promises: readonly string[];
  readonly notes: readonly string[];
  readonly evidence: readonly string[];
  readonly answers: readonly AnsweredQuestion[];
}

/** What a program wants: without drawings. */
const plain = ({ answers, ...rest }: Answers) => ({
  ...rest,
  answers: answers.map(({ charts: _, ...answer }) => answer),
});

export async function publishAnswers(
  given: Answers,
  out: string,
): Promise<{ written: unknown; summaryText: string }> {
  const written = plain(given);
  const reportPath = join(out, 'report.html');
  await writeFile(join(out, 'answers.json'), `${JSON.stringify(written, null, 1)}\n`);
  await writeCharts(
    given.answers.flatMap(({ charts }) => charts),
    out,
  );
  const { loadRuntime } = await import('../runtime.ts');
  const runtime = await loadRuntime();
  const payload: Payload = {};
  const title = `${given.scenario} @ ${given.deployment}`;
  await writeFile(
    reportPath,
    document(
      {
        title,
        body: answersBody(given, title, payload),
        summary: written,
        payload,
        footer: 'One file, no network. Numbers come from answers.json beside it.',
      },
      runtime,
    ),
  );
  return { written, summaryText: answersText(given, reportPath) };
}

function answersBody(
  { answers, promises, notes, evidence, command }: Answers,
  title: string,
  payload: Payload,
): Html {
  const list = (lines: readonly string[]): Html =>
    html`<ul>${lines.map(line => html`<li>${unbroken(line)}</li>`)}</ul>`;
  return html`${answers.map(
    ({
      question,
      title: answer,
      lines,
      charts,
      isMet,
    }) => html`<section class="block"><header class="verdict ${isMet ? 'pass' : 'fail'}">
      <p class="eyebrow"><span class="status">● --${question}</span> ${title}, simulated</p>
      <h1>${unbroken(answer)}</h1></header>
      ${charts.map(chart => drawnFigure(chart, payload))}
      ${list(lines)}</section>`,
  )}
  <section class="block"><h2>Where these numbers come from</h2><dl class="facts">
    <dt>Run it again</dt><dd><code class="command">${command}</code></dd>
    <dt>Promises</dt><dd>${list(promises)}</dd>
    ${notes.length > 0 && html`<dt>Taken</dt><dd>${list(notes)}</dd>`}
    <dt>Rests on</dt><dd>${list(evidence)}</dd>
  </dl></section>`;
}

const WIDTH = 110;

function answersText({ answers, notes }: Answers, reportPath: string): string {
  const lines = answers.flatMap(({ title, lines: rest, isMet }) => [
    ...wrap(`${isMet ? '✓' : '✗'} ${title}`, WIDTH, '  '),
    ...rest.flatMap(line => wrap(`  - ${line}`, WIDTH, '    ')),
    '',
  ]);
  return `${[...lines, ...notes.flatMap(note => wrap(`note: ${note}`, WIDTH, '  ')), `page: ${reportPath}`].join('\n')}\n`;
}
