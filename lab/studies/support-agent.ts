// A support agent on three models (intent, answer, safety) against one large model for all of it: what 1,000 conversations
// cost where the SLO is kept, what slows first, and how often the small model may misjudge an intent.
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber, showRatio } from '../../reports/numbers.ts';
import { crossing } from '../policy-bench/compare.ts';
import { interpolated } from './curve.ts';
import { type Estimate, estimate, showEstimate, showSpread, showTimes, timesAs } from './estimate.ts';
import { type Claim, defineStudy, type StudyCase, type StudyRun } from './study.ts';
import { SLO, STAGES, type Stage, type SupportRun } from './support-agent-measure.ts';

const MEASURE = new URL('./support-agent-measure.ts', import.meta.url).href;

/** Who does what. */
const WAYS = {
  one: {
    name: '70B for everything',
    deployment: 'studies/support-agent-one',
    scenario: ['models.intent.model=llama-3.1-70b', 'models.safety.model=llama-3.1-70b'],
  },
  two: {
    name: '8B for intent and safety',
    deployment: 'studies/support-agent-two',
    scenario: ['models.safety.model=llama-3.1-8b'],
  },
  three: { name: '8B, 70B, 0.6B', deployment: 'studies/support-agent', scenario: [] },
} as const;
type Way = keyof typeof WAYS;
const ALL = Object.keys(WAYS) as Way[];

/** H200 of the large model. */
const FLEETS = [1, 4, 8] as const;
type Fleet = (typeof FLEETS)[number];
/** The fleet on which intents are misjudged more or less often. */
const MIDDLE: Fleet = 4;
/** Of intents that the small model misjudges, as told, and tried; the large one errs as often as `LARGE_ERRS`. */
const ERRS = 0.05;
const TRIED = [0.02, 0.05, 0.1, 0.2];
const LARGE_ERRS = 0.02;
/** Of turns that keep the SLO. */
const KEPT_RATIO = 0.95;

/** Conversations a second for each H200: from capacity to spare to beyond what is kept. */
const LOADS: Record<Fleet, readonly number[]> = {
  1: [0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.65],
  4: [0.2, 0.3, 0.4, 0.45, 0.5, 0.6],
  8: [0.2, 0.35, 0.4, 0.45, 0.55],
};
const QUICK_LOADS = [0.2, 0.35, 0.45, 0.55];
/** Where only the knee is looked for. */
const KNEE_LOADS = [0.2, 0.3, 0.4, 0.5];
const WINDOW_SEC = { quick: 100, whole: 150 } as const;
const SESSIONS_MIN = { quick: 40, whole: 100 } as const;

interface At {
  readonly way: Way;
  readonly gpus: Fleet;
  readonly perGpu: number;
  readonly errs: number;
  readonly seed: number;
}
type Runs = readonly StudyRun<At>[];
type Where = Omit<At, 'seed' | 'perGpu'>;

const usualOf = (way: Way): number => (way === 'one' ? LARGE_ERRS : ERRS);
const JUDGED = 'workflows.conversation.steps.0.steps.3.cases';

function caseOf(at: At, scale: 'quick' | 'whole'): StudyCase<At> {
  const { way, gpus, perGpu, errs, seed } = at;
  const { deployment, scenario } = WAYS[way];
  const perSec = gpus * perGpu;
  return {
    at,
    of: {
      scenario: {
        input: 'studies/support-agent',
        options: {
          seed,
          set: [
            ...scenario,
            `traffic.0.arrival.poisson.rate=${showNumber(perSec)}/s`,
            `traffic.0.sessions=${Math.max(SESSIONS_MIN[scale], Math.round(perSec * WINDOW_SEC[scale]))}`,
            `${JUDGED}.0.weight=${100 - 100 * errs}%`,
            `${JUDGED}.1.weight=${100 * errs}%`,
          ],
        },
      },
      deployment: { input: deployment, set: [`pools.answer.replicas=${gpus}`] },
      loadFactor: 1,
      measure: MEASURE,
    },
  };
}

// ---- figures -----------------------------------------------------------------------------------------------------

const seedsOf = (runs: Runs): number[] => [...new Set(runs.map(({ at }) => at.seed))];
const measuredOf = ({ measured }: StudyRun<At>): SupportRun | null => (measured ?? null) as SupportRun | null;

/** Runs of a place by load, of one seed. */
const sweep = (runs: Runs, { way, gpus, errs }: Where, seed: number): Runs =>
  runs
    .filter(({ at }) => at.way === way && at.gpus === gpus && at.errs === errs && at.seed === seed)
    .sort((a, b) => a.at.perGpu - b.at.perGpu);

/** Conversations a second and H200 up to which turns keep the SLO, a value each seed. */
const capacities = (runs: Runs, where: Where): (number | null)[] =>
  seedsOf(runs).map(seed =>
    crossing(
      sweep(runs, where, seed).map(run => ({
        loadRatio: run.at.perGpu,
        share: measuredOf(run)?.keptRatio ?? null,
      })),
      KEPT_RATIO,
    ),
  );

/** USD of 1,000 conversations there. */
const prices = (runs: Runs, where: Where): (number | null)[] =>
  capacities(runs, where).map((perGpu, i) => {
    const hour = measuredOf(sweep(runs, where, seedsOf(runs)[i]!)[0]!)?.usdPerHour;
    return perGpu === null || hour === undefined ? null : (1000 * hour) / (3600 * perGpu * where.gpus);
  });

/** Of each seed at one load, by its place in the sweep. */
const valuesAt = (
  runs: Runs,
  where: Where,
  load: number,
  of: (run: SupportRun) => number,
): (number | null)[] =>
  seedsOf(runs).map(seed => {
    const run = sweep(runs, where, seed).at(load);
    const measured = run === undefined ? null : measuredOf(run);
    return measured === null ? null : of(measured);
  });

const usual = (way: Way, gpus: Fleet): Where => ({ way, gpus, errs: usualOf(way) });
const priceAgainstOne = (runs: Runs, where: Where): Estimate | null =>
  timesAs(prices(runs, where), prices(runs, usual('one', where.gpus)));
const mean = (found: Estimate | null): number => found?.mean ?? Number.NaN;

/**
 * What a conversation costs with so many intents misjudged, against one large model. How it rises with them is measured on
 * one fleet.
 */
function priceWhere(runs: Runs, gpus: Fleet, errs: number): number {
  const rise = timesAs(
    prices(runs, { way: 'three', gpus: MIDDLE, errs }),
    prices(runs, usual('three', MIDDLE)),
  );
  return mean(priceAgainstOne(runs, usual('three', gpus))) * mean(rise);
}

/** Up to which share of misjudged intents the split is no dearer, on so many H200, in words. */
function paysUpTo(runs: Runs, gpus: Fleet): { errs: number; text: string } {
  const curve = TRIED.map(errs => ({ x: priceWhere(runs, gpus, errs), y: errs })).filter(({ x }) =>
    Number.isFinite(x),
  );
  const last = curve.at(-1);
  if (last === undefined || curve[0]!.x > 1) return { errs: 0, text: 'none' };
  if (last.x <= 1) return { errs: last.y, text: `${showRatio(last.y)} and more` };
  const errs = interpolated(curve, 1)!;
  return { errs, text: showRatio(errs) };
}

const slows = (runs: Runs, way: Way, stage: Stage): Estimate | null =>
  timesAs(
    valuesAt(runs, usual(way, MIDDLE), -1, ({ stageMsP95 }) => stageMsP95[stage]),
    valuesAt(runs, usual(way, MIDDLE), 0, ({ stageMsP95 }) => stageMsP95[stage]),
  );

function claims(runs: Runs): Claim[] {
  const price = (way: Way) => FLEETS.map(gpus => ({ gpus, ratio: priceAgainstOne(runs, usual(way, gpus)) }));
  const split = price('three');
  const pair = price('two');
  const told = (found: typeof split): string =>
    found.map(({ gpus, ratio }) => `${showTimes(ratio)} with ${gpus} H200`).join(', ');
  const cheaper = split.filter(({ ratio }) => (ratio?.ci95?.[1] ?? mean(ratio)) < 1);
  const sooner = (load: number): Estimate | null =>
    timesAs(
      valuesAt(runs, usual('three', MIDDLE), load, ({ firstTokenMsP95 }) => firstTokenMsP95),
      valuesAt(runs, usual('one', MIDDLE), load, ({ firstTokenMsP95 }) => firstTokenMsP95),
    );
  const whole = timesAs(
    valuesAt(runs, usual('three', MIDDLE), 0, ({ wholeMsP95 }) => wholeMsP95),
    valuesAt(runs, usual('one', MIDDLE), 0, ({ wholeMsP95 }) => wholeMsP95),
  );
  const own = FLEETS.map(gpus =>
    timesAs(prices(runs, usual('three', gpus)), prices(runs, usual('two', gpus))),
  );
  const grown = STAGES.map(stage => ({ stage, times: slows(runs, 'three', stage) }));
  const most = grown.reduce((best, each) => (mean(each.times) > mean(best.times) ? each : best));
  const work = estimate(
    valuesAt(runs, usual('one', MIDDLE), 1, ({ workRatio }) => workRatio.intent + workRatio.safety),
  );
  const limits = FLEETS.map(gpus => ({ gpus, ...paysUpTo(runs, gpus) }));
  const isSooner = mean(sooner(0)) < 1 && mean(sooner(-1)) < 1;
  return [
    {
      text: 'Three models of fitting sizes are cheaper than one large model for everything',
      verdict: cheaper.length === split.length ? 'confirmed' : cheaper.length > 0 ? 'partly' : 'contradicted',
      figure: `USD of a conversation where ${showRatio(KEPT_RATIO)} of turns keep the SLO: ${told(split)}; with two models ${told(pair)}. Of the large model's work, intent and safety are ${showEstimate(work, showRatio)}`,
    },
    {
      text: 'The answer begins sooner, and is whole sooner',
      verdict: isSooner && mean(whole) < 0.9 ? 'confirmed' : isSooner ? 'partly' : 'contradicted',
      figure: `p95 from the message to the first token ${showTimes(sooner(0))} with capacity to spare and ${showTimes(sooner(-1))} beyond it; to the end of the check ${showTimes(whole)}, since nearly all of it is the answer's decoding`,
    },
    {
      text: 'Each model needs GPUs of its own',
      verdict: own.every(ratio => mean(ratio) < 0.98)
        ? 'confirmed'
        : own.some(ratio => mean(ratio) < 0.98)
          ? 'partly'
          : 'contradicted',
      figure: `three pools against two, where the model for intents checks safety too: ${FLEETS.map((gpus, i) => `${showTimes(own[i]!)} the price with ${gpus} H200`).join(', ')}`,
    },
    {
      text: 'The large model is the bottleneck',
      verdict: most.stage === 'answer' ? 'confirmed' : 'contradicted',
      figure: `from the lowest load to the highest, p95 of a stage on ${MIDDLE} H200: ${grown.map(({ stage, times }) => `${stage} ${showTimes(times)}`).join(', ')}`,
    },
    {
      text: 'A small model for intents pays even if it is often wrong',
      verdict: limits.every(({ errs }) => errs >= 0.2)
        ? 'confirmed'
        : limits.some(({ errs }) => errs >= ERRS)
          ? 'partly'
          : 'contradicted',
      figure: `misjudged intents up to which it is no dearer than one large model, which misjudges ${showRatio(LARGE_ERRS)}: ${limits.map(({ gpus, text }) => `${text} with ${gpus} H200`).join(', ')}`,
    },
  ];
}

// ---- tables and charts -------------------------------------------------------------------------------------------

const showDollars = (usd: number): string => `$${showNumber(usd)}`;

/** Cards that hold the SLO at so many conversations a second: H200 by what one carries on the nearest fleet. */
function cardsFor(runs: Runs, way: Way, perSec: number): string {
  const small = { one: 0, two: 1, three: 2 }[way];
  for (const gpus of FLEETS) {
    const perGpu = mean(estimate(capacities(runs, usual(way, gpus))));
    const needed = Math.ceil(perSec / perGpu);
    if (needed <= gpus || gpus === FLEETS.at(-1)) {
      return Number.isFinite(needed) ? `${needed} + ${small}` : '–';
    }
  }
  return '–';
}
const NEEDED_AT = [0.2, 1, 3];

export default defineStudy<At>({
  name: 'support-agent',
  question:
    'A support agent might use a 7B model for the intent, a 70B model for the answer and a small model again for safety. Is that cheaper and faster than the 70B model for everything, on how many GPUs, and how often may the small one be wrong?',
  method: `Conversations of four turns: intent (900 tokens of labels, 8 out), answer (2,000 tokens of system prompt, what was found, the thread), safety check (500 tokens of policy, the answer). Llama 3.1 70B in fp8 on ${FLEETS.join(', ')} H200, a replica each; Llama 3.1 8B and Qwen3 0.6B on an RTX 4090 each, or both jobs on one 8B model, or all three on the 70B model. The load rises until fewer than ${showRatio(KEPT_RATIO)} of turns have their first token ${showMs(SLO.firstTokenMs)} after the message and ${SLO.tpotMs} ms a token. The small model misjudges ${showRatio(ERRS)} of intents, the large one ${showRatio(LARGE_ERRS)} (assumptions): the user says so, and the large model judges and answers again.`,

  cases({ isQuick }) {
    const seeds = isQuick ? [1, 2] : [1, 2, 3, 4, 5];
    const scale = isQuick ? 'quick' : 'whole';
    const places = [
      ...FLEETS.flatMap(gpus => ALL.map(way => ({ where: usual(way, gpus), loads: LOADS[gpus] }))),
      ...TRIED.filter(errs => errs !== ERRS).map(errs => ({
        where: { way: 'three' as const, gpus: MIDDLE, errs },
        loads: KNEE_LOADS,
      })),
    ];
    return seeds.flatMap(seed =>
      places.flatMap(({ where, loads }) =>
        (isQuick ? QUICK_LOADS : loads).map(perGpu => caseOf({ ...where, perGpu, seed }, scale)),
      ),
    );
  },

  judge(runs) {
    const loads = [
      ...new Set(
        runs.flatMap(({ at }) => (at.gpus === MIDDLE && at.errs === usualOf(at.way) ? at.perGpu : [])),
      ),
    ].sort((a, b) => a - b);
    const lines: Line[] = ALL.map(way => ({
      name: WAYS[way].name,
      points: loads.map((x, load) => {
        const found = estimate(
          valuesAt(runs, usual(way, MIDDLE), load, ({ firstTokenMsP95 }) => firstTokenMsP95 / 1000),
        );
        return { x, y: found?.mean ?? null, low: found?.ci95?.[0] ?? null, high: found?.ci95?.[1] ?? null };
      }),
    }));
    const byErrs: Line[] = FLEETS.map(gpus => ({
      name: `${gpus} H200`,
      points: TRIED.map(errs => {
        const price = priceWhere(runs, gpus, errs);
        return { x: errs, y: Number.isFinite(price) ? price : null };
      }),
    }));
    const cell = (found: Estimate | null, show: (value: number) => string): string => showSpread(found, show);
    const [first, last] = [FLEETS[0], FLEETS.at(-1)!].map(gpus => priceWhere(runs, gpus, ERRS));
    return {
      claims: claims(runs),
      tables: [
        {
          title: `Where ${showRatio(KEPT_RATIO)} of turns keep the SLO`,
          columns: ['models', 'H200', 'small cards', 'USD/h', 'conversations/s', 'USD for 1,000'],
          rows: FLEETS.flatMap(gpus =>
            ALL.map(way => [
              WAYS[way].name,
              String(gpus),
              String({ one: 0, two: 1, three: 2 }[way]),
              cell(estimate(valuesAt(runs, usual(way, gpus), 0, run => run.usdPerHour)), showDollars),
              cell(estimate(capacities(runs, usual(way, gpus)).map(each => each && each * gpus)), showNumber),
              cell(estimate(prices(runs, usual(way, gpus))), showDollars),
            ]),
          ),
        },
        {
          title: 'Cards that hold the SLO: H200 + RTX 4090',
          columns: ['models', ...NEEDED_AT.map(perSec => `${perSec} conversations/s`)],
          rows: ALL.map(way => [WAYS[way].name, ...NEEDED_AT.map(perSec => cardsFor(runs, way, perSec))]),
        },
        {
          title: `p95 on ${MIDDLE} H200, at the lowest load and at the highest`,
          columns: ['models', 'load', 'message to first token', 'to the end of the check', ...STAGES],
          rows: ALL.flatMap(way =>
            [0, -1].map(load => {
              const ms = (of: (run: SupportRun) => number): string =>
                showMs(estimate(valuesAt(runs, usual(way, MIDDLE), load, of))?.mean);
              return [
                WAYS[way].name,
                load === 0 ? 'lowest' : 'highest',
                ms(run => run.firstTokenMsP95),
                ms(run => run.wholeMsP95),
                ...STAGES.map(stage => ms(run => run.stageMsP95[stage])),
              ];
            }),
          ),
        },
      ],
      charts: [
        {
          id: 'support-agent-price',
          title: `Three models cost ${showNumber(first!)} times as much as one beside ${FLEETS[0]} H200 and ${showNumber(last!)} times beside ${FLEETS.at(-1)!}; each misjudged intent adds to it`,
          spec: linesSpec(byErrs, {
            x: { title: 'intents that the small model misjudges', axis: { format: '~%' } },
            y: {
              title: 'price, times that of one large model',
              scale: { zero: false },
            },
            rules: [{ y: 1, label: '' }],
          }),
        },
        {
          id: 'support-agent-first-token',
          title: `On ${MIDDLE} H200 the first token of an answer comes sooner with small models before it, at any load`,
          spec: linesSpec(lines, {
            x: { title: 'conversations a second and H200' },
            y: { title: 'p95 from message to first token, s', scale: { zero: true } },
          }),
        },
      ],
      limits: [
        'How often intents are misjudged is assumed, and that it shows at once; an answer that is wrong without anybody noticing is not counted.',
        'How the price rises with misjudged intents is measured on one fleet and taken for the others.',
        'Small models stand on consumer cards, the cheapest that hold them; dearer ones move the fleet size from which the split pays.',
        'Step times are a model, for ranking only; a replica of the large model is one H200, where two would be faster and carry more context.',
        'Safety waits for the whole answer here; what is streamed before it is unchecked.',
      ],
    };
  },
});
