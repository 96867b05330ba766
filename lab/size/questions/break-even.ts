// `--break-even`: this deployment, paid for every hour, against the same tokens by the list price of an API.
import { drawn } from '../../../reports/charts/chart.ts';
import { HIT_UNCERTAINTY, HOURS_PER_MONTH } from '../../../reports/money.ts';
import { showCount, showNumber, showRatio, showUsd } from '../../../reports/numbers.ts';
import { type ApiCrossing, apiCrossingChart } from '../../../reports/size/charts/api-crossing.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import type { Asking, Question } from '../question.ts';
import { type Capacity, capacityOf, loadOf } from './capacity.ts';
import { monthlyGrowth, monthsUntil } from './growth.ts';
import { evaluated } from './trial.ts';
import { hitsOf, pricedElsewhere } from './work.ts';

/** Traffic that is looked at, times today's, up to what is held. */
const LEAST = 0.1;
const POINTS = 24;

interface CostAt {
  readonly loadRatio: number;
  readonly usdPerHour: number;
}

/** Straight between loads that were tried; beyond them as at the last. */
function usdAt(points: readonly CostAt[], loadRatio: number): number {
  const after = points.findIndex(point => point.loadRatio >= loadRatio);
  if (after <= 0) return (after < 0 ? points.at(-1)! : points[0]!).usdPerHour;
  const [a, b] = [points[after - 1]!, points[after]!];
  const share = (loadRatio - a.loadRatio) / (b.loadRatio - a.loadRatio);
  return a.usdPerHour + share * (b.usdPerHour - a.usdPerHour);
}

/**
 * Traffic from which the deployment costs no more than the API, times today's; null: not up to `most`. What it costs an
 * hour grows no faster than traffic, so there is one crossing.
 */
export function crossingOf(
  usdPerHourAt: (loadRatio: number) => number,
  apiUsdPerHour: number,
  most: number,
): number | null {
  const isDearer = (loadRatio: number): boolean => usdPerHourAt(loadRatio) > apiUsdPerHour * loadRatio;
  if (!(most > 0) || isDearer(most)) return null;
  let [low, high] = [most * 1e-9, most];
  for (let i = 0; i < 80; i++) {
    const middle = Math.sqrt(low * high);
    if (isDearer(middle)) low = middle;
    else high = middle;
  }
  return high;
}

/** What an hour costs at loads up to what is held; with an autoscaler or an API it differs. */
async function costsOf(asking: Asking, { today, evaluations, loadRatio }: Capacity): Promise<CostAt[]> {
  const [least] = await evaluated(asking, [
    { candidate: asking.candidate, loadFactor: LEAST, stretch: asking.stretch, seeds: asking.seeds },
  ]);
  const points = [least!, ...evaluations, today].filter(each => loadOf(each) <= Math.max(1, loadRatio));
  return [...new Map(points.map(each => [loadOf(each), each])).values()]
    .flatMap(each =>
      each.usdPerHour === null ? [] : [{ loadRatio: loadOf(each), usdPerHour: each.usdPerHour }],
    )
    .sort((a, b) => a.loadRatio - b.loadRatio);
}

async function ask(asking: Asking): ReturnType<Question['ask']> {
  const { deployment, evaluator, others = {} } = asking;
  const capacity = await capacityOf(asking);
  const { today, loadRatio } = capacity;
  const priced = pricedElsewhere(today, deployment);
  if (today.usdPerHour === null)
    throw new UserError('what this deployment costs is not known: a pool has no price', {
      hint: 'give it one, such as --set pools.main.price=2.50/h',
    });
  if (deployment.pools.length === 0)
    throw new UserError('there are no GPUs of your own to compare: this deployment buys all of it', {
      hint: 'give -d a deployment with pools, or let `windtunnel size` choose one',
    });
  if (priced.length === 0)
    throw new UserError('no list price is known of a model like those served', {
      hint: 'windtunnel catalog prices lists what is known',
    });
  const costs = await costsOf(asking, capacity);
  const most = Math.max(1, loadRatio);
  const perHour = today.workflowsPerHour;
  const apis = priced.map(each => {
    const cross = (usdPerWorkflow: number): number | null => {
      const found = crossingOf(load => usdAt(costs, load), usdPerWorkflow * perHour, most);
      return found === null ? null : found * perHour * 24;
    };
    return {
      model: each.offer.model,
      relation: each.offer.relation,
      asOf: each.offer.asOf,
      usdPer1000Workflows: 1000 * each.usdPerWorkflow,
      low: 1000 * each.low,
      high: 1000 * each.high,
      usdPerMonth: each.usdPerWorkflow * perHour * HOURS_PER_MONTH,
      crossingPerDay: cross(each.usdPerWorkflow),
      /** With fewer cache hits the API is dearer, and the crossing earlier. */
      crossingPerDayRange: [cross(each.high), cross(each.low)] as const,
    };
  });
  const data: ApiCrossing = {
    todayPerDay: perHour * 24,
    heldPerDay: loadRatio * perHour * 24,
    own: Array.from({ length: POINTS + 1 }, (_, i) => {
      const load = LEAST * (most / LEAST) ** (i / POINTS);
      return {
        workflowsPerDay: load * perHour * 24,
        usdPer1000Workflows: (1000 * usdAt(costs, load)) / (load * perHour),
      };
    }),
    apis,
  };
  const best = apis.find(({ relation }) => relation === 'same') ?? apis[0]!;
  const ownPerMonth = today.usdPerHour * HOURS_PER_MONTH;
  const isCheaper = today.usdPerHour <= best.usdPerMonth / HOURS_PER_MONTH;
  const grows = others.growth === undefined ? null : monthlyGrowth(others.growth);
  const name = `${best.model} (${best.relation === 'same' ? 'the same model' : best.relation === 'used' ? 'used here already' : 'a model near in size'})`;
  const [early, late] = best.crossingPerDayRange;
  const day = (each: number | null): string => (each === null ? 'never' : showCount(each));
  const lines = [
    `A month at today's traffic (${showCount(perHour * 24)} workflows a day): this deployment ${showUsd(ownPerMonth)}, all hours, idle ones too; ${apis.map(each => `${each.model} ${showUsd(each.usdPerMonth)}`).join(', ')}.`,
    ...apis
      .filter(each => each !== best)
      .map(
        each =>
          `Against ${each.model}${each.relation === 'near' ? ', another model' : ''}: ${each.crossingPerDay === null ? 'never, up to what it holds' : `from ${showCount(each.crossingPerDay)} workflows a day`}.`,
      ),
    ...(grows === null ? [] : [growthLine(best.crossingPerDay, data, grows, others.growth!)]),
    `Cache: ${showRatio(hitsOf(today.tally!))} of prompt tokens hit here; an API is taken to find as many, ± ${Math.round(100 * HIT_UNCERTAINTY)} points (${day(early)} to ${day(late)} workflows a day), at its price of cached input where it has one${best.asOf === null ? '' : `; list prices of ${best.asOf}`}.`,
    `Not priced: people, network, storage, a second site, discounts and the rate limits of an account; another model's answers are not the same answers. It holds ${showCount(data.heldPerDay)} workflows a day; beyond, replicas must be added.`,
  ];
  const crossing = best.crossingPerDay;
  const title =
    crossing === null
      ? `${name} costs less at any traffic that this deployment holds: ${showUsd(best.usdPer1000Workflows)} per 1,000 workflows, here ${showUsd(data.own.at(-1)!.usdPer1000Workflows)} when full`
      : `This deployment costs less than ${name} from ${showCount(crossing)} workflows a day on (${day(early)} to ${day(late)} by cache hits); today's ${showCount(perHour * 24)} are ${isCheaper ? 'above' : 'below'} that`;
  return {
    title,
    lines,
    data: { ...data, usdPerMonth: ownPerMonth, hitRatio: hitsOf(today.tally!), runs: evaluator.runs },
    charts: [drawn(apiCrossingChart, data)],
    isMet: true,
  };
}

function growthLine(
  crossing: number | null,
  { todayPerDay, heldPerDay }: ApiCrossing,
  grows: number,
  value: string,
): string {
  if (crossing === null) return `Growth of ${value} changes nothing of that up to what it holds.`;
  if (crossing <= todayPerDay) return `Growth of ${value}: it costs less already, and more so each month.`;
  const months = monthsUntil(crossing / todayPerDay, grows);
  return `With growth of ${value} the lines cross in ${showNumber(months)} months${crossing > heldPerDay ? ', which it does not hold' : ''}.`;
}

export const breakEven: Question = {
  name: 'break-even',
  describe: 'from which traffic on it costs less than an API',
  isFlag: true,
  ask,
};
