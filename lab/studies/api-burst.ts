// The job scanner's burst against the limits of an API tier: when and for how long 429s last, and what gets the answers.
import { COUNT_LABEL } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showCount, showMs, showRatio, showUsd } from '../../reports/numbers.ts';
import type { GridCase } from '../grid/case.ts';
import type { BurstFigures } from './api-burst-measure.ts';
import { type Estimate, estimate, showEstimate, showSpread } from './estimate.ts';
import { type Claim, defineStudy, type StudyRun, type StudyTable } from './study.ts';

/** policies.md §4.1: (345 x 3,000 - 500,000) / (500,000 / 60) of a second, ms. */
const COMPUTED_MS = 64_200;

const SHAPES = {
  'at-once': 'all at once',
  strict: 'all at once, the first failure ends the scan',
  staged: 'in two stages',
  shared: 'in two stages, 2,400 of 3,000 tokens shared',
  library: "the library's job-scanner",
} as const;
type Shape = keyof typeof SHAPES;

/** Who makes the calls, and against what. */
const WAYS = {
  alone: 'no retry',
  openai: "OpenAI's client (2 retries)",
  anthropic: "Anthropic's client (2 retries)",
  backoff: 'retries by backoff, up to 8 s',
  patient: 'retries by Retry-After',
  queue: 'a queue in the gateway',
  width: '16 calls at once',
  gpu: 'one H200 of its own',
} as const;
type Way = keyof typeof WAYS;

/** How the provider counts; our own queue counts alike. */
interface Counting {
  readonly accounting: 'reserve' | 'fraction' | 'charge_after';
  readonly burst: '60s' | '1s';
  readonly maxTokens: number;
}
const USUAL: Counting = { accounting: 'reserve', burst: '60s', maxTokens: 200 };
const COUNTINGS: readonly Counting[] = [
  ...(['reserve', 'fraction', 'charge_after'] as const).flatMap(accounting =>
    [200, 1000, 4096].map(maxTokens => ({ ...USUAL, accounting, maxTokens })),
  ),
  ...(['reserve', 'fraction', 'charge_after'] as const).map(accounting => ({
    ...USUAL,
    accounting,
    burst: '1s' as const,
  })),
];

interface At extends Counting {
  readonly shape: Shape;
  readonly way: Way;
  readonly seed: number;
}

const limitsOf = ({ accounting, burst }: Counting, more = ''): string =>
  `{ preset: anthropic-start, accounting: ${accounting}, burst: ${burst}${more} }`;

function gatewaySet(at: At): string[] {
  switch (at.way) {
    case 'openai':
    case 'anthropic':
      return [`gateway.retry=${at.way}`];
    case 'backoff':
      return ['gateway.retry={ max: 1000, retry_after: false }'];
    case 'patient':
      return ['gateway.retry={ max: 1000, retry_after_max: 10m }'];
    case 'queue':
      return [`gateway.rate_limits=[${limitsOf(at, ', max_wait: 1h')}]`];
    default:
      return [];
  }
}

function caseOf(at: At): GridCase {
  const scenario =
    at.shape === 'library'
      ? {
          input: 'job-scanner',
          // Only one model is for sale here, and the scan comes first.
          set: ['models.local.model=claude-opus-5-5', 'traffic.0.arrival={ at_once: true }'],
        }
      : {
          input: 'studies/api-burst',
          set: [
            `traffic.0.workflow=${at.shape}`,
            ...(at.way === 'width' ? ['params.width=16'] : []),
            ...(at.maxTokens === USUAL.maxTokens
              ? []
              : [`workflows.at-once.steps.0.steps.0.steps.0.max_tokens=${at.maxTokens}`]),
          ],
        };
  const deployment =
    at.way === 'gpu'
      ? { input: '8xh200-mistral-small-4', set: ['pools.main.replicas=1'] }
      : {
          input: 'studies/anthropic-start',
          set: [`providers.anthropic.limits=${limitsOf(at)}`, ...gatewaySet(at)],
        };
  return {
    scenario: { input: scenario.input, options: { seed: at.seed, set: scenario.set } },
    deployment,
    loadFactor: 1,
    measure: new URL('./api-burst-measure.ts', import.meta.url).href,
  };
}

const WAYS_OF: Record<Shape, readonly Way[]> = {
  'at-once': ['alone', 'openai', 'anthropic', 'backoff', 'patient', 'queue', 'width', 'gpu'],
  strict: ['alone', 'openai', 'patient', 'queue'],
  staged: ['alone', 'openai', 'patient', 'queue', 'gpu'],
  shared: ['alone', 'openai', 'gpu'],
  library: ['alone', 'gpu'],
};
const COUNTED: readonly Way[] = ['openai', 'patient', 'queue'];

const isSameCounting = (one: Counting, other: Counting): boolean =>
  one.accounting === other.accounting && one.burst === other.burst && one.maxTokens === other.maxTokens;

type Runs = readonly StudyRun<At>[];

const burstsAt = (runs: Runs, shape: Shape, way: Way, counting: Counting = USUAL): BurstFigures[] =>
  runs
    .filter(({ at }) => at.shape === shape && at.way === way && isSameCounting(at, counting))
    .flatMap(({ measured }) => (measured === undefined ? [] : [measured as BurstFigures]));

type Figure = (burst: BurstFigures) => number | null;
const of = (bursts: readonly BurstFigures[], figure: Figure): Estimate | null => estimate(bursts.map(figure));

const answersRatio: Figure = ({ answers, calls }) => answers / calls;
const refused: Figure = burst => burst.refused;
const lastRefused: Figure = burst => burst.lastRefusedMs;
const lastAnswer: Figure = burst => burst.lastAnswerMs;
const usd: Figure = burst => burst.usd;

const isWithin = (value: number | undefined, low: number, high: number): boolean =>
  value !== undefined && value >= low && value <= high;

function claims(runs: Runs): Claim[] {
  const at = (shape: Shape, way: Way, counting?: Counting) => burstsAt(runs, shape, way, counting);
  const spell = of(at('at-once', 'patient'), lastRefused);
  const stagedSpell = of(at('staged', 'patient'), lastRefused);
  const isSpell = (found: Estimate | null) => isWithin(found?.mean, 0.9 * COMPUTED_MS, 1.1 * COMPUTED_MS);
  const alone = of(at('at-once', 'alone'), answersRatio);
  const stagedAlone = of(at('staged', 'alone'), answersRatio);
  const strict = of(at('strict', 'alone'), answersRatio);
  const isHalf = (found: Estimate | null) => isWithin(found?.mean, 0.4, 0.6);
  const inAtFailure = of(at('staged', 'alone'), burst =>
    burst.answersAtFailure === null ? null : burst.answersAtFailure / burst.calls,
  );
  const shared = of(at('shared', 'alone'), refused);
  const library = of(at('library', 'alone'), refused);
  const clients = of(at('at-once', 'openai'), answersRatio);
  const clientsUsd = of(at('at-once', 'openai'), usd);
  const strictClients = of(at('strict', 'openai'), answersRatio);
  const [queue, patient] = [at('at-once', 'queue'), at('at-once', 'patient')];
  const queueMs = of(queue, lastAnswer);
  const patientMs = of(patient, lastAnswer);
  const isServed = of(queue, answersRatio)?.mean === 1 && of(queue, refused)?.mean === 0;
  const gpu = at('at-once', 'gpu');
  const gpuMs = of(gpu, lastAnswer);
  const isFaster = gpuMs !== null && queueMs !== null && gpuMs.mean < queueMs.mean;
  const counted = COUNTINGS.flatMap(
    counting => of(at('at-once', 'patient', counting), lastAnswer)?.mean ?? [],
  );
  const [quickest, slowest] = [Math.min(...counted), Math.max(...counted)];
  const chargeAfter = of(at('at-once', 'openai', { ...USUAL, accounting: 'charge_after' }), answersRatio);
  const generous = of(at('at-once', 'patient', { ...USUAL, maxTokens: 4096 }), lastAnswer);
  const narrow = of(at('at-once', 'patient', { ...USUAL, burst: '1s' }), lastAnswer);
  const narrowQueue = of(at('at-once', 'queue', { ...USUAL, burst: '1s' }), lastAnswer);
  return [
    {
      text: '345 calls of 3,000 tokens at 500k input tokens a minute meet 429s for about 64 s',
      verdict:
        isSpell(spell) && isSpell(stagedSpell) ? 'confirmed' : isSpell(spell) ? 'partly' : 'contradicted',
      figure: `a client that comes back whenever it is told to is refused ${showEstimate(of(patient, refused), showCount)} times, the last time ${showEstimate(spell, showMs)} after the start; in two stages ${showEstimate(stagedSpell, showMs)}`,
    },
    {
      text: 'The limit hits in the middle of the scan, with half of the results in and half still pending',
      verdict: !isHalf(alone) ? 'contradicted' : isHalf(inAtFailure) ? 'confirmed' : 'partly',
      figure: `without retries ${showEstimate(alone, showRatio)} of the answers come, in two stages ${showEstimate(stagedAlone, showRatio)}; but the first refusal comes early: in the first instant with no answer in, in two stages with ${showEstimate(inAtFailure, showRatio)} of them; a scan that ends with its first failure gets ${showEstimate(strict, showRatio)} and has paid ${showEstimate(of(at('strict', 'alone'), usd), showUsd)}`,
    },
    {
      text: 'It does so whatever the prompts are made of',
      verdict:
        shared === null || library === null
          ? 'contradicted'
          : shared.mean + library.mean === 0
            ? 'contradicted'
            : 'partly',
      figure: `with 2,400 of 3,000 tokens shared ${showEstimate(shared, showCount)} refusals, the library's scanner ${showEstimate(library, showCount)}: the tier does not count input from its cache, and the first stage of a scan fills it`,
    },
    {
      text: "The retries that vendors' clients make by themselves see the burst through",
      verdict: clients?.mean === 1 ? 'confirmed' : 'contradicted',
      figure: `2 retries, a second apart as Retry-After says, bring ${showEstimate(clients, showRatio)} of the answers instead of ${showEstimate(alone, showRatio)}; a scan that ends with its first failure has paid ${showEstimate(of(at('strict', 'openai'), usd), showUsd)} by then for ${showEstimate(strictClients, showRatio)} of them (all: ${showEstimate(of(queue, usd), showUsd)}, this client's: ${showEstimate(clientsUsd, showUsd)})`,
    },
    {
      text: 'A queue in the gateway brings all answers without one 429, and no later than retries do',
      verdict:
        !isServed || queueMs === null || patientMs === null
          ? 'contradicted'
          : queueMs.mean <= patientMs.mean * 1.02
            ? 'confirmed'
            : 'partly',
      figure: `the last answer after ${showEstimate(queueMs, showMs)} with ${showEstimate(of(queue, refused), showCount)} refusals, by Retry-After after ${showEstimate(patientMs, showMs)} with ${showEstimate(of(patient, refused), showCount)}, by backoff after ${showEstimate(of(at('at-once', 'backoff'), lastAnswer), showMs)} with ${showEstimate(of(at('at-once', 'backoff'), refused), showCount)}`,
    },
    {
      text: 'On a GPU of its own there is no such limit, and the scan is done sooner',
      verdict: of(gpu, refused)?.mean === 0 && isFaster ? 'confirmed' : isFaster ? 'partly' : 'contradicted',
      figure: `one H200 with Mistral Small 4 has the last answer after ${showEstimate(gpuMs, showMs)}; in two stages ${showEstimate(of(at('staged', 'gpu'), lastAnswer), showMs)}, with the shared prefix ${showEstimate(of(at('shared', 'gpu'), lastAnswer), showMs)}`,
    },
    {
      text: 'The limit alone says how long it takes, not how the API counts',
      verdict:
        slowest > 0 && slowest <= 1.1 * quickest
          ? 'confirmed'
          : slowest > 1.5 * quickest
            ? 'contradicted'
            : 'partly',
      figure: `by Retry-After from ${showMs(quickest)} (charged afterwards: all go at once, the bucket then owes; even OpenAI's client gets ${showEstimate(chargeAfter, showRatio)}) to ${showMs(slowest)}; max_tokens 4,096 for answers of 60: ${showEstimate(generous, showMs)}; a bucket of one second: ${showEstimate(narrow, showMs)}, of which a queue that knows the limit needs ${showEstimate(narrowQueue, showMs)}`,
    },
  ];
}

const orNone = (text: string): string => (text === '–' ? 'none' : text);

function tables(runs: Runs): StudyTable[] {
  return [
    {
      title: 'Shapes and ways, at tier Start',
      columns: [
        'calls',
        'way',
        'answers',
        'requests refused',
        'last refusal',
        'last answer',
        'USD of the run',
      ],
      rows: (Object.keys(SHAPES) as Shape[]).flatMap(shape =>
        WAYS_OF[shape].map(way => {
          const bursts = burstsAt(runs, shape, way);
          return [
            SHAPES[shape],
            WAYS[way],
            showSpread(of(bursts, answersRatio), showRatio),
            showSpread(of(bursts, refused), showCount),
            orNone(showSpread(of(bursts, lastRefused), showMs)),
            orNone(showSpread(of(bursts, lastAnswer), showMs)),
            showSpread(of(bursts, usd), showUsd),
          ];
        }),
      ),
    },
    {
      title: 'How the API counts, all at once',
      columns: [
        'accounting',
        'bucket holds',
        'max_tokens',
        'refused at first',
        "answers with OpenAI's client",
        'last answer by Retry-After',
        'requests refused',
        'last answer with a queue',
      ],
      rows: COUNTINGS.map(counting => {
        const [client, patient, queue] = COUNTED.map(way => burstsAt(runs, 'at-once', way, counting));
        return [
          counting.accounting,
          counting.burst,
          showCount(counting.maxTokens),
          showSpread(
            of(patient ?? [], ({ refusedPerSec }) => refusedPerSec[0] ?? 0),
            showCount,
          ),
          showSpread(of(client ?? [], answersRatio), showRatio),
          showSpread(of(patient ?? [], lastAnswer), showMs),
          showSpread(of(patient ?? [], refused), showCount),
          showSpread(of(queue ?? [], lastAnswer), showMs),
        ];
      }),
    },
  ];
}

/** Seconds of the charts. */
const CHART_SEC = 80;

type BySecond = (burst: BurstFigures) => readonly number[];

/** Mean over the seeds, every so many seconds; `isSum`: what was reached stays. */
function overTime(bursts: readonly BurstFigures[], values: BySecond, everySec: number, isSum: boolean) {
  return Array.from({ length: CHART_SEC / everySec + 1 }, (_, i) => {
    const x = i * everySec;
    const at = bursts.map(burst => values(burst)[x] ?? (isSum ? burst.answers : 0));
    return { x, y: estimate(at)?.mean ?? null };
  });
}

function charts(runs: Runs) {
  const clock = { title: 's since the burst', axis: { values: [0, 10, 20, 30, 40, 50, 60, 70, 80] } };
  const lines = (ways: readonly Way[], values: BySecond, everySec: number, isSum: boolean): Line[] =>
    ways.map(way => ({
      name: WAYS[way],
      points: overTime(burstsAt(runs, 'at-once', way), values, everySec, isSum),
    }));
  const spell = of(burstsAt(runs, 'at-once', 'patient'), lastRefused);
  const client = of(burstsAt(runs, 'at-once', 'openai'), answersRatio);
  return [
    {
      id: 'api-burst-refusals',
      title: `Whoever keeps asking is refused until ${showMs(spell?.mean)}; clients with two retries give up after 2 s`,
      spec: linesSpec(
        lines(['patient', 'backoff', 'openai', 'queue'], burst => burst.refusedPerSec, 2, false),
        {
          x: clock,
          y: { title: '429s in each second', scale: { zero: true }, axis: { labelExpr: COUNT_LABEL } },
        },
      ),
    },
    {
      id: 'api-burst-answers',
      title: `OpenAI's client ends with ${showRatio(client?.mean)} of the answers; a queue has them all, a GPU of one's own sooner`,
      spec: linesSpec(
        lines(['gpu', 'queue', 'patient', 'width', 'openai', 'alone'], burst => burst.answersBySec, 4, true),
        {
          x: clock,
          y: { title: 'answers of 345', scale: { zero: true, nice: true } },
        },
      ),
    },
  ];
}

export default defineStudy<At>({
  name: 'api-burst',
  question:
    'When and for how long does an API answer 429 to a fan-out? Background 000 has a job scanner of 23 companies x 15 calls that hits rate limits "at exactly the wrong moment: mid-scan, with half the results in and half still pending"; at 500k input tokens a minute its 345 calls of 3,000 tokens should be refused for about 64 s.',
  method:
    "345 calls of 3,000 prompt tokens and about 60 tokens out at Anthropic's tier Start (1,000 requests, 500k input and 100k output tokens a minute, cached input not counted), in the first instant or in two stages as the scanner makes them; and the library's job-scanner with its chat beside. Clients: none, OpenAI's and Anthropic's as shipped, one that comes back whenever Retry-After says, one by backoff alone, 16 calls at once, and a gateway that holds calls back by the same limits. Beside them one H200 with Mistral Small 4 (fp8). How the API counts, what max_tokens says and how much of a minute the bucket holds is varied with all calls at once.",
  cases({ isQuick }) {
    const seeds = isQuick ? [1, 2] : [1, 2, 3, 4, 5];
    const countings = isQuick ? COUNTINGS.filter(each => each.maxTokens !== 1000) : COUNTINGS;
    const counted = countings.filter(each => !isSameCounting(each, USUAL));
    return seeds.flatMap(seed => [
      ...(Object.keys(SHAPES) as Shape[]).flatMap(shape =>
        WAYS_OF[shape].map(way => {
          const at = { shape, way, ...USUAL, seed };
          return { at, of: caseOf(at) };
        }),
      ),
      ...counted.flatMap(counting =>
        COUNTED.map(way => {
          const at = { shape: 'at-once' as const, way, ...counting, seed };
          return { at, of: caseOf(at) };
        }),
      ),
    ]);
  },

  judge: runs => ({
    claims: claims(runs),
    tables: tables(runs),
    charts: charts(runs),
    limits: [
      'The tier is modelled as token buckets that refill evenly. Vendors do not say how long theirs hold, and have limits on acceleration beside them; that is why the bucket is varied.',
      'A refusal tells each call when it would fit if nobody else asked, in whole seconds: all who are refused come back together. A vendor that spreads its answers would be asked less often.',
      "First tokens and pace of the API are drawn from public medians (the library's api-only) and do not depend on our load.",
      'The H200 serves another, smaller model: compare times, not answers. Its step times are a model, for ranking only. Its USD are those of the run: a card that stands all day costs 81.36.',
      'The cache of the API knows a prompt from its first token on. Calls that start together do not find one another in it: all at once, a shared prefix would not help.',
    ],
  }),
});
