// Sections of a live run: whether our own client can be believed, and what the servers said of themselves beside what we
// measured.
import { Histogram } from '../../scenarios/base/histogram.ts';
import type { ClientReport, ServerLatency, ServerReport, Spread } from '../../scenarios/formats/measured.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { gpusLeftOut } from '../charts/gpus.ts';
import { type Html, html } from '../html.ts';
import {
  enginesOf,
  lagLimitOf,
  latencyRows,
  ourHitRatio,
  prefixHitRatio,
  rateText,
  serverNotes,
  showQuantile,
  sumOf,
} from '../measured.ts';
import { plural, showCount, showMs, showNumber, showRatio, showTokens } from '../numbers.ts';
import { table } from './table.ts';
import { part, type Section } from './view.ts';

const NAMES: Record<ServerLatency, readonly [name: string, meaning: string]> = {
  ttft: ['TTFT', 'arrival to first token'],
  itl: ['ITL', 'gap between tokens'],
  e2e: ['E2E', 'arrival to last token'],
  queue: ['Queue', 'arrival to first scheduled'],
  prefill: ['Prefill', 'first scheduled to first token'],
  decode: ['Decode', 'first to last token'],
};

/** Servers on the page; all are in result.json. */
const SERVERS_SHOWN = 16;

const spreadRow = (name: string, meaning: string, spread: Spread): (string | Html)[] => [
  html`${name} <small>${meaning}</small>`,
  showCount(spread.n),
  ...[spread.p50, spread.p95, spread.p99, spread.max].map(showMs),
];

function inFlightText({ inFlightMax, serverInFlightMax }: ClientReport): string {
  const ours = `${showCount(inFlightMax)} calls at most`;
  return serverInFlightMax === null
    ? `${ours}; the servers show none`
    : `${ours}; the servers showed ${showCount(serverInFlightMax)} at most, looked at now and then`;
}

function cvText({ rate }: ClientReport): string {
  if (rate === null) return rateText(rate);
  return `${rateText(rate)}; gaps vary by ${showNumber(rate.achievedCv)} (planned ${showNumber(rate.plannedCv)}, even 0, random 1)`;
}

/** null: not a live run, or one of an older version. */
export const clientSection: Section = ({ run }) => {
  const { measured, verdict } = run;
  if (measured === undefined) return null;
  const { client } = measured;
  const limitMs = lagLimitOf(run);
  const isLate = client.lagMs.p99 > limitMs;
  const gaps = Histogram.from(client.chunkGapMs);
  const chunks =
    gaps.count > 0 ? `, ${showMs(gaps.quantile(0.5))} apart (p99 ${showMs(gaps.quantile(0.99))})` : '';
  const facts: [string, Html | string][] = [
    ['Session starts', cvText(client)],
    ['In flight', inFlightText(client)],
    [
      'Our own use',
      `${showNumber(client.cpuCores)} cores, ${plural(client.workers, 'thread')}, ${plural(client.socketsOpened, 'connection')} opened`,
    ],
    ['Pieces of streams', `${showCount(client.chunks)} with tokens${chunks}`],
  ];
  const body = html`<p>${
    (client.shards ?? []).some(({ state }) => state === 'lost')
      ? 'In part: a machine that sent was lost, and its sessions are missing.'
      : verdict.status === 'invalid'
        ? 'No: our own client fell behind, so the latencies say more about it than about the servers.'
        : isLate
          ? 'Hardly: our own client was late.'
          : `Our client kept its times: p99 of its lag is ${showMs(client.lagMs.p99)}, and a run is not valid above ${showMs(limitMs)}.`
  }</p>
    ${table(
      ['Our client', 'samples', 'p50', 'p95', 'p99', 'max'],
      [
        spreadRow('Lag of calls', 'sent after it was wanted', client.lagMs),
        spreadRow('Lag of sessions', 'first call sent after the plan', client.sessionLagMs),
        spreadRow('Event loop', 'late, in the worst thread', client.loopDelayMs),
      ],
    )}
    <dl class="facts">${facts.map(([name, fact]) => html`<dt>${name}</dt><dd>${fact}</dd>`)}</dl>
    ${shardsTable(client)}`;
  return part('Can this be believed?', body);
};

/** Of a run by several machines. Lags are of each by itself. */
function shardsTable({ shards = [] }: ClientReport): Html | string {
  if (shards.length === 0) return '';
  const shown = (value: number | null): string => (value === null ? 'not known' : showMs(value));
  return html`${table(
    ['Machine', 'state', 'sessions', 'calls', 'lag p99', 'clock off by', 'start known to ±'],
    shards.map(({ name, worker, state, sessions, calls, lagMsP99, clockOffsetMs, clockErrorMs }) => [
      html`${name} <small>${worker ?? 'nobody took it'}</small>`,
      state,
      showCount(sessions),
      showCount(calls),
      shown(lagMsP99),
      shown(clockOffsetMs),
      shown(clockErrorMs),
    ]),
  )}
  <p class="note">All machines started at one instant of the queue's clock, to which each had measured its own; a wall clock that is off shifts nothing.</p>`;
}

function latencyTable(run: RunResult): Html {
  const rows = latencyRows(run);
  if (rows.length === 0)
    return html`<p class="absent">No server has histograms of latencies, or no request ended.</p>`;
  return html`${table(
    ['Latency', 'samples', 'server mean', 'server p50', 'server p95', 'our mean', 'our p50', 'our p95'],
    rows.map(({ latency, count, meanMs, p50, p95, ours }) => {
      const [name, meaning] = NAMES[latency];
      return [
        html`${name} <small>${meaning}</small>`,
        showCount(count),
        showMs(meanMs),
        ...[p50, p95].map(
          quantile =>
            html`<span title="${quantile === null ? '' : `somewhere in its bucket, ${showMs(quantile.from)} to ${quantile.to === null ? 'no bound' : showMs(quantile.to)}`}">${showQuantile(quantile)}</span>`,
        ),
        ...[ours?.mean, ours?.p50, ours?.p95].map(showMs),
      ];
    }),
  )}
  <p class="note">Server quantiles are interpolated in the server's own buckets: they are known only as well as a bucket is wide (point at one to see it), the means are exact. Ours count from the time that the workflow wanted the call, so they hold our lag, the network and the server's front end too.</p>`;
}

/** Figures of which both sides have a count. */
function countsTable(run: RunResult, servers: readonly ServerReport[]): Html {
  const { tokens, counts } = run;
  const shown = (value: number | null, show: (value: number) => string): string =>
    value === null ? 'not shown' : show(value);
  return table(
    ['Counted', 'by the servers', 'by us'],
    [
      [
        'Requests finished',
        shown(
          sumOf(servers, server => server.requestsFinished),
          showCount,
        ),
        showCount(counts.calls.ok),
      ],
      [
        'Prompt tokens',
        shown(
          sumOf(servers, server => server.promptTokens),
          showTokens,
        ),
        showTokens(tokens.prompt),
      ],
      [
        'Output tokens',
        shown(
          sumOf(servers, server => server.outputTokens),
          showTokens,
        ),
        showTokens(tokens.output),
      ],
      ['Prefix cache hits', shown(prefixHitRatio(servers), showRatio), shown(ourHitRatio(run), showRatio)],
      [
        'Preemptions',
        shown(
          sumOf(servers, server => server.preemptions),
          showCount,
        ),
        'not seen from here',
      ],
    ],
  );
}

function serverTable(servers: readonly ServerReport[]): Html | null {
  if (servers.length < 2) return null;
  const shown = (value: number | null, show: (value: number) => string): string =>
    value === null ? '–' : show(value);
  const left = servers.length - SERVERS_SHOWN;
  return html`${table(
    ['Server', 'finished', 'prompt', 'hits', 'output', 'preempted', 'looks', 'failed'],
    servers
      .slice(0, SERVERS_SHOWN)
      .map(server => [
        html`${server.replica} <small>${enginesOf([server]) ?? 'not known'}</small>`,
        shown(server.requestsFinished, showCount),
        shown(server.promptTokens, showTokens),
        shown(prefixHitRatio([server]), showRatio),
        shown(server.outputTokens, showTokens),
        shown(server.preemptions, showCount),
        showCount(server.scrapes),
        showCount(server.scrapesFailed),
      ]),
  )}${left > 0 && html`<p class="note">${showCount(left)} more are in result.json.</p>`}`;
}

/** null: not a live run over pools. */
export const serverSection: Section = ({ run, chart }) => {
  const { measured } = run;
  if (measured === undefined || measured.servers.length + measured.gpus.length === 0) return null;
  const { servers, gpus } = measured;
  const engines = enginesOf(servers);
  const left = gpusLeftOut(run);
  const body = html`${
    engines === null
      ? html`<p class="absent">No server shows metrics that we know. vLLM has them always; SGLang with <code>--enable-metrics</code>, llama.cpp with <code>--metrics</code>, trtllm-serve with <code>return_perf_metrics</code>.</p>`
      : html`<p>By the metrics of ${engines}, from the start of the run to its end.</p>
          ${latencyTable(run)}
          ${countsTable(run, servers)}
          ${serverNotes(run).map(note => html`<p class="note">${note}</p>`)}
          ${serverTable(servers)}`
  }
    ${gpus.length > 0 && chart('gpus')}${left !== null && html`<p class="note">${left}</p>`}`;
  return part('What the server says', body);
};
