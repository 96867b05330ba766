// The sections of a trace's page: the findings first, charts by question, a preset beside it, names, provenance.
import type { ImportReport } from '../../scenarios/formats/recorded.ts';
import type { GapOver, Spread, TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import type { TraceReport } from '../../scenarios/formats/trace-report.ts';
import { type Html, html } from '../html.ts';
import { plural, showCount, showMs, showNumber, showRatio, showTokens, unbroken } from '../numbers.ts';
import { tile } from '../page/run-sections.ts';
import { table } from '../page/table.ts';
import { figureFinding, figureRows, figureTable } from './figure-table.ts';
import { findings, headline, sentence } from './findings.ts';
import { selectionSentences } from './selection.ts';

/** What the page calls the trace: a pseudonym where names are left out. */
export const pageName = ({ name, selection }: TraceReport): string =>
  selection.anonymized === null ? name : 'anonymized trace';

export function traceHeader(trace: TraceReport): Html {
  const { report, selection, profile } = trace;
  const taken = selectionSentences(selection).map(text => ({ about: 'taken', text }));
  return html`<header class="verdict">
    <p class="eyebrow"><span class="status">● read</span> <bdi>${pageName(trace)}</bdi>, ${report.format}</p>
    <h1>${unbroken(headline(profile))}</h1>
    <dl class="reasons">${[...taken, ...findings(profile)].map(
      ({ about, text }) => html`<dt>${sentence(about)}</dt><dd>${unbroken(text)}</dd>`,
    )}</dl>
    ${report.warnings.length > 0 && html`<ul class="warnings">${report.warnings.map(text => html`<li>${unbroken(text)}</li>`)}</ul>`}
    ${tiles(profile)}
  </header>`;
}

function tiles({ sessions, calls, call, gaps, reuse, arrivals, outputTokens }: TraceProfile): Html {
  const { tool, human } = gaps.byKind;
  const found = reuse === null ? null : reuse.bySessionRatio + (reuse.acrossRatio ?? 0);
  const when =
    arrivals === null
      ? 'no common clock'
      : arrivals.sessions.spanMs === 0
        ? 'at one instant'
        : `${showNumber(arrivals.sessions.ratePerSec)} arrive a second`;
  const gap = (name: string, spread: Spread | null): Html =>
    tile(name, showMs(spread?.p50), spread === null ? 'not recorded' : `p90 ${showMs(spread.p90)}`);
  return html`<dl class="tiles">
    ${tile('Sessions', showCount(sessions), when)}
    ${tile('Calls', showCount(calls), `${showNumber(calls / sessions)} a session`)}
    ${tile('Prompt median', showTokens(call.promptTokens.p50), `p90 ${showTokens(call.promptTokens.p90)} tokens`)}
    ${tile('Output median', showTokens(call.outputTokens.p50), `of ${showTokens(outputTokens)} tokens`)}
    ${tile('Reusable', showRatio(found), found === null ? 'not recorded' : 'of prompt tokens')}
    ${tool === null && human === null ? gap('Gap median', gaps.all) : gap('Tool median', tool)}
  </dl>`;
}

/** Everything under the header; `chart` gives the figure of a chart by its id. */
export function traceSections(trace: TraceReport, chart: (id: string) => Html): Html {
  return html`
    <section class="block"><h2>Lengths and reuse</h2>${chart('lengths')}${chart('reuse')}${chart('prompt-hits')}</section>
    <section class="block"><h2>Over a session</h2>${chart('context')}${chart('gaps')}${idleTable(trace.profile)}</section>
    <section class="block"><h2>As load</h2>${chart('fan-out')}${chart('arrivals')}</section>
    ${presetSection(trace)}
    ${nameSection(trace.profile)}
    <section class="block"><h2>Where these numbers come from</h2>${provenance(trace)}</section>`;
}

function idleTable({ gaps }: TraceProfile): Html | null {
  if (gaps.all === null) return null;
  const columns = [
    { name: 'of gaps', of: (row: GapOver) => row.callsRatio },
    { name: 'of prompt tokens', of: (row: GapOver) => row.promptTokensRatio },
    { name: 'of tools', of: (row: GapOver) => row.toolRatio },
    { name: 'of people', of: (row: GapOver) => row.humanRatio },
  ].filter(({ of }) => gaps.over.some(row => of(row) !== null));
  return html`${table(
    ['Idle for more than', ...columns.map(({ name }) => name)],
    gaps.over.map(row => [showMs(row.limitMs), ...columns.map(({ of }) => showRatio(of(row)))]),
  )}
  <p class="note">A cache that drops a context after so long computes these prompts again. Of prompt tokens: those of the calls after such gaps.</p>`;
}

function presetSection({ preset, profile }: TraceReport): Html | null {
  if (preset === null) return null;
  const rows = figureRows(preset.figures, profile);
  return html`<section class="block"><h2>Beside the preset ${preset.name}</h2>
    <h3>${unbroken(sentence(figureFinding(preset.name, rows)))}</h3>
    ${figureTable(rows, preset.name)}
    <p class="note">Measured: counted from data. Reported: stated by its authors. Assumption: neither. Bold: more than a factor of 2 apart.</p>
  </section>`;
}

/** Rows beyond this are in the JSON of the import. */
const NAME_ROWS_MAX = 16;

function nameSection({ models, tools }: TraceProfile): Html {
  const more = (rows: readonly unknown[]): Html | false =>
    rows.length > NAME_ROWS_MAX &&
    html`<p class="note">${showCount(rows.length - NAME_ROWS_MAX)} more are in the output of import --json.</p>`;
  return html`<section class="block"><h2>Models and tools</h2>
    ${table(
      ['Model', 'calls', 'prompt', 'output'],
      models
        .slice(0, NAME_ROWS_MAX)
        .map(({ model, calls, promptTokens, outputTokens }) => [
          model,
          showCount(calls),
          showTokens(promptTokens),
          showTokens(outputTokens),
        ]),
    )}${more(models)}
    ${
      tools.length === 0
        ? html`<p class="absent">The trace names no tools.</p>`
        : html`${table(
            ['Tool', 'calls', 'time median', 'p90'],
            tools
              .slice(0, NAME_ROWS_MAX)
              .map(({ tool, calls, gapMs }) => [
                tool,
                showCount(calls),
                showMs(gapMs.p50),
                showMs(gapMs.p90),
              ]),
          )}${more(tools)}`
    }
  </section>`;
}

/** Unreadable parts that the page names. */
const UNREADABLE_MAX = 20;

function provenance({ command, tool, report, selection }: TraceReport): Html {
  // Paths name people and projects.
  const isNamed = selection.anonymized === null;
  const unreadable = report.unreadable.slice(0, isNamed ? UNREADABLE_MAX : 0);
  const unnamed = report.unreadable.length - unreadable.length;
  const facts: [string, Html | string][] = [
    ...(isNamed
      ? [['Make it again', html`<code class="command"><bdi>${command}</bdi></code>`] satisfies [string, Html]]
      : []),
    ['Read', readWords(report)],
    ['Version', `${tool.name} ${tool.version}`],
    [
      'Left out',
      report.unreadable.length === 0
        ? 'nothing was unreadable'
        : html`<ul>${unreadable.map(({ where, why }) => html`<li>${where}: ${why}</li>`)}${
            unnamed > 0 && html`<li>${plural(unnamed, isNamed ? 'more part' : 'part')}</li>`
          }</ul>`,
    ],
  ];
  return html`<dl class="facts">${facts.map(([name, fact]) => html`<dt>${name}</dt><dd>${fact}</dd>`)}</dl>
    ${table(
      ['Known of each', 'recorded', 'inferred', 'defaulted'],
      Object.entries(report.provenance).map(([field, counts]) => [
        field,
        ...[counts.recorded, counts.inferred, counts.defaulted].map(showCount),
      ]),
    )}
    <p class="note">Inferred: worked out from other fields. Defaulted: the trace does not say.</p>`;
}

const readWords = ({ totals, subagents }: ImportReport): string =>
  `${plural(totals.sessions, 'session')}, ${plural(subagents, 'sub-agent')}, ${plural(totals.calls, 'call')}, ` +
  `${showTokens(totals.inputTokens)} prompt and ${showTokens(totals.outputTokens)} output tokens`;
