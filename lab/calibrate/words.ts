// The terminal's words of a calibration, the answer first. Pure.
import { plural, showMs, showRatio, showTokens } from '../../reports/numbers.ts';
import { type Calibration, LIMIT_NAMES, showCost } from './calibration.ts';
import type { Limits } from './design.ts';
import { TERM_WORDS, TERMS } from './terms.ts';

/** `A step costs 7.2 ms, and 0.35 ms more for each sequence that decodes in it; …` */
export function answer({ target, fit: { costs }, limits }: Calibration): string {
  const perContext = costs.context_token * 1000;
  const decode = [
    `a step costs ${showMs(costs.base)}`,
    costs.decode > 0 ? `${showMs(costs.decode)} more for each sequence that decodes in it` : null,
    perContext > 0.0005 ? `${showMs(perContext)} for each 1,000 tokens of their context` : null,
  ].filter(part => part !== null);
  const length = Math.min(1000, limits.maxBatchedTokens);
  const pairs = (length * (length + 1)) / 2;
  const perToken = costs.prefill_token + costs.prefill_context;
  const promptMs = costs.prefill + length * perToken + pairs * costs.pair;
  return (
    `${target.model}: ${decode.join(', ')}; a prompt of ${showTokens(length)} tokens adds ${showMs(promptMs)}; ` +
    `${showMs(costs.frontend + length * costs.frontend_token)} of its first token's time lies outside the engine`
  );
}

export function expectation({ profile: { expected_error: error } }: Calibration): string {
  const parts = [
    error.ttft === null ? null : `first tokens ${showRatio(error.ttft)}`,
    error.tpot === null ? null : `steps ${showRatio(error.tpot)}`,
  ].filter(part => part !== null);
  return `error to expect, by settings that a fit had not seen: ${parts.join(', ')}`;
}

const row = (cells: readonly string[], widths: readonly number[]): string =>
  cells
    .map((cell, i) => (i === cells.length - 1 ? cell : cell.padEnd(widths[i]!)))
    .join('  ')
    .trimEnd();

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map(cells => cells[i]!.length)));
  return rows.map(cells => `  ${row(cells, widths)}`).join('\n');
}

export const termRows = ({ fit, front }: Calibration): string[][] => [
  ...TERMS.map(term => {
    const { cost, ci95, dropped } = fit.terms[term];
    const interval = ci95 === null ? '' : `${showCost(ci95[0])} to ${showCost(ci95[1])}`;
    return [TERM_WORDS[term], dropped === null ? showCost(cost) : '–', dropped ?? interval];
  }),
  [
    'of that way, for one request after the other',
    front.errorRatio === null ? '–' : showCost(front.serialMs),
    front.errorRatio === null ? 'no bursts were measured' : `bursts are ${showRatio(front.errorRatio)} off`,
  ],
];

export const kindRows = ({ fit }: Calibration): string[][] =>
  fit.kinds.map(({ kind, settings, observations, fittedRatio, unseenRatio, noiseRatio }) => [
    kind,
    String(settings),
    String(observations),
    showRatio(fittedRatio),
    showRatio(unseenRatio),
    showRatio(noiseRatio),
  ]);
export const KIND_COLUMNS = ['experiment', 'settings', 'times', 'error', 'unseen', 'repeats'];

export const limitRows = ({ limits, origins, scheduling }: Calibration): string[][] => [
  ...(Object.keys(LIMIT_NAMES) as (keyof Limits)[]).map(name => [
    LIMIT_NAMES[name],
    String(limits[name]),
    origins[name],
  ]),
  ['async_scheduling', String(scheduling.isAsync), scheduling.origin],
];

export interface Files {
  profile: string;
  deployment: string;
  page: string;
}

export function calibrationText(calibration: Calibration, files: Files): string {
  const { rounds, seconds, sentTokens, observations, warnings } = calibration;
  return [
    answer(calibration),
    expectation(calibration),
    '',
    columns([['cost', 'fitted', '95 %'], ...termRows(calibration)]),
    '',
    columns([KIND_COLUMNS, ...kindRows(calibration)]),
    '',
    columns([['limit', 'value', 'where from'], ...limitRows(calibration)]),
    '',
    ...warnings.map(line => `warning: ${line}`),
    `${plural(observations.length, 'time')} in ${plural(rounds, 'round')}, ${Math.round(seconds)} s, ${showTokens(sentTokens)} prompt tokens sent`,
    `profile:    ${files.profile}`,
    `deployment: ${files.deployment}`,
    `page:       ${files.page}`,
    `next: windtunnel validate SCENARIO -d ${files.deployment}`,
  ].join('\n');
}
