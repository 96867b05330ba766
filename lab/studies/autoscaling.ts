// Autoscaling: replicas by latency targets against replicas by utilisation, on a day of agents and on bursts that a clock
// starts.
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showNumber, showRatio, showSignedRatio } from '../../reports/numbers.ts';
import { mean } from '../../scenarios/base/statistics.ts';
import type { RunFigures } from '../../scenarios/formats/grid.ts';
import type { GridCase } from '../grid/case.ts';
import { FAMILIES, FAMILY_NAMES, type FamilyName, type Goal, type Traffic } from './autoscalers.ts';
import { type Estimate, estimate, showEstimate } from './estimate.ts';
import {
  type Claim,
  defineStudy,
  type StudyCase,
  type StudyRun,
  type StudyTable,
  type Verdict,
} from './study.ts';

/** Replicas that never change. */
const FIXED: Record<Traffic, readonly number[]> = { day: [3, 4, 5, 6, 8], bursts: [2, 4, 6, 8, 12] };
const COLD_SECS = [10, 70, 300];
/** About what vLLM takes with weights on local disk. */
const USUAL_COLD_SEC = 70;
/** Of a family's settings, the one that cold starts are compared at. */
const MIDDLE = 1;
const TRAFFICS = ['day', 'bursts'] as const;
const TOLD: Record<Traffic, string> = { day: 'a day', bursts: 'bursts' };
const START_REPLICAS = 2;
/** The clock of the day runs so many times as fast: a day is four hours. */
const DAY_SPEED = 6;

interface Place {
  readonly traffic: Traffic;
  readonly family: FamilyName | 'fixed';
  /** Of the family, or of FIXED. */
  readonly setting: number;
  readonly coldSec: number;
  readonly drain: 'workflows' | 'calls';
}
interface At extends Place {
  readonly seed: number;
}

function caseOf({ traffic, family, setting, coldSec, drain, seed }: At): GridCase {
  const fixed = FIXED[traffic][setting]!;
  const choice =
    family === 'fixed'
      ? { policy: 'fixed', options: { replicas: fixed } }
      : FAMILIES[family].settings(traffic, coldSec * 1000)[setting]!;
  return {
    scenario: {
      input: traffic === 'day' ? 'studies/autoscaling' : 'studies/autoscaling-bursts',
      options: { seed },
    },
    deployment: {
      input: 'autoscaled-llama-3.1-70b',
      set: [`pools.main.cold_start=${coldSec}s`, `pools.main.drain=${drain}`],
      change: {
        // A fan-out's calls are of one session: kept together they would be one replica's.
        ...(traffic === 'bursts' ? { routing: { policy: 'prefix-cache', options: {} } } : {}),
        pool: { replicas: family === 'fixed' ? fixed : START_REPLICAS, scaling: choice },
      },
    },
    loadFactor: traffic === 'day' ? DAY_SPEED : 1,
  };
}

/** All settings at the usual cold start; the middle ones, or a few of them, at the others. */
function placesOf(traffic: Traffic, isQuick: boolean): Place[] {
  const usual = { traffic, coldSec: USUAL_COLD_SEC, drain: 'workflows' as const };
  const places: Place[] = FIXED[traffic].map((_, setting) => ({ ...usual, family: 'fixed', setting }));
  const families = isQuick ? QUICK : FAMILY_NAMES;
  for (const family of families) {
    for (const setting of [0, MIDDLE, 2]) places.push({ ...usual, family, setting });
    if (!isQuick || family === 'hpa-calls' || family === 'oracle')
      for (const coldSec of COLD_SECS)
        if (coldSec !== USUAL_COLD_SEC) places.push({ ...usual, family, setting: MIDDLE, coldSec });
  }
  places.push({ ...usual, family: 'hpa-calls', setting: MIDDLE, drain: 'calls' });
  return places;
}
const QUICK: readonly FamilyName[] = ['dynamo', 'workflow-aware', 'hpa-calls', 'keda-queue', 'oracle'];

// ---- what came of it ---------------------------------------------------------------------------------------------

type Runs = readonly StudyRun<At>[];

/** Workflows that did not end, or had a call that missed its SLO, over all. */
const missedRatio = ({ goodSessions, sessions }: RunFigures): number => 1 - goodSessions / sessions;

const isAt = (at: At, where: Partial<Place>): boolean =>
  Object.entries(where).every(([key, value]) => at[key as keyof Place] === value);

const runsAt = (runs: Runs, where: Partial<Place>): RunFigures[] =>
  runs.filter(({ at }) => isAt(at, { drain: 'workflows', ...where })).map(({ figures }) => figures);

const seedsOf = (runs: Runs): number[] => [...new Set(runs.map(({ at }) => at.seed))];

interface Point {
  readonly gpuHours: number;
  readonly missed: number;
}

/** A value for each seed: the points of these families, each seed's own. */
const bySeed = <T>(
  runs: Runs,
  traffic: Traffic,
  families: readonly At['family'][],
  of: (points: Point[]) => T,
): T[] =>
  seedsOf(runs).map(seed =>
    of(
      runs
        .filter(
          ({ at }) =>
            at.seed === seed &&
            families.includes(at.family) &&
            isAt(at, { traffic, coldSec: USUAL_COLD_SEC, drain: 'workflows' }),
        )
        .map(({ figures }) => ({ gpuHours: figures.gpuHours, missed: missedRatio(figures) })),
    ),
  );

/** Fewest misses that so many GPU-hours buy; null where they buy none of the points. */
function fewestMissed(points: readonly Point[], gpuHours: number): number | null {
  const within = points.filter(point => point.gpuHours <= gpuHours);
  return within.length === 0 ? null : Math.min(...within.map(({ missed }) => missed));
}

/** Budgets tried, evenly over the range that both sides cover. */
const BUDGETS = 9;

/** Share of workflows that `own` misses more than `other` with the same GPU-hours at most: a mean over budgets. */
export function moreMissed(own: readonly Point[], other: readonly Point[]): number | null {
  if (own.length === 0 || other.length === 0) return null;
  const hours = (points: readonly Point[]): number[] => points.map(({ gpuHours }) => gpuHours);
  const from = Math.max(Math.min(...hours(own)), Math.min(...hours(other)));
  const to = Math.max(from, Math.min(Math.max(...hours(own)), Math.max(...hours(other))));
  return mean(
    Array.from({ length: BUDGETS }, (_, i) => {
      const budget = from + ((to - from) * i) / (BUDGETS - 1);
      return fewestMissed(own, budget)! - fewestMissed(other, budget)!;
    }),
  );
}

const familiesOf = (goal: Goal): FamilyName[] => FAMILY_NAMES.filter(name => FAMILIES[name].goal === goal);
/** All that know neither the clock nor what comes. */
const REACTING = [...familiesOf('targets'), ...familiesOf('utilisation')];

function compared(
  runs: Runs,
  traffic: Traffic,
  own: readonly At['family'][],
  other: readonly At['family'][],
): Estimate | null {
  const others = bySeed(runs, traffic, other, points => points);
  const differences = bySeed(runs, traffic, own, points => points).map((points, i) =>
    moreMissed(points, others[i]!),
  );
  return estimate(differences);
}

const fewer = (found: Estimate | null): Verdict =>
  found === null || found.mean >= 0 ? 'contradicted' : (found.ci95?.[1] ?? 0) < 0 ? 'confirmed' : 'partly';

/** A difference of shares in percentage points: `+4.2`. */
const showPoints = (ratio: number): string => showSigned(ratio * 100);
const showSigned = (value: number): string =>
  `${value > 0 ? '+' : value < 0 ? '−' : ''}${showNumber(Math.abs(value))}`;
const points = (found: Estimate | null): string =>
  `${showEstimate(found, showPoints)} percentage points of workflows missed`;

// ---- claims ------------------------------------------------------------------------------------------------------

/** Who misses less than whom, as it is told. */
const COMPARED: readonly { text: string; own: readonly At['family'][]; other: readonly At['family'][] }[] = [
  {
    text: 'SLA autoscaling misses fewer SLOs than utilisation at equal GPU-hours',
    own: familiesOf('targets'),
    other: familiesOf('utilisation'),
  },
  { text: 'Autoscaling that reacts does better than a fixed number', own: REACTING, other: ['fixed'] },
  { text: 'A schedule does better than autoscaling that reacts', own: ['schedule'], other: REACTING },
];

const equalHours = (runs: Runs): Claim[] =>
  COMPARED.flatMap(({ text, own, other }) =>
    TRAFFICS.flatMap(traffic => {
      const found = compared(runs, traffic, own, other);
      if (found === null) return [];
      return { text: `${text}, on ${TOLD[traffic]}`, verdict: fewer(found), figure: points(found) };
    }),
  );

/** Of the misses that foresight avoids, the share that a family avoids; against so few replicas as there were. */
function reaction(runs: Runs, family: FamilyName, coldSec: number): Estimate | null {
  const at = (place: Partial<Place>): number[] =>
    runsAt(runs, { traffic: 'bursts', ...place }).map(missedRatio);
  const none = at({ family: 'fixed', setting: 0 });
  const own = at({ family, setting: MIDDLE, coldSec });
  const best = at({ family: 'oracle', setting: MIDDLE, coldSec });
  return estimate(
    none.map((missed, i) => {
      const avoidable = missed - (best[i] ?? missed);
      return avoidable > 0 && own[i] !== undefined ? (missed - own[i]) / avoidable : null;
    }),
  );
}

/** Less than this is no reaction. */
const A_THIRD = 1 / 3;

function bursts(runs: Runs): Claim {
  const found = COLD_SECS.map(coldSec => ({ coldSec, share: reaction(runs, 'hpa-calls', coldSec) }));
  const slow = found.filter(({ share }) => share !== null && share.mean < A_THIRD);
  const shown = found
    .map(({ coldSec, share }) => `${showEstimate(share, showSignedRatio)} with a cold start of ${coldSec} s`)
    .join(', ');
  return {
    text: 'HPA cannot react to a burst of seconds',
    verdict: slow.length === found.length ? 'confirmed' : slow.length > 0 ? 'partly' : 'contradicted',
    figure: `of the misses that foresight avoids, HPA on calls in flight avoids ${shown}`,
  };
}

function leads(runs: Runs): Claim {
  const found = TRAFFICS.map(traffic => compared(runs, traffic, ['workflow-aware'], ['keda-queue']));
  const verdicts = new Set(found.map(fewer));
  return {
    text: 'Workflows in flight lead queue length',
    verdict: verdicts.size === 1 ? [...verdicts][0]! : 'partly',
    figure: `workflow-aware against KEDA on the queue: ${TRAFFICS.map((traffic, i) => `${points(found[i] ?? null)} on ${TOLD[traffic]}`).join(', ')}`,
  };
}

/** Calls that may miss: the SLO that most state. */
const ALLOWED = 0.05;

function targetHeld(runs: Runs): Claim {
  const missed = [0, 1, 2].map(setting =>
    estimate(
      runsAt(runs, { traffic: 'day', family: 'dynamo', setting, coldSec: USUAL_COLD_SEC }).map(
        ({ sloRatio }) => 1 - (sloRatio ?? 0),
      ),
    ),
  );
  const [tight, , slo] = missed;
  const isHeld = (found: Estimate | null | undefined): boolean => (found?.mean ?? 1) <= ALLOWED;
  return {
    text: 'A planner that is given the SLO as its target holds it',
    verdict: isHeld(slo) ? 'confirmed' : isHeld(tight) ? 'partly' : 'contradicted',
    figure: `of the day's calls Dynamo's predicting loop misses ${showEstimate(slo ?? null, showRatio)} with the SLO's 50 ms between tokens as its target, ${showEstimate(missed[1] ?? null, showRatio)} with 33 ms, ${showEstimate(tight ?? null, showRatio)} with 28 ms`,
  };
}

function drains(runs: Runs): Claim {
  const where = { traffic: 'day', family: 'hpa-calls', setting: MIDDLE, coldSec: USUAL_COLD_SEC } as const;
  const [workflows, calls] = (['workflows', 'calls'] as const).map(drain =>
    runsAt(runs, { ...where, drain }),
  );
  const difference = (of: (figures: RunFigures) => number): Estimate | null =>
    estimate((workflows ?? []).map((figures, i) => of(figures) - of(calls![i]!)));
  const found = difference(missedRatio);
  const hours = difference(({ gpuHours }) => gpuHours);
  return {
    text: 'A drain that lets workflows finish spares agents',
    verdict: fewer(found),
    figure: `${showEstimate(found, showPoints)} percentage points of workflows missed and ${showEstimate(hours, showSigned)} GPU-hours, against a drain of calls, HPA on calls in flight over the day`,
  };
}

// ---- tables and charts -------------------------------------------------------------------------------------------

const labelOf = (family: At['family']): string => (family === 'fixed' ? 'fixed' : FAMILIES[family].label);

/** Missed workflows, GPU-hours, and USD of those while replicas started. */
function cell(figures: readonly RunFigures[]): string {
  const missed = estimate(figures.map(missedRatio));
  const hours = estimate(figures.map(({ gpuHours }) => gpuHours));
  const usd = estimate(
    figures.map(({ usd: paid, gpuHours, coldGpuHours }) =>
      paid === null ? null : (paid * coldGpuHours) / gpuHours,
    ),
  );
  if (missed === null || hours === null) return '–';
  return `${showRatio(missed.mean)} / ${showNumber(hours.mean)} h${usd === null ? '' : ` / $${showNumber(usd.mean)}`}`;
}

function table(runs: Runs, traffic: Traffic): StudyTable {
  const families = FAMILY_NAMES.filter(family => runs.some(({ at }) => at.family === family));
  const rows = families.map(family => [
    labelOf(family),
    ...COLD_SECS.map(coldSec => cell(runsAt(runs, { traffic, family, setting: MIDDLE, coldSec }))),
  ]);
  const fixed = FIXED[traffic].map((replicas, setting) => [
    `fixed, ${replicas}`,
    '',
    cell(runsAt(runs, { traffic, family: 'fixed', setting })),
    '',
  ]);
  return {
    title: `On ${TOLD[traffic]}, by cold start: workflows missed / GPU-hours / USD of them while replicas start`,
    columns: ['', ...COLD_SECS.map(coldSec => `${coldSec} s`)],
    rows: [...rows, ...fixed],
  };
}

const CHARTED: readonly At['family'][] = [
  'dynamo',
  'workflow-aware',
  'hpa-calls',
  'keda-queue',
  'wva',
  'oracle',
  'schedule',
  'knative',
  'hpa-kv',
  'aibrix',
  'dynamo-both',
];

function pareto(runs: Runs, traffic: Traffic) {
  const lineOf = (family: At['family'], settings: readonly number[]): Line => ({
    name: labelOf(family),
    points: settings.flatMap(setting => {
      const figures = runsAt(runs, { traffic, family, setting, coldSec: USUAL_COLD_SEC });
      const hours = estimate(figures.map(({ gpuHours }) => gpuHours));
      const missed = estimate(figures.map(missedRatio));
      return hours === null || missed === null ? [] : [{ x: hours.mean, y: missed.mean }];
    }),
  });
  const lines = [
    ...CHARTED.map(family => lineOf(family, [0, 1, 2])),
    lineOf(
      'fixed',
      FIXED[traffic].map((_, setting) => setting),
    ),
  ].filter(({ points: drawn }) => drawn.length > 0);
  return linesSpec(lines, {
    x: { title: 'GPU-hours', scale: { zero: false } },
    y: { title: 'workflows with a missed SLO', scale: { zero: true }, axis: { format: '~%' }, format: '.1%' },
    strong: labelOf('fixed'),
  });
}

export default defineStudy<At>({
  name: 'autoscaling',
  question:
    "Does autoscaling by latency targets (NVIDIA's Dynamo planner, llm-d's WVA) miss fewer SLOs than autoscaling by utilisation (HPA, KEDA, Knative, AIBrix) at the same GPU-hours, when the traffic is agents? And what does a cold start do to either?",
  method:
    'Agents of about eight calls, contexts of 12k tokens, on H200 that serve Llama 3.1 70B in fp8, a replica each, 1 to 16. A day: six times as many agents in the afternoon as at night, its clock six times as fast. Bursts: forty fan-outs of ten calls at each twenty minutes for two hours, over a few agents. A workflow is missed when one of its calls takes more than 2 s to the first token or 50 ms for each token after it. Each autoscaler runs with three settings at a cold start of 70 s, from more replicas to fewer, the middle one at 10 s and 300 s too. GPU-hours count from the wish for a replica. At equal GPU-hours means: of the settings of each side within a budget the best one, and the mean over nine budgets that both sides cover.',
  cases({ isQuick }) {
    const seeds = isQuick ? [1, 2] : [1, 2, 3, 4, 5];
    return TRAFFICS.flatMap(traffic =>
      seeds.flatMap(seed =>
        placesOf(traffic, isQuick).map((place): StudyCase<At> => {
          const at = { ...place, seed };
          return { at, of: caseOf(at) };
        }),
      ),
    );
  },

  judge(runs) {
    const day = compared(runs, 'day', familiesOf('targets'), familiesOf('utilisation'));
    const burst = compared(runs, 'bursts', familiesOf('targets'), familiesOf('utilisation'));
    return {
      claims: [...equalHours(runs), bursts(runs), leads(runs), targetHeld(runs), drains(runs)],
      tables: TRAFFICS.map(traffic => table(runs, traffic)),
      charts: [
        {
          id: 'autoscaling-day',
          title: `On a day, autoscaling by targets misses ${showPoints(day?.mean ?? 0)} percentage points of workflows against utilisation at equal GPU-hours`,
          spec: pareto(runs, 'day'),
        },
        {
          id: 'autoscaling-bursts',
          title: `On bursts, ${showPoints(burst?.mean ?? 0)}; only whoever knows them in advance is in time`,
          spec: pareto(runs, 'bursts'),
        },
      ],
      limits: [
        'One model, one card, one shape of agents. Step times rest on physics: for ranking only.',
        'Day and night are six times as steep as in life, which makes the day harder for all that react.',
        'Cold starts are constant here; nodes that are not there at all cost more.',
        'Three settings of each are not a tuning; a family may have a better one between them.',
        "The oracle knows what comes and asks Dynamo's engine model how much a replica does: a bound of foresight, not the least cost.",
      ],
    };
  },
});
