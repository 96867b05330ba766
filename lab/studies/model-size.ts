// Model size: what a medium and a large model carry on the same GPUs under the same SLO, and what a workflow costs there.
import { logTicks } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber } from '../../reports/numbers.ts';
import type { GridCase } from '../grid/case.ts';
import type { Targets } from '../grid/figures.ts';
import { crossing } from '../policy-bench/compare.ts';
import { type Estimate, estimate, showEstimate, showTimes, timesAs } from './estimate.ts';
import { type Claim, defineStudy, type StudyRun, type Verdict } from './study.ts';

/** H200, at the price of the deployment that the cases start from. */
const GPUS = 4;
const USD_PER_HOUR = GPUS * 3.39;

interface Layout {
  /** As in tables. */
  readonly name: string;
  readonly model: string;
  /** 1e9 parameters: all, and those that a token uses. */
  readonly params: number;
  readonly active: number;
  readonly tensorParallel: number;
  /** The first workflows a second of its sweep, far below what it carries, and the last. */
  readonly from: number;
  readonly to: number;
}

const layout = (
  name: string,
  model: string,
  [params, active]: readonly [number, number],
  tensorParallel: number,
  [from, to]: readonly [number, number],
): Layout => ({ name, model, params, active, tensorParallel, from, to });

/** All of one model's layouts fill the same four GPUs; weights are fp8, KV is bf16. */
const LAYOUTS = [
  layout('Llama 3.1 8B', 'llama-3.1-8b', [8.03, 8.03], 1, [0.5, 32]),
  layout('Ministral 3 14B', 'ministral-3-14b', [13.9, 13.9], 1, [0.25, 16]),
  layout('Mistral Small 4 (119B, 6.5B active)', 'mistral-small-4', [119, 6.5], 1, [0.125, 16]),
  layout('Qwen3 32B', 'qwen3-32b', [32.8, 32.8], 1, [0.0625, 8]),
  layout('Llama 3.1 70B, 4 x 1 GPU', 'llama-3.1-70b', [70.6, 70.6], 1, [0.03125, 4]),
  layout('Llama 3.1 70B, 2 x 2 GPUs', 'llama-3.1-70b', [70.6, 70.6], 2, [0.03125, 4]),
  layout('Llama 3.1 70B, 1 x 4 GPUs', 'llama-3.1-70b', [70.6, 70.6], 4, [0.03125, 4]),
] as const;
const [SMALL, MEDIUM, SPARSE, BETWEEN, LARGE_1, LARGE_2, LARGE_4] = LAYOUTS;
const LARGE = [LARGE_1, LARGE_2, LARGE_4];

const SLOS = [
  { name: 'TTFT 2 s, TPOT 50 ms', targets: { ttft: 2000, tpot: 50 } },
  { name: 'TTFT 1 s, TPOT 25 ms', targets: { ttft: 1000, tpot: 25 } },
  { name: 'TTFT 500 ms, TPOT 12 ms', targets: { ttft: 500, tpot: 12 } },
] as const satisfies readonly { name: string; targets: Targets }[];
const [LOOSE, USUAL, TIGHT] = [0, 1, 2] as const;
/** Of calls that keep an SLO. */
const KEPT_RATIO = 0.95;

/** Workflows a second, doubled from one to the next in the quick study, times the root of 2 in the whole. */
function loadsOf({ from, to }: Layout, isQuick: boolean): number[] {
  const perDoubling = isQuick ? 1 : 2;
  const steps = Math.round(Math.log2(to / from) * perDoubling);
  return Array.from({ length: steps + 1 }, (_, i) => from * 2 ** (i / perDoubling));
}

interface At {
  readonly layout: string;
  readonly perSec: number;
  readonly seed: number;
}
type Run = StudyRun<At>;

/** Sessions start over so long, longer than any takes at a load that is kept; but so few at least, and so many at most. */
const WINDOW_SEC = { quick: 60, whole: 150 } as const;
const SESSIONS_MIN = 60;
const SESSIONS_MAX = { quick: 500, whole: 1200 } as const;

const sessionsOf = (perSec: number, scale: 'quick' | 'whole'): number =>
  Math.min(SESSIONS_MAX[scale], Math.max(SESSIONS_MIN, Math.round(perSec * WINDOW_SEC[scale])));

const caseOf = (each: Layout, { perSec, seed }: At, scale: 'quick' | 'whole'): GridCase => ({
  scenario: {
    input: 'studies/model-size',
    options: {
      seed,
      set: [`traffic.0.sessions=${sessionsOf(perSec, scale)}`],
    },
  },
  deployment: {
    input: '8xh200-mistral-small-4',
    set: [
      `pools.main.model=${each.model}`,
      `pools.main.tensor_parallel=${each.tensorParallel}`,
      `pools.main.replicas=${GPUS / each.tensorParallel}`,
      'pools.main.limits.max_model_len=40960',
    ],
  },
  loadFactor: perSec,
  slos: SLOS.map(({ targets }) => targets),
});

// ---- judgement ------------------------------------------------------------------------------------------------

const seedsOf = (runs: readonly Run[]): number[] => [...new Set(runs.map(({ at }) => at.seed))];
const sweep = (runs: readonly Run[], { name }: Layout, seed: number): Run[] =>
  runs.filter(({ at }) => at.layout === name && at.seed === seed).sort((a, b) => a.at.perSec - b.at.perSec);

/** Workflows a second up to which the SLO is kept, a value each seed; 0 where the lowest load misses it. */
const capacities = (runs: readonly Run[], each: Layout, slo: number): number[] =>
  seedsOf(runs).map(
    seed =>
      crossing(
        sweep(runs, each, seed).map(({ at, keptRatios }) => ({
          loadRatio: at.perSec,
          share: keptRatios?.[slo] ?? null,
        })),
        KEPT_RATIO,
      ) ?? 0,
  );

/** USD for 1,000 workflows at that load. */
const usdOf = (perSec: number): number | null =>
  perSec === 0 ? null : (1000 * USD_PER_HOUR) / (3600 * perSec);
const prices = (runs: readonly Run[], each: Layout, slo: number): (number | null)[] =>
  capacities(runs, each, slo).map(usdOf);

const showUsd = (found: Estimate | null): string => showEstimate(found, usd => `$${showNumber(usd)}`);

/** How many times as much 1,000 workflows cost; null where one of the two cannot keep the SLO. */
const dearer = (runs: readonly Run[], each: Layout, beside: Layout, slo: number): Estimate | null =>
  timesAs(prices(runs, each, slo), prices(runs, beside, slo));

/** The layout that carries most, by its mean. */
const bestOf = (runs: readonly Run[], layouts: readonly Layout[], slo: number): Layout =>
  layouts.reduce((best, each) =>
    (estimate(capacities(runs, each, slo))?.mean ?? 0) > (estimate(capacities(runs, best, slo))?.mean ?? 0)
      ? each
      : best,
  );

const isAbout = (found: Estimate | null, claimed: number, within: number): boolean =>
  found !== null && found.mean >= claimed / within && found.mean <= claimed * within;
const verdictOf = (isWhole: boolean, isPart: boolean): Verdict =>
  isWhole ? 'confirmed' : isPart ? 'partly' : 'contradicted';

function claims(runs: readonly Run[]): Claim[] {
  const large = (slo: number): Layout => bestOf(runs, LARGE, slo);
  const ratios = [LOOSE, USUAL, TIGHT].map(slo => dearer(runs, large(slo), MEDIUM, slo));
  const bySize = LARGE_1.params / MEDIUM.params;
  const sparse = [LOOSE, USUAL, TIGHT].map(slo => dearer(runs, SPARSE, MEDIUM, slo));
  const byActive = SPARSE.active / MEDIUM.active;
  const keeps = (each: Layout, slo: number): boolean => capacities(runs, each, slo).every(load => load > 0);
  const kept = [LOOSE, USUAL, TIGHT].filter(slo => keeps(large(slo), slo));
  const split = [LOOSE, USUAL].map(slo =>
    timesAs(capacities(runs, LARGE_4, slo), capacities(runs, LARGE_1, slo)),
  );
  const text = (found: Estimate | null, slo: number): string =>
    `${found === null ? 'not kept' : showTimes(found)} at ${SLOS[slo]!.name}`;
  return [
    {
      text: `A workflow on the large model costs in proportion to parameters: ${showNumber(bySize)} times the medium one's`,
      verdict: verdictOf(
        ratios.every(found => isAbout(found, bySize, 1.25)),
        ratios.some(found => isAbout(found, bySize, 1.25)),
      ),
      figure: ratios.map(text).join('; '),
    },
    {
      text: `A mixture of experts costs as its active parameters: ${showNumber(byActive)} times a dense 14B`,
      verdict: verdictOf(
        sparse.every(found => isAbout(found, byActive, 1.25)),
        sparse.some(found => isAbout(found, byActive, 1.25)),
      ),
      figure: sparse.map(text).join('; '),
    },
    {
      text: 'With enough GPUs the large model keeps any SLO that the medium one keeps',
      verdict: verdictOf(kept.length === SLOS.length, kept.length > 0 && kept.length < SLOS.length),
      figure: `kept: ${kept.map(slo => `${SLOS[slo]!.name} up to ${showEstimate(estimate(capacities(runs, large(slo), slo)), showNumber)} workflows/s (${large(slo).name})`).join('; ') || 'none'}`,
    },
    {
      text: 'Tensor parallelism buys latency with throughput: split wide only where the SLO is tight',
      verdict: verdictOf(
        (split[LOOSE]?.mean ?? 1) < 1 && (split[USUAL]?.mean ?? 1) > 1,
        (split[USUAL]?.mean ?? 1) > (split[LOOSE]?.mean ?? 1),
      ),
      figure: `one replica of four GPUs carries ${showTimes(split[LOOSE]!)} the load of four of one GPU at ${SLOS[LOOSE].name}, ${split[USUAL] === null ? 'and keeps what they do not keep' : showTimes(split[USUAL]!)} at ${SLOS[USUAL].name}`,
    },
  ];
}

export default defineStudy<At>({
  name: 'model-size',
  question:
    'Medium or large model under the same SLO? The rule of thumb is that cost follows parameters (active ones, for a mixture of experts) and that a large model only needs more GPUs.',
  method: `A tool agent of ten turns on ${GPUS} H200 whatever the model, so that an hour costs $${showNumber(USD_PER_HOUR)} for each: weights in fp8, sessions kept on their replica. The load rises until fewer than 95 % of calls keep an SLO; what is carried up to there gives the cost of 1,000 workflows.`,

  cases({ isQuick }) {
    const seeds = isQuick ? [1, 2, 3] : [1, 2, 3, 4, 5];
    return seeds.flatMap(seed =>
      LAYOUTS.flatMap(each =>
        loadsOf(each, isQuick).map(perSec => {
          const at = { layout: each.name, perSec, seed };
          return { at, of: caseOf(each, at, isQuick ? 'quick' : 'whole') };
        }),
      ),
    );
  },

  judge(runs) {
    const lines: Line[] = [SMALL, MEDIUM, SPARSE, LARGE_4, LARGE_2, LARGE_1, BETWEEN].map(each => {
      const loads = [...new Set(runs.flatMap(({ at }) => (at.layout === each.name ? at.perSec : [])))];
      return {
        name: each.name,
        points: loads
          .sort((a, b) => a - b)
          .map(x => {
            const there = runs.filter(({ at }) => at.layout === each.name && at.perSec === x);
            return { x, y: estimate(there.map(({ keptRatios }) => keptRatios?.[USUAL]))?.mean ?? null };
          }),
      };
    });
    const loads = lines.flatMap(({ points }) => points.map(({ x }) => x));
    const large = bestOf(runs, LARGE, USUAL);
    const ratio = dearer(runs, large, MEDIUM, USUAL);
    return {
      claims: claims(runs),
      tables: [
        {
          title:
            'Workflows a second up to which 95 % of calls keep the SLO, and USD for 1,000 workflows there',
          columns: ['model', ...SLOS.flatMap(({ name }) => [name, 'USD'])],
          rows: LAYOUTS.map(each => [
            each.name,
            ...SLOS.flatMap((_, slo) => {
              const found = capacities(runs, each, slo);
              return found.every(load => load > 0)
                ? [showEstimate(estimate(found), showNumber), showUsd(estimate(found.map(usdOf)))]
                : ['never', ''];
            }),
          ]),
        },
        {
          title: 'With spare capacity: the lowest load',
          columns: ['model', 'workflow p50', 'TTFT p95'],
          rows: LAYOUTS.map(each => {
            const first = seedsOf(runs).flatMap(seed => sweep(runs, each, seed)[0]?.figures ?? []);
            const mean = (name: 'makespanMsP50' | 'ttftMsP95') =>
              showMs(estimate(first.map(run => run[name]))?.mean);
            return [each.name, mean('makespanMsP50'), mean('ttftMsP95')];
          }),
        },
      ],
      charts: [
        {
          id: 'model-size-load',
          title: `Under ${SLOS[USUAL].name} 1,000 workflows on Llama 3.1 70B cost ${ratio === null ? 'no comparable price' : `${showNumber(ratio.mean)} times as much as on Ministral 3 14B`}`,
          spec: linesSpec(lines, {
            x: {
              title: 'workflows a second on four H200',
              scale: { type: 'log', nice: false },
              axis: { values: logTicks(loads), format: '~g' },
            },
            y: {
              title: `calls within ${SLOS[USUAL].name}; 95 % dotted`,
              scale: { domain: [0, 1] },
              axis: { format: '~%' },
              format: '.1%',
            },
            rules: [{ y: KEPT_RATIO, label: '' }],
          }),
        },
      ],
      limits: [
        'Quality is not modelled: a large model may need fewer turns, or get right what a medium one does not. Of its price advantage a medium model loses what it must try again.',
        'Arrivals last 150 s: what is carried for longer is a little less.',
        'Step times are a model, for ranking only; fp8 weights with bf16 KV, vLLM defaults, no speculative decoding.',
        'The same tokens for every model; real ones differ in how much they say.',
        'One shape of agent, whose prompts are mostly cached; long prompts that are not weigh on the large model more.',
      ],
    };
  },
});
