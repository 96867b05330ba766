// Cancellation: users leave in the middle of a long fan-out. What GPUs and tools still do for them, by who is told, and what
// that does to those who stay.
import { linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber, showRatio, showUsd } from '../../reports/numbers.ts';
import type { FigureName } from '../../scenarios/formats/grid.ts';
import type { GridCase } from '../grid/case.ts';
import { type Cancelled, HAZARDS, type Late } from './cancellation-measure.ts';
import { type Estimate, estimate, showChange, showEstimate, showSpread, timesAs } from './estimate.ts';
import { type Claim, defineStudy, type StudyRun } from './study.ts';

/** Agents a second; people who chat come twice a second beside them. */
const LOADS = { spare: 0.2, busy: 0.7 } as const;
type Load = keyof typeof LOADS;
const LOAD_NAMES = Object.keys(LOADS) as Load[];
const LOAD_TEXT: Record<Load, string> = { spare: 'with capacity to spare', busy: 'in overload' };

/** Who is told that a user has left: everything under way; only the agent, whose calls and tools go on; nobody. */
const TELLS = {
  all: 'everything stops',
  agent: 'only the agent stops',
  nobody: 'only the socket closes',
} as const;
type Tells = keyof typeof TELLS;
const TELL_NAMES = Object.keys(TELLS) as Tells[];

/** What else ends sessions. */
const ENDS = {
  user: { label: 'users leave, 1 %/s', set: ['workflows.research.cancel={ hazard: 1%/s }'] },
  budget: {
    label: 'a budget of 16 calls',
    set: ['workflows.research.budget={ llm_calls: 16, on_exceed: stop }'],
  },
  deadline: { label: 'a deadline of 45 s', set: ['workflows.research.timeout=45s'] },
  operator: {
    label: 'an operator, 30 % four times a minute',
    set: ['faults=[{ fault: operator_cancel, target: research, rate: 4/min, share: 30% }]'],
  },
  failure: { label: 'a tool that fails', set: ['tools.browse.fail=5%', 'tools.browse.on_fail=stop'] },
} as const satisfies Record<string, { label: string; set: readonly string[] }>;
type End = keyof typeof ENDS;
const END_NAMES = Object.keys(ENDS) as End[];

type At = { readonly seed: number; readonly load: Load } & (
  | { readonly part: 'users'; readonly tells: 'all' | 'agent'; readonly perSec: number }
  /** Nobody is told: what would have been late is read off for each chance to leave. */
  | { readonly part: 'nobody' }
  | { readonly part: 'ends'; readonly tells: 'all' | 'agent'; readonly end: End }
);

const MEASURE = new URL('./cancellation-measure.ts', import.meta.url).href;

function linesOf(at: At): readonly string[] {
  if (at.part === 'nobody') return [];
  return at.part === 'ends'
    ? ENDS[at.end].set
    : [`workflows.research.cancel={ hazard: ${at.perSec * 100}%/s }`];
}

function caseOf(at: At, minutes: number): { at: At; of: GridCase } {
  const set = [
    `traffic.0.arrival.poisson.rate=${LOADS[at.load]}/s`,
    ...[0, 1].map(cohort => `traffic.${cohort}.for=${minutes}m`),
    ...linesOf(at),
  ];
  const propagates = at.part === 'nobody' || at.tells === 'all';
  return {
    at,
    of: {
      scenario: { input: 'studies/cancellation', options: { seed: at.seed, set } },
      deployment: { input: 'studies/cancellation', set: [`gateway.propagate_cancel=${propagates}`] },
      loadFactor: 1,
      isByCohort: true,
      measure: MEASURE,
    },
  };
}

function casesOf(seeds: readonly number[], isQuick: boolean): At[] {
  const hazards = isQuick ? [HAZARDS[1]!] : HAZARDS;
  // Users who leave are among the others.
  const ends = isQuick ? (['budget'] as const) : END_NAMES.filter(end => end !== 'user');
  return seeds.flatMap((seed): At[] =>
    LOAD_NAMES.flatMap((load): At[] => [
      { part: 'nobody', load, seed },
      ...(['all', 'agent'] as const).flatMap((tells): At[] => [
        ...hazards.map(perSec => ({ part: 'users' as const, tells, perSec, load, seed })),
        ...(load === 'spare' ? ends : []).map(end => ({ part: 'ends' as const, tells, end, load, seed })),
      ]),
    ]),
  );
}

// ---- what came of it ---------------------------------------------------------------------------------------------

type Run = StudyRun<At>;
const NOTHING_LATE: Late = { sessions: 0, outputTokens: 0, gpuSeconds: 0, usd: 0, toolSeconds: 0 };
const NOTHING: Cancelled = {
  outputTokens: 0,
  gpuSeconds: 0,
  late: NOTHING_LATE,
  untold: HAZARDS.map(() => NOTHING_LATE),
  cleanMsP50: null,
  cleanMsP95: null,
};
const read = ({ measured }: Run): Cancelled => (measured as Cancelled | undefined) ?? NOTHING;

interface Where {
  readonly load: Load;
  readonly tells: Tells;
  readonly perSec: number;
}

class Runs {
  private readonly all: readonly Run[];

  constructor(all: readonly Run[]) {
    this.all = all;
  }

  /** Each seed's run. */
  of({ load, tells, perSec }: Where): Run[] {
    return this.all.filter(({ at }) =>
      at.load !== load
        ? false
        : tells === 'nobody'
          ? at.part === 'nobody'
          : at.part === 'users' && at.tells === tells && at.perSec === perSec,
    );
  }

  ends(end: End, tells: 'all' | 'agent'): Run[] {
    if (end === 'user') return this.of({ load: 'spare', tells, perSec: HAZARDS[1]! });
    return this.all.filter(({ at }) => at.part === 'ends' && at.end === end && at.tells === tells);
  }

  has(perSec: number): boolean {
    return this.of({ load: 'busy', tells: 'all', perSec }).length > 0;
  }
}

/** What was done for users who had left. */
function lateOf(run: Run, perSec: number): Late {
  const { late, untold } = read(run);
  return run.at.part === 'nobody' ? untold[HAZARDS.indexOf(perSec)]! : late;
}

type Figure = (run: Run, perSec: number) => number | null;
const perSession = (total: number, sessions: number): number | null =>
  sessions === 0 ? null : total / sessions;
const late = {
  /** Of all work of these agents. */
  share: (run, perSec) => lateOf(run, perSec).gpuSeconds / Math.max(1e-9, read(run).gpuSeconds),
  tokens: (run, perSec) => perSession(lateOf(run, perSec).outputTokens, lateOf(run, perSec).sessions),
  usd: (run, perSec) => perSession(lateOf(run, perSec).usd * 1000, lateOf(run, perSec).sessions),
  tools: (run, perSec) => perSession(lateOf(run, perSec).toolSeconds, lateOf(run, perSec).sessions),
} as const satisfies Record<string, Figure>;

function over(runs: readonly Run[], figure: Figure, perSec: number): Estimate | null {
  const found = estimate(runs.map(run => figure(run, perSec)));
  if (found === null || found.ci95 === null) return found;
  const [low, high] = found.ci95;
  return { mean: found.mean, ci95: low === high ? null : [Math.max(0, low), high] };
}

/** A figure of those who stay, of each seed. */
const staying = (runs: readonly Run[], name: FigureName): (number | null)[] =>
  runs.map(({ cohorts }) => cohorts?.staying?.[name] ?? null);

const value = (found: Estimate | null): number => found?.mean ?? 0;

function claims(runs: Runs): Claim[] {
  const most = HAZARDS.filter(perSec => runs.has(perSec)).at(-1) ?? HAZARDS[1]!;
  const middle = HAZARDS[1]!;
  const at = (tells: Tells, figure: Figure, perSec = middle, load: Load = 'busy') =>
    over(runs.of({ load, tells, perSec }), figure, perSec);
  const shown = (
    tells: Tells,
    figure: Figure,
    show: (n: number) => string,
    perSec = middle,
    load: Load = 'busy',
  ) => showEstimate(at(tells, figure, perSec, load), show);
  const against = (tells: Tells, name: FigureName, load: Load) =>
    timesAs(
      staying(runs.of({ load, tells, perSec: most }), name),
      staying(runs.of({ load, tells: 'nobody', perSec: most }), name),
    );
  const agentWins = value(at('agent', late.share)) / Math.max(1e-9, value(at('nobody', late.share)));
  const freed = against('all', 'ttftMsP95', 'busy');
  const freedSpare = against('all', 'ttftMsP95', 'spare');
  const pace = against('all', 'e2eMsP95', 'busy');
  const extra = against('agent', 'ttftMsP95', 'busy');
  const clean = over(
    runs.of({ load: 'busy', tells: 'all', perSec: middle }),
    run => read(run).cleanMsP95,
    middle,
  );
  const unclean = over(
    runs.of({ load: 'busy', tells: 'agent', perSec: middle }),
    run => read(run).cleanMsP95,
    middle,
  );
  const percent = showRatio(most);
  return [
    {
      text: 'If only the socket closes, GPUs keep generating and the bill keeps walking',
      verdict:
        value(at('nobody', late.share)) > 0.1
          ? 'confirmed'
          : value(at('nobody', late.share)) > 0.02
            ? 'partly'
            : 'contradicted',
      figure: `in overload, where ${showRatio(middle)} of users leave each second, ${shown('nobody', late.share, showRatio)} of the agents' GPU work is done for nobody, ${shown('nobody', late.tokens, showNumber)} tokens and ${shown('nobody', late.usd, showUsd)} per 1,000 who left; at ${percent} ${shown('nobody', late.share, showRatio, most)}`,
    },
    {
      text: 'Stopping the agent is not enough: its calls and tools must be told, too',
      verdict: agentWins > 0.5 ? 'confirmed' : agentWins > 0.1 ? 'partly' : 'contradicted',
      figure: `where the agent stops and what is under way goes on, ${shown('agent', late.share, showRatio)} of GPU work is still for nobody, ${showRatio(agentWins)} of what it is where nobody is told; with all told ${shown('all', late.share, showRatio)}`,
    },
    {
      text: 'Tools keep running',
      verdict:
        value(at('nobody', late.tools)) > 1 && value(at('all', late.tools)) < 0.01
          ? 'confirmed'
          : value(at('nobody', late.tools)) > value(at('all', late.tools))
            ? 'partly'
            : 'contradicted',
      figure: `seconds of browsers per user who left: ${shown('nobody', late.tools, showNumber)} where nobody is told, ${shown('agent', late.tools, showNumber)} where the agent is, ${shown('all', late.tools, showNumber)} where all are`,
    },
    {
      text: 'Who stays is served faster when who left is stopped',
      verdict: value(freed) < 0.8 ? 'confirmed' : value(freed) < 0.95 ? 'partly' : 'contradicted',
      figure: `where ${percent} leave each second, TTFT p95 of people who chat is ${showChange(freed)} in overload and ${showChange(freedSpare)} with capacity to spare, against nobody told; their E2E p95 in overload ${showChange(pace)}. With the agent alone told: TTFT p95 ${showChange(extra)}`,
    },
    {
      text: 'With propagation nothing is left within a second',
      verdict: value(clean) <= 1000 ? 'confirmed' : 'contradicted',
      figure: `p95 from the end of a session until nothing of it runs: ${showEstimate(clean, showMs)}, without propagation ${showEstimate(unclean, showMs)}`,
    },
  ];
}

const rowOf = (own: readonly Run[], perSec: number): string[] => {
  const cell = (figure: Figure, show: (n: number) => string) => showSpread(over(own, figure, perSec), show);
  return [
    cell((run, each) => lateOf(run, each).sessions, showNumber),
    cell(late.share, showRatio),
    cell(late.tokens, showNumber),
    cell(late.tools, showNumber),
    cell(late.usd, showUsd),
    cell(run => read(run).cleanMsP50, showMs),
    cell(run => read(run).cleanMsP95, showMs),
  ];
};
const COLUMNS = [
  'ended early',
  'GPU work for nobody',
  'tokens each',
  'tool seconds each',
  'USD per 1,000',
  'clean-up p50',
  'clean-up p95',
];

export default defineStudy<At>({
  name: 'cancellation',
  question:
    '"Cancellation breaks. If the user disconnects, the gateway must stop the workflow, not just close a socket. Otherwise GPUs keep generating, tools keep running, and the bill keeps walking." How much is done for users who have left, and who pays for it?',
  method: `Two H100 with Llama 3.1 8B. A research agent plans, sends eight workers out to browse and read, and answers; ${LOADS.spare} start a second (capacity to spare) or ${LOADS.busy} (overload, if all stay to the end), for 3 min. Its users leave by a constant hazard; two people a second chat beside them and stay. Three ways: the end reaches every call and tool; the agent starts no further step, and what is under way goes on (propagate_cancel: false); nobody is told, and the workflow runs to its end. The same users leave at the same moment of their wait in each.`,
  cases({ isQuick }) {
    return casesOf(isQuick ? [1, 2] : [1, 2, 3, 4, 5], isQuick).map(at => caseOf(at, isQuick ? 1 : 3));
  },
  judge(all) {
    const runs = new Runs(all);
    const hazards = HAZARDS.filter(perSec => runs.has(perSec));
    const shareAt = (tells: Tells, load: Load, perSec: number) =>
      over(runs.of({ load, tells, perSec }), late.share, perSec)?.mean ?? null;
    const worst = shareAt('nobody', 'busy', hazards.at(-1)!);
    return {
      claims: claims(runs),
      tables: [
        ...LOAD_NAMES.map(load => ({
          title: `Users who leave, ${LOAD_TEXT[load]}`,
          columns: ['leave', 'who is told', ...COLUMNS, 'TTFT p95 of who stays'],
          rows: hazards.flatMap(perSec =>
            TELL_NAMES.map(tells => {
              const own = runs.of({ load, tells, perSec });
              const ttft = showSpread(estimate(staying(own, 'ttftMsP95')), showMs);
              return [`${showRatio(perSec)} a second`, TELLS[tells], ...rowOf(own, perSec), ttft];
            }),
          ),
        })),
        {
          title: 'Other ends, with capacity to spare',
          columns: ['what ends it', 'who is told', ...COLUMNS],
          rows: END_NAMES.flatMap(end =>
            (['all', 'agent'] as const)
              .map(tells => ({ tells, own: runs.ends(end, tells) }))
              .filter(({ own }) => own.length > 0)
              .map(({ tells, own }) => [ENDS[end].label, TELLS[tells], ...rowOf(own, 0)]),
          ),
        },
      ],
      charts: [
        {
          id: 'cancellation-hazard',
          title: `Where ${showRatio(hazards.at(-1)!)} of users leave each second and only the socket closes, ${showRatio(worst)} of the agents' GPU work is for nobody`,
          spec: linesSpec(
            TELL_NAMES.toReversed().map(tells => ({
              name: TELLS[tells],
              points: [0, ...hazards].map(perSec => ({
                x: perSec,
                y: perSec === 0 ? 0 : shareAt(tells, 'busy', perSec),
              })),
            })),
            {
              x: {
                title: 'users who leave each second',
                axis: { format: '.1%', values: [0, ...hazards] },
                format: '.1%',
              },
              y: {
                title: "share of the agents' GPU work",
                scale: { zero: true },
                axis: { format: '.0%' },
                format: '.0%',
              },
            },
          ),
        },
      ],
      limits: [
        'GPU work is split over calls by tokens, and that of a call evenly over its time in the engine; its output evenly from the first token on.',
        'Where nobody is told, what is late is read off a run in which nobody leaves: the same users, at the same moments.',
        'A session that would have ended before its user left is not counted: in overload more are caught waiting.',
        'Clean-up in a simulation is one step of the engine, and the way there where a deployment has links; live it is measured against a server.',
        'A session ended by a budget or a deadline had used its share before; what that cost is not part of the waste here.',
        'Step times come from physics fitted on measured runs, for ranking only.',
      ],
    };
  },
});
