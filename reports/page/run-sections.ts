// The sections of one run: verdict, chips, headline figures, charts by question, tables, provenance.

import { deviation, mean, studentBound } from '../../scenarios/base/statistics.ts';
import type {
  AssertionResult,
  GroupRow,
  MetricName,
  MetricSummary,
  ReplicaRow,
  RunResult,
} from '../../scenarios/formats/result.ts';
import { betterOf } from '../assertions.ts';
import { poolsLeftOut } from '../charts/timeline.ts';
import { type Html, html } from '../html.ts';
import { METRIC_LABELS } from '../metrics.ts';
import {
  plural,
  showCount,
  showMs,
  showNumber,
  showRatio,
  showTokens,
  showValue,
  unbroken,
} from '../numbers.ts';
import { comeAndGo } from '../replicas.ts';
import { table } from './table.ts';
import { part, type Section } from './view.ts';

export const STATUS_WORDS: Record<RunResult['verdict']['status'], string> = {
  pass: '✓ passed',
  fail: '✗ failed',
  done: '● done',
  invalid: '! not valid',
  interrupted: '■ interrupted',
};

const METRIC_ORDER: MetricName[] = ['ttft', 'itl', 'tpot', 'e2e', 'queue', 'makespan', 'lag'];

const METRIC_MEANINGS: Record<MetricName, string> = {
  ttft: 'planned to first token',
  itl: 'gap between tokens',
  tpot: 'mean gap of a call',
  e2e: 'planned to last token',
  queue: 'sent to first scheduled',
  makespan: 'planned start to end',
  lag: 'our own lateness',
};

/** Blocks that an interval takes. */
const BLOCKS_MIN = 8;

/** How far it is from its target, as a share of it: above zero there is room. */
function marginRatio({ text, value, target }: AssertionResult): number | null {
  const better = betterOf({ text });
  if (value === null || target === 0 || better === null) return null;
  return (better === 'lower' ? target - value : value - target) / target;
}

/** The 95 % interval of the mean over blocks of time of what an assertion is about; null: no blocks. */
function blockInterval({ blocks = [] }: RunResult, { text }: AssertionResult): [number, number] | null {
  const figure = /^\s*([a-z0-9]+\.(?:p\d+|mean))\s*[<>=]/.exec(text)?.[1];
  const values = blocks.find(({ id }) => id === figure)?.values.filter(value => value !== null) ?? [];
  if (values.length < BLOCKS_MIN) return null;
  const half = (studentBound(0.95, values.length - 1) * deviation(values)) / Math.sqrt(values.length);
  return [mean(values) - half, mean(values) + half];
}

function chip(run: RunResult, assertion: AssertionResult): Html {
  const { text, value, unit, pass } = assertion;
  const status = pass === null ? 'unknown' : pass ? 'pass' : 'fail';
  const mark = pass === null ? '?' : pass ? '✓' : '✗';
  const outcome = value === null ? 'nothing to judge' : showValue(value, unit);
  const margin = marginRatio(assertion);
  const interval = blockInterval(run, assertion);
  return html`<li class="chip ${status}"><span class="mark">${mark}</span><code>${text}</code><b>${outcome}</b>${
    margin !== null &&
    html`<small>${margin < 0 ? `missed by ${showRatio(-margin)}` : `margin ${showRatio(margin)}`}</small>`
  }${
    interval !== null &&
    html`<small title="95 % interval of the mean over blocks of time">[${interval.map(end => showValue(end, unit)).join(', ')}]</small>`
  }</li>`;
}

export function tile(label: string, value: string, beside: string): Html {
  return html`<div class="tile"><dt>${label}</dt><dd>${value}</dd><dd class="beside">${beside}</dd></div>`;
}

function latencyTile(label: string, metric: MetricSummary | undefined): Html {
  if (metric === undefined) return tile(label, '–', 'no samples');
  return tile(label, showMs(metric.p95), `median ${showMs(metric.p50)}`);
}

function tiles({ metrics, tokens, counts, throughput, cacheBySegment }: RunResult): Html {
  const { workflows } = counts;
  return html`<dl class="tiles">
    ${tile('Workflows', showCount(workflows.completed), workflows.completed === workflows.planned ? 'all completed' : `of ${showCount(workflows.planned)} completed`)}
    ${latencyTile('Workflow p95', metrics.makespan)}
    ${latencyTile('TTFT p95', metrics.ttft)}
    ${latencyTile('ITL p95', metrics.itl)}
    ${latencyTile('Call E2E p95', metrics.e2e)}
    ${tile(
      'Cache hits',
      cacheBySegment.length === 0 || tokens.prompt === 0 ? '–' : showRatio(tokens.cached / tokens.prompt),
      cacheBySegment.length === 0 ? 'not reported' : `of ${showTokens(tokens.prompt)} prompt tokens`,
    )}
    ${tile('Throughput', `${showNumber(throughput.outputTokensPerSec)}`, 'output tokens/s')}
  </dl>`;
}

/** The header of a run: the answer, why, what to try, and whether each assertion held. */
export const runHeader: Section = ({ run, validation, comparison }) => {
  // What is said of all runs is the page's headline, if there is any.
  const isHeadline = validation === null && comparison === null;
  const { verdict, header, assertions } = run;
  return html`<header class="verdict ${verdict.status}">
    <p class="eyebrow"><span class="status">${STATUS_WORDS[verdict.status]}</span> ${header.scenario.name} @ ${header.deployment.name}, ${header.world === 'sim' ? 'simulated' : 'measured live'}</p>
    ${isHeadline ? html`<h1>${unbroken(verdict.headline)}</h1>` : html`<h2 class="headline">${unbroken(verdict.headline)}</h2>`}
    <dl class="reasons"><dt>Why</dt><dd>${unbroken(verdict.why)}</dd><dt>Try</dt><dd>${unbroken(verdict.next)}</dd></dl>
    ${
      assertions.length === 0
        ? html`<p class="absent">The scenario asserts nothing; add <code>assert:</code> lines to get a pass or a fail.</p>`
        : html`<ul class="chips">${assertions.map(assertion => chip(run, assertion))}</ul>`
    }
    ${header.warnings.length > 0 && html`<ul class="warnings">${header.warnings.map(text => html`<li>${text}</li>`)}</ul>`}
    ${tiles(run)}
  </header>`;
};

/** Of a tail with ten values beyond it; fewer are the luck of a few calls. */
const tailCell = (n: number, least: number, value: number | null | undefined): Html =>
  n < least || value === undefined
    ? html`<span title="from ${showCount(least)} samples on">n too small</span>`
    : html`${showMs(value)}`;

function metricTable({ metrics }: RunResult): Html {
  const present = METRIC_ORDER.filter(name => metrics[name] !== undefined);
  if (present.length === 0) return html`<p class="absent">No latency to show: no call came back whole.</p>`;
  return html`${table(
    ['Latency', 'samples', 'mean', 'p50', 'p90', 'p95', 'p99', 'p99.9', 'max'],
    present.map(name => {
      const metric = metrics[name]!;
      return [
        html`${METRIC_LABELS[name]} <small>${METRIC_MEANINGS[name]}</small>`,
        showCount(metric.n),
        ...[metric.mean, metric.p50, metric.p90, metric.p95].map(showMs),
        tailCell(metric.n, 1_000, metric.p99),
        tailCell(metric.n, 10_000, metric.p999),
        showMs(metric.max),
      ];
    }),
  )}
  <p class="note">Latency counts from the time the workflow wanted the call, so our own lag is inside. Failed and cancelled calls are counted below, never averaged in.</p>`;
}

function countTable({ counts }: RunResult): Html {
  const { workflows, calls, errors } = counts;
  const errorRows = Object.entries(errors).map(
    ([code, count]) => html`<code>${code}</code> × ${showCount(count)} `,
  );
  return html`${table(
    ['What', 'planned', 'completed', 'failed', 'cancelled', 'unfinished'],
    [
      [
        'Workflows',
        ...[
          workflows.planned,
          workflows.completed,
          workflows.failed,
          workflows.cancelled,
          workflows.unfinished,
        ].map(showCount),
      ],
      [
        'LLM calls',
        ...[calls.planned, calls.ok, calls.error, calls.cancelled, calls.unfinished].map(showCount),
      ],
    ],
  )}
  <p class="note">${plural(counts.toolCalls, 'tool call')}, ${plural(counts.preemptions, 'preemption')}. ${
    errorRows.length === 0 ? 'No call failed.' : html`Errors: ${errorRows}`
  }</p>`;
}

const hitOf = ({ promptTokens, cachedTokens }: GroupRow): string =>
  promptTokens === 0 ? '–' : showRatio(cachedTokens / promptTokens);

/** Rows beyond this are in the Parquet file. */
const GROUP_ROWS_MAX = 60;

function groupTable(what: string, rows: readonly GroupRow[], absent: string): Html {
  if (rows.length === 0) return html`<p class="absent">By ${what}: ${absent}.</p>`;
  const left = rows.length - GROUP_ROWS_MAX;
  return html`${table(
    [`By ${what}`, 'calls', 'prompt', 'hits', 'computed', 'output', 'TTFT mean', 'E2E mean'],
    rows
      .slice(0, GROUP_ROWS_MAX)
      .map(row => [
        row.group,
        showCount(row.calls),
        showTokens(row.promptTokens),
        hitOf(row),
        showTokens(row.computedTokens),
        showTokens(row.outputTokens),
        showMs(row.ttftMsMean),
        showMs(row.e2eMsMean),
      ]),
  )}${left > 0 && html`<p class="note">${showCount(left)} more are in result.json.</p>`}`;
}

function workflowTable({ byWorkflow }: RunResult): Html {
  if (byWorkflow.length === 0) return html`<p class="absent">By workflow: no workflow started.</p>`;
  return table(
    ['By workflow', 'workflows', 'calls', 'prompt', 'hits', 'output', 'time mean', 'time p95'],
    byWorkflow.map(row => [
      row.group,
      showCount(row.workflows),
      showCount(row.calls),
      showTokens(row.promptTokens),
      hitOf(row),
      showTokens(row.outputTokens),
      showMs(row.makespanMsMean),
      showMs(row.makespanMsP95),
    ]),
  );
}

function provenance({ header, durationMs, digest }: RunResult): Html {
  const facts: [string, Html | string][] = [
    ['Run it again', html`<code class="command">${header.command}</code>`],
    [
      'World',
      header.world === 'sim' ? 'simulated' : `live, started ${header.startedAt ?? 'at an unknown time'}`,
    ],
    ['Seed', String(header.seed)],
    ['Length', showMs(durationMs)],
    [
      'Scenario',
      html`${header.scenario.name} <code class="hash">${header.scenario.sha256.slice(0, 16)}</code>`,
    ],
    [
      'Deployment',
      html`${header.deployment.name} <code class="hash">${header.deployment.sha256.slice(0, 16)}</code>`,
    ],
    [
      'Records',
      html`<code class="hash">${digest.slice(0, 16)}</code> <small>equal digests, equal runs</small>`,
    ],
    ['Version', `${header.tool.name} ${header.tool.version}`],
    [
      'Rests on',
      header.evidence.length === 0
        ? 'nothing stated: take the numbers for ranking only'
        : html`<ul>${header.evidence.map(text => html`<li>${text}</li>`)}</ul>`,
    ],
  ];
  return html`<dl class="facts">${facts.map(([name, fact]) => html`<dt>${name}</dt><dd>${fact}</dd>`)}</dl>`;
}

const replicaTable = (replicas: readonly ReplicaRow[]): Html =>
  table(
    ['Replicas', 'fewest', 'most', 'mean', 'cold starts', 'each takes', 'lost', 'GPU-hours', 'USD'],
    replicas.map(row => [
      row.name,
      showCount(row.readyMin),
      showCount(row.readyMax),
      showNumber(row.readyMean),
      showCount(row.coldStarts),
      showMs(row.coldStartMsMean),
      showCount(row.lost),
      showNumber(row.gpuHours),
      row.usd === null ? '–' : showNumber(row.usd),
    ]),
  );

export const distributionSection: Section = ({ run, chart }) =>
  html`${chart('latency-cdf')}${metricTable(run)}`;

export const timelineSection: Section = ({ run, chart }) => {
  const left = poolsLeftOut(run);
  return html`${chart('timeline')}${left !== null && html`<p class="note">${left}</p>`}${chart('rates')}`;
};

/** null: no pool has replicas that we know of. */
export const replicaSection: Section = ({ run, chart }) => {
  const { replicas = [] } = run;
  if (replicas.length === 0) return null;
  return part('Replicas', html`${replicas.some(comeAndGo) && chart('replicas')}${replicaTable(replicas)}`);
};

export const waterfallSection: Section = ({ chart }) => chart('waterfall');

export const whereTimeGoesSection: Section = ({ chart }) => chart('where-time-goes');

export const tokenSection: Section = ({ chart }) =>
  part('Tokens and cache', html`${chart('cache-hits')}${chart('cache-misses')}${chart('loop-tokens')}`);

export const partSection: Section = ({ run }) =>
  part(
    'By part',
    html`${workflowTable(run)}
      ${groupTable('step', run.byStep, 'no call ran')}
      ${groupTable('role', run.byRole, 'the scenario gives its steps no roles')}`,
  );

export const countSection: Section = ({ run }) =>
  part('What was planned, and what came of it', countTable(run));

export const provenanceSection: Section = ({ run }) =>
  html`<details class="provenance"><summary>Where these numbers come from</summary>${provenance(run)}</details>`;
