// A thousand at once with a P99 below two seconds: of the first token, of a whole answer, of a workflow of four calls. How
// many GPUs each takes, where no number of them is enough, and what a gateway can do about it.
import { logTicks, msAxis, msLabel } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber } from '../../reports/numbers.ts';
import type { FigureName, RunFigures } from '../../scenarios/formats/grid.ts';
import type { GridCase } from '../grid/case.ts';
import { type Estimate, estimate, showEstimate, showTimes, timesAs } from './estimate.ts';
import { type Claim, defineStudy, type StudyCase, type StudyRun, type Verdict } from './study.ts';

export const TARGET_MS = 2000;
const AGENTS = 1000;
/** About three for each agent. */
const SESSIONS = 3000;
/** Of one agent that has a replica to itself: what no number of GPUs goes below. */
const SESSIONS_ALONE = 150;
const CALLS_OF_TASK = 4;
/** A hundredth of answers, drawn evenly from 0.8 to 1.2 of their mean, is longer. */
const WORDS_P99_RATIO = 1.196;

type Kind = 'call' | 'task';

/** The three latencies that may be meant: of which load, and which figure. */
const MEANT = [
  { name: 'first token of a call', short: 'first token', kind: 'call', figure: 'ttftMsP99' },
  { name: 'whole call', short: 'call', kind: 'call', figure: 'e2eMsP99' },
  { name: 'workflow of four calls', short: 'workflow', kind: 'task', figure: 'makespanMsP99' },
] as const satisfies readonly { name: string; short: string; kind: Kind; figure: FigureName }[];
type Meant = (typeof MEANT)[number];
const [FIRST_TOKEN, WHOLE_CALL, WHOLE_TASK] = MEANT;

interface Layout {
  readonly name: string;
  readonly set: readonly string[];
  readonly gpusPerReplica: number;
}

const onOne = (name: string, gpu: string): Layout => ({
  name: `Llama 3.1 8B, ${name}`,
  set: [`pools.main.gpu=${gpu}`],
  gpusPerReplica: 1,
});
const large = (gpus: number): Layout => ({
  name: `Llama 3.1 70B, H200 x ${gpus}`,
  set: ['pools.main.model=llama-3.1-70b', `pools.main.tensor_parallel=${gpus}`],
  gpusPerReplica: gpus,
});
const H200 = onOne('H200', 'h200-141gb-sxm');
const [L40S, H100, B200] = [onOne('L40S', 'l40s'), onOne('H100', 'h100-80gb-sxm'), onOne('B200', 'b200-sxm')];
const [LARGE_1, LARGE_4, LARGE_8] = [large(1), large(4), large(8)];
const LAYOUTS = [L40S, H100, H200, B200, LARGE_1, LARGE_4, LARGE_8];

const WORDS = [25, 50, 100, 200, 400];
/** The answers of most cases. */
const USUAL_WORDS = 50;

/** Powers of two. */
const upTo = (first: number, last: number): number[] =>
  first > last ? [] : [first, ...upTo(2 * first, last)];

/** Replicas that are tried, around where the targets are met; none where a replica of one's own is too slow. */
interface Sweep {
  readonly layout: Layout;
  readonly words: number;
  readonly replicas: Readonly<Record<Kind, readonly number[]>>;
}
const SWEEPS: readonly Sweep[] = [
  { layout: H200, words: 25, replicas: { call: upTo(1, 8), task: upTo(8, 32) } },
  { layout: H200, words: USUAL_WORDS, replicas: { call: upTo(1, 16), task: upTo(8, 64) } },
  { layout: H200, words: 100, replicas: { call: upTo(1, 32), task: upTo(128, 1024) } },
  { layout: H200, words: 200, replicas: { call: upTo(1, 64), task: [] } },
  { layout: H200, words: 400, replicas: { call: [1, 2, 4, 16, ...upTo(64, 512)], task: [] } },
  { layout: L40S, words: USUAL_WORDS, replicas: { call: upTo(1, 64), task: [] } },
  { layout: H100, words: USUAL_WORDS, replicas: { call: upTo(1, 16), task: upTo(16, 128) } },
  { layout: B200, words: USUAL_WORDS, replicas: { call: upTo(1, 16), task: upTo(4, 32) } },
  { layout: LARGE_1, words: USUAL_WORDS, replicas: { call: upTo(4, 128), task: [] } },
  { layout: LARGE_4, words: USUAL_WORDS, replicas: { call: upTo(1, 32), task: [] } },
  { layout: LARGE_8, words: USUAL_WORDS, replicas: { call: upTo(1, 16), task: upTo(32, 256) } },
];

/** GPUs on which 1,000 workflows of `USUAL_WORDS` are too slow, so that something can be done about it. */
const FEW = 16;

interface Lever {
  readonly name: string;
  readonly scenario?: readonly string[];
  readonly deployment?: readonly string[];
}

/** What may stand in for GPUs, or against them. */
const LEVERS = [
  { name: 'nothing' },
  { name: 'all start in one instant', scenario: ['traffic.0.arrival.closed.ramp=0s'] },
  { name: 'round robin', deployment: ['routing=round-robin'] },
  {
    name: 'beyond 500, turn workflows away',
    deployment: ['gateway={ admission: { policy: sessions, max: 500 } }'],
  },
  {
    name: 'beyond 500, let them wait',
    deployment: ['gateway={ admission: { policy: sessions, max: 500, queue: 1000 } }'],
  },
  { name: 'hedge 5 % of calls', deployment: ['gateway={ hedge: { after: 50ms, share: 5% } }'] },
  {
    name: 'budget: answers of at most 25 tokens',
    deployment: [
      'gateway={ budget: { llm_calls: 4, soft: 0%, save: { output_tokens: 25 }, on_exceed: degrade } }',
    ],
  },
  {
    name: 'from one GPU, scaled up to 64',
    scenario: ['traffic.0.sessions=6000'],
    deployment: [
      'pools.main.replicas=1',
      'pools.main.autoscaler={ policy: hpa, metric: in_flight, target: 16, min: 1, max: 64, interval: 5s, up_replicas: 64 }',
      'pools.main.cold_start=40s',
    ],
  },
] as const satisfies readonly Lever[];
type LeverName = (typeof LEVERS)[number]['name'];

interface At {
  readonly layout: string;
  readonly kind: Kind;
  readonly words: number;
  /** Null: one agent, alone on one replica. */
  readonly replicas: number | null;
  readonly lever: LeverName;
  readonly seed: number;
}
type Run = StudyRun<At>;

function caseOf(at: At, { set }: Layout): GridCase {
  const { scenario = [], deployment = [] } = LEVERS.find(({ name }) => name === at.lever) as Lever;
  const alone = ['traffic.0.arrival.closed={ agents: 1 }', `traffic.0.sessions=${SESSIONS_ALONE}`];
  const together = [`traffic.0.sessions=${SESSIONS}`];
  return {
    scenario: {
      input: 'studies/thousand',
      options: {
        seed: at.seed,
        set: [
          `traffic.0.workflow=${at.kind}`,
          `params.words=${at.words}`,
          ...(at.replicas === null ? alone : together),
          ...scenario,
        ],
      },
    },
    deployment: {
      input: 'studies/thousand',
      set: [
        `pools.main.replicas=${at.replicas ?? 1}`,
        // A new call has no replica of its own; a workflow finds its history where it was.
        `routing=${at.kind === 'call' ? 'least-outstanding' : 'session-affinity'}`,
        ...set,
        ...deployment,
      ],
    },
    loadFactor: 1,
  };
}

function allCases(isQuick: boolean): StudyCase<At>[] {
  const found: StudyCase<At>[] = [];
  const add = (layout: Layout, at: Omit<At, 'layout'>): void => {
    const whole = { layout: layout.name, ...at };
    found.push({ at: whole, of: caseOf(whole, layout) });
  };
  const usual = { words: USUAL_WORDS, lever: 'nothing', seed: 1 } as const;
  for (const words of WORDS) add(H200, { ...usual, kind: 'task', words, replicas: null });
  for (const layout of LAYOUTS.filter(each => each !== H200))
    add(layout, { ...usual, kind: 'task', replicas: null });
  for (const { layout, words, replicas } of SWEEPS) {
    const isMain = layout === H200 && words === USUAL_WORDS;
    if (isQuick && !isMain) continue;
    for (const seed of isMain && !isQuick ? [1, 2, 3] : [1])
      for (const kind of ['call', 'task'] as const)
        for (const count of replicas[kind]) add(layout, { ...usual, kind, words, replicas: count, seed });
  }
  for (const seed of isQuick ? [1] : [1, 2, 3])
    for (const { name } of LEVERS) add(H200, { ...usual, kind: 'task', replicas: FEW, lever: name, seed });
  // Nothing done on few GPUs is in the sweep, too.
  return [...new Map(found.map(each => [JSON.stringify(each.at), each])).values()];
}

// ---- judgement ------------------------------------------------------------------------------------------------

const matching = (runs: readonly Run[], where: Partial<At>): Run[] =>
  runs.filter(({ at }) => (Object.keys(where) as (keyof At)[]).every(key => at[key] === where[key]));

/** Of one agent that has a replica to itself. */
const alone = (runs: readonly Run[], layout: Layout, words: number): RunFigures | null =>
  matching(runs, { layout: layout.name, words, replicas: null })[0]?.figures ?? null;

/** What no number of GPUs goes below, ms. */
const floorMs = (runs: readonly Run[], layout: Layout, words: number, { figure }: Meant): number =>
  alone(runs, layout, words)?.[figure] ?? Number.NaN;

/** P99 by replicas, of one seed. */
function sweepOf(runs: readonly Run[], layout: Layout, words: number, meant: Meant, seed: number) {
  return matching(runs, { layout: layout.name, words, kind: meant.kind, lever: 'nothing', seed })
    .flatMap(({ at, figures }) => {
      const ms = figures[meant.figure];
      return at.replicas === null || ms === null ? [] : [{ replicas: at.replicas, ms }];
    })
    .sort((a, b) => a.replicas - b.replicas);
}

/**
 * GPUs from which the target is kept, whole replicas: between two that were tried, time is a floor and a part that falls as
 * replicas are added, so a straight line over their inverse. Null: never in what was tried.
 */
export function gpusFor(
  points: readonly { replicas: number; ms: number }[],
  gpusPerReplica: number,
): number | null {
  const first = points.findIndex(({ ms }) => ms <= TARGET_MS);
  const [below, above] = [points[first - 1], points[first]];
  if (above === undefined) return null;
  if (below === undefined) return above.replicas * gpusPerReplica;
  const share = (TARGET_MS - above.ms) / (below.ms - above.ms);
  const inverse = 1 / above.replicas + share * (1 / below.replicas - 1 / above.replicas);
  return Math.ceil(1 / inverse - 1e-9) * gpusPerReplica;
}

const seedsOf = (runs: readonly Run[], layout: Layout, words: number): number[] => [
  ...new Set(
    matching(runs, { layout: layout.name, words, lever: 'nothing' }).flatMap(({ at }) =>
      at.replicas === null ? [] : at.seed,
    ),
  ),
];

/** GPUs for it, a value each seed. */
const needed = (runs: readonly Run[], layout: Layout, words: number, meant: Meant): (number | null)[] =>
  seedsOf(runs, layout, words).map(seed =>
    gpusFor(sweepOf(runs, layout, words, meant, seed), layout.gpusPerReplica),
  );

/** USD for a GPU-hour of a layout, as its runs were charged; NaN where there was none. */
function usdPerGpuHour(runs: readonly Run[], layout: Layout): number {
  const { usd, gpuHours } = matching(runs, { layout: layout.name })[0]?.figures ?? {};
  return usd == null || !gpuHours ? Number.NaN : usd / gpuHours;
}

/** Tokens of the longest answer that comes within the target on a replica of one's own. */
function longestAnswer({ ttftMsP99, e2eMsP99 }: RunFigures, words: number): number {
  const perToken = ((e2eMsP99 ?? Number.NaN) - (ttftMsP99 ?? 0)) / (words * WORDS_P99_RATIO - 1);
  return 1 + Math.floor((TARGET_MS - (ttftMsP99 ?? 0)) / perToken);
}

function showNeeded(runs: readonly Run[], layout: Layout, words: number, meant: Meant): string {
  const ms = floorMs(runs, layout, words, meant);
  if (ms > TARGET_MS) return `never: ${showMs(ms)} alone`;
  const counts = needed(runs, layout, words, meant);
  const found = estimate(counts);
  if (found === null) return counts.length === 0 ? '–' : 'more than were tried';
  const isBelow = seedsOf(runs, layout, words).some(
    seed => (sweepOf(runs, layout, words, meant, seed)[0]?.ms ?? 0) <= TARGET_MS,
  );
  return `${isBelow ? 'at most ' : ''}${showEstimate(found, showNumber)}, $${showNumber(found.mean * usdPerGpuHour(runs, layout))}/h`;
}

const leverFigure = (runs: readonly Run[], lever: LeverName, name: FigureName): Estimate | null =>
  estimate(
    matching(runs, { layout: H200.name, kind: 'task', words: USUAL_WORDS, replicas: FEW, lever }).map(
      ({ figures }) => figures[name],
    ),
  );
const taskMs = (runs: readonly Run[], lever: LeverName): Estimate | null =>
  leverFigure(runs, lever, 'makespanMsP99');
const keeps = (runs: readonly Run[], lever: LeverName): boolean =>
  (taskMs(runs, lever)?.mean ?? Number.POSITIVE_INFINITY) <= TARGET_MS;
const doneRatio = (runs: readonly Run[], lever: LeverName): number =>
  (leverFigure(runs, lever, 'completedSessions')?.mean ?? 0) /
  (leverFigure(runs, lever, 'sessions')?.mean ?? 1);

const verdictOf = (isWhole: boolean, isPart: boolean): Verdict =>
  isWhole ? 'confirmed' : isPart ? 'partly' : 'contradicted';

function claims(runs: readonly Run[]): Claim[] {
  const byMeaning = MEANT.map(meant => needed(runs, H200, USUAL_WORDS, meant));
  const [, call, task] = byMeaning as [(number | null)[], (number | null)[], (number | null)[]];
  const times = timesAs(task, call);
  const shown = (meant: Meant): string => `${showNeeded(runs, H200, USUAL_WORDS, meant)} (${meant.name})`;
  const impossible = [
    ...LAYOUTS.map(layout => ({ layout, words: USUAL_WORDS })),
    ...WORDS.filter(words => words !== USUAL_WORDS).map(words => ({ layout: H200, words })),
  ].filter(({ layout, words }) => floorMs(runs, layout, words, WHOLE_TASK) > TARGET_MS);
  const longest = alone(runs, H200, USUAL_WORDS);
  const helping = [
    'hedge 5 % of calls',
    'beyond 500, let them wait',
    'beyond 500, turn workflows away',
  ] as const;
  const budget = 'budget: answers of at most 25 tokens';
  const scaled = 'from one GPU, scaled up to 64';
  const lever = (name: LeverName): string => `${showEstimate(taskMs(runs, name), showMs)} (${name})`;
  return [
    {
      text: 'A stack that handles 1,000 concurrent requests in 2 s at P99 handles 1,000 workflows of short calls',
      verdict: verdictOf((times?.mean ?? Number.POSITIVE_INFINITY) < 1.25, (times?.mean ?? 10) < 2),
      figure: `H200 for answers of ${USUAL_WORDS} tokens from an 8B model: ${MEANT.map(shown).join(', ')}; a workflow takes ${showTimes(times)} the GPUs of a call`,
    },
    {
      text: 'P99 below 2 s is a matter of enough GPUs',
      verdict: verdictOf(
        impossible.length === 0,
        impossible.length < LAYOUTS.length + WORDS.length - 1 && impossible.length > 0,
      ),
      figure: `not where tokens alone take longer: a workflow with a replica to itself takes ${impossible
        .map(
          ({ layout, words }) =>
            `${showMs(floorMs(runs, layout, words, WHOLE_TASK))} (${layout.name}, ${words} tokens)`,
        )
        .join(
          ', ',
        )}. The longest single answer within 2 s is ${longest === null ? '–' : showNumber(longestAnswer(longest, USUAL_WORDS))} tokens on ${H200.name}`,
    },
    {
      text: 'Autoscaling keeps it',
      verdict: verdictOf(keeps(runs, scaled), false),
      figure: `${showEstimate(taskMs(runs, scaled), showMs)} at P99 from one GPU with a cold start of 40 s; the first thousand have waited before a replica is there. Fixed, ${showNeeded(runs, H200, USUAL_WORDS, WHOLE_TASK)}`,
    },
    {
      text: `Hedging and admission keep it on fewer GPUs (${FEW} H200)`,
      verdict: verdictOf(
        helping.every(each => keeps(runs, each)),
        helping.some(each => keeps(runs, each)),
      ),
      figure: `${lever('nothing')}; ${helping.map(lever).join(', ')}; the last serves ${showNumber(doneRatio(runs, helping[2]) * 100)} % of workflows`,
    },
    {
      text: 'A budget keeps it on fewer GPUs',
      verdict: verdictOf(
        keeps(runs, budget),
        (taskMs(runs, budget)?.mean ?? 0) < (taskMs(runs, 'nothing')?.mean ?? 0),
      ),
      figure: `${lever('nothing')}, ${lever(budget)}: half the tokens, and so half of the answer`,
    },
  ];
}

const SHOWN_LINES: readonly { meant: Meant; words: number }[] = [
  { meant: FIRST_TOKEN, words: USUAL_WORDS },
  { meant: WHOLE_CALL, words: USUAL_WORDS },
  { meant: WHOLE_TASK, words: USUAL_WORDS },
  { meant: WHOLE_CALL, words: 400 },
  { meant: WHOLE_TASK, words: 100 },
];

export default defineStudy<At>({
  name: 'thousand',
  question:
    '"Can your inference stack handle 1000 concurrent requests with P99 latency under 2 seconds?" asks a checklist for agent projects. What does it take, if the first token is meant, or the whole answer, or 1,000 workflows of four short calls?',
  method: `${showNumber(AGENTS)} agents that never rest: each makes one call after the other (prompt of 1,400 tokens, 1,000 of them shared), or one workflow of ${CALLS_OF_TASK} calls after the other, with a tool of 50 ms at the median between. Answers are drawn evenly from 0.8 to 1.2 times their mean. Weights in fp8, one replica a GPU but for the 70B model; calls go to the replica with the fewest, workflows stay where their history is. Replicas are doubled until P99 is below 2 s, and the point between two counts is read off a line over their inverse.`,

  cases: ({ isQuick }) => allCases(isQuick),

  judge(runs) {
    const lines: Line[] = SHOWN_LINES.map(({ meant, words }) => ({
      name: `${meant.short}, ${words} tokens`,
      points: sweepOf(runs, H200, words, meant, 1).map(({ replicas, ms }) => ({ x: replicas, y: ms })),
    })).filter(({ points }) => points.length > 0);
    const values = lines.flatMap(({ points }) => points.flatMap(({ y }) => y ?? []));
    const counts = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))];
    const first = (meant: Meant): string => {
      const found = estimate(needed(runs, H200, USUAL_WORDS, meant));
      return found === null ? 'more than were tried' : showNumber(Math.round(found.mean));
    };
    return {
      claims: claims(runs),
      tables: [
        {
          title: `GPUs for a P99 below 2 s, and USD per hour: answers of ${USUAL_WORDS} tokens`,
          columns: ['model and card', ...MEANT.map(({ name }) => name), 'longest answer in 2 s, alone'],
          rows: LAYOUTS.map(layout => {
            const figures = alone(runs, layout, USUAL_WORDS);
            return [
              layout.name,
              ...MEANT.map(meant => showNeeded(runs, layout, USUAL_WORDS, meant)),
              figures === null ? '–' : `${showNumber(longestAnswer(figures, USUAL_WORDS))} tokens`,
            ];
          }),
        },
        {
          title: `The same by length of an answer: ${H200.name}`,
          columns: ['tokens', ...MEANT.map(({ name }) => name)],
          rows: WORDS.map(words => [`${words}`, ...MEANT.map(meant => showNeeded(runs, H200, words, meant))]),
        },
        {
          title: `1,000 workflows of ${USUAL_WORDS} tokens a call on ${FEW} H200`,
          columns: ['what is done', 'first token P99', 'call P99', 'workflow P99', 'workflows done'],
          rows: LEVERS.map(({ name }) => [
            name,
            ...(['ttftMsP99', 'e2eMsP99', 'makespanMsP99'] as const).map(figure =>
              showEstimate(leverFigure(runs, name, figure), showMs),
            ),
            `${showNumber(doneRatio(runs, name) * 100)} %`,
          ]),
        },
      ],
      charts: [
        {
          id: 'thousand-gpus',
          title: `A P99 below 2 s for 1,000 at once takes ${first(FIRST_TOKEN)} H200 for first tokens, ${first(WHOLE_CALL)} for answers, ${first(WHOLE_TASK)} for workflows`,
          spec: linesSpec(lines, {
            x: {
              title: 'H200 GPUs',
              scale: { type: 'log', base: 2 },
              axis: { values: counts, format: ',' },
              format: ',',
            },
            y: {
              title: 'P99',
              scale: { type: 'log', nice: false },
              axis: msAxis({ values: logTicks(values) }),
              label: msLabel,
            },
            rules: [{ y: TARGET_MS, label: '2 s' }],
          }),
        },
      ],
      limits: [
        'A thousand at once is the harder reading of "concurrent": agents that never rest. With pauses between calls fewer are in flight.',
        'Agents start within a second and have three sessions each, so that P99 is up to 5 % lower than in the long run.',
        'Intervals where there are three seeds: the H200 at 50 tokens, and what is done on few GPUs; all else is one.',
        'Who is turned away does not come back, and frees its agent for the next session at once.',
        'No network and no time of the gateway itself; tools have no limit.',
        'Step times are a model, for ranking only; the L40S rests on one measured run.',
        'One shape of prompt. Speculative decoding and smaller weights would move the floor.',
      ],
    };
  },
});
