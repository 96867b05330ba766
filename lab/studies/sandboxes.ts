// Sandboxes: what starting one costs a tool of 50 ms, and an agent; how many ready ones it takes, against Erlang's
// formula; and what they cost while they idle.
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber, showRatio, showSignedRatio, showUsd } from '../../reports/numbers.ts';
import type { GridCase } from '../grid/case.ts';
import { type Estimate, estimate, showEstimate, showSpread } from './estimate.ts';
import type { SandboxesMeasured } from './sandboxes-measure.ts';
import { type Claim, defineStudy, type StudyCase, type StudyRun, type Verdict } from './study.ts';

const MEASURE = new URL('./sandboxes-measure.ts', import.meta.url).href;

interface Start {
  readonly label: string;
  readonly source: string;
  readonly medianMs: number;
  /** Of a lognormal; 0: always the median. */
  readonly sigma: number;
}
/** The sigma of a lognormal with this median and 95th percentile. */
const sigmaOf = (medianMs: number, p95Ms: number): number =>
  Number((Math.log(p95Ms / medianMs) / 1.6449).toFixed(3));
/** reference/policies.md §4.8. */
const STARTS = {
  none: { label: 'no sandbox', source: 'for comparison', medianMs: 0, sigma: 0 },
  cloudflare: {
    label: '50 ms',
    source: 'Cloudflare, as told',
    medianMs: 50,
    sigma: 0,
  },
  'e2b-claim': { label: '150 ms', source: 'E2B, as told', medianMs: 150, sigma: 0 },
  'e2b-measured': {
    label: '442 ms, p95 811 ms',
    source: 'E2B, measured by Podflare',
    medianMs: 442,
    sigma: sigmaOf(442, 811),
  },
  'daytona-measured': {
    label: '663 ms, p95 1,666 ms',
    source: 'Daytona, measured by Podflare',
    medianMs: 663,
    sigma: sigmaOf(663, 1666),
  },
} as const satisfies Record<string, Start>;
type StartName = keyof typeof STARTS;
const START: Record<StartName, Start> = STARTS;
const TIMED = Object.keys(STARTS).filter(name => name !== 'none') as StartName[];
const MEASURED: StartName = 'e2b-measured';

const meanMs = ({ medianMs, sigma }: Start): number => medianMs * Math.exp(sigma ** 2 / 2);

const TOOL_MS = 50;
const USD_PER_HOUR = 0.05;
const MS_PER_HOUR = 3_600_000;
/** Tools asked for per second, and so many at once. */
const RATES = [1, 10];
const BUSY_RATE = 10;
const WIDTH = 20;
/** In a run, about. */
const TOOLS = 2000;
/** Each asks for ten tools. */
const AGENTS_PER_SEC = 1;
const AGENT_POOL = 12;
const POOLS = [0, 2, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32, 40];
/** With fewer cold starts than this the 95th percentile is that of a warm sandbox. */
const COLD_MAX = 0.05;

/** Share of those who come to `servers` under so much load (in servers) and find none: Erlang's loss formula. */
export function erlangB(servers: number, load: number): number {
  let lost = 1;
  for (let n = 1; n <= servers; n++) lost = (load * lost) / (n + load * lost);
  return lost;
}
const loadOf = (start: StartName, perSec: number): number => (perSec * meanMs(START[start])) / 1000;
/** The smallest warm pool that holds the 95th percentile, by the formula. */
function poolFor(start: StartName, perSec: number): number {
  let pool = 0;
  while (erlangB(pool, loadOf(start, perSec)) > COLD_MAX) pool += 1;
  return pool;
}

interface At {
  /** Tools that come at random, by twenty, or from agents. */
  readonly who: 'lone' | 'burst' | 'agent';
  readonly start: StartName;
  readonly pool: number;
  readonly perSec: number;
  readonly keep: 'call' | 'session';
  /** Sandboxes at once; null: no limit. */
  readonly most: number | null;
  readonly seed: number;
}
type Place = Omit<At, 'seed'>;
type Runs = readonly StudyRun<At>[];

const place = (fields: Partial<Place> & Pick<Place, 'who'>): Place => ({
  start: MEASURED,
  pool: 0,
  perSec: BUSY_RATE,
  keep: 'call',
  most: null,
  ...fields,
});
const agent = (start: StartName, way: AgentWay): Place => place({ who: 'agent', start, ...AGENT_WAYS[way] });
const AGENT_WAYS = {
  cold: { pool: 0, keep: 'call' },
  warm: { pool: AGENT_POOL, keep: 'call' },
  session: { pool: 0, keep: 'session' },
} as const;
type AgentWay = keyof typeof AGENT_WAYS;
const AGENT_WAY_NAMES = Object.keys(AGENT_WAYS) as AgentWay[];
const AGENT_LABELS: Record<AgentWay, string> = {
  cold: 'a new one for each call',
  warm: `${AGENT_POOL} warm ones`,
  session: 'one for each session',
};
const NO_SANDBOX = agent('none', 'cold');
/** Twenty at once on as many warm sandboxes, with fewer places than that. */
const CROWDED = [5, 10, null].map(most => place({ who: 'burst', pool: WIDTH, most }));

const PLACES: readonly Place[] = [
  ...(['lone', 'burst'] as const).flatMap(who => POOLS.map(pool => place({ who, pool }))),
  ...TIMED.flatMap(start =>
    RATES.flatMap(perSec => {
      const pool = poolFor(start, perSec);
      return [0, pool - 1, pool]
        .filter(each => each >= 0)
        .map(each => place({ who: 'lone', start, perSec, pool: each }));
    }),
  ),
  NO_SANDBOX,
  ...TIMED.flatMap(start => AGENT_WAY_NAMES.map(way => agent(start, way))),
  ...CROWDED,
];
const keyOf = ({ who, start, pool, perSec, keep, most }: Place): string =>
  [who, start, pool, perSec, keep, most].join(' ');

function caseOf({ who, start, pool, perSec, keep, most, seed }: At): GridCase {
  const { medianMs, sigma } = START[start];
  const sessionsPerSec = { lone: perSec, burst: perSec / WIDTH, agent: AGENTS_PER_SEC }[who];
  return {
    scenario: {
      input: 'studies/sandboxes',
      options: {
        seed,
        set: [
          `traffic.0.workflow=${who}`,
          `traffic.0.arrival.poisson.rate=${sessionsPerSec}/s`,
          `traffic.0.for=${TOOLS / perSec}s`,
        ],
      },
    },
    deployment: {
      input: 'studies/sandboxes',
      set: [
        `tools.code.start=${sigma === 0 ? `${medianMs}ms` : `{ median: ${medianMs}ms, sigma: ${sigma} }`}`,
        `tools.code.warm_pool=${pool}`,
        `tools.code.keep=${keep}`,
        ...(most === null ? [] : [`tools.code.concurrency=${most}`]),
      ],
    },
    loadFactor: 1,
    measure: MEASURE,
  };
}

// ---- what came of it ---------------------------------------------------------------------------------------------

const measuredAt = (runs: Runs, at: Place): (SandboxesMeasured | undefined)[] =>
  runs
    .filter(run => keyOf(run.at) === keyOf(at))
    .map(({ measured }) => measured as SandboxesMeasured | undefined);
const figure = (runs: Runs, at: Place, name: keyof SandboxesMeasured): Estimate | null =>
  estimate(measuredAt(runs, at).map(found => found?.[name]));

/** What tools take, over the 50 ms of their work. */
const timesTool = (runs: Runs, at: Place): Estimate | null =>
  estimate(measuredAt(runs, at).map(found => (found === undefined ? null : found.toolMsMean / TOOL_MS - 1)));

/** Of the agent's time, seed by seed: how much longer than without sandboxes. */
const slower = (runs: Runs, at: Place, name: 'makespanMsMean' | 'makespanMsP95'): Estimate | null => {
  const bare = measuredAt(runs, NO_SANDBOX);
  return estimate(
    measuredAt(runs, at).map((found, i) => {
      const beside = bare[i];
      return found === undefined || beside === undefined ? null : found[name] / beside[name] - 1;
    }),
  );
};

/** Of sandboxes that run nothing: the warm pool, and those that sessions keep. USD for a thousand tools. */
const idleUsd = (runs: Runs, at: Place): Estimate | null =>
  estimate(
    measuredAt(runs, at).map(found => {
      if (found === undefined) return null;
      const idleMs = at.pool * found.durationMs + (at.keep === 'session' ? found.betweenMs : 0);
      return ((idleMs / MS_PER_HOUR) * USD_PER_HOUR * 1000) / Math.max(1, found.runs);
    }),
  );
const runUsd = (runs: Runs, at: Place): Estimate | null =>
  estimate(
    measuredAt(runs, at).map(found =>
      found === undefined ? null : (found.runUsd * 1000) / Math.max(1, found.runs),
    ),
  );

const showOver = (found: Estimate | null): string => showEstimate(found, value => `${showNumber(value)}x`);

// ---- claims ------------------------------------------------------------------------------------------------------

function overhead(runs: Runs): Claim {
  const overs = TIMED.map(start => ({ start, over: timesTool(runs, agent(start, 'cold')) }));
  const within = overs.filter(({ over }) => over !== null && over.mean >= 5 && over.mean <= 10);
  const verdict: Verdict =
    within.length === overs.length ? 'confirmed' : within.length > 0 ? 'partly' : 'contradicted';
  return {
    text: 'A sandbox costs a tool of 50 ms 5 to 10 times its own time',
    verdict,
    figure: `on top of its own time, a new sandbox for each call: ${overs.map(({ start, over }) => `${showOver(over)} with a start of ${START[start].label}`).join('; ')}`,
  };
}

/** More of an agent's time than this is felt. */
const FELT = 0.1;

function agentsFeel(runs: Runs): Claim {
  const found = TIMED.map(start => ({ start, more: slower(runs, agent(start, 'cold'), 'makespanMsMean') }));
  const felt = found.filter(({ more }) => (more?.mean ?? 0) > FELT);
  return {
    text: 'The agent feels it',
    verdict: felt.length === found.length ? 'confirmed' : felt.length > 0 ? 'partly' : 'contradicted',
    figure: `an agent of ten tools and eleven calls of a model takes longer by ${found.map(({ start, more }) => `${showEstimate(more, showSignedRatio)} with ${START[start].label}`).join('; ')}`,
  };
}

/** Where simulated and computed shares are compared: tools that come at random. */
const ERLANG = PLACES.filter(({ who, pool }) => who === 'lone' && pool > 0);
/** Further than this from the formula is not chance: the most of the comparisons by their intervals. */
const CLOSE = 0.03;

function erlang(runs: Runs): Claim {
  const errors = ERLANG.flatMap(at => {
    const found = figure(runs, at, 'coldRatio');
    return found === null ? [] : Math.abs(found.mean - erlangB(at.pool, loadOf(at.start, at.perSec)));
  });
  const most = Math.max(0, ...errors);
  return {
    text: "Erlang's loss formula says how often a warm pool is empty",
    verdict: errors.length > 0 && most <= CLOSE ? 'confirmed' : most <= 2 * CLOSE ? 'partly' : 'contradicted',
    figure: `tools that come at random: at most ${(most * 100).toFixed(1)} points of cold starts off, over ${errors.length} pools, starts and rates`,
  };
}

/** The smallest pool of those tried with so few cold starts. */
const enough = (runs: Runs, who: 'lone' | 'burst'): number | null =>
  POOLS.find(pool => (figure(runs, place({ who, pool }), 'coldRatio')?.mean ?? 1) <= COLD_MAX) ?? null;

function bursts(runs: Runs): Claim {
  const [lone, burst] = [enough(runs, 'lone'), enough(runs, 'burst')];
  const cold = lone === null ? null : figure(runs, place({ who: 'burst', pool: lone }), 'coldRatio');
  const isSame = lone !== null && lone === burst;
  return {
    text: 'The same pool holds for fan-outs at the same rate',
    verdict: isSame ? 'confirmed' : (cold?.mean ?? 1) <= 2 * COLD_MAX ? 'partly' : 'contradicted',
    figure: `${BUSY_RATE} tools a second: ${lone ?? 'more'} warm sandboxes hold cold starts below ${showRatio(COLD_MAX)} when tools come at random; when ${WIDTH} come at once ${showEstimate(cold, showRatio)} of them start cold there, and it takes ${burst ?? `more than ${POOLS.at(-1)}`}`,
  };
}

function kept(runs: Runs): Claim {
  const [cold, warm, session] = AGENT_WAY_NAMES.map(way => agent(MEASURED, way)) as [Place, Place, Place];
  const [saves, costs] = [slower(runs, session, 'makespanMsMean'), idleUsd(runs, session)];
  const isFaster = (saves?.mean ?? 1) < FELT;
  const isCheap = (costs?.mean ?? 1) <= (idleUsd(runs, warm)?.mean ?? 0);
  return {
    text: 'A sandbox that stays with its session does away with cold starts at no cost',
    verdict: isFaster && isCheap ? 'confirmed' : isFaster ? 'partly' : 'contradicted',
    figure: `one cold start in ten tools, the agent ${showEstimate(saves, showSignedRatio)} slower than without sandboxes (${showEstimate(slower(runs, cold, 'makespanMsMean'), showSignedRatio)} with a new one each time); but it idles while the model thinks: ${showEstimate(costs, showUsd)} for a thousand tools, ${AGENT_POOL} warm ones ${showEstimate(idleUsd(runs, warm), showUsd)}, the runs themselves ${showEstimate(runUsd(runs, warm), showUsd)}`,
  };
}

// ---- tables and charts -------------------------------------------------------------------------------------------

const sizes = (runs: Runs) => ({
  title: `Warm sandboxes that hold the p95 of a ${TOOL_MS} ms tool: asked for at random`,
  columns: [
    'start',
    'from',
    'tools a second',
    'it takes',
    'cold there',
    "Erlang's",
    'with one less',
    'with none: mean',
    'idle, USD an hour',
  ],
  rows: TIMED.flatMap(start =>
    RATES.map(perSec => {
      const pool = poolFor(start, perSec);
      const at = (warm: number): Place => place({ who: 'lone', start, perSec, pool: warm });
      const cold = (warm: number): string => showSpread(figure(runs, at(warm), 'coldRatio'), showRatio);
      return [
        START[start].label,
        START[start].source,
        showNumber(perSec),
        showNumber(pool),
        cold(pool),
        showRatio(erlangB(pool, loadOf(start, perSec))),
        pool === 0 ? '–' : cold(pool - 1),
        showSpread(figure(runs, at(0), 'toolMsMean'), showMs),
        showUsd(pool * USD_PER_HOUR),
      ];
    }),
  ),
});

const agents = (runs: Runs) => ({
  title: 'Agents of ten tools, one each second',
  columns: [
    'start',
    'sandboxes',
    'cold',
    'a tool, mean',
    'agent, mean',
    'agent, p95',
    'runs, USD per 1,000',
    'idle, USD per 1,000',
  ],
  rows: [NO_SANDBOX, ...TIMED.flatMap(start => AGENT_WAY_NAMES.map(way => agent(start, way)))].map(at => [
    START[at.start].label,
    at === NO_SANDBOX ? '' : AGENT_LABELS[at.keep === 'session' ? 'session' : at.pool > 0 ? 'warm' : 'cold'],
    at === NO_SANDBOX ? '–' : showSpread(figure(runs, at, 'coldRatio'), showRatio),
    showSpread(figure(runs, at, 'toolMsMean'), showMs),
    at === NO_SANDBOX
      ? showSpread(figure(runs, at, 'makespanMsMean'), showMs)
      : showSignedRatio(slower(runs, at, 'makespanMsMean')?.mean ?? null),
    at === NO_SANDBOX
      ? showSpread(figure(runs, at, 'makespanMsP95'), showMs)
      : showSignedRatio(slower(runs, at, 'makespanMsP95')?.mean ?? null),
    showSpread(runUsd(runs, at), showUsd),
    showSpread(idleUsd(runs, at), showUsd),
  ]),
});

const crowds = (runs: Runs) => ({
  title: `Fan-outs of ${WIDTH} on ${WIDTH} warm sandboxes, ${BUSY_RATE / WIDTH} a second`,
  columns: ['places at once', 'cold', 'a tool, mean', 'fan-out, mean', 'fan-out, p95'],
  rows: CROWDED.map(at => [
    at.most === null ? 'no limit' : showNumber(at.most),
    showSpread(figure(runs, at, 'coldRatio'), showRatio),
    showSpread(figure(runs, at, 'toolMsMean'), showMs),
    showSpread(figure(runs, at, 'makespanMsMean'), showMs),
    showSpread(figure(runs, at, 'makespanMsP95'), showMs),
  ]),
});

function poolChart(runs: Runs) {
  const line = (who: 'lone' | 'burst', name: string): Line => ({
    name,
    points: POOLS.map(pool => {
      const found = figure(runs, place({ who, pool }), 'coldRatio');
      const [low, high] = found?.ci95 ?? [null, null];
      return { x: pool, y: found?.mean ?? null, low, high };
    }),
  });
  const formula = {
    name: "Erlang's formula",
    points: POOLS.map(pool => ({ x: pool, y: erlangB(pool, loadOf(MEASURED, BUSY_RATE)) })),
  };
  const [lone, burst] = [enough(runs, 'lone'), enough(runs, 'burst')];
  return {
    id: 'sandboxes-pool',
    title: `${BUSY_RATE} tools a second: ${lone ?? 'more'} warm sandboxes do when they come at random, ${burst ?? `more than ${POOLS.at(-1)}`} when they come by twenty`,
    spec: linesSpec([line('lone', 'at random'), line('burst', `${WIDTH} at once`), formula], {
      x: { title: 'warm sandboxes', scale: { zero: true } },
      y: { title: 'cold starts', scale: { domain: [0, 1] }, axis: { format: '%' }, format: '.1%' },
      strong: formula.name,
    }),
  };
}

function agentChart(runs: Runs) {
  const lines = AGENT_WAY_NAMES.map(
    (way): Line => ({
      name: AGENT_LABELS[way],
      points: TIMED.map(start => {
        const found = slower(runs, agent(start, way), 'makespanMsMean');
        const [low, high] = found?.ci95 ?? [null, null];
        return { x: Math.round(meanMs(START[start])), y: found?.mean ?? null, low, high };
      }),
    }),
  );
  const cold = slower(runs, agent(MEASURED, 'cold'), 'makespanMsMean');
  const session = slower(runs, agent(MEASURED, 'session'), 'makespanMsMean');
  return {
    id: 'sandboxes-agent',
    title: `A start of 442 ms for each of ten tools makes the agent ${showRatio(cold?.mean)} slower, one for each session ${showRatio(session?.mean)}`,
    spec: linesSpec(lines, {
      x: { title: 'start of a sandbox, mean, ms', scale: { zero: true } },
      y: { title: 'agent takes longer by', scale: { zero: true }, axis: { format: '+%' }, format: '+.1%' },
    }),
  };
}

export default defineStudy<At>({
  name: 'sandboxes',
  question:
    'A tool of 50 ms runs in a sandbox that takes 50 to 1,666 ms to start: what does that cost the tool and the agent, how many ready ones does it take, does queueing theory know the number, and what do they cost while they idle?',
  method: `Tools of 50 ms: alone at random times, by fan-outs of ${WIDTH} at the same mean rate, or from agents of ten tools between eleven calls of a hosted model. Each run of a tool uses its sandbox up; the warm pool starts another one in its place. Starts are lognormal where a 95th percentile is known. ${TOOLS} tools a run. A sandbox costs ${USD_PER_HOUR} USD an hour.`,
  cases({ isQuick }) {
    const seeds = isQuick ? [1] : [1, 2, 3, 4, 5];
    const places = new Map(PLACES.map(each => [keyOf(each), each]));
    return [...places.values()].flatMap(each =>
      seeds.map((seed): StudyCase<At> => {
        const at = { ...each, seed };
        return { at, of: caseOf(at) };
      }),
    );
  },

  judge: runs => ({
    claims: [overhead(runs), agentsFeel(runs), erlang(runs), bursts(runs), kept(runs)],
    tables: [sizes(runs), agents(runs), crowds(runs)],
    charts: [poolChart(runs), agentChart(runs)],
    limits: [
      'The measured starts are of 30 runs each by Podflare, who sells sandboxes and compares itself with these (Daytona itself says 27 to 90 ms); the others are what vendors say, or a comparison of April 2026 says for them. Measure yours.',
      'Starts know nothing of each other: twenty at once are each as fast as one. A provider that starts them from one queue is slower in bursts.',
      'The price is an assumption, by the hour and without a minimum; vendors who bill whole seconds or minutes charge a 50 ms run far more.',
      'A warm pool of this kind refills at once when one is taken. One that is scaled by demand is smaller at night and late in the morning.',
      'A tool of a session that keeps its sandbox sees the files of the ones before it: wanted by some, a leak to others.',
    ],
  }),
});
