// A trace in the terminal: what was read, what had to be guessed, and the findings of its page in brief.
import type { TraceReport } from '../../scenarios/formats/trace-report.ts';
import { figureFinding, figureRows } from './figure-table.ts';
import { findings } from './findings.ts';
import { selectionSentences } from './selection.ts';

/** Unreadable parts that are named; --json has more. */
const UNREADABLE_MAX = 10;

const LABEL_WIDTH = 10;
/** Without separators: these are figures to compare. */
const many = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
const line = (label: string, text: string): string => `  ${label.padEnd(LABEL_WIDTH)}${text}`;

export function traceSummary(trace: TraceReport, options: { page: string | null }): string {
  const { report, profile, preset } = trace;
  const { totals, provenance, unreadable } = report;
  const guessed = Object.entries(provenance)
    .map(([field, { recorded, inferred, defaulted }]) => ({ field, recorded, other: inferred + defaulted }))
    .filter(({ other }) => other > 0)
    .map(({ field, recorded, other }) => `${field} ${other} of ${recorded + other}`);
  const share = totals.inputTokens === 0 ? 0 : (totals.hitTokens / totals.inputTokens) * 100;
  const unnamed = unreadable.length - UNREADABLE_MAX;
  return [
    `${report.format}: ${many(totals.sessions, 'session')}, ${many(report.subagents, 'sub-agent')}, ${many(totals.calls, 'call')}`,
    line('input', `${totals.inputTokens} tokens, output ${totals.outputTokens}`),
    line(
      'hits',
      `${totals.hitBlocks} blocks, ${totals.hitTokens} tokens (${share.toFixed(1)} %), of a cache that never evicts`,
    ),
    line('inferred', guessed.length === 0 ? 'nothing' : guessed.join(', ')),
    ...selectionSentences(trace.selection).map(text => line('taken', text)),
    ...findings(profile).map(({ about, text }) => line(about, text)),
    ...(preset === null
      ? []
      : [line('preset', figureFinding(preset.name, figureRows(preset.figures, profile)))]),
    ...report.warnings.map(text => line('warning', text)),
    ...unreadable.slice(0, UNREADABLE_MAX).map(({ where, why }) => line('left out', `${where}: ${why}`)),
    ...(unnamed > 0 ? [line('left out', `and ${unnamed} more, which --json names`)] : []),
    ...(options.page === null ? [] : [`page: ${options.page}`]),
  ].join('\n');
}
