// Block 12 of the page: calls that did not end well, what the run was made of, where it ran, and how its numbers are made.
import type { RunResult } from '../../scenarios/formats/result.ts';
import { toYaml } from '../../scenarios/formats/source.ts';
import { escapeHtml, type Html, html } from '../html.ts';
import { plural, showCount, showMs } from '../numbers.ts';
import { table } from './table.ts';
import { part, type Section } from './view.ts';

/** Rows on the page; 100 are in result.json, all in calls.parquet. */
const ROWS_MAX = 40;

/** Of the run that is looked at, which may be a shortened copy. */
const rowOf = (run: RunResult, runs: readonly RunResult[]): number =>
  runs.findIndex(({ header }) => header === run.header);

/** null: every call ended well. */
export const errorSection: Section = ({ run, runs }) => {
  const { failures, exemplars, counts } = run;
  if (failures === undefined) return null;
  const drawn = new Set(exemplars.map(({ session }) => session));
  const at = Math.max(0, rowOf(run, runs));
  const left = failures.length - ROWS_MAX;
  const body = html`${table(
    ['Error', 'step', 'pool', 'calls', 'first at', 'in session'],
    failures
      .slice(0, ROWS_MAX)
      .map(row => [
        html`<code>${row.error}</code>`,
        row.step,
        row.pool,
        showCount(row.calls),
        showMs(row.atMs),
        drawn.has(row.session)
          ? html`<a href="#run=${at}&workflow=${encodeURIComponent(row.session)}"><code>${row.session}</code></a>`
          : html`<code>${row.session}</code>`,
      ]),
  )}
  <p class="note">${plural(counts.calls.planned - counts.calls.ok, 'call')} did not end well${left > 0 && `; ${showCount(left)} more kinds are in result.json`}. <code>windtunnel report RUN --workflow SESSION</code> adds a session to the explorer.</p>`;
  return part('Errors', body);
};

/** Characters of all inputs on one page: what keeps it small. */
const TEXT_MAX = 60_000;

/** The lines of a text that its share of the page has room for, as HTML. */
function bounded(text: string, most: number): { shown: string; isCut: boolean } {
  let [end, used] = [0, 0];
  for (const line of text.split('\n')) {
    used += escapeHtml(line).length + 1;
    if (used > most + 1) return { shown: text.slice(0, end), isCut: true };
    end += line.length + 1;
  }
  return { shown: text, isCut: false };
}

function input(what: string, name: string, text: string, most: number): Html {
  const { shown, isCut } = bounded(text, most);
  return html`<details class="input"><summary>${what} <code>${name}</code></summary>
    <pre tabindex="0">${shown}</pre>
    ${isCut && html`<p class="note">Cut after ${showCount(shown.length)} of ${showCount(text.length)} characters; all of it is in inputs.json of the run folder.</p>`}
  </details>`;
}

/** What is much longer than a page shows is not worth the time that YAML takes. */
function textOf(value: unknown): string {
  const text = JSON.stringify(value, null, 1);
  return text.length > 4 * TEXT_MAX ? text : toYaml(value);
}

/** A file that earlier runs share is shown at the first of them. */
export const inputSection: Section = ({ run, runs, names }) => {
  const { inputs } = run;
  if (inputs === undefined) {
    const body = html`<p class="absent">The scenario and the deployment are not here: the folder of the run has no inputs.json. Run it again with this version: <code>${run.header.command}</code></p>`;
    return part('What it was made of', body);
  }
  const { scenario, deployment, seed, routing } = inputs;
  const most = Math.floor(TEXT_MAX / runs.length / 2);
  const at = rowOf(run, runs);
  const shown = (what: 'scenario' | 'deployment', label: string): Html => {
    const same = runs.findIndex(other => other.inputs?.[what].sha256 === inputs[what].sha256);
    return same >= 0 && same < at
      ? html`<p class="note">${label}: the same as of ${names[same] ?? 'the first run'}.</p>`
      : input(label, inputs[what].name, textOf(inputs[what].value), most);
  };
  const body = html`
    ${scenario.problem === null ? shown('scenario', 'Scenario') : html`<p class="note">Scenario: ${scenario.problem}.</p>`}
    ${shown('deployment', 'Deployment')}
    <p class="note">As it ran: bases merged, <code>--set</code> applied. Scenario <code>${scenario.input}</code>, deployment <code>${deployment.input}</code>, seed ${String(seed)}${routing !== null && html`, routing <code>${routing}</code>`}.</p>`;
  return part('What it was made of', body);
};

const METHOD: readonly [string, string][] = [
  [
    'Latency',
    'counts from the time at which the workflow wanted the call, not from when it was sent, so our own lateness is inside. Failed and cancelled calls are in no latency; they are counted beside it.',
  ],
  [
    'Percentiles',
    'are values that occurred (nearest rank), of all calls or workflows; gaps between tokens are kept in a histogram, whose quantiles are at most 0.4 % off. A far percentile is shown only where there are enough values.',
  ],
  [
    'Curves',
    'have at most 400 points, those of equal shares and the tail; lines over time keep their peaks when they are thinned.',
  ],
  [
    'Critical path',
    'is found backwards from a workflow’s last end: what each step waited for last. Its time is split by what was waited for: queue, prefill, decode, tools, people, retries, limits, cold starts and transfers.',
  ],
  [
    'Intervals',
    'between two worlds are bootstrapped from whole sessions, since the calls of a session are not independent.',
  ],
  [
    'Cost',
    'is kept in whole nano-dollars, so every breakdown sums to the total. A replica is paid for from the wish for it to its end; the time in which it computed is split over its calls by their work, the rest is idle.',
  ],
];

/** Where it ran, where that matters, and how the numbers are made. */
export const methodSection: Section = ({ run: { header } }) => {
  const { environment, world } = header;
  const where =
    world === 'sim'
      ? 'A simulation: its results are the same on every machine.'
      : environment === undefined
        ? 'Measured by an older version, which did not note where.'
        : `Measured by ${header.tool.name} ${header.tool.version} on Node ${environment.node}, ${environment.platform}.`;
  return html`<details class="method"><summary>Environment and method</summary>
    <p>${where}</p>
    <dl class="facts">${METHOD.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl>
  </details>`;
};
