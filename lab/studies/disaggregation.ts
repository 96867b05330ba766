// Disaggregation: where prefill and decode on GPUs of their own serve more than the same GPUs together, and where less.
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showNumber, showRatio } from '../../reports/numbers.ts';
import { mean } from '../../scenarios/base/statistics.ts';
import { crossing } from '../policy-bench/compare.ts';
import {
  type At,
  cases,
  DEFAULT,
  GPUS,
  isSplit,
  LARGE,
  LAYOUTS,
  type Layout,
  LINKED,
  LOOSE,
  type Place,
  place,
  SESSIONS,
  type Shape,
  SLOS,
  SMALL,
  SMOOTH,
  SPLITS,
  STRICT,
  TURNS,
} from './disaggregation-layouts.ts';
import { type Estimate, estimate, showSpread, showTimes, timesAs } from './estimate.ts';
import {
  type Claim,
  defineStudy,
  type StudyChart,
  type StudyRun,
  type StudyTable,
  type Verdict,
} from './study.ts';

/** As DistServe judges: of this many calls both targets are kept. */
const KEPT_RATIO = 0.9;

/** Calls a second and GPU while `KEPT_RATIO` of the calls keep the SLO. */
interface Served {
  /** Of each seed; 0 where they never do. */
  readonly perGpu: readonly number[];
  /** A seed still keeps it at the highest load tried, so that it might serve more. */
  readonly isOpen: boolean;
}
type Goodput = (place: Place, slo: number) => Served;

const keyOf = ({ sessionsPerSec: _, seed: __, ...rest }: At): string => JSON.stringify(rest);

function goodputOf(runs: readonly StudyRun<At>[]): Goodput {
  const byPlace = Map.groupBy(runs, ({ at }) => keyOf(at));
  return (where, slo) => {
    const own = byPlace.get(keyOf({ ...where, sessionsPerSec: 0, seed: 0 })) ?? [];
    const calls = where.workflow === 'ask' ? 1 : TURNS;
    const curves = [...Map.groupBy(own, ({ at }) => at.seed).values()].map(points =>
      points.map(({ at, keptRatios }) => ({
        loadRatio: at.sessionsPerSec,
        share: keptRatios?.[slo] ?? 0,
      })),
    );
    return {
      perGpu: curves.map(shares => ((crossing(shares, KEPT_RATIO) ?? 0) * calls) / GPUS),
      isOpen: curves.some(shares => shares.at(-1)!.share >= KEPT_RATIO),
    };
  };
}

interface Best extends Served {
  readonly layout: Layout;
}

function best(goodput: Goodput, shape: Shape, layouts: readonly Layout[], slo: number): Best | null {
  const found = layouts.flatMap(layout => {
    const served = goodput(place(shape, layout), slo);
    const own = estimate(served.perGpu);
    return own === null ? [] : [{ layout, ...served, mean: own.mean }];
  });
  return found.toSorted((a, b) => b.mean - a.mean)[0] ?? null;
}

const TOGETHER = LAYOUTS.filter(layout => !isSplit(layout));

/** The best split against the best of those together, at a shape and an SLO. */
type Contest = ReturnType<typeof contest>;
function contest(goodput: Goodput, shape: Shape, slo: number, layouts: readonly Layout[] = TOGETHER) {
  const split = best(goodput, shape, SPLITS, slo);
  const together = best(goodput, shape, layouts, slo);
  if (split === null || together === null) return null;
  return { split, together, times: timesAs(split.perGpu, together.perGpu) };
}

const shapeName = ({ model, promptTokens, answerTokens }: Shape): string =>
  `${model === 'llama-3.1-8b' ? '8B' : '70B'}, ${promptTokens / 1000}k in, ${answerTokens} out`;

function contestCell(goodput: Goodput, shape: Shape, slo: number): string {
  const found = contest(goodput, shape, slo);
  if (found === null) return '–';
  const { split, together, times } = found;
  const pair = `${split.layout} against ${together.layout}`;
  if (split.isOpen && together.isOpen) return `both keep it at every load tried, ${pair}`;
  const bound = together.isOpen ? 'at most ' : split.isOpen ? 'at least ' : '';
  if (times !== null) return `${bound}${showTimes(times)}, ${pair}`;
  const [own, beside] = [mean([...split.perGpu]), mean([...together.perGpu])];
  if (own === 0) return 'none keeps it at these loads';
  if (beside === 0) return `${split.layout} alone keeps it`;
  return `${showNumber(own)} against ${showNumber(beside)}, ${pair}, which keeps it in some runs only`;
}

const SHAPES = [...SMALL, ...LARGE];
/** Beyond doubt: a difference, since there may be nothing to divide by. */
function isWon({ split, together }: NonNullable<Contest>): boolean {
  const more = estimate(split.perGpu.map((served, seed) => served - together.perGpu[seed]!));
  return more !== null && !together.isOpen && (more.ci95 ?? [more.mean])[0] > 0;
}
const isAlone = ({ split, together }: NonNullable<Contest>): boolean =>
  mean([...split.perGpu]) > 0 && mean([...together.perGpu]) === 0;

/** Of the shapes that were run, how many the split wins beyond doubt. */
function won(goodput: Goodput, slo: number): { of: number; won: number } {
  const all = SHAPES.flatMap(shape => contest(goodput, shape, slo) ?? []);
  return { of: all.length, won: all.filter(isWon).length };
}

/** Every shape at every SLO, with the largest advantage of a split over these layouts. */
function advantages(goodput: Goodput, layouts: readonly Layout[]) {
  const all = SHAPES.flatMap(shape =>
    SLOS.flatMap(({ name }, slo) => {
      const found = contest(goodput, shape, slo, layouts);
      return found === null ? [] : [{ ...found, name, shape }];
    }),
  );
  const compared = all.filter(({ times, together }) => times !== null && !together.isOpen);
  const [most] = compared.toSorted((a, b) => b.times!.mean - a.times!.mean);
  return { all, most, alone: all.filter(isAlone).length };
}

function sevenfold(goodput: Goodput): Claim {
  const { all, most, alone } = advantages(goodput, TOGETHER);
  const untuned = advantages(goodput, [DEFAULT]);
  const factor = most?.times?.mean ?? (alone > 0 ? Number.POSITIVE_INFINITY : 0);
  const figure = [
    ...(most === undefined
      ? []
      : [
          `at most ${showTimes(most.times)} the calls of the best budget: ${shapeName(most.shape)}, ${most.name}, ${most.split.layout} against ${most.together.layout}`,
        ]),
    `in ${alone} of ${all.length} shapes and targets only a split keeps the target`,
    `against vLLM's own budget at most ${showTimes(untuned.most?.times ?? null)}, and in ${untuned.alone} that budget keeps none`,
  ].join('; ');
  return {
    text: 'Disaggregation serves 7 times as much per GPU',
    verdict: factor >= 7 / 2 ? 'confirmed' : factor >= 7 / 3 ? 'partly' : 'contradicted',
    figure,
  };
}

function claims(goodput: Goodput): Claim[] {
  const wins = SLOS.map((_, slo) => won(goodput, slo));
  const share = (slo: number): number => wins[slo]!.won / Math.max(1, wins[slo]!.of);
  const told = SLOS.map(({ name }, slo) => {
    const times = estimate(SHAPES.flatMap(shape => contest(goodput, shape, slo)?.times?.mean ?? []));
    return `${name}: ${wins[slo]!.won} of ${wins[slo]!.of}, ${showTimes(times && { ...times, ci95: null })} at the mean`;
  }).join('; ');
  const loose = estimate(SHAPES.flatMap(shape => contest(goodput, shape, LOOSE)?.times?.mean ?? []));
  const smooth = SHAPES.flatMap(shape => contest(goodput, shape, SMOOTH) ?? []);
  const untuned = smooth.filter(({ together }) => mean([...together.perGpu]) > 0).length;
  const saved = smooth.filter(found => !isWon(found)).length;
  const { shape: longest, layout } = LINKED;
  const linked = (linkGbPerSec: number): Estimate | null =>
    timesAs(
      goodput(place(longest, layout, { linkGbPerSec }), LOOSE).perGpu,
      goodput(place(longest, layout), LOOSE).perGpu,
    );
  const [slow, fast] = [linked(12.5), linked(450)];
  const isNear = (times: Estimate | null): boolean => times !== null && Math.abs(times.mean - 1) < 0.05;
  const wrong = SHAPES.flatMap(shape => {
    const means = SPLITS.flatMap(split => estimate(goodput(place(shape, split), LOOSE).perGpu)?.mean ?? []);
    return means.length < 2 ? [] : [Math.min(...means) / Math.max(...means)];
  });
  const local = SPLITS.flatMap(split => {
    const [always, some] = [0, 2048].map(
      localBelowTokens => goodput(place(SESSIONS, split, { localBelowTokens }), LOOSE).perGpu,
    );
    const times = timesAs(some!, always!);
    return times === null ? [] : [{ split, times }];
  });
  const gains = local.filter(({ times }) => times.mean > 1.02).length;
  return [
    sevenfold(goodput),
    {
      text: 'It pays where the target between two tokens is tight',
      verdict:
        share(STRICT) > 2 / 3 && share(LOOSE) < 1 / 3
          ? 'confirmed'
          : share(STRICT) > share(LOOSE)
            ? 'partly'
            : 'contradicted',
      figure: `shapes in which a split serves more than the best budget, beyond doubt: ${told}`,
    },
    {
      text: 'It serves more per GPU at a loose target, too',
      verdict: verdictOf(share(LOOSE)),
      figure: `at ${SLOS[LOOSE].name} the best split serves ${showTimes(loose)} the calls of the best budget, over shapes`,
    },
    {
      text: 'A small prefill budget does the same without splitting',
      verdict: verdictOf(saved / Math.max(1, smooth.length)),
      figure: `at ${SLOS[SMOOTH].name} some budget keeps the target in ${untuned} of ${smooth.length} shapes, and no split beats it beyond doubt in ${saved}`,
    },
    {
      text: 'The link between the halves hardly matters from 50 GB/s on',
      verdict: isNear(fast) ? 'confirmed' : 'contradicted',
      figure: `${shapeName(longest)}, ${layout}: ${showTimes(slow)} at 12.5 GB/s and ${showTimes(fast)} at 450 GB/s, of what 50 GB/s serves`,
    },
    {
      text: 'The split must fit the shape of the calls',
      verdict: verdictOf(wrong.filter(ratio => ratio < 0.8).length / Math.max(1, wrong.length)),
      figure:
        wrong.length === 0
          ? 'one split tried'
          : `of two or three splits that looked possible the worst serves ${showRatio(mean(wrong))} of the best at the mean, ${showRatio(Math.min(...wrong))} at the least`,
    },
    {
      text: 'Short continuations are better computed where their cache is (Dynamo: below 2048 tokens)',
      verdict: verdictOf(gains / Math.max(1, local.length)),
      figure: `sessions of ${TURNS} calls at ${SLOS[LOOSE].name}: ${local.map(({ split, times }) => `${split} ${showTimes(times)}`).join('; ')} of what sending all of them serves`,
    },
  ];
}

const verdictOf = (share: number): Verdict =>
  share > 2 / 3 ? 'confirmed' : share > 1 / 3 ? 'partly' : 'contradicted';

const shownGoodput = (goodput: Goodput, where: Place): string[] =>
  SLOS.map((_, slo) => {
    const { perGpu, isOpen } = goodput(where, slo);
    return `${isOpen ? '>= ' : ''}${showSpread(estimate(perGpu), showNumber)}`;
  });

function tables(goodput: Goodput): StudyTable[] {
  const targets = SLOS.map(({ name }) => name);
  const isRun = (where: Place): boolean => goodput(where, LOOSE).perGpu.length > 0;
  const run = SHAPES.filter(shape => isRun(place(shape, DEFAULT)));
  const places = (shape: Shape, more: Partial<Place>[]) =>
    LAYOUTS.flatMap(layout => more.map(each => place(shape, layout, each))).filter(isRun);
  return [
    {
      title: 'The best split over the best budget together, calls a second and GPU',
      columns: ['calls', ...targets],
      rows: run.map(shape => [shapeName(shape), ...SLOS.map((_, slo) => contestCell(goodput, shape, slo))]),
    },
    {
      title: 'Calls a second and GPU, by layout',
      columns: ['calls', 'layout', ...targets],
      rows: run.flatMap(shape =>
        places(shape, [{}]).map(where => [
          shapeName(shape),
          layoutName(where.layout),
          ...shownGoodput(goodput, where),
        ]),
      ),
    },
    {
      title: 'By the link between the halves: 16k in, 256 out',
      columns: ['layout', 'link', ...targets],
      rows: [12.5, 50, 450]
        .map(linkGbPerSec => place(LINKED.shape, LINKED.layout, { linkGbPerSec }))
        .filter(isRun)
        .map(where => [where.layout, `${where.linkGbPerSec} GB/s`, ...shownGoodput(goodput, where)]),
    },
    {
      title: `Sessions of ${TURNS} calls whose prompts grow, calls a second and GPU`,
      columns: ['layout', 'prefill of short continuations', ...targets],
      rows: places(SESSIONS, [{}, { localBelowTokens: 2048 }]).map(where => [
        layoutName(where.layout),
        isSplit(where.layout) ? (where.localBelowTokens > 0 ? 'with decode' : 'sent') : '',
        ...shownGoodput(goodput, where),
      ]),
    },
  ];
}

const layoutName = (layout: Layout): string => (isSplit(layout) ? layout : `together, ${layout} a step`);

/** Share of the calls that keep a target, layout by layout, as the load of a shape rises. */
const keptLines = (runs: readonly StudyRun<At>[], shape: Shape, slo: number): Line[] =>
  LAYOUTS.flatMap(layout => {
    const key = JSON.stringify(place(shape, layout));
    const own = runs.filter(({ at }) => keyOf(at) === key);
    if (own.length === 0) return [];
    const points = [...Map.groupBy(own, ({ at }) => at.sessionsPerSec)].map(([perSec, same]) => ({
      x: perSec / GPUS,
      y: mean(same.map(({ keptRatios }) => keptRatios?.[slo] ?? 0)),
    }));
    return [{ name: layoutName(layout), points }];
  });

/** What most systems see: not short, not long. */
const MIDDLE = SMALL.find(({ promptTokens, answerTokens }) => promptTokens === 4000 && answerTokens === 256)!;

function charts(goodput: Goodput, runs: readonly StudyRun<At>[]): StudyChart[] {
  const answers = [...new Set(SMALL.map(({ answerTokens }) => answerTokens))];
  const line = (answerTokens: number, slo: number): Line => ({
    name: `${answerTokens} out, ${SLOS[slo]!.name}`,
    points: SMALL.filter(shape => shape.answerTokens === answerTokens).map(shape => {
      const times = contest(goodput, shape, slo)?.times ?? null;
      return { x: shape.promptTokens, y: times?.mean ?? null };
    }),
  });
  const most = Math.max(0, ...SMALL.map(shape => contest(goodput, shape, LOOSE)?.times?.mean ?? 0));
  const least = Math.min(...SMALL.map(shape => contest(goodput, shape, LOOSE)?.times?.mean ?? 1));
  return [
    {
      id: 'disaggregation-by-shape',
      title: `Where ${SLOS[LOOSE].name} is enough, the best split serves ${showNumber(least)} to ${showNumber(most)} times what the best budget does`,
      spec: linesSpec(
        [STRICT, LOOSE].flatMap(slo => answers.map(answer => line(answer, slo))),
        {
          x: {
            title: 'prompt tokens',
            scale: { type: 'log' },
            axis: { values: [1000, 4000, 16_000], format: '~s' },
          },
          y: { title: 'calls a second and GPU, split over together', scale: { zero: true }, format: '.2f' },
          rules: [{ y: 1, label: 'as much as together' }],
        },
      ),
    },
    {
      id: 'disaggregation-load',
      title: `Calls of 4k in and 256 out that keep ${SLOS[SMOOTH].name}, as the load rises`,
      spec: linesSpec(keptLines(runs, MIDDLE, SMOOTH), {
        x: { title: 'calls a second and GPU', scale: { zero: true }, format: '.3~r' },
        y: { title: null, scale: { domain: [0, 1] }, axis: { format: '~%' }, format: '.0%' },
        rules: [{ y: KEPT_RATIO, label: 'what counts as served' }],
        strong: layoutName(DEFAULT),
      }),
    },
  ];
}

export default defineStudy<At>({
  name: 'disaggregation',
  question:
    'Does it pay to compute prompts on some GPUs and answers on others? NVIDIA claims 7 times the throughput per GPU (DeepSeek R1, whole racks); DistServe and Dynamo claim gains where prefill disturbs decode.',
  method: `Four GPUs, each a replica, serve single calls of one shape: together, with the token budget of a step that vLLM has (8192) or a smaller one, or split into prefill and decode with 50 GB/s between them. Llama 3.1 8B on H100, and 70B in fp8 on H200. The load rises until fewer than ${showRatio(KEPT_RATIO)} of the calls keep both TTFT <= 2 s and the target between tokens: the mean of a call (TPOT) or its longest gap. Between two loads a line is drawn. Prompts and answers vary around their median (p90 1.5 times it). Then sessions of ${TURNS} calls whose prompts grow by a tool's result, each on its own replicas.`,
  cases,
  judge(runs) {
    const goodput = goodputOf(runs);
    return {
      claims: claims(goodput),
      tables: tables(goodput),
      charts: charts(goodput, runs),
      limits: [
        'Dense models on four GPUs of one kind, each a whole replica. The 7 times are of a mixture of experts over whole racks, where a split also changes how experts are spread: that is not tried here.',
        'Step times come from physics fitted on measured runs, for ranking only; long contexts are beyond what they were tried with.',
        'Both halves have the same GPUs and vLLM defaults; a prefill pool of cheaper cards, or other parallelism in each half, is not tried.',
        'The chart by shape has no point where nothing together keeps the target: there only a split serves.',
        'Layers do not travel while others are computed, and the first token comes from decode, as with vLLM and NIXL.',
        'Runs are of 22 to 60 s of traffic: just beyond the knee a queue has little time to grow, so that the calls a second come out up to a tenth high, where prompts are short more, for all layouts alike.',
      ],
    };
  },
});
