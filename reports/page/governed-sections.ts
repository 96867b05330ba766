// Sections of a run that has prices or a gateway: what it cost and what was in vain, what the gateway decided, targets
// that were kept.
import type { CostRow, CostSummary, GoodputRow, RunResult } from '../../scenarios/formats/result.ts';
import { COMPONENT_NAMES } from '../charts/cost.ts';
import { WASTE_NAMES } from '../charts/waste.ts';
import { type Html, html } from '../html.ts';
import { plural, showCount, showMs, showNumber, showRatio, showTokens, showUsd } from '../numbers.ts';
import { table } from './table.ts';
import { part, type Section } from './view.ts';

/** Rows beyond this are in result.json. */
const ROWS_MAX = 20;

function costTable(what: string, rows: readonly CostRow[], totalUsd: number): Html | null {
  // A breakdown into one part says nothing that the total does not.
  if (rows.length < 2) return null;
  const left = rows.length - ROWS_MAX;
  return html`${table(
    [`Cost by ${what}`, 'USD', 'share', 'in vain'],
    rows
      .slice(0, ROWS_MAX)
      .map(({ group, usd, wastedUsd }) => [
        group,
        showUsd(usd),
        totalUsd === 0 ? '–' : showRatio(usd / totalUsd),
        showUsd(wastedUsd),
      ]),
  )}${left > 0 && html`<p class="note">${showCount(left)} more are in result.json.</p>`}`;
}

/** null: no price is known. */
export const costSection: Section = ({ run, chart }) => {
  const { cost } = run;
  if (cost === undefined) return null;
  const { totalUsd, gpuSeconds } = cost;
  const waste = cost.waste.filter(({ usd, tokens }) => usd > 0 || tokens > 0);
  return html`
    ${totalUsd > 0 && chart('cost')}
    ${gpuSeconds.paid > 0 && html`<p class="note">${showUsd(totalUsd)} in all. GPUs computed for ${showNumber(gpuSeconds.busy)} of ${showNumber(gpuSeconds.paid)} GPU-seconds that were paid for (${showRatio(gpuSeconds.busy / gpuSeconds.paid)}).</p>`}
    ${cost.notes.map(note => html`<p class="note">${note}.</p>`)}
    ${waste.length > 0 && chart('waste')}
    ${table(
      ['Paid for', 'USD', 'share'],
      Object.entries(cost.byComponent)
        .filter(([, usd]) => usd > 0)
        .map(([name, usd]) => [
          COMPONENT_NAMES[name as keyof typeof COMPONENT_NAMES],
          showUsd(usd),
          showRatio(usd / totalUsd),
        ]),
    )}
    ${
      waste.length > 0 &&
      table(
        ['In vain', 'USD', 'tokens', 'GPU-seconds'],
        waste.map(({ reason, usd, tokens, gpuSeconds: seconds }) => [
          WASTE_NAMES[reason],
          showUsd(usd),
          showTokens(tokens),
          showNumber(seconds),
        ]),
      )
    }
    ${costTable('workflow', cost.byWorkflow, totalUsd)}
    ${costTable('step', cost.byStep, totalUsd)}
    ${foldedCosts(cost)}`;
};

/** Whoever looks for one of these knows that it is there. */
function foldedCosts({ byRole, byTarget, byTenant, byUser, totalUsd }: CostSummary): Html | null {
  const by = Object.entries({ role: byRole, target: byTarget, tenant: byTenant, user: byUser });
  const tables = by
    .map(([what, rows]) => ({ what, shown: costTable(what, rows, totalUsd) }))
    .filter(({ shown }) => shown !== null);
  if (tables.length === 0) return null;
  return html`<details><summary>Cost by ${tables.map(({ what }) => what).join(', ')}</summary>
    ${tables.map(({ shown }) => shown)}
  </details>`;
}

const goodputRows = (rows: readonly GoodputRow[]) =>
  rows.map(({ group, judged, kept, keptPerSec }) => [
    group,
    showCount(judged),
    showCount(kept),
    judged === 0 ? '–' : showRatio(kept / judged),
    showNumber(keptPerSec),
  ]);

/** null: the scenario has no targets. */
export const goodputSection: Section = ({ run: { goodput } }) => {
  if (goodput === undefined) return null;
  const columns = ['judged', 'kept', 'share', 'kept per s'];
  return html`
    ${goodput.byWorkflow.length > 0 && table(['Goodput by workflow', ...columns], goodputRows(goodput.byWorkflow))}
    ${goodput.byRole.length > 0 && table(['Goodput by role', ...columns], goodputRows(goodput.byRole))}
    <p class="note">Work that ended well and within every target for it. Cancelled work is not judged.</p>`;
};

const countsText = (counts: Readonly<Record<string, number>>): Html | string => {
  const parts = Object.entries(counts);
  if (parts.length === 0) return 'none';
  return html`${parts.map(([name, count], i) => html`${i > 0 && ', '}<code>${name}</code> × ${showCount(count)}`)}`;
};

function factTable(governed: NonNullable<RunResult['governed']>): Html {
  const { byKind, cancels, tools } = governed;
  const facts: [string, Html | string][] = [
    [
      'Attempts',
      `${showCount(governed.attempts)}: ${showCount(byKind.retry)} retries, ${showCount(byKind.hedge)} hedges (${showCount(governed.hedgesWon)} came first), ${showCount(byKind.fallback)} fallbacks, ${showCount(byKind.escalation)} escalations, ${showCount(byKind.repeat)} repeated steps`,
    ],
    ['Failed attempts', countsText(governed.failuresByReason)],
    ['Retries because of', countsText(governed.retriesByReason)],
    ['Calls refused by the gateway', countsText(governed.refusedByCode)],
    ['Breakers opened', showCount(governed.breakerOpenings)],
    [
      'Sessions ended early',
      cancels.sessions === 0
        ? 'none'
        : html`${countsText(cancels.byReason)}: clean after ${showMs(cancels.cleanMsP50)} (p95 ${showMs(cancels.cleanMsP95)}); ${showTokens(cancels.tokensAfter)} output tokens and ${showNumber(cancels.gpuSecondsAfter)} GPU-seconds came after.`,
    ],
    [
      'Tools',
      tools.runs === 0
        ? 'none ran on a runtime'
        : `${plural(tools.runs, 'run')}, ${showCount(tools.failed)} failed, ${showRatio(tools.coldRatio)} from cold, queue p95 ${showMs(tools.queueMsP95)}; ${plural(tools.doubledSideEffects, 'side effect')} done twice`,
    ],
  ];
  return html`<dl class="facts">${facts.map(([name, fact]) => html`<dt>${name}</dt><dd>${fact}</dd>`)}</dl>`;
}

function anomalyTable({ anomalies }: NonNullable<RunResult['governed']>): Html | null {
  if (anomalies === null) return null;
  const { precision, recall, f1, tokensSaved, tokensLost, byLabel } = anomalies;
  return html`
    ${
      byLabel.length > 0 &&
      table(
        ['Anomalies injected', 'sessions', 'found', 'recall', 'tokens saved'],
        byLabel.map(row => [
          row.label,
          showCount(row.sessions),
          showCount(row.found),
          showRatio(row.recall),
          showTokens(row.tokensSaved),
        ]),
      )
    }
    <p class="note">Anomaly rules: precision ${showRatio(precision)}, recall ${showRatio(recall)}, F1 ${f1 === null ? '–' : showNumber(f1)}; ${showTokens(tokensSaved)} tokens saved, ${showTokens(tokensLost)} of sound sessions lost.</p>`;
}

/** Anomalies that were injected or flagged. null: none, or no gateway governed the run. */
export const anomalySection: Section = ({ run: { governed } }) => {
  const body = governed === undefined ? null : anomalyTable(governed);
  return body === null ? null : part('Anomalies', body);
};

/** Decisions on the page; the others are in result.json and, one by one, in the audit log. */
const DECISIONS_SHOWN = 25;

/** null: no gateway governed the run. */
export const gatewaySection: Section = ({ run, chart }) => {
  const { governed, pressure } = run;
  if (governed === undefined) return pressure === undefined ? null : part('Under limits', chart('pressure'));
  const { decisions } = governed;
  const body = html`
    ${pressure !== undefined && chart('pressure')}
    ${governed.troubled !== null && chart('attempts')}
    ${factTable(governed)}
    ${
      decisions.length > 0 &&
      table(
        ['Decided', 'times'],
        decisions
          .slice(0, DECISIONS_SHOWN)
          .map(({ policy, decision, why, count }) => [
            html`${policy}: ${decision} <small>${why}</small>`,
            showCount(count),
          ]),
      )
    }`;
  return part('What the gateway did', body);
};
