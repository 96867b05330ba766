// Answers to questions about a deployment, on the terminal and as a page.
import type { DrawnChart } from '../charts/chart.ts';
import { type Html, html } from '../html.ts';
import { unbroken } from '../numbers.ts';
import { document, type Payload } from '../page.ts';
import type { PageRuntime } from '../runtime.ts';
import { marked } from './lines.ts';
import { drawnFigure } from './page.ts';

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
export const plain = ({ answers, ...rest }: Answers) => ({
  ...rest,
  answers: answers.map(({ charts: _, ...answer }) => answer),
});

export function answersPage(given: Answers, runtime: PageRuntime): string {
  const payload: Payload = {};
  const title = `${given.scenario} @ ${given.deployment}`;
  return document(
    {
      title,
      body: answersBody(given, title, payload),
      summary: plain(given),
      payload,
      footer: 'One file, no network. Numbers come from answers.json beside it.',
    },
    runtime,
  );
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

export function answersText({ answers, notes }: Answers, reportPath: string): string {
  const lines = answers.flatMap(({ title, lines: rest, isMet }) => [
    ...marked(isMet ? '✓ ' : '✗ ', title),
    ...rest.flatMap(line => marked('  - ', line)),
    '',
  ]);
  return `${[...lines, ...notes.flatMap(note => marked('note: ', note)), `page: ${reportPath}`].join('\n')}\n`;
}
