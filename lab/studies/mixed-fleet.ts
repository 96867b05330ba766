// The mixed fleet: fan-outs, chains, loops and chats on one cluster. Who slows whom, and what a router, the engines' queue
// and the gate in front can do about it.
import { msAxis, msLabel } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { matrixSpec } from '../../reports/charts/matrix.ts';
import { showMs, showNumber, showRatio, showSignedRatio } from '../../reports/numbers.ts';
import type { FigureName, RunFigures } from '../../scenarios/formats/grid.ts';
import type { GridCase } from '../grid/case.ts';
import { crossing } from '../policy-bench/compare.ts';
import { type Estimate, estimate, showChange, showTimes, timesAs } from './estimate.ts';
import { type Claim, defineStudy, type StudyCase, type StudyRun, type Verdict } from './study.ts';

/** The cohorts of the library's mixed fleet: tenant, arrivals and how many of each come in 80 s. */
const COHORTS = {
  scan: { tenant: 'jobs', rate: '3/min', sessions: 4, what: 'fan-outs' },
  ingest: { tenant: 'team', rate: '6/min', sessions: 8, what: 'chains' },
  refine: { tenant: 'editors', rate: '4.5/min', sessions: 6, what: 'loops' },
  summarize: { tenant: 'eng', rate: '6/min', sessions: 8, what: 'tool loops' },
  chat: { tenant: 'team', rate: '0.35/s', sessions: 30, what: 'chats' },
} as const;
type Workflow = keyof typeof COHORTS;
const WORKFLOWS = Object.keys(COHORTS) as Workflow[];
const ALL = WORKFLOWS.join('+');

/** Times the arrivals of the library. The knee of four H100 is near 22: from there on gaps between tokens pass 50 ms. */
const SPARE = 10;
const KNEE = 22;
const OVER = 40;
/** With batches of 32 the queue of the engines begins to grow near 20. */
const QUEUED_LOADS = [16, 20, 24, 28, 34, 40];
const QUEUED = 28;

const ROUTERS = [
  'round-robin',
  'session-affinity',
  'prefix-cache',
  'sglang-cache-aware',
  'dynamo-kv',
  'llm-d',
] as const;
const SCHEDULERS = ['priority', 'shortest_prompt', 'plas', 'atlas', 'kairos', 'program_fcfs'] as const;
const PROGRAM_AWARE = ['plas', 'atlas', 'kairos'] as const;
/** vLLM's own, and one so small that calls queue. */
const BATCHES = { usual: 1024, small: 32 } as const;
/** Who is let in beyond the load that can be served: about as much as keeps batches where gaps are 50 ms. */
const GATES = {
  open: { policy: 'always', options: {} },
  calls: { policy: 'calls', options: { max: 200, queue: 1e6 } },
  'sessions wait': { policy: 'sessions', options: { max: 120, queue: 1e6 } },
  'sessions shed': { policy: 'sessions', options: { max: 120, queue: 0 } },
} as const;
type Gate = keyof typeof GATES;
/** Passes of a loop: the library's three, or a few very long ones. */
const PASSES = { three: '3', heavy: '{ median: 3, p90: 15, max: 60 }' } as const;

interface Place {
  /** Names of cohorts, joined by +. */
  readonly workflows: string;
  readonly load: number;
  readonly router: (typeof ROUTERS)[number] | 'least-outstanding';
  readonly scheduler: (typeof SCHEDULERS)[number] | 'fcfs';
  readonly batch: keyof typeof BATCHES;
  readonly gate: Gate;
  readonly passes: keyof typeof PASSES;
}
interface At extends Place {
  readonly seed: number;
}
type Run = StudyRun<At>;

const place = (fields: Partial<Place> & { load: number }): Place => ({
  workflows: ALL,
  router: 'least-outstanding',
  scheduler: 'fcfs',
  batch: 'usual',
  gate: 'open',
  passes: 'three',
  ...fields,
});
const queued = (fields: Partial<Place>): Place => place({ load: QUEUED, batch: 'small', ...fields });
/** Two workflows, or one alone. */
const pairOf = (a: Workflow, b: Workflow): string =>
  WORKFLOWS.filter(each => each === a || each === b).join('+');

function places(): Place[] {
  const found = [
    ...WORKFLOWS.flatMap(a => WORKFLOWS.map(b => place({ load: KNEE, workflows: pairOf(a, b) }))),
    ...WORKFLOWS.map(a => place({ load: SPARE, workflows: a })),
    place({ load: SPARE }),
    place({ load: KNEE }),
    place({ load: OVER }),
    ...ROUTERS.map(router => place({ load: KNEE, router })),
    ...PROGRAM_AWARE.map(scheduler => place({ load: OVER, scheduler })),
    ...SCHEDULERS.map(scheduler => queued({ scheduler })),
    ...QUEUED_LOADS.flatMap(load =>
      (['fcfs', ...PROGRAM_AWARE] as const).map(scheduler => queued({ load, scheduler })),
    ),
    ...(['fcfs', ...PROGRAM_AWARE] as const).map(scheduler => queued({ scheduler, passes: 'heavy' })),
    ...(Object.keys(GATES) as Gate[]).map(gate => place({ load: OVER, gate })),
  ];
  return [...new Map(found.map(each => [JSON.stringify(each), each])).values()];
}

const trafficOf = (workflows: string, times: number): string => {
  const lines = workflows.split('+').map(name => {
    const { tenant, rate, sessions } = COHORTS[name as Workflow];
    return `{ workflow: ${name}, tenant: ${tenant}, arrival: { poisson: { rate: ${rate} } }, sessions: ${sessions * times} }`;
  });
  return `traffic=[${lines.join(', ')}]`;
};

const caseOf = (at: At, times: number): GridCase => ({
  scenario: {
    input: 'studies/mixed-fleet',
    options: {
      seed: at.seed,
      set: [trafficOf(at.workflows, times), `params.passes=${PASSES[at.passes]}`],
    },
  },
  deployment: {
    input: '1xh100-llama-3.1-8b',
    set: [
      'pools.main.model=ministral-3-14b',
      'pools.main.replicas=4',
      `pools.main.limits.max_num_seqs=${BATCHES[at.batch]}`,
    ],
    change: {
      routing: { policy: at.router, options: {} },
      admission: GATES[at.gate],
      pool: { scheduling: { policy: at.scheduler, options: {} } },
    },
  },
  loadFactor: at.load,
  isByCohort: true,
});

// ---- judgement ------------------------------------------------------------------------------------------------

const runsAt = (runs: readonly Run[], where: Place): Run[] =>
  runs.filter(({ at }) => (Object.keys(where) as (keyof Place)[]).every(key => at[key] === where[key]));

type Cohort = Workflow | 'all';
const figuresOf = ({ figures, cohorts }: Run, of: Cohort): RunFigures | undefined =>
  of === 'all' ? figures : cohorts?.[of];
/** A figure of the whole fleet or of one workflow, a value each seed. */
const values = (runs: readonly Run[], where: Place, name: FigureName, of: Cohort = 'all') =>
  runsAt(runs, where).map(run => figuresOf(run, of)?.[name] ?? null);

/** Mean time of workflows, times as long as at another place. */
const stretch = (runs: readonly Run[], where: Place, beside: Place, of: Cohort = 'all'): Estimate | null =>
  timesAs(values(runs, where, 'makespanMsMean', of), values(runs, beside, 'makespanMsMean', of));

const low = (found: Estimate | null): number => found?.ci95?.[0] ?? found?.mean ?? 1;
const high = (found: Estimate | null): number => found?.ci95?.[1] ?? found?.mean ?? 1;

/** Whether all of an interval lies above 1. */
const isMore = (found: Estimate | null): boolean => low(found) > 1;
const isLess = (found: Estimate | null): boolean => high(found) < 1;

/** How many times the load of FCFS a scheduler carries until workflows take `times` as long as in an idle fleet. */
function loadGain(runs: readonly Run[], scheduler: Place['scheduler'], times: number): Estimate | null {
  const idleMs = estimate(values(runs, place({ load: SPARE }), 'makespanMsMean'))?.mean ?? null;
  if (idleMs === null) return null;
  const loadsOf = (each: Place['scheduler']): (number | null)[] => {
    const byLoad = QUEUED_LOADS.map(load =>
      values(runs, queued({ load, scheduler: each }), 'makespanMsMean'),
    );
    return byLoad[0]!.map((_, seed) =>
      crossing(
        QUEUED_LOADS.map((loadRatio, i) => {
          const tookMs = byLoad[i]![seed] ?? null;
          return { loadRatio, share: tookMs === null ? null : -tookMs };
        }),
        -times * idleMs,
      ),
    );
  };
  return timesAs(loadsOf(scheduler), loadsOf('fcfs'));
}

const verdictOf = (isWhole: boolean, isPart: boolean): Verdict =>
  isWhole ? 'confirmed' : isPart ? 'partly' : 'contradicted';

/** The one with the largest mean, or with the least. */
const extreme = <T extends { found: Estimate | null }>(list: readonly T[], sign: 1 | -1): T =>
  list.reduce((best, each) =>
    sign * (each.found?.mean ?? -sign * Infinity) > sign * (best.found?.mean ?? -sign * Infinity)
      ? each
      : best,
  );

const LATENCY_TIMES = 2.5;

function claims(runs: readonly Run[]): Claim[] {
  const beside = (a: Workflow, b: Workflow): Estimate | null =>
    stretch(runs, place({ load: KNEE, workflows: pairOf(a, b) }), place({ load: KNEE, workflows: a }), a);
  const others = WORKFLOWS.filter(each => each !== 'chat').map(name => ({
    name,
    found: beside('chat', name),
  }));
  const byScan = beside('chat', 'scan');
  const worst = extreme(others, 1);
  const together = stretch(runs, place({ load: KNEE }), place({ load: KNEE, workflows: 'chat' }), 'chat');
  const gains = (['plas', 'atlas'] as const).map(name => ({
    name,
    found: loadGain(runs, name, LATENCY_TIMES),
  }));
  const best = extreme(gains, 1);
  const heavy = extreme(
    (['plas', 'atlas'] as const).map(name => ({
      name,
      found: stretch(runs, queued({ scheduler: name, passes: 'heavy' }), queued({ passes: 'heavy' })),
    })),
    -1,
  );
  const under = (of: Workflow): Estimate | null =>
    stretch(runs, queued({ scheduler: 'plas' }), queued({}), of);
  const kairosAt = (load: number): Estimate | null =>
    stretch(runs, queued({ load, scheduler: 'kairos' }), queued({ load }));
  const kairos = extreme(
    QUEUED_LOADS.map(load => ({ load, found: kairosAt(load) })),
    -1,
  );
  const usual = extreme(
    PROGRAM_AWARE.map(name => ({
      name,
      found: stretch(runs, place({ load: OVER, scheduler: name }), place({ load: OVER })),
    })),
    -1,
  );
  const router = extreme(
    ROUTERS.map(name => ({
      name,
      found: stretch(runs, place({ load: KNEE, router: name }), place({ load: KNEE })),
    })),
    -1,
  );
  const scheduler = extreme(
    SCHEDULERS.map(name => ({ name, found: stretch(runs, queued({ scheduler: name }), queued({})) })),
    -1,
  );
  const good = (gate: Gate): (number | null)[] => values(runs, place({ load: OVER, gate }), 'goodSessions');
  const whole = timesAs(good('sessions shed'), good('calls'));
  const gated = place({ load: OVER, gate: 'sessions shed' });
  const done =
    timesAs(values(runs, gated, 'completedSessions'), values(runs, gated, 'sessions'))?.mean ?? Number.NaN;
  const open = timesAs(good('sessions shed'), good('open'));
  return [
    {
      text: 'Fan-outs hurt chats: a burst of calls takes the batch from under them',
      verdict: verdictOf(isMore(byScan) && worst.name === 'scan', isMore(byScan)),
      figure: `chats take ${showTimes(byScan)} as long beside the fan-outs, ${worst.name === 'scan' ? 'which hurt them most' : `${showTimes(worst.found)} beside the ${COHORTS[worst.name].what}`}, and ${showTimes(together)} beside all`,
    },
    {
      text: 'Program-aware scheduling carries 4 to 15 times the load at equal latency (Autellix)',
      verdict: verdictOf(low(best.found) >= 4, isMore(best.found)),
      figure: `${best.name} carries ${showTimes(best.found)} the load of FCFS until workflows take ${LATENCY_TIMES} times as long as in an idle fleet; at load ${QUEUED} chats take ${showTimes(under('chat'))} as long under PLAS and fan-outs ${showTimes(under('scan'))}; with heavy-tailed loops ${heavy.name} changes the mean by ${showChange(heavy.found)}`,
    },
    {
      text: 'Ordering calls by what is left of their workflow cuts its time by 17.8 to 28.4 % (Kairos)',
      verdict: verdictOf(
        high(kairosAt(QUEUED)) <= 1 - 0.178,
        isLess(kairosAt(QUEUED)) || isLess(kairos.found),
      ),
      figure: `${showChange(kairosAt(QUEUED))} at load ${QUEUED}, ${showChange(kairos.found)} at best (load ${kairos.load}): it grows with the queue`,
    },
    {
      text: "A program-aware queue pays at vLLM's default batch of 1,024",
      verdict: verdictOf((usual.found?.mean ?? 1) <= 0.95 && isLess(usual.found), isLess(usual.found)),
      figure: `at best ${showChange(usual.found)} (${usual.name}) far beyond the knee: nothing waits for the engine, calls slow each other down inside the batch`,
    },
    {
      text: 'What the router does is worth more than what the queue does',
      verdict: verdictOf(
        high(router.found) < low(scheduler.found),
        (router.found?.mean ?? 1) < (scheduler.found?.mean ?? 1),
      ),
      figure: `${router.name} ${showChange(router.found)} at the knee against least-outstanding; ${scheduler.name} ${showChange(scheduler.found)} with queues, against FCFS`,
    },
    {
      text: 'Beyond the knee it is whole workflows that should be turned away, not calls held back',
      verdict: verdictOf(isMore(whole) && isMore(open), isMore(whole) || isMore(open)),
      figure: `with ${showRatio(1 - done)} of workflows turned away, ${showTimes(whole)} as many have only good calls as under a limit on calls, ${showTimes(open)} as with an open gate`,
    },
  ];
}

/** Mean and times as long of each workflow. */
const workflowCells = (runs: readonly Run[], where: Place, beside: Place): string[] =>
  WORKFLOWS.map(of => showTimes(stretch(runs, where, beside, of)));

const policyRow = (runs: readonly Run[], name: string, where: Place, base: Place): string[] => {
  const mean = (figure: FigureName) => estimate(values(runs, where, figure))?.mean;
  const isBase = where === base;
  return [
    name,
    showMs(mean('makespanMsMean')),
    isBase ? '' : showChange(stretch(runs, where, base)),
    showMs(mean('makespanMsP95')),
    showMs(mean('ttftMsP95')),
    showRatio(mean('sloRatio')),
    showRatio(mean('hitRatio')),
    showNumber(mean('fairnessRatio') ?? Number.NaN),
  ];
};
const POLICY_COLUMNS = ['mean', 'change', 'p95', 'TTFT p95', 'good calls', 'hits', 'Jain over tenants'];

export default defineStudy<At>({
  name: 'mixed-fleet',
  question:
    'What happens when fan-outs, chains, loops and chats meet on one cluster, and what helps: the router, the queue of the engines, or a gate? Autellix reports 4 to 15 times the load at equal latency from program-aware scheduling, Kairos workflows that end 17.8 to 28.4 % sooner.',
  method: `The mixed fleet of the library on four replicas of Ministral 3 14B, an H100 each: each workflow alone, every two, and all together, at the arrivals that they have in the fleet. Loads are times those of the library's scenario; ${KNEE} is the knee. Engines have vLLM's default batch (1,024), and for the schedulers one of 32, so that calls queue. Times are from a workflow's planned start to its end.`,

  cases({ isQuick }) {
    const seeds = isQuick ? [1, 2, 3] : [1, 2, 3, 4, 5];
    const times = isQuick ? 10 : 30;
    return seeds.flatMap(seed =>
      places().map((each): StudyCase<At> => {
        const at = { ...each, seed };
        return { at, of: caseOf(at, times) };
      }),
    );
  },

  judge(runs) {
    const alone = (of: Workflow, load: number): Place => place({ load, workflows: of });
    const pairs = WORKFLOWS.flatMap(a => [
      ...WORKFLOWS.map(b => ({
        row: a,
        column: a === b ? `${b} (alone)` : b,
        found:
          a === b ? null : stretch(runs, place({ load: KNEE, workflows: pairOf(a, b) }), alone(a, KNEE), a),
      })),
      { row: a, column: 'all', found: stretch(runs, place({ load: KNEE }), alone(a, KNEE), a) },
    ]).map(cell => ({ ...cell, column: cell.column.replace(' (alone)', '') }));
    const bySchedule = SCHEDULERS.flatMap(scheduler => [
      ...WORKFLOWS.map(of => ({
        row: scheduler,
        column: of,
        found: stretch(runs, queued({ scheduler }), queued({}), of),
      })),
      { row: scheduler, column: 'mean of all', found: stretch(runs, queued({ scheduler }), queued({})) },
    ]);
    const cell = ({ row, column, found }: { row: string; column: string; found: Estimate | null }) => ({
      row,
      column,
      ratio: found?.mean ?? null,
      text: found === null ? '' : found.mean.toFixed(2),
    });
    const lines: Line[] = (['fcfs', ...PROGRAM_AWARE] as const).map(scheduler => ({
      name: scheduler,
      points: QUEUED_LOADS.map(load => {
        return {
          x: load,
          y: estimate(values(runs, queued({ load, scheduler }), 'makespanMsMean'))?.mean ?? null,
        };
      }),
    }));
    const chatAll = stretch(runs, place({ load: KNEE }), alone('chat', KNEE), 'chat');
    const kairosAll = stretch(runs, queued({ scheduler: 'kairos' }), queued({}));
    const times = (name: 'plas' | 'atlas'): string =>
      showNumber(loadGain(runs, name, LATENCY_TIMES)?.mean ?? Number.NaN);
    const knee = place({ load: KNEE });
    const over = place({ load: OVER });
    const slow = queued({});
    return {
      claims: claims(runs),
      tables: [
        {
          title: 'Times as long as alone, by load',
          columns: ['load', ...WORKFLOWS],
          rows: [
            ...[SPARE, KNEE].map(load => [
              `${load} (${load === SPARE ? 'spare capacity' : 'the knee'})`,
              ...WORKFLOWS.map(of => showTimes(stretch(runs, place({ load }), alone(of, load), of))),
            ]),
          ],
        },
        {
          title: `Routers at load ${KNEE}`,
          columns: ['router', ...POLICY_COLUMNS],
          rows: [
            policyRow(runs, 'least-outstanding', knee, knee),
            ...ROUTERS.map(router => policyRow(runs, router, place({ load: KNEE, router }), knee)),
          ],
        },
        {
          title: `Schedulers at load ${QUEUED}, batches of ${BATCHES.small}`,
          columns: ['scheduler', ...POLICY_COLUMNS],
          rows: [
            policyRow(runs, 'fcfs', slow, slow),
            ...SCHEDULERS.map(scheduler => policyRow(runs, scheduler, queued({ scheduler }), slow)),
          ],
        },
        {
          title: `Schedulers at load ${QUEUED}: times as long as under FCFS`,
          columns: ['scheduler', ...WORKFLOWS],
          rows: SCHEDULERS.map(scheduler => [scheduler, ...workflowCells(runs, queued({ scheduler }), slow)]),
        },
        {
          title: 'Load at equal latency, times that of FCFS',
          columns: ['workflows take as long as in an idle fleet', 'plas', 'atlas', 'kairos'],
          rows: [2, LATENCY_TIMES, 3].map(times => [
            `${times}x`,
            ...PROGRAM_AWARE.map(scheduler => showTimes(loadGain(runs, scheduler, times))),
          ]),
        },
        {
          title: `The gate at load ${OVER}`,
          columns: ['gate', 'good calls/s', 'sessions done', 'sessions all good', ...POLICY_COLUMNS],
          rows: (Object.keys(GATES) as Gate[]).map(gate => {
            const where = gate === 'open' ? over : place({ load: OVER, gate });
            const mean = (figure: FigureName) => estimate(values(runs, where, figure))?.mean ?? Number.NaN;
            const share = (figure: FigureName) => showRatio(mean(figure) / mean('sessions'));
            const [name, ...rest] = policyRow(runs, gate, where, over);
            return [
              name!,
              showNumber(mean('goodputPerSec')),
              share('completedSessions'),
              share('goodSessions'),
              ...rest,
            ];
          }),
        },
      ],
      charts: [
        {
          id: 'mixed-fleet-stretch',
          title: `Beside all the others a chat takes ${showNumber(chatAll?.mean ?? Number.NaN)} times as long as alone`,
          spec: matrixSpec(pairs.map(cell), { rowTitle: 'takes so much longer', columnTitle: 'beside' }),
        },
        {
          id: 'mixed-fleet-schedulers',
          title: `Schedulers shift time between workflows: Kairos ${showSignedRatio((kairosAll?.mean ?? Number.NaN) - 1)} over all of them`,
          spec: matrixSpec(bySchedule.map(cell), {
            rowTitle: 'scheduler',
            columnTitle: 'times as long as under FCFS',
          }),
        },
        {
          id: 'mixed-fleet-load',
          title: `At equal latency PLAS carries ${times('plas')} and ATLAS ${times('atlas')} times the load of FCFS`,
          spec: linesSpec(lines, {
            x: { title: "load, times the library's scenario" },
            y: {
              title: 'mean time of a workflow',
              scale: { zero: true },
              axis: msAxis(),
              label: msLabel,
            },
            strong: 'fcfs',
          }),
        },
      ],
      limits: [
        'Step times are a model, for ranking only; one model, one card, and prompts of two to seven thousand tokens of which three quarters are cached.',
        'Workflows start over one to two minutes: beyond what can be served, times grow for as long as that lasts, and so does what a scheduler can gain.',
        'Autellix measured chat and agent traces with heavy-tailed programs against an older vLLM, and Kairos three workflows of its own; this is neither of their workloads, nor their engines.',
        'The mean over workflows counts each workflow once, so that chats are half of it.',
        'Of the schedulers only the order of waiting calls is taken: no router of Autellix, no packing of Kairos.',
      ],
    };
  },
});
