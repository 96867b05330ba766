// An answer in words, for the terminal and the page alike.
import type { Sized, SizedCheck, SizeResult } from '../../scenarios/formats/size.ts';
import { HOURS_PER_MONTH } from '../money.ts';
import { plural, showCount, showNumber, showRatio, showUsd, showValue } from '../numbers.ts';

export const perHour = (usd: number | null): string => (usd === null ? 'no price' : `${showUsd(usd)}/h`);
export const perMonth = (usd: number | null): string =>
  usd === null ? 'no price' : `${showUsd(usd * HOURS_PER_MONTH)} a month`;
export const per1000 = ({ usdPer1000Workflows: usd }: Pick<Sized, 'usdPer1000Workflows'>): string =>
  usd === null ? 'no price' : `${showUsd(usd)} per 1,000 workflows`;

/** The answer in one sentence. */
export function headline(size: SizeResult): string {
  const { answer, closest, budgetUsdPerHour } = size;
  if (answer !== null)
    return `${answer.name}: ${perHour(answer.usdPerHour)}, ${per1000(answer)}, and every promise is kept`;
  const within =
    budgetUsdPerHour === null ? '' : ` for ${showUsd(budgetUsdPerHour)}/h (${perMonth(budgetUsdPerHour)})`;
  if (size.isInterrupted) return 'Interrupted before there was an answer';
  if (closest === null) return `Nothing can be built${within} that serves this: see why each kind is out`;
  return `Nothing that was tried keeps every promise${within}; ${closest.name} comes closest`;
}

export function promiseText({
  text,
  value,
  unit,
  ci95,
  marginRatio,
  verdict,
}: Sized['promises'][number]): string {
  if (value === null) return `${text}: nothing of the kind ran`;
  const shown = (each: number): string => showValue(each, unit);
  const interval = ci95 === null ? '' : ` (${shown(ci95[0])} to ${shown(ci95[1])})`;
  const room =
    verdict === 'broken'
      ? 'broken'
      : verdict === 'unsure'
        ? 'kept by the mean, not surely'
        : `${showRatio(marginRatio)} of room`;
  return `${text}: ${shown(value)}${interval}, ${room}`;
}

/** How sure: what the verdict rests on. */
export function confidence({ answer, effort }: SizeResult): string | null {
  if (answer === null) return null;
  const surely =
    answer.seeds > 1
      ? `kept by the whole 95 % interval over ${plural(answer.seeds, 'seed')} that every finalist met`
      : 'one run, so nobody knows how sure';
  return `${surely}; ${showCount(effort.calls)} calls simulated in ${plural(effort.runs, 'run')}`;
}

/** What the step times of the answer rest on, a line each. */
export const stepEvidence = ({ evidence }: SizeResult): string[] => [
  ...new Set(
    evidence.filter(line => line.includes(STEP_TIME)).map(line => line.slice(line.indexOf(STEP_TIME))),
  ),
];
const STEP_TIME = 'step time: ';

export function effortText({ effort }: SizeResult): string {
  const { candidates, groups, groupsImpossible, tried } = effort;
  return `${plural(candidates, 'candidate')} in ${plural(groups, 'group')}; ${plural(groupsImpossible, 'group')} out by arithmetic, ${plural(tried, 'deployment')} simulated`;
}

export function runnerUpText({ answer, runnerUp }: SizeResult): string | null {
  if (answer === null || runnerUp === null) return null;
  const more =
    answer.usdPerHour === null || runnerUp.usdPerHour === null
      ? ''
      : runnerUp.usdPerHour === answer.usdPerHour
        ? ', as dear'
        : `, ${showRatio(runnerUp.usdPerHour / answer.usdPerHour - 1)} dearer`;
  return `${runnerUp.name}: ${perHour(runnerUp.usdPerHour)}${more}`;
}

export function checkText({ words, sized, holdsWith }: SizedCheck): string {
  if (sized === null) return words;
  if (sized.verdict === 'kept') return `${words}: held`;
  if (sized.verdict === 'unsure') {
    const unsure = sized.promises.filter(({ verdict }) => verdict === 'unsure').map(promiseText);
    return `${words}: ${unsure.join('; ')}`;
  }
  const broken = sized.promises.filter(({ verdict }) => verdict === 'broken').map(promiseText);
  const needs = holdsWith === null ? '' : `; ${plural(holdsWith, 'replica')} would hold it`;
  return `${words}: ${broken.join('; ')}${needs}`;
}

const hours = (ms: number): string =>
  ms < 120_000
    ? `${showNumber(ms / 1000)} s`
    : ms < 7_200_000
      ? `${showNumber(ms / 60_000)} min`
      : `${showNumber(ms / 3_600_000)} h`;

/** Ten minutes and a week, side by side: label, then both. */
export function sustainedRows({ sustained }: SizeResult): string[][] {
  if (sustained === null) return [];
  const { demo, week } = sustained;
  const rows: [string, (sized: Sized) => string][] = [
    ['workflows an hour', ({ workflowsPerHour }) => showCount(workflowsPerHour)],
    ['cache hits', ({ hitRatio }) => showRatio(hitRatio)],
    ['cost', per1000],
    ...demo.promises.map(({ text }, i): [string, (sized: Sized) => string] => [
      text,
      ({ promises }) => {
        const { value, unit, verdict } = promises[i]!;
        return `${value === null ? '–' : showValue(value, unit)}${verdict === 'broken' ? ', broken' : ''}`;
      },
    ]),
  ];
  return rows.map(([label, of]) => [label, of(demo), of(week)]);
}

export const sustainedColumns = ({ sustained }: SizeResult): string[] =>
  sustained === null
    ? []
    : [
        '',
        `first ${hours(sustained.demoMs)}, caches cold`,
        `sustained (${hours(sustained.simulatedMs)} simulated for a week)`,
      ];

const REASONS_MAX = 8;

/** Nothing keeps the promises: how close one can get, and what it would take. */
export function impossibleLines({ answer, closest, groups, budgetUsdPerHour }: SizeResult): string[] {
  if (answer !== null) return [];
  if (closest === null) {
    const why = groups.map(({ name, left, bound }) => `${name}: ${left ?? bound}`);
    return why.length <= REASONS_MAX
      ? why
      : [...why.slice(0, REASONS_MAX), `and ${why.length - REASONS_MAX} more, in size.json`];
  }
  const broken = closest.promises.filter(({ verdict }) => verdict === 'broken');
  return [
    `closest: ${closest.name} at ${perHour(closest.usdPerHour)}`,
    ...closest.promises.map(promiseText),
    ...broken.flatMap(({ text, value, unit, target }) =>
      value === null
        ? []
        : [
            `${text} would be kept from ${showValue(value, unit)} on, where ${showValue(target, unit)} is promised`,
          ],
    ),
    budgetUsdPerHour === null
      ? 'more replicas (--replicas) help only where each of those tried brought something; else it takes faster GPUs, more of them a replica (--tp), shorter prompts, or another promise'
      : 'a larger --budget, or another promise',
  ];
}
