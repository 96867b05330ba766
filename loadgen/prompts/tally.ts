// How near the prompts of a run came to their planned lengths, and its answers to theirs: counted while it runs, told
// when it is over.
import type { PromptReport } from '../../scenarios/formats/measured.ts';

/** Beyond this, counted and planned prompt tokens are not the same thing. */
const OFF_LIMIT_RATIO = 0.02;

/** Of one call that went well. `countedTokens` is null where the server counts none. */
export interface Lengths {
  readonly plannedTokens: number;
  readonly countedTokens: number | null;
  readonly wantedOutputTokens: number;
  readonly outputTokens: number;
}

export const emptyReport = (target: string, api: string, how: string): PromptReport => ({
  target,
  api,
  how,
  calls: 0,
  callsCounted: 0,
  plannedTokens: 0,
  countedTokens: 0,
  offTokens: 0,
  offRatioMax: 0,
  shortAnswers: 0,
});

export function addCall(
  report: PromptReport,
  { plannedTokens, countedTokens, wantedOutputTokens, outputTokens }: Lengths,
): void {
  report.calls++;
  if (outputTokens < wantedOutputTokens) report.shortAnswers++;
  if (countedTokens === null || plannedTokens === 0) return;
  const offTokens = Math.abs(countedTokens - plannedTokens);
  report.callsCounted++;
  report.plannedTokens += plannedTokens;
  report.countedTokens += countedTokens;
  report.offTokens += offTokens;
  report.offRatioMax = Math.max(report.offRatioMax, offTokens / plannedTokens);
}

/** Of several threads: one for each target and API. */
export function mergedReports(reports: readonly PromptReport[]): PromptReport[] {
  const merged = new Map<string, PromptReport>();
  for (const report of reports) {
    const { target, api, how } = report;
    const name = `${target}/${api}`;
    const sum = merged.get(name) ?? emptyReport(target, api, how);
    merged.set(name, sum);
    sum.calls += report.calls;
    sum.callsCounted += report.callsCounted;
    sum.plannedTokens += report.plannedTokens;
    sum.countedTokens += report.countedTokens;
    sum.offTokens += report.offTokens;
    sum.offRatioMax = Math.max(sum.offRatioMax, report.offRatioMax);
    sum.shortAnswers += report.shortAnswers;
  }
  return [...merged.values()];
}

/** A share of all tokens, sums of differences either way. */
const offRatio = ({ offTokens, plannedTokens }: PromptReport): number =>
  plannedTokens === 0 ? 0 : offTokens / plannedTokens;

const percent = (ratio: number, digits = 1): string => `${(100 * ratio).toFixed(digits)} %`;

/** A sentence for each target: what the lengths of its prompts rest on, and how far off they were. */
export const promptEvidence = (reports: readonly PromptReport[]): string[] =>
  reports
    .filter(({ calls }) => calls > 0)
    .map(report => {
      const { target, api, how, callsCounted } = report;
      const off =
        callsCounted === 0
          ? 'not counted by the server'
          : `off by ${percent(offRatio(report))} over the run (${percent(report.offRatioMax)} at most)`;
      return `prompt lengths of ${target} (${api}): ${how}; ${off}`;
    });

/** What the reader must know, with the way out. */
export const promptWarnings = (reports: readonly PromptReport[]): string[] =>
  reports.flatMap(report => [...offWarning(report), ...shortWarning(report)]);

function offWarning(report: PromptReport): string[] {
  const { target, api, plannedTokens, countedTokens } = report;
  if (offRatio(report) <= OFF_LIMIT_RATIO) return [];
  const wayOut =
    api === 'tokens'
      ? 'its server adds tokens of its own'
      : 'use `api: tokens` on the endpoint where it takes token ids';
  return [
    `${target} counted ${countedTokens} prompt tokens where the plan has ${plannedTokens}, and its prompts are ` +
      `${percent(offRatio(report))} off: ${wayOut}`,
  ];
}

function shortWarning({ target, calls, shortAnswers }: PromptReport): string[] {
  if (shortAnswers === 0) return [];
  return [
    `${shortAnswers} of ${calls} answers of ${target} (${percent(shortAnswers / calls)}) were shorter than planned: ` +
      'its server cannot be told their length (`takes` of the endpoint has `min_tokens` and `ignore_eos` where it can)',
  ];
}
