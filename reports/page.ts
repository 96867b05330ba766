// The report page: one file, offline, any number of runs. Text and tables are plain HTML, readable without a script;
// charts are drawn when they come into view.
//
//   results ─▶ charts: title, spec, table ─▶ sections (HTML) + payload (specs, data; packed) ─▶ one file
import type { ComparisonResult } from '../scenarios/formats/comparison.ts';
import type { RunResult } from '../scenarios/formats/result.ts';
import type { ValidationResult } from '../scenarios/formats/validation.ts';
import { RUN_CHARTS } from './charts/index.ts';
import { sideNames } from './compare/words.ts';
import { type Html, html, raw, scriptJson } from './html.ts';
import { BLOCKS, type Block, blockBody } from './page/blocks.ts';
import { figure, type Payload, packedCharts } from './page/figure.ts';
import { pageShare } from './page/share.ts';
import type { View } from './page/view.ts';
import { runNames } from './run-names.ts';
import type { PageRuntime } from './runtime.ts';

export { figure, type Payload };

/** Nothing outside the file may be asked for; scripts and styles are inline, images are downloads being made. */
const POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

/** What a program wants of the page: the figures without the distributions. */
const machineReadable = ({
  kind,
  header,
  verdict,
  counts,
  tokens,
  metrics,
  assertions,
  digest,
}: RunResult) => ({
  kind,
  header,
  verdict,
  counts,
  tokens,
  metrics,
  assertions,
  digest,
});

/** What a page is about: its runs, named apart, and what is known of them together. */
type Subject = Pick<View, 'runs' | 'names' | 'validation' | 'comparison'>;

/** A validation is its errors and a comparison its differences: those blocks come first, under the answer. */
function blocksOf({ validation, comparison }: Subject): readonly Block[] {
  const answer = validation !== null ? 'accuracy' : comparison !== null ? 'compare' : null;
  if (answer === null) return BLOCKS;
  const [verdict, ...others] = BLOCKS;
  const isAnswer = ({ id }: Block): boolean => id === answer;
  return [verdict!, ...others.filter(isAnswer), ...others.filter(block => !isAnswer(block))];
}

/** The page seen as a whole, and run by run; charts fill the payload. */
function viewsOf(subject: Subject, payload: Payload): { overall: View; each: View[] } {
  const viewOf = (run: RunResult, key: string): View => ({
    ...subject,
    run,
    chart: id => figure(RUN_CHARTS.find(chart => chart.id === id)!, run, key, payload),
    draw: (chart, input) => figure(chart, input, key, payload),
  });
  return {
    overall: viewOf(subject.runs[0]!, 'page'),
    each: subject.runs.map((run, i) => viewOf(run, `run${i}`)),
  };
}

function blockView(block: Block, { overall, each }: { overall: View; each: readonly View[] }): Html {
  const body = blockBody(block, overall, each);
  return html`<section class="block" id="${block.id}" aria-labelledby="${block.id}-title" tabindex="-1">
    <h2 id="${block.id}-title">${block.title}</h2>
    ${body.overall}
    ${body.each.map((shown, i) => shown !== null && html`<div class="run" data-run="${i}"${i > 0 && raw(' hidden')}>${shown}</div>`)}
  </section>`;
}

function selector(names: readonly string[]): Html | null {
  if (names.length < 2) return null;
  return html`<label class="selector">Run
    <select id="run-select">${names.map((name, i) => html`<option value="${i}">${name}</option>`)}</select>
  </label>`;
}

const contents = (blocks: readonly Block[], runNames: readonly string[]): Html =>
  html`<nav class="contents" aria-label="Contents">
    ${selector(runNames)}
    <ol>${blocks.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ol>
  </nav>`;

const RUN_FOOTER =
  'One file, no network. Numbers come from result.json beside it; every call is a row of calls.parquet.';

export interface PageParts {
  title: string;
  /** The blocks as a list of links, and which run is seen. */
  contents?: Html;
  body: Html;
  /** What a program wants of the page. */
  summary: unknown;
  payload: Payload;
  footer: string;
}

/** The whole file: parts, styles and scripts in one. */
export function document(
  { title, contents, body, summary, payload, footer }: PageParts,
  runtime: PageRuntime,
): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${raw(runtime.style)}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<header class="bar"><span class="brand">windtunnel</span><span class="bar-title">${title}</span><button type="button" id="theme" title="Light or dark">◐<span class="sr">Change theme</span></button></header>
<div class="layout">
${contents}
<main id="main" tabindex="-1">
<noscript><style>.run[hidden] { display: block !important; }</style><p class="absent">The charts need JavaScript; everything else on this page does not.</p></noscript>
${body}
</main>
</div>
<footer>${footer}</footer>
<div id="tooltip" role="status" hidden></div>
<script type="application/json" id="summary">${scriptJson(summary)}</script>
<script type="text/plain" id="payload">${raw(runtime.pack(JSON.stringify(packedCharts(payload))))}</script>
<script type="text/plain" id="runtime">${raw(runtime.vega)}</script>
<script>${raw(runtime.script)}</script>
</body>
</html>
`.text;
}

/** The runs of a page, named apart, and what is known of them together. */
function subjectOf(input: PageInput): Subject {
  if (!('kind' in input)) return { runs: input, names: runNames(input), validation: null, comparison: null };
  switch (input.kind) {
    case 'validation': {
      const runs = [...(input.live === null ? [] : [input.live]), input.sim];
      const names = runs.map(({ header }) => (header.world === 'sim' ? 'simulated' : 'live'));
      return { runs, names, validation: input, comparison: null };
    }
    case 'comparison':
      return { runs: input.runs, names: sideNames(input), validation: null, comparison: input };
  }
}

function titleOf({ runs, validation, comparison }: Subject): string {
  const [first] = runs;
  if (validation !== null) return `Validation: ${validation.sim.header.scenario.name}`;
  if (comparison !== null) return `Comparison: ${first!.header.scenario.name}`;
  return runs.length === 1
    ? `${first!.header.scenario.name} @ ${first!.header.deployment.name}`
    : `${runs.length} runs`;
}

function summaryOf({ runs, validation, comparison }: Subject): unknown {
  const machineRuns = runs.map(machineReadable);
  if (validation !== null) {
    const { kind, pass, verdict, warnings, comparisons } = validation;
    return { kind, pass, verdict, warnings, comparisons, runs: machineRuns };
  }
  return comparison !== null ? { ...comparison, runs: machineRuns } : { runs: machineRuns };
}

/** What a page can be made of: runs (the first is shown first), or what was found out about runs together. */
export type PageInput = readonly RunResult[] | ValidationResult | ComparisonResult;

/** No page is larger, whatever it is about. */
const BYTES_MAX = 1_500_000;
/** Times that the share of every run is halved to get there. */
const HALVINGS_MAX = 5;

/** The page: twelve blocks, each about one run at a time or about all of them. */
export function page(input: PageInput, runtime: PageRuntime): string {
  const subject = subjectOf(input);
  for (let halvings = 0; ; halvings++) {
    const text = pageOfShares(subject, subject.runs.length * 2 ** halvings, runtime);
    if (byteLength(text) <= BYTES_MAX || halvings === HALVINGS_MAX) return text;
  }
}

/** Of UTF-8. */
const byteLength = (text: string): number => new TextEncoder().encode(text).length;

/** The page with each run as one of so many. */
function pageOfShares(whole: Subject, shares: number, runtime: PageRuntime): string {
  const payload: Payload = {};
  const subject = { ...whole, runs: whole.runs.map(run => pageShare(run, shares)) };
  const blocks = blocksOf(subject);
  const views = viewsOf(subject, payload);
  return document(
    {
      title: titleOf(subject),
      contents: contents(blocks, subject.names),
      body: html`${blocks.map(block => blockView(block, views))}`,
      summary: summaryOf(subject),
      payload,
      footer: RUN_FOOTER,
    },
    runtime,
  );
}
