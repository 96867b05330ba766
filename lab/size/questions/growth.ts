// `--growth 10%/month`: when does growth break it, and what does each of the next twelve months need?
import { drawn } from '../../../reports/charts/chart.ts';
import { HOURS_PER_MONTH } from '../../../reports/money.ts';
import { showCount, showNumber, showRatio, showUsd } from '../../../reports/numbers.ts';
import { type GrowthMonths, growthChart } from '../../../reports/size/charts/growth.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import type { Asking, Question } from '../question.ts';
import { type Capacity, capacityOf, holdsToday } from './capacity.ts';
import { fewest, replicasMin, replicasOf, resized } from './replicas.ts';
import { firstBroken } from './trial.ts';

const PER_MONTH = { week: 365.25 / 12 / 7, month: 1, year: 1 / 12 } as const;
type Period = keyof typeof PER_MONTH;
const MONTHS = 12;
/** Twice what the last month would need in proportion; more is another deployment. */
const REPLICAS_SPARE = 2;

/** Growth in a month, as a ratio: compound. */
export function monthlyGrowth(text: string): number {
  const [, percent, period] = /^\s*\+?([\d.]+)\s*%\s*\/\s*(week|month|year)\s*$/.exec(text) ?? [];
  const ratio = Number(percent) / 100;
  if (period === undefined || !(ratio > 0) || !Number.isFinite(ratio))
    throw new UserError(`--growth ${text}: expected a share above 0 a week, month or year`, {
      hint: 'e.g. --growth 10%/month',
    });
  return (1 + ratio) ** PER_MONTH[period as Period] - 1;
}

/** Months until traffic is so many times what it is. */
export const monthsUntil = (timesNow: number, growthRatio: number): number =>
  Math.log(timesNow) / Math.log(1 + growthRatio);

/** Nobody plans farther. */
const FAR_MONTHS = 120;

/** `in 7.3 months`, `in 12 days`. */
const inMonths = (months: number): string =>
  months >= 1.5 ? `in ${showNumber(months)} months` : `in ${showCount(months * 30.4)} days`;

function breaksText({ loadRatio, bySeed, bad }: Capacity, growth: number): string {
  const promise = bad === null ? null : firstBroken(bad)?.text;
  const [low, high] = (bySeed?.ci95 ?? [loadRatio, loadRatio]).map(each =>
    Math.max(0, monthsUntil(Math.max(1, each), growth)),
  );
  const sure =
    bySeed?.ci95 == null
      ? 'of one seed'
      : `${showNumber(low!)} to ${showNumber(high!)} months with 95 % confidence`;
  return `${inMonths(monthsUntil(loadRatio, growth))} (${sure}), at ${showNumber(loadRatio)} times today's traffic${promise == null ? '' : `: ${promise}`}`;
}

async function ask(asking: Asking, value: string): ReturnType<Question['ask']> {
  const { deployment, evaluator } = asking;
  const growth = monthlyGrowth(value);
  const capacity = await capacityOf(asking);
  const { loadRatio, today } = capacity;
  const now = replicasOf(deployment);
  const isOwn = now > 0;
  const loads = Array.from({ length: MONTHS + 1 }, (_, month) => (1 + growth) ** month);
  const guess = (load: number): number => Math.ceil((now * load) / Math.max(loadRatio, 1e-9));
  const max = Math.max(now, Math.ceil(REPLICAS_SPARE * guess(loads.at(-1)!)) + 1);
  asking.tell('replicas for the next twelve months');
  const needed =
    !isOwn || loadRatio === 0
      ? []
      : await fewest(asking, {
          loads,
          candidateOf: replicas => resized(asking, replicas),
          min: replicasMin(deployment),
          max,
          guess,
          isGuessNear: true,
          seeds: 1,
        });
  const months: GrowthMonths['months'] = loads.map((load, month) => {
    const found = needed[month];
    // Beyond what all seeds hold, as many as now are not enough, whatever one seed says.
    const least = isOwn && capacity.bad !== null && loadRatio > 0 && load > loadRatio ? now + 1 : 1;
    const replicas = found?.replicas == null ? null : Math.max(least, found.replicas);
    const usdPerHour =
      replicas === null
        ? null
        : (resized(asking, replicas).usdPerHour ?? found?.evaluation.usdPerHour ?? null);
    return {
      month,
      workflowsPerHour: load * today.workflowsPerHour,
      replicas,
      usdPerMonth: usdPerHour === null ? null : usdPerHour * HOURS_PER_MONTH,
    };
  });
  const breaksAtMonths = loadRatio >= 1 ? monthsUntil(loadRatio, growth) : 0;
  const data: GrowthMonths = {
    growthRatio: growth,
    months,
    replicasNow: now,
    heldWorkflowsPerHour: loadRatio * today.workflowsPerHour,
    breaksAtMonths: capacity.bad === null ? null : breaksAtMonths,
  };
  const [first, last] = [months[0]!, months.at(-1)!];
  const steps = months.filter(
    ({ replicas, month }) => replicas !== null && replicas > now && replicas !== months[month - 1]?.replicas,
  );
  const lines = [
    isOwn
      ? steps.length === 0
        ? `The ${showCount(now)} replicas of today are enough for all of the next ${MONTHS} months${first.replicas !== null && first.replicas < now ? `; today's traffic needs ${showCount(first.replicas)}` : ''}.`
        : `To have: ${steps.map(({ month, replicas }) => `${showCount(replicas!)} replicas ${month === 0 ? 'now' : `from month ${month} on`}`).join(', ')} (today ${showCount(now)}${first.replicas === null ? '' : `, of which its traffic needs ${showCount(first.replicas)}`}).`
      : 'All of it is bought by the token: limits of the account are what must grow.',
    ...(last.usdPerMonth === null || first.usdPerMonth === null
      ? []
      : [
          `GPUs of what is needed: ${showUsd(first.usdPerMonth)} a month now, ${showUsd(last.usdPerMonth)} in ${MONTHS} months.`,
        ]),
    ...(months.some(({ replicas }) => replicas === null) && isOwn
      ? [
          `From month ${months.find(({ replicas }) => replicas === null)!.month} on, not even ${showCount(max)} replicas keep the promises: it takes faster GPUs, more of them to a replica, or a smaller model.`,
        ]
      : []),
    `Assumed: ${showRatio(growth)} a month, compound, without seasons; the same mix and the same agents, only more of them; replicas are searched with one seed each, the date with ${asking.seeds}.`,
  ];
  const title =
    loadRatio < 1
      ? `Today's traffic breaks it already: it holds ${showNumber(loadRatio)} times of it, before any growth`
      : capacity.bad === null
        ? `Growth of ${value} does not break it within ${showNumber(breaksAtMonths)} months, at ${showNumber(loadRatio)} times today's traffic`
        : breaksAtMonths > FAR_MONTHS
          ? `Growth of ${value} does not break it within ten years: it holds ${showNumber(loadRatio)} times today's traffic`
          : `Growth of ${value} breaks it ${breaksText(capacity, growth)}`;
  return {
    title,
    lines,
    data: { ...data, loadRatio, loadRatioCi95: capacity.bySeed?.ci95 ?? null, runs: evaluator.runs },
    charts: [drawn(growthChart, data)],
    isMet: holdsToday(capacity),
  };
}

export const growth: Question = {
  name: 'growth',
  describe: 'when growth breaks it and what to add then, e.g. 10%/month',
  isFlag: false,
  ask,
};
