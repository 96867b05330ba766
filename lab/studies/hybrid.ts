// Hybrid routing: easy answers from a model at home, hard ones from a frontier API. At what accuracy of the classifier that
// pays, what a cascade does instead, and what becomes of a tenant whose data may not leave.
import { logTicks, msAxis } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { type PointGroup, scatterSpec } from '../../reports/charts/scatter.ts';
import { showCount, showMs, showNumber, showRatio } from '../../reports/numbers.ts';
import { mean } from '../../scenarios/base/statistics.ts';
import { interpolated } from './curve.ts';
import { type Estimate, estimate, showEstimate, showSpread, showTimes, timesAs } from './estimate.ts';
import type { Answer } from './hybrid-answers.ts';
import * as arms from './hybrid-arms.ts';
import type { HybridRun, Tasks } from './hybrid-measure.ts';
import { type Claim, defineStudy, type StudyCase, type StudyRun, type StudyTable } from './study.ts';

const moduleOf = (file: string): string => new URL(file, import.meta.url).href;
const TASKS = moduleOf('./hybrid-measure.ts');
const ANSWERS = moduleOf('./hybrid-answers.ts');
/** The arm whose single answers are drawn. */
const DRAWN = arms.router(arms.GOOD).name;

/** USD that a bad answer costs whoever asked. */
const LOSSES = [0.01, 0.03, 0.1, 0.2, 0.3, 1, 3];
/** Of these, the one that a chart shows. */
const SHOWN_LOSS = 0.2;

interface At {
  readonly arm: string;
  readonly seed: number;
  readonly isDrawn: boolean;
}
type Runs = readonly StudyRun<At>[];

function caseOf(arm: arms.Arm, at: At, isQuick: boolean): StudyCase<At> {
  const isRegulated = arms.REGULATED_ARMS.includes(arm);
  const sessions = isQuick ? ['traffic.0.sessions=400'] : [];
  return {
    at,
    of: {
      scenario: {
        input: isRegulated ? 'studies/hybrid-regulated' : 'studies/hybrid',
        options: { seed: at.seed, set: [...(arm.scenario ?? []), ...(isRegulated ? [] : sessions)] },
      },
      deployment: { input: arm.input ?? 'studies/hybrid', set: arm.deployment },
      loadFactor: 1,
      measure: at.isDrawn ? ANSWERS : TASKS,
    },
  };
}

// ---- figures over seeds ------------------------------------------------------------------------------------------

/** A number of each seed. */
type Values = readonly (number | null)[];
type Of = (run: HybridRun) => number | null;

const valuesOf = (runs: Runs, { name }: arms.Arm, of: Of): Values =>
  runs.flatMap(({ at, measured }) =>
    at.arm !== name || at.isDrawn ? [] : measured === undefined ? null : of(measured as HybridRun),
  );
const tasksOf =
  (tenant: string, of: (tasks: Tasks) => number | null): Of =>
  ({ tenants }) => {
    const tasks = tenants[tenant];
    return tasks === undefined ? null : of(tasks);
  };

const team = (of: (tasks: Tasks) => number | null): Of => tasksOf('team', of);
const clinic = (of: (tasks: Tasks) => number | null): Of => tasksOf('clinic', of);
const goodRatio = ({ good, tasks }: Tasks): number => good / tasks;
const failedRatio = ({ failed, tasks }: Tasks): number =>
  Object.values(failed).reduce((sum, count) => sum + count, 0) / tasks;
const p50 = ({ p50Ms }: Tasks): number | null => p50Ms;
const p95 = ({ p95Ms }: Tasks): number | null => p95Ms;
const tasksIn = ({ tenants }: HybridRun): number =>
  Object.values(tenants).reduce((sum, { tasks }) => sum + tasks, 0);
const meanOf = (values: number[]): number => (values.length === 0 ? 0 : mean(values));
/** For 1,000 tasks. */
const usd: Of = run => (1000 * run.usd) / tasksIn(run);
/** What 1,000 tasks cost with so much for each that was not answered well. */
const withLoss =
  (loss: number): Of =>
  run =>
    usd(run)! + 1000 * loss * (1 - team(goodRatio)(run)!);

const minus = (values: Values, beside: Values): Values =>
  values.map((value, i) => (value === null || beside[i] == null ? null : value - beside[i]));

const showPoints = (ratio: number): string =>
  `${ratio > 0 ? '+' : ratio < 0 ? '−' : ''}${showNumber(Math.abs(100 * ratio))}`;
/** A share to a tenth of a point; an interval of none may reach below. */
const showShare = (ratio: number): string => `${(100 * Math.max(0, ratio)).toFixed(1)} %`;
const showDollars = (value: number): string => `$${showNumber(value)}`;
const low = (found: Estimate | null): number => found?.ci95?.[0] ?? found?.mean ?? 0;
const high = (found: Estimate | null): number => found?.ci95?.[1] ?? found?.mean ?? 0;

// ---- what follows ------------------------------------------------------------------------------------------------

const LOT_ARMS = [arms.atHome, ...arms.LOTS.map(arms.byLot), arms.away];

/** Better answers than the same money buys when a lot decides who goes to the API, seed by seed. */
function gainOverLot(runs: Runs, arm: arms.Arm): Estimate | null {
  const money = valuesOf(runs, arm, usd);
  const good = valuesOf(runs, arm, team(goodRatio));
  const lots = LOT_ARMS.map(each => ({
    money: valuesOf(runs, each, usd),
    good: valuesOf(runs, each, team(goodRatio)),
  }));
  return estimate(
    money.map((paid, seed) => {
      const line = lots.map(lot => ({ x: lot.money[seed] ?? null, y: lot.good[seed] ?? null }));
      const expected = paid === null ? null : interpolated(line, paid);
      const found = good[seed];
      return expected === null || found == null ? null : found - expected;
    }),
  );
}

/** The lowest accuracy from which the router costs less than both ends, losses included; null: none does. */
function payingFrom(runs: Runs, loss: number): number | null {
  const costOf = (arm: arms.Arm): number => estimate(valuesOf(runs, arm, withLoss(loss)))?.mean ?? Number.NaN;
  const best = Math.min(costOf(arms.atHome), costOf(arms.away), costOf(arms.apiOnly));
  const saved = arms.ACCURACIES.map(accuracy => ({ x: best - costOf(arms.router(accuracy)), y: accuracy }));
  if (!((saved.at(-1)?.x ?? Number.NaN) > 0)) return null;
  const from = saved.findLastIndex(({ x }) => x <= 0);
  return from < 0 ? saved[0]!.y : interpolated(saved.slice(from, from + 2), 0);
}

/** The cheapest of all arms where a bad answer costs so much. */
function cheapest(runs: Runs, loss: number, among: readonly arms.Arm[]): arms.Arm {
  const cost = (arm: arms.Arm): number =>
    estimate(valuesOf(runs, arm, withLoss(loss)))?.mean ?? Number.POSITIVE_INFINITY;
  return among.reduce((best, each) => (cost(each) < cost(best) ? each : best));
}

const sum = (values: Values): number => values.reduce<number>((total, value) => total + (value ?? 0), 0);

function claims(runs: Runs): Claim[] {
  const router = arms.router(arms.GOOD);
  const of = (arm: arms.Arm, figure: Of): Values => valuesOf(runs, arm, figure);
  const against = (arm: arms.Arm, beside: arms.Arm, figure: Of): Estimate | null =>
    estimate(minus(of(arm, figure), of(beside, figure)));
  const times = (arm: arms.Arm, beside: arms.Arm, figure: Of): Estimate | null =>
    timesAs(of(arm, figure), of(beside, figure));

  const lost = against(router, arms.away, team(goodRatio));
  const price = times(router, arms.away, usd);
  const gains = arms.ACCURACIES.map(accuracy => ({
    accuracy,
    gain: gainOverLot(runs, arms.router(accuracy)),
  }));
  const useful = gains.filter(({ gain }) => low(gain) > 0);
  const from = LOSSES.map(loss => ({ loss, accuracy: payingFrom(runs, loss) }));
  const paying = from.filter(({ accuracy }) => accuracy !== null);
  const moved = arms.THRESHOLDS.map(ratio => ({
    ratio,
    gain: gainOverLot(runs, arms.moved(arms.POOR, ratio)),
  }));
  const best = gains.find(({ accuracy }) => accuracy === arms.GOOD)!.gain;
  const reached = moved.filter(({ gain }) => (gain?.mean ?? 0) >= (best?.mean ?? 1));
  const cascades = arms.SEEN_RATIOS.map(seen => {
    const arm = arms.cascade(seen);
    return {
      seen,
      good: against(arm, router, team(goodRatio)),
      price: times(arm, router, usd),
      p95: times(arm, router, team(p95)),
    };
  });
  const beaten = cascades.filter(({ good, price: paid }) => low(good) > 0 && high(paid) < 1 && paid !== null);
  const median = times(router, arms.away, team(p50));
  const tail = times(router, arms.away, team(p95));
  const homeTail = times(router, arms.atHome, team(p95));
  const left = arms.REGULATED_ARMS.map(arm =>
    sum(
      of(
        arm,
        clinic(tasks => tasks.left),
      ),
    ),
  );
  const regulated = arms.REGULATED_ARMS.map(arm =>
    sum(
      of(
        arm,
        clinic(tasks => tasks.tasks),
      ),
    ),
  );
  const denied = estimate(of(arms.unruled, clinic(failedRatio)));
  const homeGood = estimate(minus(of(arms.kept, clinic(goodRatio)), of(arms.kept, team(goodRatio))));
  const closed = estimate(of(arms.failsClosed, clinic(failedRatio)));
  const waited = estimate(of(arms.waits, clinic(failedRatio)));
  const others = estimate(of(arms.failsClosed, team(failedRatio)));
  return [
    {
      text: 'Hard answers from the API and easy ones from home are as good as all from the API, for a fraction of the price',
      verdict:
        (price?.mean ?? 1) >= 0.75 || (lost?.mean ?? -1) < -0.05
          ? 'contradicted'
          : (lost?.mean ?? -1) > -0.01
            ? 'confirmed'
            : 'partly',
      figure: `a classifier that is right in ${showRatio(arms.GOOD)} of cases: ${showEstimate(lost, showPoints)} percentage points of tasks answered well, for ${showTimes(price)} the price`,
    },
    {
      text: 'A classifier is worth having at any accuracy',
      verdict:
        useful.length === gains.length
          ? 'confirmed'
          : useful.some(({ accuracy }) => accuracy <= arms.GOOD)
            ? 'partly'
            : 'contradicted',
      figure: `percentage points answered well beyond what the same money buys by lot: ${gains.map(({ accuracy, gain }) => `${showEstimate(gain, showPoints)} at ${showRatio(accuracy)}`).join(', ')}`,
    },
    {
      text: 'Hybrid routing is the cheapest whatever a bad answer costs',
      verdict: paying.length === from.length ? 'confirmed' : paying.length > 0 ? 'partly' : 'contradicted',
      figure: `lowest accuracy at which it is cheaper than either model for all, by the cost of a bad answer: ${from.map(({ loss, accuracy }) => `${showDollars(loss)} ${accuracy === null ? 'none' : showRatio(accuracy)}`).join(', ')}`,
    },
    {
      text: 'Moving its threshold makes up for a poor classifier',
      verdict:
        reached.length > 0
          ? 'confirmed'
          : moved.some(({ gain }) => low(gain) > 0)
            ? 'partly'
            : 'contradicted',
      figure: `one that is right in ${showRatio(arms.POOR)}: ${moved.map(({ ratio, gain }) => `${showEstimate(gain, showPoints)} at ${showRatio(ratio)}`).join(', ')} over the lot; one that is right in ${showRatio(arms.GOOD)}: ${showEstimate(best, showPoints)}`,
    },
    {
      text: 'A cascade (home first, bad answers asked again from the API) needs no classifier and is both cheaper and better',
      verdict:
        beaten.length === cascades.length ? 'confirmed' : beaten.length > 0 ? 'partly' : 'contradicted',
      figure: `against that classifier, by the share of bad answers that somebody notices: ${cascades.map(({ seen, good, price: paid, p95: slow }) => `${showRatio(seen)} ${showEstimate(good, showPoints)} points at ${showTimes(paid)} the price and ${showTimes(slow)} the p95`).join('; ')}`,
    },
    {
      text: 'Hybrid routing is faster than the API',
      verdict:
        high(median) < 1 && high(tail) < 1
          ? 'confirmed'
          : high(median) < 1 || high(tail) < 1
            ? 'partly'
            : 'contradicted',
      figure: `a task takes ${showTimes(median)} as long in the median and ${showTimes(tail)} at p95; against all at home ${showTimes(homeTail)} at p95`,
    },
    {
      text: 'Data that may not leave do not leave, not by a misroute and not by a fallback',
      verdict: left.every(count => count === 0) ? 'confirmed' : 'contradicted',
      figure: `${showCount(sum(left))} calls of the regulated tenant reached the API in ${showCount(sum(regulated))} tasks, of which ${showCount(sum(regulated.slice(2)))} while the local pool was lost for five minutes`,
    },
    {
      text: 'Keeping data at home costs their tenant nothing but speed',
      verdict: high(homeGood) < 0 ? 'contradicted' : 'confirmed',
      figure: `rules that know no tenants deny it ${showEstimate(denied, showShare)} of its tasks; with a rule of its own ${showEstimate(homeGood, showPoints)} percentage points are answered well against the tenant beside it; with the pool lost ${showEstimate(closed, showShare)} of its tasks fail and ${showEstimate(others, showShare)} of the other's; ${showEstimate(waited, showShare)} where its calls wait`,
    },
  ];
}

// ---- tables and charts -------------------------------------------------------------------------------------------

function armTable(runs: Runs): StudyTable {
  const cell = (arm: arms.Arm, of: Of, show: (value: number) => string): string =>
    showSpread(estimate(valuesOf(runs, arm, of)), show);
  const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);
  return {
    title: 'Each rule: 1,000 tasks, one hard answer in five',
    columns: ['rule', 'USD', 'answered well', 'easy to the API', 'hard at home', 'asked again', 'p50', 'p95'],
    rows: arms.ARMS.map(arm => [
      arm.name,
      cell(arm, usd, showDollars),
      cell(arm, team(goodRatio), showShare),
      cell(
        arm,
        team(({ easyAway, easy }) => share(easyAway, easy)),
        showRatio,
      ),
      cell(
        arm,
        team(({ hardHome, hard }) => share(hardHome, hard)),
        showRatio,
      ),
      cell(
        arm,
        team(({ escalated, tasks }) => escalated / tasks),
        showRatio,
      ),
      cell(arm, team(p50), showMs),
      cell(arm, team(p95), showMs),
    ]),
  };
}

function lossTable(runs: Runs): StudyTable {
  const rules = [arms.atHome, arms.router(arms.POOR), arms.router(arms.GOOD), arms.away, arms.apiOnly];
  const cascades = [arms.cascade(0.5), arms.cascade(1)];
  return {
    title: 'USD for 1,000 tasks, by what a bad answer costs',
    columns: [
      'a bad answer',
      ...[...rules, ...cascades].map(({ name }) => name),
      'cheapest without a cascade',
    ],
    rows: LOSSES.map(loss => [
      showDollars(loss),
      ...[...rules, ...cascades].map(arm => {
        const found = estimate(valuesOf(runs, arm, withLoss(loss)));
        return found === null ? '–' : showDollars(found.mean);
      }),
      cheapest(runs, loss, rules).name,
    ]),
  };
}

function regulatedTable(runs: Runs): StudyTable {
  const cell = (arm: arms.Arm, of: Of, show: (value: number) => string): string =>
    showSpread(estimate(valuesOf(runs, arm, of)), show);
  const tenants = [
    { name: 'regulated', of: clinic },
    { name: 'other', of: team },
  ];
  return {
    title: 'Two tenants, one of whose data must stay',
    columns: ['rule', 'tenant', 'calls that left', 'answered well', 'failed', 'p50', 'p95'],
    rows: arms.REGULATED_ARMS.flatMap(arm =>
      tenants.map(({ name, of }) => [
        arm.name,
        name,
        showCount(
          sum(
            valuesOf(
              runs,
              arm,
              of(({ left }) => left),
            ),
          ),
        ),
        cell(arm, of(goodRatio), showShare),
        cell(arm, of(failedRatio), showShare),
        cell(arm, of(p50), showMs),
        cell(arm, of(p95), showMs),
      ]),
    ),
  };
}

const BY_LOT = 'by lot';

/** Each line from what sends least to the API to what sends most. */
function frontier(runs: Runs) {
  const point = (arm: arms.Arm) => {
    const y = estimate(valuesOf(runs, arm, team(goodRatio)));
    return { x: estimate(valuesOf(runs, arm, usd))?.mean ?? 0, y: y?.mean ?? null };
  };
  const byThreshold = (accuracy: number): Line => ({
    name: `classifier, ${showRatio(accuracy)} right`,
    points: arms.THRESHOLDS.map(ratio => point(arms.moved(accuracy, ratio))),
  });
  const lines: Line[] = [
    byThreshold(arms.GOOD),
    byThreshold(arms.POOR),
    { name: 'cascade', points: arms.SEEN_RATIOS.map(each => point(arms.cascade(each))) },
    { name: 'API alone, no GPU', points: [point(arms.apiOnly)] },
    { name: BY_LOT, points: LOT_ARMS.map(point) },
  ];
  return linesSpec(lines, {
    x: { title: 'USD for 1,000 tasks', scale: { zero: true } },
    y: { title: 'tasks answered well', scale: { zero: false }, axis: { format: '~%' }, format: '.1%' },
    strong: BY_LOT,
  });
}

/** What tasks cost in all where a bad answer costs `SHOWN_LOSS`, by the accuracy of the classifier. */
function byAccuracy(runs: Runs) {
  const found = (arm: arms.Arm) => estimate(valuesOf(runs, arm, withLoss(SHOWN_LOSS)));
  const ends = [arms.ACCURACIES[0]!, arms.ACCURACIES.at(-1)!];
  const level = (name: string, arm: arms.Arm): Line => ({
    name,
    points: ends.map(x => ({ x, y: found(arm)?.mean ?? null })),
  });
  const lines: Line[] = [
    {
      name: 'classifier',
      points: arms.ACCURACIES.map(x => {
        const at = found(arms.router(x));
        return { x, y: at?.mean ?? null, low: at?.ci95?.[0] ?? null, high: at?.ci95?.[1] ?? null };
      }),
    },
    level('all at home', arms.atHome),
    level('all answers to the API', arms.away),
    level('cascade, 50 % noticed', arms.cascade(0.5)),
    level('cascade, all noticed', arms.cascade(1)),
  ];
  return linesSpec(lines, {
    x: { title: 'hard and easy tasks that the classifier sees as they are', axis: { format: '~%' } },
    y: {
      title: `USD for 1,000 tasks, with ${showDollars(SHOWN_LOSS)} for each bad answer`,
      scale: { zero: true },
    },
  });
}

/** Answers of one run, in the four ways of being routed. */
function answers(runs: Runs): PointGroup[] {
  const drawn = runs.flatMap(({ at, measured }) => (at.isDrawn ? ((measured ?? []) as Answer[]) : []));
  const points = (isHard: boolean, isAway: boolean) =>
    drawn
      .filter(each => each.isHard === isHard && each.isAway === isAway)
      .map(({ ms, usd: paid }) => ({ x: ms, y: paid }));
  return [
    { name: 'easy, at home', colour: 'blue', shape: 'circle', points: points(false, false) },
    { name: 'hard, at the API', colour: 'vermilion', shape: 'circle', points: points(true, true) },
    { name: 'misrouted: easy, at the API', colour: 'orange', shape: 'cross', points: points(false, true) },
    { name: 'misrouted: hard, at home', colour: 'purple', shape: 'diamond', points: points(true, false) },
  ];
}

export default defineStudy<At>({
  name: 'hybrid',
  question:
    'Route easy calls to a self-hosted model and hard ones to a frontier API, 80 to 20: good answers at the price of a small model. How good must the classifier be, and what of data that may not leave the network?',
  method:
    'Tasks of two calls, one a second: personal data are extracted at home (Mistral Small 4 on one H200), then one answer in five is hard, reasoning included. A frontier API (Claude Opus 5.5, list price, 2.5 s to the first token in the median) stands 85 ms away. The chance of a good answer is 97 % for easy and 50 % for hard ones at home, 98 % and 90 % at the API: assumptions, as is that the classifier errs as often either way. Sending answers to the API by lot is what a classifier must beat. Two tenants then share it, one of whose data must stay at home; the local pool is lost for five minutes.',
  cases({ isQuick }) {
    const seeds = isQuick ? [1, 2] : [1, 2, 3, 4, 5];
    const drawn = arms.router(arms.GOOD);
    return [
      ...seeds.flatMap(seed =>
        [...arms.ARMS, ...arms.REGULATED_ARMS].map(arm =>
          caseOf(arm, { arm: arm.name, seed, isDrawn: false }, isQuick),
        ),
      ),
      caseOf(drawn, { arm: DRAWN, seed: 1, isDrawn: true }, isQuick),
    ];
  },

  judge(runs) {
    const groups = answers(runs);
    const points = groups.flatMap(each => each.points);
    const [atHomeUsd, , astrayUsd] = groups.map(each => meanOf(each.points.map(({ y }) => y)));
    const dearer = showNumber((astrayUsd ?? 0) / (atHomeUsd || 1));
    const wrong = groups.slice(2).flatMap(each => each.points).length;
    const cascade = estimate(valuesOf(runs, arms.cascade(1), usd));
    const router = estimate(valuesOf(runs, arms.router(arms.GOOD), usd));
    const half = estimate(valuesOf(runs, arms.cascade(0.5), withLoss(SHOWN_LOSS)));
    return {
      claims: claims(runs),
      tables: [armTable(runs), lossTable(runs), regulatedTable(runs)],
      charts: [
        {
          id: 'hybrid-price',
          title: `What money buys: 1,000 tasks cost ${router === null ? '–' : showDollars(router.mean)} with a classifier that is right in ${showRatio(arms.GOOD)} of cases, ${cascade === null ? '–' : showDollars(cascade.mean)} with a cascade that notices every bad answer`,
          spec: frontier(runs),
        },
        {
          id: 'hybrid-accuracy',
          title: `Where a bad answer costs ${showDollars(SHOWN_LOSS)}, the classifier pays from an accuracy of ${showRatio(payingFrom(runs, SHOWN_LOSS))} on; a cascade that notices half of them brings 1,000 tasks to ${half === null ? '–' : showDollars(half.mean)}`,
          spec: byAccuracy(runs),
        },
        {
          id: 'hybrid-answers',
          title: `Of ${showCount(points.length)} answers ${showCount(wrong)} are misrouted: easy ones cost ${dearer} times as much as at home, hard ones are cheap and half of them bad`,
          spec: scatterSpec(groups, {
            x: {
              title: 'from the call to the end of its answer',
              scale: { type: 'log' },
              axis: msAxis({ values: logTicks(points.map(({ x }) => x)) }),
            },
            y: {
              title: 'USD of the answer',
              scale: { type: 'log' },
              axis: { values: logTicks(points.map(({ y }) => y)), format: '~g' },
            },
          }),
        },
      ],
      limits: [
        'How hard a task is, and how good an answer, are labels and chances that we wrote: the study shows how they trade, not what your models do. Its figures move with them; measure yours.',
        'Each call is classified by itself: a classifier that errs on one kind of task again and again is not modelled.',
        'A judge that notices bad answers costs nothing here and never condemns a good one.',
        'The GPU is paid for around the clock and is far from full: at a tenth of this traffic an answer at home costs ten times as much.',
        'A bad answer costs what the table says and no call after it.',
        'Step times are a model, for ranking only; the latency of the API is a distribution that does not know the load.',
      ],
    };
  },
});
