// Outages of an API: down, silent, slow and failing, or busy with others; and what a gateway does about it: fail, wait,
// send calls elsewhere, stop asking, ask twice.
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import {
  showCount,
  showMs,
  showNumber,
  showRatio,
  showSignedRatio,
  showTokens,
  showUsd,
} from '../../reports/numbers.ts';
import type { GridCase } from '../grid/case.ts';
import { type Estimate, estimate, showEstimate, showSpread } from './estimate.ts';
import { BIN_MS, type OutageMeasured, SLO_MS, TROUBLE_MS } from './outage-measure.ts';
import { type Claim, defineStudy, type StudyCase, type StudyRun, type Verdict } from './study.ts';

const MEASURE = new URL('./outage-measure.ts', import.meta.url).href;

const outage = (more: string): string =>
  `faults=[{ fault: provider_outage, target: first, at: 2m, for: 5m, ${more} }]`;

/** What happens to the API, and the line that makes it happen. */
const TROUBLES = {
  down: { label: 'down', when: 'when it is down', what: 'every call gets a 503', set: outage('share: 100%') },
  silent: {
    label: 'silent',
    when: 'when it is silent',
    what: 'calls are taken and not answered',
    set: outage('share: 0%, factor: 1000'),
  },
  brownout: {
    label: 'a brown-out',
    when: 'in a brown-out',
    what: '30 % of calls get a 503, the others take three times as long',
    set: outage('share: 30%, factor: 3'),
  },
  storm: {
    label: 'a storm of 429s',
    when: 'in a storm of 429s',
    what: "another job on the same account asks for more than the limit, which is a quarter above the agents' load",
    set: 'traffic.1={ workflow: job, arrival: { constant: { rate: 9/s } }, start: 2m, for: 5m }',
  },
} as const;
type TroubleName = keyof typeof TROUBLES;
const TROUBLE_NAMES = Object.keys(TROUBLES) as TroubleName[];

const BACKUP = 'gateway.fallback={ frontier: [backup] }';
const HOME = 'gateway.fallback={ frontier: [home] }';
const breaker = (rule: string): string => `gateway.breaker=${rule}`;
const queue = (maxWait: string): string => `gateway.degraded={ mode: queue, max_wait: ${maxWait} }`;
const HEDGE = 'gateway.hedge={ after: 4s, share: 10% }';
/** As many as one GPU serves in time: 0.6 a second, some 40 s each. */
const GATE = 'gateway.admission={ policy: sessions, max: 24 }';
const EAGER = '{ failures: 20%, window: 30s, min_calls: 20, open: 30s, half_open: 5 }';

interface Way {
  readonly label: string;
  /** In a legend. */
  readonly short?: string;
  readonly set: readonly string[];
  /** Where it is tried; everywhere, if nothing stands here. */
  readonly only?: readonly TroubleName[];
}
const WAYS = {
  closed: { label: 'fail closed', set: [] },
  hedged: { label: 'fail closed, hedged after 4 s', set: [HEDGE], only: ['silent', 'brownout'] },
  'queue-short': {
    label: 'queue for 30 s, breaker of LiteLLM',
    set: [queue('30s'), breaker('litellm')],
    only: ['down', 'silent'],
  },
  queue: {
    label: 'queue for 10 min, breaker of LiteLLM',
    short: 'queue, breaker of LiteLLM',
    set: [queue('10m'), breaker('litellm')],
    only: ['down', 'silent', 'brownout'],
  },
  'queue-resilience4j': {
    label: 'queue for 10 min, breaker of Resilience4j',
    short: 'queue for 10 min',
    set: [queue('10m'), breaker('resilience4j')],
    only: ['down'],
  },
  backup: { label: 'to another API', short: 'another API', set: [BACKUP] },
  'backup-litellm': {
    label: 'to another API, breaker of LiteLLM',
    short: 'breaker of LiteLLM',
    set: [BACKUP, breaker('litellm')],
  },
  'backup-resilience4j': {
    label: 'to another API, breaker of Resilience4j',
    short: 'breaker of Resilience4j',
    set: [BACKUP, breaker('resilience4j')],
  },
  'backup-eager': {
    label: 'to another API, breaker at 20 % of 30 s',
    short: 'breaker at 20 %',
    set: [BACKUP, breaker(EAGER)],
    only: ['silent', 'brownout'],
  },
  home: { label: 'to one GPU at home', set: [HOME], only: ['down', 'silent', 'storm'] },
  'home-breaker': {
    label: 'to one GPU at home, breaker of LiteLLM',
    short: 'one GPU at home',
    set: [HOME, breaker('litellm')],
    only: ['down', 'silent', 'storm'],
  },
  'home-gated': {
    label: 'the same, 24 agents at once let in there',
    short: 'one GPU, 24 agents let in',
    set: [HOME, breaker('litellm'), GATE],
    only: ['down', 'silent', 'storm'],
  },
  'home-two': {
    label: 'to two GPUs at home, breaker of LiteLLM',
    short: 'two GPUs at home',
    set: [HOME, breaker('litellm'), 'pools.home.replicas=2'],
    only: ['down', 'silent', 'storm'],
  },
} as const satisfies Record<string, Way>;
type WayName = keyof typeof WAYS;
const WAY: Record<WayName, Way> = WAYS;
const waysFor = (trouble: TroubleName): WayName[] =>
  (Object.keys(WAYS) as WayName[]).filter(way => WAY[way].only?.includes(trouble) ?? true);

interface At {
  readonly trouble: TroubleName;
  readonly way: WayName;
  readonly seed: number;
}
type Runs = readonly StudyRun<At>[];

const caseOf = ({ trouble, way, seed }: At): GridCase => ({
  scenario: { input: 'studies/outage', options: { seed, set: [TROUBLES[trouble].set] } },
  deployment: { input: 'studies/outage', set: WAY[way].set },
  loadFactor: 1,
  measure: MEASURE,
});

// ---- what came of it ---------------------------------------------------------------------------------------------

/** Figures that are numbers; null where a run has none. */
type Name = Exclude<keyof OutageMeasured, 'goodRatios'>;

const measuredAt = (runs: Runs, trouble: TroubleName, way: WayName): (OutageMeasured | undefined)[] =>
  runs
    .filter(({ at }) => at.trouble === trouble && at.way === way)
    .map(({ measured }) => measured as OutageMeasured | undefined);

const figure = (runs: Runs, trouble: TroubleName, way: WayName, name: Name): Estimate | null =>
  estimate(measuredAt(runs, trouble, way).map(found => found?.[name]));
const good = (runs: Runs, trouble: TroubleName, way: WayName): Estimate | null =>
  figure(runs, trouble, way, 'goodRatio');
const goodMean = (runs: Runs, trouble: TroubleName, way: WayName): number =>
  good(runs, trouble, way)?.mean ?? 0;

/** Seed by seed: how much more of the agents are good. */
const gain = (runs: Runs, trouble: TroubleName, own: WayName, other: WayName): Estimate | null => {
  const others = measuredAt(runs, trouble, other);
  return estimate(
    measuredAt(runs, trouble, own).map((found, i) => {
      const beside = others[i];
      return found === undefined || beside === undefined ? null : found.goodRatio - beside.goodRatio;
    }),
  );
};

/** A share of agents: an interval does not go beyond all or none. */
const showGood = (found: Estimate | null): string =>
  showEstimate(found, ratio => showRatio(Math.min(1, Math.max(0, ratio))));
const listed = (names: readonly TroubleName[], show: (trouble: TroubleName) => string): string =>
  names.map(name => `${show(name)} ${TROUBLES[name].when}`).join('; ');

// ---- claims ------------------------------------------------------------------------------------------------------

/** So many agents within their SLO are as on a usual day. */
const WELL = 0.9;
const verdictOf = (holds: number, of: number): Verdict =>
  holds === of ? 'confirmed' : holds === 0 ? 'contradicted' : 'partly';

function anotherApi(runs: Runs): Claim {
  const held = TROUBLE_NAMES.filter(trouble => goodMean(runs, trouble, 'backup') >= WELL);
  return {
    text: 'With a fallback to another API an outage is not noticed',
    verdict: verdictOf(held.length, TROUBLE_NAMES.length),
    figure: `of the agents that start in it, done within ${SLO_MS / 1000} s: ${listed(TROUBLE_NAMES, trouble => showGood(good(runs, trouble, 'backup')))}`,
  };
}

const PRESETS = ['backup-litellm', 'backup-resilience4j'] as const;

function presets(runs: Runs): Claim {
  const places = TROUBLE_NAMES.flatMap(trouble => PRESETS.map(way => ({ trouble, way })));
  const held = places.filter(({ trouble, way }) => goodMean(runs, trouble, way) >= WELL);
  const both = (trouble: TroubleName): string =>
    PRESETS.map(way => showGood(good(runs, trouble, way))).join(' and ');
  return {
    text: 'A circuit breaker in front of the fallback sees to the rest',
    verdict: verdictOf(held.length, places.length),
    figure: `with the presets of LiteLLM and Resilience4j: ${listed(['silent', 'brownout'], both)}; a breaker that opens at 20 % of failures: ${showGood(good(runs, 'brownout', 'backup-eager'))} in the brown-out`,
  };
}

/** More of the agents than this is no accident. */
const FELT = 0.05;

function harmless(runs: Runs): Claim {
  const pairs = TROUBLE_NAMES.flatMap(trouble =>
    (
      [
        ['backup-litellm', 'backup'],
        ['backup-resilience4j', 'backup'],
        ['home-breaker', 'home'],
      ] as const
    )
      .filter(([own]) => waysFor(trouble).includes(own))
      .map(([own, other]) => ({ trouble, own, found: gain(runs, trouble, own, other) })),
  );
  const worse = pairs.filter(({ found }) => (found?.ci95?.[1] ?? found?.mean ?? 0) < -FELT);
  const told = worse.map(({ trouble, own, found }) => {
    const { label } = WAY[own];
    return `${label}, ${TROUBLES[trouble].label}: ${showEstimate(found, showSignedRatio)} of the agents`;
  });
  return {
    text: 'A breaker does no harm',
    verdict: worse.length === 0 ? 'confirmed' : worse.length < pairs.length ? 'partly' : 'contradicted',
    figure:
      worse.length === 0
        ? `in none of ${pairs.length} places fewer agents are in time with one`
        : `worse in ${worse.length} of ${pairs.length} places: ${told.join('; ')}. LiteLLM's counts 429s as failures and sends everybody away, where without it only what was refused goes`,
  };
}

function smallFallback(runs: Runs): Claim {
  const places = [
    ['down', 'home-breaker'],
    ['silent', 'home'],
  ] as const;
  const shares = places.map(
    ([trouble, way]) => goodMean(runs, trouble, way) / Math.max(1e-9, goodMean(runs, trouble, 'home-gated')),
  );
  const isAll = (least: number): boolean => shares.every(share => share >= least);
  const [down, silent] = places.map(
    ([trouble, way]) =>
      `${showGood(good(runs, trouble, way))}, with ${showEstimate(figure(runs, trouble, way, 'homeMost'), showCount)} calls at once`,
  );
  return {
    text: 'A fallback that is too small serves as many as it can',
    verdict: isAll(WELL) ? 'confirmed' : shares.every(share => share < 0.5) ? 'contradicted' : 'partly',
    figure: `down: one GPU that lets 24 agents in at once serves ${showGood(good(runs, 'down', 'home-gated'))} of them in time; when all come, ${down}; two GPUs ${showGood(good(runs, 'down', 'home-two'))}. Silent, without a breaker: ${silent}, and ${showEstimate(figure(runs, 'silent', 'home', 'wastedTokens'), showTokens)} tokens in vain`,
  };
}

function queueing(runs: Runs): Claim {
  const ways = ['queue-resilience4j', 'queue'] as const;
  const isWhole = ways.some(way => (figure(runs, 'down', way, 'completedRatio')?.mean ?? 0) >= 0.99);
  const isBack = ways.some(way =>
    measuredAt(runs, 'down', way).every(found => (found?.recoverMs ?? Number.POSITIVE_INFINITY) <= 60_000),
  );
  const told = ways.map(
    way =>
      `with the ${WAY[way].label.split(', ')[1]} ${showEstimate(figure(runs, 'down', way, 'completedRatio'), showRatio)} complete, after ${showEstimate(figure(runs, 'down', way, 'makespanMsP95'), showMs)} at p95, as before ${backAfter(runs, 'down', way)}`,
  );
  return {
    text: 'Queueing costs nothing but time',
    verdict: isWhole && isBack ? 'confirmed' : isWhole ? 'partly' : 'contradicted',
    figure: `down, a wait of 10 min: ${told.join('; ')}: the backlog has what the limit leaves above the load. With a wait of 30 s ${showEstimate(figure(runs, 'down', 'queue-short', 'completedRatio'), showRatio)} complete`,
  };
}

function hedging(runs: Runs): Claim {
  const places = ['silent', 'brownout'] as const;
  const helped = places.filter(trouble => (gain(runs, trouble, 'hedged', 'closed')?.ci95?.[0] ?? 0) > FELT);
  const waste = (way: WayName): string =>
    showEstimate(figure(runs, 'brownout', way, 'wastedTokens'), showTokens);
  return {
    text: 'Hedging helps against an API that is slow',
    verdict: verdictOf(helped.length, places.length),
    figure: `more agents within their SLO: ${listed(places, trouble => showEstimate(gain(runs, trouble, 'hedged', 'closed'), showSignedRatio))}; tokens in vain in the brown-out ${waste('hedged')}, without ${waste('closed')}`,
  };
}

// ---- table and charts --------------------------------------------------------------------------------------------

const COLUMNS: readonly [string, Name, (value: number) => string][] = [
  ['within SLO', 'goodRatio', showRatio],
  ['complete', 'completedRatio', showRatio],
  ['p95', 'makespanMsP95', showMs],
  ['tokens in vain', 'wastedTokens', showTokens],
  ['USD of the run', 'usd', showUsd],
  ['attempts a call', 'attemptsPerCall', showNumber],
  ['most at home', 'homeMost', showCount],
];

const tableOf = (runs: Runs, trouble: TroubleName) => ({
  title: `${TROUBLES[trouble].label[0]!.toUpperCase()}${TROUBLES[trouble].label.slice(1)}: ${TROUBLES[trouble].what}`,
  columns: ['', ...COLUMNS.map(([title]) => title), 'as before after'],
  rows: waysFor(trouble).map(way => [
    WAY[way].label,
    ...COLUMNS.map(([, name, show]) => showSpread(figure(runs, trouble, way, name), show)),
    backAfter(runs, trouble, way),
  ]),
});

/** The longest of the seeds. */
function backAfter(runs: Runs, trouble: TroubleName, way: WayName): string {
  const found = measuredAt(runs, trouble, way).map(measured => measured?.recoverMs ?? null);
  if (found.includes(null)) return 'not in 5 min';
  const longest = Math.max(...found.map(ms => ms ?? 0));
  return longest === 0 ? 'at once' : showMs(longest);
}

function lineOf(runs: Runs, trouble: TroubleName, way: WayName): Line {
  const found = measuredAt(runs, trouble, way);
  const bins = Math.max(0, ...found.map(measured => measured?.goodRatios.length ?? 0));
  return {
    name: WAY[way].short ?? WAY[way].label,
    points: Array.from({ length: bins }, (_, bin) => ({
      x: ((bin + 0.5) * BIN_MS) / 60_000,
      y: estimate(found.map(measured => measured?.goodRatios[bin]))?.mean ?? null,
    })),
  };
}

const chartOf = (runs: Runs, trouble: TroubleName, ways: readonly WayName[], title: string) => ({
  id: `outage-${trouble}`,
  title,
  spec: linesSpec(
    ways.map(way => lineOf(runs, trouble, way)),
    {
      x: {
        title: `start of the agent, min (trouble from ${TROUBLE_MS.from / 60_000} to ${TROUBLE_MS.to / 60_000})`,
        axis: { tickCount: 12 },
      },
      y: {
        title: `done within ${SLO_MS / 1000} s`,
        scale: { domain: [0, 1] },
        axis: { format: '%' },
        format: '.0%',
      },
      strong: WAYS.closed.label,
    },
  ),
});

export default defineStudy<At>({
  name: 'outage',
  question:
    'The API is in trouble for five minutes. What do agents notice when the gateway fails, waits, or sends their calls to another API or to a GPU at home; what do breakers and hedges add; does the fallback fall over; and how long after the trouble is all as before?',
  method: `An agent starts each second for 12 min: six calls with look-ups between them, 23 s on a usual day, ${SLO_MS / 1000} s at most by its SLO. From minute 2 to 7 its API is in trouble. Clients try again as OpenAI's do (2 retries), and wait 15 s for a first token. Figures are of agents that start in the trouble; tokens in vain and USD are of the whole run, GPUs at home included.`,
  cases({ isQuick }) {
    const seeds = isQuick ? [1] : [1, 2, 3];
    return TROUBLE_NAMES.flatMap(trouble =>
      waysFor(trouble).flatMap(way =>
        seeds.map((seed): StudyCase<At> => {
          const at = { trouble, way, seed };
          return { at, of: caseOf(at) };
        }),
      ),
    );
  },

  judge(runs) {
    const share = (trouble: TroubleName, way: WayName): string => showRatio(good(runs, trouble, way)?.mean);
    return {
      claims: [
        anotherApi(runs),
        presets(runs),
        harmless(runs),
        smallFallback(runs),
        queueing(runs),
        hedging(runs),
      ],
      tables: TROUBLE_NAMES.map(trouble => tableOf(runs, trouble)),
      charts: [
        chartOf(
          runs,
          'down',
          ['backup', 'home-breaker', 'home-gated', 'home-two', 'queue-resilience4j', 'closed'],
          `Down: ${share('down', 'backup')} of agents are in time with another API, ${share('down', 'home-breaker')} with one GPU at home that all are sent to, ${share('down', 'home-gated')} when it lets in what it can hold`,
        ),
        chartOf(
          runs,
          'silent',
          ['backup', 'backup-litellm', 'backup-resilience4j', 'backup-eager', 'closed'],
          `Silent: with another API ${share('silent', 'backup')} of agents are in time, with a breaker in front of it ${share('silent', 'backup-litellm')} (LiteLLM) or ${share('silent', 'backup-eager')} (opens at 20 % of failures)`,
        ),
      ],
      limits: [
        'One shape of agent, one load, one API with a limit a quarter above that load: how long a backlog lasts follows from that quarter.',
        'The other API takes whatever comes, with a cold prompt cache and its own prices; that everybody else flees to it as well is not modelled.',
        'What waits for an API is no line: whoever asks when there is room goes, those who come later too.',
        'An answer of the fallback counts as good as any. The quality of a 14B model in place of a frontier model is not judged here.',
        'The GPUs at home are paid for only while the run lasts; on a usual day they stand idle.',
      ],
    };
  },
});
