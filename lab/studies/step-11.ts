// Retrying step 11: what blind retries of an agent's steps pay twice and do twice, what layers of them multiply to, and
// what they make of an outage.
import { msAxis, msLabel } from '../../reports/charts/chart.ts';
import { linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber, showRatio, showUsd } from '../../reports/numbers.ts';
import { mean } from '../../scenarios/base/statistics.ts';
import type { GridCase } from '../grid/case.ts';
import { type Estimate, estimate, showEstimate, showSpread } from './estimate.ts';
import { BUCKET_MS, type Retried } from './step-11-measure.ts';
import { type Claim, defineStudy, type StudyChart, type StudyRun, type StudyTable } from './study.ts';

const MEASURE = new URL('./step-11-measure.ts', import.meta.url).href;

// ---- steps that fail ---------------------------------------------------------------------------------------------

const READS = ['search', 'check'];
const WRITES = ['reserve', 'charge', 'notify'];
const TOOLS = [...READS, ...WRITES];
const forTools = (tools: readonly string[], line: string): string[] =>
  tools.map(tool => `tools.${tool}.${line}`);

interface Setting {
  readonly label: string;
  readonly scenario: readonly string[];
  readonly deployment?: readonly string[];
}

/** Who tries what again. */
const WAYS = {
  none: { label: 'nothing', scenario: [] },
  restart: {
    label: 'workflow, from its start',
    scenario: ['workflows.trip.restarts={max: 3, from: start}'],
  },
  blind: {
    label: 'step, blindly',
    scenario: [
      'workflows.trip.retry={max: 3, blind: true}',
      ...forTools(TOOLS, 'retry={max: 3, blind: true}'),
    ],
  },
  careful: {
    label: 'step, if harmless',
    scenario: [
      'workflows.trip.retry={max: 3}',
      'workflows.trip.checkpoint={every: 1}',
      ...forTools(TOOLS, 'retry={max: 3}'),
    ],
  },
  keys: {
    label: 'step, keys and checkpoints',
    scenario: [
      'workflows.trip.retry={max: 3}',
      'workflows.trip.checkpoint={every: 1}',
      'workflows.trip.restarts={max: 3, from: checkpoint}',
      ...forTools(TOOLS, 'retry={max: 3}'),
      ...forTools(WRITES, 'idempotent=true'),
    ],
  },
} as const satisfies Record<string, Setting>;
type Way = keyof typeof WAYS;
const WAY_NAMES = Object.keys(WAYS) as Way[];

const TOOL_FAILURES = [0.02, 0.05, 0.1];
const toolsFail = (ratio: number): Setting => ({
  label: `${showRatio(ratio)} of tool runs fail`,
  scenario: forTools(TOOLS, `fail=${ratio}`),
});
const faults = (label: string, fault: string): Setting => ({ label, scenario: [`faults=[${fault}]`] });
const KINDS = {
  'tools 2 %': toolsFail(0.02),
  'tools 5 %': toolsFail(0.05),
  'tools 10 %': toolsFail(0.1),
  slow: { label: 'tools are given up after 3 s', scenario: forTools(TOOLS, 'timeout=3s') },
  cut: faults('a replica is lost four times a minute', '{ fault: replica_crash, target: main, rate: 4/min }'),
  errors: {
    label: '5 % of calls to an API end in a 500',
    scenario: ['models.agent.model=gpt-5-mini'],
    deployment: ['providers.vendor.fail=5%'],
  },
  agents: faults(
    'a fifth of all agents lose their process, four times a minute',
    '{ fault: agent_crash, rate: 4/min, share: 20% }',
  ),
} as const satisfies Record<string, Setting>;
type Kind = keyof typeof KINDS;
const KIND_NAMES = Object.keys(KINDS) as Kind[];
const BY_RATE = ['tools 2 %', 'tools 5 %', 'tools 10 %'] as const satisfies Kind[];
const MIDDLE: Kind = 'tools 5 %';

// ---- layers ------------------------------------------------------------------------------------------------------

/** Chance that a request fails. */
const CHANCES = [0.5, 0.9, 0.99, 1];
/** Retries of the client, the gateway and the router. */
const LAYERS = [2, 5, 5];
const REQUESTS_MOST = LAYERS.reduce((product, retries) => product * (retries + 1), 1);
/** Requests until one goes well, or none is left. */
const requestsOf = (chance: number): number =>
  chance === 1 ? REQUESTS_MOST : (1 - chance ** REQUESTS_MOST) / (1 - chance);

// ---- an outage ---------------------------------------------------------------------------------------------------

/** The server is lost after two minutes. */
const BACK_MS = 150_000;
/** Sessions that start in this time are judged: a minute after the server is back, until the run nears its end. */
const AFTER_MS = [BACK_MS + 60_000, 300_000] as const;
/** Sessions a second: the first leaves a quarter of the server free, the second an eighth. */
const LOADS = { spare: 2.4, busy: 2.8 } as const;
type Load = keyof typeof LOADS;
const MINUTES = [0, 1, 2, 3, 4, 5].map(minute => minute * 60_000);

const blind = (more: string) => `{ preset: envoy-ai-gateway, blind: true${more} }`;
const RULES = {
  none: { label: 'none', rules: '' },
  client: { label: '2, as the OpenAI client', rules: ', retry: { preset: openai, blind: true }' },
  gateway: { label: '5, as Envoy AI Gateway', rules: `, retry: ${blind('')}` },
  budget20: { label: '5, budget of 20 %', rules: `, retry: ${blind(', budget: 20%')}` },
  budget5: { label: '5, budget of 5 %', rules: `, retry: ${blind(', budget: 5%, budget_min: 1')}` },
  begun: { label: '5, no begun answer', rules: ', retry: envoy-ai-gateway' },
  breaker: {
    label: '5 and a breaker',
    rules: `, retry: ${blind('')}, breaker: { failures: 50%, window: 10s, min_calls: 20, open: 5s, half_open: 3 }`,
  },
} as const satisfies Record<string, { label: string; rules: string }>;
type Rule = keyof typeof RULES;
const RULE_NAMES = Object.keys(RULES) as Rule[];
const AT_SPARE: readonly Rule[] = ['none', 'gateway', 'budget20'];

// ---- cases -------------------------------------------------------------------------------------------------------

type At = { readonly seed: number } & (
  | { readonly part: 'steps'; readonly kind: Kind; readonly way: Way; readonly routing: Routing }
  | { readonly part: 'layers'; readonly chance: number }
  | { readonly part: 'outage'; readonly load: Load; readonly rule: Rule }
);
type Routing = 'session-affinity' | 'round-robin';

/** The part of a case that its scenario and deployment come from. */
function filesOf(at: At): { scenario: string; set: readonly string[]; deployment: readonly string[] } {
  switch (at.part) {
    case 'steps': {
      const kind: Setting = KINDS[at.kind];
      const set = [...kind.scenario, ...WAYS[at.way].scenario];
      return { scenario: 'step-11', set, deployment: [`routing=${at.routing}`, ...(kind.deployment ?? [])] };
    }
    case 'layers': {
      const deployment = [
        `providers.vendor.fail=${at.chance}`,
        `gateway={ retry: { max: ${LAYERS[1]}, backoff: 1ms } }`,
      ];
      return { scenario: 'step-11-layers', set: [], deployment };
    }
    case 'outage': {
      const limits = ['pools.main.replicas=1', 'pools.main.limits.max_num_seqs=16'];
      const gateway = `gateway={ timeout: { attempt: 10s }${RULES[at.rule].rules} }`;
      const set = [`traffic.0.arrival.poisson.rate=${LOADS[at.load]}/s`];
      return { scenario: 'step-11-outage', set, deployment: [...limits, gateway] };
    }
  }
}

function caseOf(at: At, sessions: number): { at: At; of: GridCase } {
  const { scenario, set, deployment } = filesOf(at);
  const sized = at.part === 'steps' ? [`traffic.0.sessions=${sessions}`] : [];
  return {
    at,
    of: {
      scenario: { input: `studies/${scenario}`, options: { seed: at.seed, set: [...set, ...sized] } },
      deployment: { input: 'studies/step-11', set: deployment },
      loadFactor: 1,
      measure: MEASURE,
    },
  };
}

/** Runs under load are long, and differ little by seed. */
const SEEDS_OF_LOAD = 4;

function casesOf(seeds: readonly number[], isQuick: boolean): At[] {
  const all = seeds.flatMap((seed): At[] => [
    ...(isQuick ? ([MIDDLE, 'cut', 'agents'] as const) : KIND_NAMES).flatMap(kind =>
      WAY_NAMES.map(way => ({
        part: 'steps' as const,
        kind,
        way,
        routing: 'session-affinity' as const,
        seed,
      })),
    ),
    { part: 'steps', kind: 'agents', way: 'keys', routing: 'round-robin', seed },
    ...CHANCES.map(chance => ({ part: 'layers' as const, chance, seed })),
    ...(isQuick ? (['none', 'gateway', 'budget20', 'begun'] as const) : RULE_NAMES).map(rule => ({
      part: 'outage' as const,
      load: 'busy' as const,
      rule,
      seed,
    })),
    ...(isQuick ? [] : AT_SPARE).map(rule => ({
      part: 'outage' as const,
      load: 'spare' as const,
      rule,
      seed,
    })),
  ]);
  return all.filter(({ part, seed }) => part === 'steps' || seed <= SEEDS_OF_LOAD);
}

// ---- what came of it ---------------------------------------------------------------------------------------------

type Run = StudyRun<At>;
const NOTHING: Retried = {
  sessions: 0,
  completed: 0,
  calls: 0,
  attempts: 0,
  tokens: 0,
  wastedTokens: 0,
  usd: 0,
  doneAgain: 0,
  perhapsAgain: 0,
  doubled: 0,
  againPromptTokens: 0,
  againCachedTokens: 0,
  started: [],
  through: [],
  sent: [],
};
const read = ({ measured }: Run): Retried => (measured as Retried | undefined) ?? NOTHING;
const PER = 1000;

/** The runs of a study, by part. */
class Runs {
  private readonly all: readonly Run[];

  constructor(all: readonly Run[]) {
    this.all = all;
  }

  /** Each seed's run. */
  steps(kind: Kind, way: Way, routing: Routing = 'session-affinity'): Run[] {
    return this.all.filter(
      ({ at }) => at.part === 'steps' && at.kind === kind && at.way === way && at.routing === routing,
    );
  }

  layers(chance: number): Run[] {
    return this.all.filter(({ at }) => at.part === 'layers' && at.chance === chance);
  }

  outage(load: Load, rule: Rule): Run[] {
    return this.all.filter(({ at }) => at.part === 'outage' && at.load === load && at.rule === rule);
  }
}

type Figure = (run: Run) => number | null;
const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

const completed = (run: Run): number => share(read(run).completed, read(run).sessions);
const wasted = (run: Run): number => share(read(run).wastedTokens, read(run).tokens);
const again = (run: Run): number => {
  const { doneAgain, perhapsAgain, sessions } = read(run);
  return share((doneAgain + perhapsAgain) * PER, sessions);
};
const surelyAgain = (run: Run): number => share(read(run).doneAgain * PER, read(run).sessions);
const usdPer1000 = (run: Run): number | null => {
  const { usd, completed: done } = read(run);
  return done === 0 ? null : (usd / done) * PER;
};
const warm = (run: Run): number | null => {
  const { againCachedTokens, againPromptTokens } = read(run);
  return againPromptTokens === 0 ? null : againCachedTokens / againPromptTokens;
};
const requestsPerCall = (run: Run): number => share(read(run).attempts, read(run).sessions);

/** Of sessions that started a minute or more after the server was back, those that came through. */
function afterwards(run: Run): number {
  const { started, through } = read(run);
  const within = (counts: readonly number[]): number =>
    counts
      .slice(Math.ceil(AFTER_MS[0] / BUCKET_MS), AFTER_MS[1] / BUCKET_MS)
      .reduce((sum, count) => sum + count, 0);
  return share(within(through), within(started));
}

const SHARES: readonly Figure[] = [completed, wasted, warm, afterwards];

/** Over seeds; an interval ends where the figure does, and there is none where all agree. */
function over(runs: readonly Run[], figure: Figure): Estimate | null {
  const found = estimate(runs.map(figure));
  if (found === null || found.ci95 === null) return found;
  const [low, high] = found.ci95;
  const most = SHARES.includes(figure) ? 1 : Number.POSITIVE_INFINITY;
  return { mean: found.mean, ci95: low === high ? null : [Math.max(0, low), Math.min(most, high)] };
}

const value = (found: Estimate | null): number => found?.mean ?? 0;
const count = (n: number): string => showNumber(Math.round(n * 10) / 10);

function stepClaims(runs: Runs): Claim[] {
  const at = (way: Way, of: Figure, kind: Kind = MIDDLE) => over(runs.steps(kind, way), of);
  const shown = (way: Way, of: Figure, show: (n: number) => string, kind?: Kind) =>
    showEstimate(at(way, of, kind), show);
  const overload = (rule: Rule) => over(runs.outage('busy', rule), wasted);
  const isWorse = (one: Estimate | null, other: Estimate | null): boolean => value(one) > 2 * value(other);
  const restarts = isWorse(at('restart', wasted), at('keys', wasted));
  const begun = isWorse(overload('gateway'), overload('begun'));
  const isDoubled = (way: Way): boolean => value(at(way, again)) > 0;
  const kept = value(at('keys', completed));
  const warmAffine = over(runs.steps('agents', 'keys'), warm);
  const warmAnywhere = over(runs.steps('agents', 'keys', 'round-robin'), warm);
  return [
    {
      text: 'A blind retry pays tokens twice',
      verdict: restarts && begun ? 'confirmed' : restarts || begun ? 'partly' : 'contradicted',
      figure: `where 5 % of tool runs fail, tokens in vain are ${shown('restart', wasted, showRatio)} of all with a restart from the start, ${shown('blind', wasted, showRatio)} with blind retries of steps, ${shown('keys', wasted, showRatio)} with keys and checkpoints: the unit that is tried again counts, since a tool's failure costs no tokens. After an outage, answers that had begun are tried again too: ${showEstimate(overload('gateway'), showRatio)} against ${showEstimate(overload('begun'), showRatio)} where they are not`,
    },
    {
      text: 'It does side effects twice',
      verdict:
        isDoubled('restart') && isDoubled('blind')
          ? 'confirmed'
          : isDoubled('restart') || isDoubled('blind')
            ? 'partly'
            : 'contradicted',
      figure: `per 1,000 workflows a restart makes ${shown('restart', again, count)} changes again (${shown('restart', surelyAgain, count)} of them after one that is known to have been done), blind retries of steps ${shown('blind', again, count)} (all after a run of which nobody knows); where only harmless steps are tried again: ${shown('careful', again, count)}`,
    },
    {
      text: 'Retries that know the workflow complete as many without that',
      verdict:
        kept >= value(at('blind', completed)) - 0.01
          ? value(at('careful', completed)) >= value(at('blind', completed)) - 0.01
            ? 'confirmed'
            : 'partly'
          : 'contradicted',
      figure: `completed: ${shown('none', completed, showRatio)} without retries, ${shown('restart', completed, showRatio)} restarted, ${shown('blind', completed, showRatio)} blindly, ${shown('keys', completed, showRatio)} with keys and checkpoints; but ${shown('careful', completed, showRatio)} where a change is never tried again and has no key that makes it safe to`,
    },
    {
      text: 'A checkpoint saves what a lost agent had done',
      verdict:
        value(at('keys', wasted, 'agents')) < value(at('restart', wasted, 'agents')) / 2
          ? 'confirmed'
          : 'contradicted',
      figure: `with lost processes, tokens in vain are ${shown('restart', wasted, showRatio, 'agents')} from the start, ${shown('keys', wasted, showRatio, 'agents')} from the last step; changes made again per 1,000 workflows ${shown('restart', again, count, 'agents')} and ${shown('keys', again, count, 'agents')}, the latter under a key`,
    },
    {
      text: 'The cache is still warm if the retry goes where it was',
      verdict:
        value(warmAffine) > 0.8 && value(warmAnywhere) < value(warmAffine) - 0.1
          ? 'confirmed'
          : value(warmAffine) > 0.8
            ? 'partly'
            : 'contradicted',
      figure: `of the prompts of calls made again after a lost agent ${showEstimate(warmAffine, showRatio)} were in the cache on the session's replica, ${showEstimate(warmAnywhere, showRatio)} on any of four; where the replica itself was lost ${shown('keys', warm, showRatio, 'cut')}`,
    },
  ];
}

function loadClaims(runs: Runs): Claim[] {
  const requests = (chance: number) => over(runs.layers(chance), requestsPerCall);
  const isAsComputed = CHANCES.every(
    chance => Math.abs(value(requests(chance)) / requestsOf(chance) - 1) < (chance === 1 ? 1e-9 : 0.2),
  );
  const after = (rule: Rule, load: Load = 'busy') => over(runs.outage(load, rule), afterwards);
  const shown = (rule: Rule, load?: Load) => showEstimate(after(rule, load), showRatio);
  const lasts = value(after('gateway')) < 0.5 && value(after('none')) > 0.9;
  const heals = (rule: Rule, load?: Load) => value(after(rule, load)) > 0.9;
  return [
    {
      text: `Layers multiply: ${LAYERS.join(', ')} retries are ${REQUESTS_MOST} requests for one call`,
      verdict: isAsComputed ? 'confirmed' : 'contradicted',
      figure: `${CHANCES.map(chance => `${showNumber(value(requests(chance)))} where ${showRatio(chance)} fail (computed ${showNumber(requestsOf(chance))})`).join(', ')}`,
    },
    {
      text: 'Retries make an outage of 30 s last',
      verdict: lasts
        ? 'confirmed'
        : value(after('gateway')) < value(after('none')) - 0.1
          ? 'partly'
          : 'contradicted',
      figure: `of agents that start one to two and a half minutes after the server is back, ${shown('none')} come through without retries, ${shown('client')} with the client's 2, ${shown('gateway')} with 5; the load alone leaves an eighth of the server free`,
    },
    {
      text: 'A retry budget ends that',
      verdict: heals('budget20') ? 'confirmed' : heals('budget5') ? 'partly' : 'contradicted',
      figure: `with a budget of 20 % ${shown('budget20')} come through, of 5 % ${shown('budget5')}: the budget must fit into what is free. At a load that leaves a quarter free: ${shown('budget20', 'spare')} with 20 %, ${shown('gateway', 'spare')} without`,
    },
    {
      text: 'So does not trying again what has begun, and a breaker',
      verdict:
        heals('begun') && heals('breaker')
          ? 'confirmed'
          : heals('begun') || heals('breaker')
            ? 'partly'
            : 'contradicted',
      figure: `${shown('begun')} and ${shown('breaker')} come through: answers that have begun when their time is over are most of the work that overload wastes`,
    },
  ];
}

// ---- tables and charts -------------------------------------------------------------------------------------------

const stepTable = (runs: Runs, kind: Kind): StudyTable => ({
  title: KINDS[kind].label[0]!.toUpperCase() + KINDS[kind].label.slice(1),
  columns: [
    'tried again',
    'completed',
    'tokens in vain',
    'changes again per 1,000',
    'of them surely',
    'workflow p95',
    'USD per 1,000 completed',
  ],
  rows: WAY_NAMES.map(way => {
    const own = runs.steps(kind, way);
    const cell = (of: Figure, show: (n: number) => string) => showSpread(over(own, of), show);
    return [
      WAYS[way].label,
      cell(completed, showRatio),
      cell(wasted, showRatio),
      `${cell(again, count)}${way === 'keys' ? ' (harmless)' : ''}`,
      cell(surelyAgain, count),
      cell(({ figures }) => figures.makespanMsP95, showMs),
      cell(usdPer1000, showUsd),
    ];
  }),
});

const outageTable = (runs: Runs, load: Load): StudyTable => ({
  title: `After an outage, ${LOADS[load]} agents a second`,
  columns: [
    'retries',
    'come through, 1 to 2.5 min after',
    'of the whole run',
    'tokens in vain',
    'requests per call',
  ],
  rows: RULE_NAMES.map(rule => ({ rule, own: runs.outage(load, rule) }))
    .filter(({ own }) => own.length > 0)
    .map(({ rule, own }) => [
      RULES[rule].label,
      showSpread(over(own, afterwards), showRatio),
      showSpread(over(own, completed), showRatio),
      showSpread(over(own, wasted), showRatio),
      showSpread(
        over(own, run => share(read(run).attempts, read(run).calls)),
        showNumber,
      ),
    ]),
});

function charts(runs: Runs): StudyChart[] {
  const rules = RULE_NAMES.filter(rule => runs.outage('busy', rule).length > 0);
  const buckets = Math.floor(AFTER_MS[1] / BUCKET_MS);
  const throughAt = (rule: Rule, bucket: number): number | null => {
    const shares = runs
      .outage('busy', rule)
      .map(run => share(read(run).through[bucket] ?? 0, read(run).started[bucket] ?? 0));
    return shares.length === 0 ? null : mean(shares);
  };
  const after = (rule: Rule) => showRatio(over(runs.outage('busy', rule), afterwards)?.mean);
  const kinds = BY_RATE.filter(kind => runs.steps(kind, 'restart').length > 0);
  const changes = (way: Way) => showNumber(Math.round(value(over(runs.steps(MIDDLE, way), again))));
  return [
    {
      id: 'step-11-outage',
      title: `An outage of 30 s at minute 2: minutes later ${after('gateway')} of agents come through with 5 blind retries, ${after('none')} without any`,
      spec: linesSpec(
        rules.map(rule => ({
          name: RULES[rule].label,
          points: Array.from({ length: buckets }, (_, bucket) => ({
            x: (bucket + 0.5) * BUCKET_MS,
            y: throughAt(rule, bucket),
          })),
        })),
        {
          x: { title: 'started at', axis: msAxis({ values: MINUTES }), label: msLabel },
          y: {
            title: 'agents that come through',
            scale: { domain: [0, 1] },
            axis: { format: '.0%' },
            format: '.0%',
          },
          strong: RULES.none.label,
        },
      ),
    },
    {
      id: 'step-11-changes',
      title: `Where 5 % of tool runs fail, a restart makes ${changes('restart')} changes again in 1,000 workflows, blind retries of steps ${changes('blind')}`,
      spec: linesSpec(
        WAY_NAMES.filter(way => way !== 'keys').map(way => ({
          name: WAYS[way].label,
          points: kinds.map(kind => ({
            x: TOOL_FAILURES[BY_RATE.indexOf(kind)]!,
            y: over(runs.steps(kind, way), again)?.mean ?? null,
          })),
        })),
        {
          x: { title: 'tool runs that fail', axis: { format: '.0%', values: TOOL_FAILURES }, format: '.0%' },
          y: { title: 'changes made again per 1,000 workflows', scale: { zero: true } },
          strong: WAYS.none.label,
        },
      ),
    },
  ];
}

export default defineStudy<At>({
  name: 'step-11',
  question:
    '"Retrying an HTTP request is easy. Retrying step 11 of an agent workflow is not. Did the tool mutate state? Did the previous model call already emit partial output? Is the cache still warm? A blind retry can double-spend tokens or duplicate side effects." What do blind retries cost, and what do retries that know the workflow save?',
  method: `An agent of 15 steps, of which reserve, charge and notify change something, one a second on four H100 with Llama 3.1 8B (of API errors: on a hosted model). Up to three retries: of the whole workflow; of each step, blindly; of each step where neither an answer has begun nor anything may have been changed; and the same where changes carry an idempotency key and the workflow goes on from its last step. Layers: one call to an API that fails by chance, under a client that tries 3 times, a gateway 6 times and a router 6 times. Outage: agents of three calls on one H100 that holds 16 sequences, lost after 2 min and back after 30 s; attempts are given up after 10 s.`,
  cases({ isQuick }) {
    return casesOf(isQuick ? [1, 2] : [1, 2, 3, 4, 5, 6], isQuick).map(at => caseOf(at, 60));
  },
  judge(all) {
    const runs = new Runs(all);
    return {
      claims: [...stepClaims(runs), ...loadClaims(runs)],
      tables: [
        ...KIND_NAMES.filter(kind => runs.steps(kind, 'none').length > 0).map(kind => stepTable(runs, kind)),
        ...(['busy', 'spare'] as const)
          .filter(load => runs.outage(load, 'none').length > 0)
          .map(load => outageTable(runs, load)),
      ],
      charts: charts(runs),
      limits: [
        'A tool that failed or was given up may have changed something or not: a run after it counts as a change made again, and the table says which ones surely were.',
        'That a key makes a change harmless is the promise of whoever serves the tool; what is counted there are runs, not harm.',
        'A call whose answer had begun is lost with its replica: that the agent may go on with half an answer is not modelled.',
        'A workflow without a rule for restarts starts again from its start after its process was lost, and from its checkpoint where it has one.',
        'The outage is one of one shape: one server, 16 sequences at once, attempts of 10 s. Where it tips over depends on timeouts and on the room that is left.',
        'Attempts that are given up free the server at once, as vLLM does; a server that goes on would be worse off.',
        'Step times come from physics fitted on measured runs, for ranking only.',
      ],
    };
  },
});
