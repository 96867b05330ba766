// Break-even: from how many calls a day on GPUs of one's own cost less than an API, and whether they can serve as many.
import { type ChartSpec, FAINT, logTicks, PALETTE } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { type MatrixCell, matrixSpec } from '../../reports/charts/matrix.ts';
import { showCount, showNumber, showRatio, showUsd } from '../../reports/numbers.ts';
import type { GridCase } from '../grid/case.ts';
import type { Targets } from '../grid/figures.ts';
import { crossing } from '../policy-bench/compare.ts';
import {
  apiUsd,
  breakEven,
  type CallShape,
  DAY_SEC,
  hostedUsd,
  type Setup,
  USUAL,
  usdPerDay,
} from './break-even-costs.ts';
import type { DayFigures } from './break-even-measure.ts';
import { type Estimate, estimate, showEstimate, showSpread } from './estimate.ts';
import { type Claim, defineStudy, type StudyRun, type StudyTable } from './study.ts';

// ---- what is compared -----------------------------------------------------------------------------------------

interface Server extends Setup {
  /** Beyond the deployment that the cases start from. */
  readonly set: readonly string[];
}

const SERVERS = {
  h200: { name: 'one H200, Mistral Small 4 (fp8)', gpus: 1, usdPerGpuHour: 3.39, set: [] },
  pair: {
    name: 'two H100, Mistral Small 4 (fp8)',
    gpus: 2,
    usdPerGpuHour: 2.95,
    set: ['pools.main.gpu=h100-80gb-sxm', 'pools.main.tensor_parallel=2', 'pools.main.price=2.95/h'],
  },
  h100: {
    name: 'one H100, Ministral 3 14B (bf16)',
    gpus: 1,
    usdPerGpuHour: 2.95,
    set: [
      'pools.main.gpu=h100-80gb-sxm',
      'pools.main.model=ministral-3-14b',
      'pools.main.precision={ weights: bf16, kv: bf16 }',
      'pools.main.price=2.95/h',
    ],
  },
} as const satisfies Record<string, Server>;
type ServerId = keyof typeof SERVERS;
const { h200, pair, h100 } = SERVERS;

/** By their ids in the catalogue of prices. */
const APIS = {
  'mistral-small-4': 'Mistral Small 4',
  'ministral-3-14b': 'Ministral 3 14B',
  'gpt-5-mini': 'GPT-5 mini',
  'claude-haiku-4-5': 'Claude Haiku 4.5',
  'gpt-5.2': 'GPT-5.2',
  'gpt-4o': 'GPT-4o',
  'claude-opus-5-5': 'Claude Opus 5.5',
} as const;
type Api = keyof typeof APIS;
const FRONTIER = 'gpt-5.2';
const OWN = 'mistral-small-4';
/** Columns of the matrix, from the cheapest on, and their short names. */
const SPREAD: readonly (readonly [Api, string])[] = [
  ['mistral-small-4', 'Small 4'],
  ['gpt-5-mini', 'GPT-5 mini'],
  ['claude-haiku-4-5', 'Haiku 4.5'],
  ['gpt-5.2', 'GPT-5.2'],
  ['claude-opus-5-5', 'Opus 5.5'],
];

const SLOS = [
  { name: 'TTFT 2 s, TPOT 50 ms', targets: { ttft: 2000, tpot: 50 } },
  { name: 'TTFT 1 s, TPOT 25 ms', targets: { ttft: 1000, tpot: 25 } },
] as const satisfies readonly { name: string; targets: Targets }[];
const [LOOSE, TIGHT] = [0, 1] as const;
const KEPT_RATIO = 0.95;

/** Of the prompts of the cases with a prefix, what all calls share: 2,400 of 3,000 tokens. */
const SHARED_TOKENS = 2400;
/** The busiest hour of an office day over the mean of 24 h. */
const PEAK = 3;
/** What background 000 says, and what its job scanner makes. */
const TOLD_PER_DAY = 5500;
const SCANNER_PER_DAY = 345;

// ---- cases ----------------------------------------------------------------------------------------------------

interface Load {
  readonly kind: 'load';
  readonly server: ServerId;
  readonly promptTokens: number;
  readonly isShared: boolean;
  readonly perSec: number;
  readonly seed: number;
}
/** Traffic at an even pace, to be paid for. */
interface Books {
  readonly kind: 'books';
  readonly where: ServerId | Api;
  readonly callsPerDay: number;
  readonly hours: number;
}
type At = Load | Books;
type Runs = readonly StudyRun<At>[];

interface Sweep {
  readonly server: ServerId;
  readonly promptTokens: number;
  readonly isShared?: true;
  /** Calls a second from which to which. */
  readonly from: number;
  readonly to: number;
}
const SWEEPS: readonly Sweep[] = [
  { server: 'h200', promptTokens: 3000, from: 0.5, to: 12 },
  { server: 'pair', promptTokens: 3000, from: 0.5, to: 16 },
  { server: 'h100', promptTokens: 3000, from: 0.5, to: 12 },
  { server: 'h200', promptTokens: 1000, from: 0.5, to: 40 },
  { server: 'h200', promptTokens: 10_000, from: 0.1, to: 4 },
  { server: 'h200', promptTokens: 30_000, from: 0.02, to: 1 },
  { server: 'h200', promptTokens: 3000, isShared: true, from: 0.5, to: 40 },
];
const PROMPTS = [1000, 3000, 10_000, 30_000] as const;

/** Sessions start over so long; but so few at least, and so many at most. */
const WINDOW_SEC = { quick: 90, whole: 240 } as const;
const sessionsOf = (perSec: number, isQuick: boolean): number =>
  Math.min(4000, Math.max(60, Math.round(perSec * WINDOW_SEC[isQuick ? 'quick' : 'whole'])));

function loadsOf({ from, to }: Sweep, isQuick: boolean): number[] {
  const perDoubling = isQuick ? 1 : 3;
  const steps = Math.ceil(Math.log2(to / from) * perDoubling);
  return Array.from({ length: steps + 1 }, (_, i) => from * 2 ** (i / perDoubling));
}

const gpuDeployment = (server: ServerId): GridCase['deployment'] => ({
  input: '8xh200-mistral-small-4',
  set: ['pools.main.replicas=1', 'pools.main.limits.max_model_len=40960', ...SERVERS[server].set],
});

function loadCase({ server, promptTokens, isShared, perSec, seed }: Load, isQuick: boolean): GridCase {
  const set = [
    `traffic.0.workflow=${isShared ? 'shared-call' : 'call'}`,
    `params.own=${isShared ? promptTokens - SHARED_TOKENS : promptTokens}`,
    `traffic.0.sessions=${sessionsOf(perSec, isQuick)}`,
  ];
  return {
    scenario: { input: 'studies/break-even', options: { seed, set } },
    deployment: gpuDeployment(server),
    loadFactor: perSec,
    slos: SLOS.map(({ targets }) => targets),
  };
}

const isServer = (where: ServerId | Api): where is ServerId => Object.hasOwn(SERVERS, where);

function booksCase({ where, callsPerDay, hours }: Books): GridCase {
  const set = [
    `traffic.0.arrival={ constant: { rate: ${callsPerDay}/d } }`,
    `traffic.0.sessions=${Math.round((callsPerDay * hours) / 24)}`,
    ...(isServer(where) ? [] : [`models.any.model=${where}`]),
  ];
  return {
    scenario: { input: 'studies/break-even', options: { seed: 1, set } },
    deployment: isServer(where) ? gpuDeployment(where) : { input: 'api-only' },
    loadFactor: 1,
    measure: new URL('./break-even-measure.ts', import.meta.url).href,
  };
}

const FRONTIER_PER_DAY = Math.round(breakEven(FRONTIER, h100));
const OWN_PER_DAY = Math.round(breakEven(OWN, h200));
const BOOKS: readonly Books[] = [
  { kind: 'books', where: FRONTIER, callsPerDay: FRONTIER_PER_DAY, hours: 24 },
  { kind: 'books', where: 'h100', callsPerDay: FRONTIER_PER_DAY, hours: 24 },
  { kind: 'books', where: OWN, callsPerDay: OWN_PER_DAY, hours: 1 },
  { kind: 'books', where: 'h200', callsPerDay: OWN_PER_DAY, hours: 1 },
];

// ---- judgement ------------------------------------------------------------------------------------------------

/** Calls a second up to which the SLO is kept: a value each seed, 0 where the lowest load misses it. */
function capacity(
  runs: Runs,
  server: ServerId,
  { promptTokens = 3000, isShared = false, slo = LOOSE as number } = {},
): Estimate | null {
  const found = new Map<number, { loadRatio: number; share: number | null }[]>();
  for (const { at, keptRatios } of runs) {
    if (at.kind !== 'load' || at.server !== server) continue;
    if (at.promptTokens !== promptTokens || at.isShared !== isShared) continue;
    const points = found.get(at.seed) ?? [];
    points.push({ loadRatio: at.perSec, share: keptRatios?.[slo] ?? null });
    found.set(at.seed, points);
  }
  const values = [...found.values()].map(
    points =>
      crossing(
        points.sort((a, b) => a.loadRatio - b.loadRatio),
        KEPT_RATIO,
      ) ?? 0,
  );
  return values.some(each => each > 0) ? estimate(values) : null;
}

const perDay = (found: Estimate | null): Estimate | null =>
  found && {
    mean: found.mean * DAY_SEC,
    ci95: found.ci95 && [found.ci95[0] * DAY_SEC, found.ci95[1] * DAY_SEC],
  };

/** Share of the capacity that so many calls a day need. */
const usedRatio = (callsPerDay: number, found: Estimate | null): number =>
  found === null || found.mean === 0 ? Number.NaN : callsPerDay / (found.mean * DAY_SEC);

const near = (value: number, told: number): boolean => Math.abs(value - told) <= 0.1 * told;

/** What the books of a run say beside the formula, USD. */
function booksOf(runs: Runs) {
  return runs.flatMap(({ at, measured }) => {
    if (at.kind !== 'books' || measured === undefined) return [];
    const day = measured as DayFigures;
    const formula = isServer(at.where)
      ? day.gpuHours * SERVERS[at.where].usdPerGpuHour
      : day.calls * apiUsd(at.where, USUAL);
    return [{ at, day, formula }];
  });
}

const whereName = (where: ServerId | Api): string =>
  isServer(where) ? SERVERS[where].name : `${APIS[where]}, API`;

function claims(runs: Runs): Claim[] {
  const frontier = breakEven(FRONTIER, h100);
  const own = breakEven(OWN, h100);
  const ownH200 = breakEven(OWN, h200);
  const loose = capacity(runs, 'h200');
  const tight = capacity(runs, 'h200', { slo: TIGHT });
  const small = capacity(runs, 'h100');
  const smallRatio = usedRatio(frontier, small);
  const [looseRatio, tightRatio] = [usedRatio(ownH200, loose), usedRatio(ownH200, tight)];
  const books = booksOf(runs);
  const off = Math.max(0, ...books.map(({ day, formula }) => Math.abs(day.usd - formula)));
  const busy = books.find(({ at }) => at.where === 'h100')?.day.busyRatio ?? null;
  const cached: CallShape = { ...USUAL, cachedRatio: SHARED_TOKENS / USUAL.promptTokens };
  const [moved, movedOwn] = [breakEven(FRONTIER, h200, cached), breakEven(OWN, h200, cached)];
  const shared = capacity(runs, 'h200', { isShared: true });
  return [
    {
      text: 'From about 5,500 calls a day on, a GPU costs less than a frontier API',
      verdict:
        near(frontier, TOLD_PER_DAY) && near(breakEven('gpt-4o', h100), TOLD_PER_DAY)
          ? 'confirmed'
          : 'partly',
      figure: `one H100 at 2.95 USD an hour, 3,000 tokens in and 500 out: ${showCount(frontier)} against GPT-5.2, ${showCount(breakEven('gpt-4o', h100))} against GPT-4o; against other frontier models from ${showCount(breakEven('claude-opus-5-5', h100))} (Claude Opus 5.5) to ${showCount(breakEven('claude-haiku-4-5', h100))} (Claude Haiku 4.5)`,
    },
    {
      text: 'The same holds against the API of the model that the GPU serves',
      verdict: near(own, TOLD_PER_DAY) ? 'confirmed' : 'contradicted',
      figure: `Mistral Small 4's own API: ${showCount(own)} calls a day for the price of an H100, which does not hold its 119 GB of fp8 weights; ${showCount(ownH200)} for one H200, ${showCount(breakEven(OWN, pair))} for two H100 (Ministral 3 14B, which one H100 holds: ${showCount(breakEven('ministral-3-14b', h100))}): ${showNumber(own / frontier)} times as many as against GPT-5.2`,
    },
    {
      text: 'One GPU serves the calls of the break-even with a frontier API',
      verdict: smallRatio < 1 / PEAK ? 'confirmed' : smallRatio < 1 ? 'partly' : 'contradicted',
      figure: `${showCount(frontier)} a day are ${showNumber(frontier / DAY_SEC)} a second: ${showRatio(smallRatio)} of the ${showEstimate(small, showNumber)} a second that one H100 with Ministral 3 14B carries under ${SLOS[LOOSE].name}, ${showRatio(usedRatio(breakEven(FRONTIER, h200), loose))} of the H200's with Mistral Small 4`,
    },
    {
      text: "One GPU serves the calls of the break-even with its model's own API",
      verdict:
        looseRatio * PEAK < 1 && tightRatio * PEAK < 1
          ? 'confirmed'
          : looseRatio < 1
            ? 'partly'
            : 'contradicted',
      figure: `${showCount(ownH200)} a day are ${showRatio(looseRatio)} of what one H200 carries under ${SLOS[LOOSE].name} (${showEstimate(loose, showNumber)} a second), ${showRatio(tightRatio)} under ${SLOS[TIGHT].name} (${showEstimate(tight, showNumber)}), if they come evenly; with a busiest hour of ${PEAK} times the mean ${showRatio(looseRatio * PEAK)} and ${showRatio(tightRatio * PEAK)}`,
    },
    {
      text: 'The job scanner with 345 calls a day is well in API territory',
      verdict: SCANNER_PER_DAY * apiUsd(FRONTIER, USUAL) < usdPerDay(h100) / 2 ? 'confirmed' : 'contradicted',
      figure: `${showUsd(SCANNER_PER_DAY * apiUsd(FRONTIER, USUAL))} a day with GPT-5.2, ${showUsd(SCANNER_PER_DAY * apiUsd(OWN, USUAL))} with Mistral Small 4's API, ${showUsd(usdPerDay(h100))} for the H100`,
    },
    {
      text: 'What the prompts share does not move it: the list price of input counts',
      verdict: moved / breakEven(FRONTIER, h200) < 1.1 ? 'confirmed' : 'contradicted',
      figure: `with 80 % of the prompt at the price of a cache read one H200 breaks even at ${showCount(moved)} instead of ${showCount(breakEven(FRONTIER, h200))} calls a day against GPT-5.2, at ${showCount(movedOwn)} instead of ${showCount(ownH200)} against its model's own API; it then carries ${showEstimate(shared, showNumber)} a second instead of ${showEstimate(loose, showNumber)}`,
    },
    {
      text: 'The books of simulated runs say the same as the formula, to the cent',
      verdict: books.length > 0 && off < 0.005 ? 'confirmed' : 'contradicted',
      figure: `${books.map(({ at, day }) => `${showCount(day.calls)} calls with ${whereName(at.where)} in ${at.hours} h: ${showUsd(day.usd)}`).join('; ')}; largest difference ${showNumber(off * 100)} cents. The H100 computes ${showRatio(busy)} of the time to serve ${showRatio(smallRatio)} of what it could: few calls at once`,
    },
  ];
}

function tables(runs: Runs): StudyTable[] {
  const loose = capacity(runs, 'h200');
  const cap = { callsPerSec: loose?.mean ?? Number.NaN, peak: 1 };
  const at = (more: Partial<CallShape>, setup: Setup = h200): [string, string] => {
    const shape = { ...USUAL, ...more };
    return [showCount(breakEven(FRONTIER, setup, shape)), showCount(breakEven(OWN, setup, shape))];
  };
  const priced = (usdPerGpuHour: number): Setup => ({ ...h200, usdPerGpuHour });
  return [
    {
      title: 'Break-even, calls a day, and the share of the capacity that they need',
      columns: [
        'API',
        'USD of a call',
        ...Object.values(SERVERS).flatMap(({ name }) => [name, 'of its capacity']),
      ],
      rows: (Object.keys(APIS) as Api[]).map(api => [
        APIS[api],
        showUsd(apiUsd(api, USUAL)),
        ...(Object.keys(SERVERS) as ServerId[]).flatMap(id => [
          showCount(breakEven(api, SERVERS[id])),
          showRatio(usedRatio(breakEven(api, SERVERS[id]), capacity(runs, id))),
        ]),
      ]),
    },
    {
      title: 'What a server carries: calls a second up to which 95 % keep the SLO',
      columns: ['server', 'prompt', 'USD a day', ...SLOS.flatMap(({ name }) => [name, 'a day'])],
      rows: SWEEPS.map(({ server, promptTokens, isShared = false }) => [
        SERVERS[server].name,
        isShared ? `${showCount(promptTokens)}, 80 % shared` : showCount(promptTokens),
        showUsd(usdPerDay(SERVERS[server])),
        ...SLOS.flatMap((_, slo) => {
          const found = capacity(runs, server, { promptTokens, isShared, slo });
          return [showSpread(found, showNumber), showSpread(perDay(found), showCount)];
        }),
      ]),
    },
    {
      title: 'What a call costs on one H200, by how much of it is used',
      columns: ['used', 'calls a day', 'USD of 1,000 calls', 'GPT-5.2 costs', 'Mistral Small 4’s API costs'],
      rows: [0.01, 0.05, 0.1, 0.25, 0.5, 1].map(used => {
        const calls = used * cap.callsPerSec * DAY_SEC;
        const usd = usdPerDay(h200) / calls;
        const times = (api: Api): string => `${showNumber(apiUsd(api, USUAL) / usd)}x`;
        return [showRatio(used), showCount(calls), showUsd(1000 * usd), times(FRONTIER), times(OWN)];
      }),
    },
    {
      title: 'What moves it: one H200, one thing at a time',
      columns: ['', 'against GPT-5.2', "against Mistral Small 4's API"],
      rows: [
        ['as above: 3.39 USD an hour, 3,000 in, 500 out', ...at({})],
        ['the GPU at 2 USD an hour', ...at({}, priced(2))],
        ['the GPU at 7 USD an hour', ...at({}, priced(7))],
        ['1,000 tokens in', ...at({ promptTokens: 1000 })],
        ['10,000 tokens in', ...at({ promptTokens: 10_000 })],
        ['100 tokens out', ...at({ outputTokens: 100 })],
        ['1,500 tokens out', ...at({ outputTokens: 1500 })],
        ['50 % of the prompt cached', ...at({ cachedRatio: 0.5 })],
        ['80 % of the prompt cached', ...at({ cachedRatio: 0.8 })],
        ['95 % of the prompt cached', ...at({ cachedRatio: 0.95 })],
      ],
    },
  ];
}

// ---- charts ---------------------------------------------------------------------------------------------------

/** Points with words beside them, on top of the lines. */
const marked = (spec: ChartSpec, marks: readonly { x: number; y: number; label: string }[]): ChartSpec => {
  const at = {
    x: { field: 'x', type: 'quantitative' },
    y: { field: 'y', type: 'quantitative' },
  };
  const layers = [
    { mark: { type: 'point', size: 130, strokeWidth: 2, color: PALETTE.grey }, encoding: at },
    {
      mark: { type: 'text', align: 'right', baseline: 'bottom', dx: -7, dy: -6, fontSize: 11, color: FAINT },
      encoding: { ...at, text: { field: 'label' } },
    },
  ].map(layer => ({ data: { name: 'marks' }, ...layer }));
  return {
    ...spec,
    datasets: { ...spec.datasets, marks },
    layer: [...(spec.layer as readonly object[]), ...layers],
  };
};

const CALLS_PER_DAY = Array.from({ length: 25 }, (_, i) => 10 ** (2 + i / 6));
const LINE_APIS: readonly Api[] = ['gpt-5.2', 'mistral-small-4'];

function curves(runs: Runs) {
  const found = capacity(runs, 'h200');
  const callsPerSec = found?.mean ?? Number.POSITIVE_INFINITY;
  const hosted = (name: string, peak: number): Line => ({
    name,
    points: CALLS_PER_DAY.map(x => ({ x, y: hostedUsd(x, h200, { callsPerSec, peak }) })),
  });
  const lines: Line[] = [
    hosted('H200s, calls come evenly', 1),
    ...LINE_APIS.map(api => ({
      name: `${APIS[api]}, API`,
      points: CALLS_PER_DAY.map(x => ({ x, y: x * apiUsd(api, USUAL) })),
    })),
    hosted(`H200s, busiest hour ${PEAK}x the mean`, PEAK),
  ];
  const marks = LINE_APIS.map(api => {
    const x = breakEven(api, h200);
    return { x, y: usdPerDay(h200), label: showCount(x) };
  });
  const spec = linesSpec(lines, {
    x: {
      title: 'calls a day, 3,000 tokens in and 500 out',
      scale: { type: 'log' },
      axis: { values: logTicks(CALLS_PER_DAY), format: '~s' },
      format: ',.0f',
    },
    y: { title: 'USD a day', scale: { type: 'log', nice: false }, axis: { format: ',' }, format: ',.2f' },
    strong: `H200s, busiest hour ${PEAK}x the mean`,
    height: 360,
  });
  return {
    id: 'break-even-curves',
    title: `One H200 breaks even at ${showCount(breakEven(FRONTIER, h200))} calls a day against GPT-5.2, at ${showCount(breakEven(OWN, h200))} against the API of the model that it serves`,
    spec: marked(spec, marks),
  };
}

function byTokens(runs: Runs) {
  const cells: MatrixCell[] = PROMPTS.flatMap(promptTokens => {
    const found = capacity(runs, 'h200', { promptTokens });
    return SPREAD.map(([api, column]) => {
      const calls = breakEven(api, h200, { ...USUAL, promptTokens });
      const ratio = usedRatio(calls, found);
      return {
        row: `${showCount(promptTokens)} tokens in`,
        column,
        ratio: Number.isNaN(ratio) ? null : ratio * PEAK,
        text: `${showCount(calls)} (${showRatio(ratio)})`,
      };
    });
  });
  return {
    id: 'break-even-tokens',
    title: `Break-even of one H200 in calls a day, and the share of what it carries: red where that is too much in a busiest hour of ${PEAK} times the mean`,
    spec: matrixSpec(cells, { rowTitle: '', columnTitle: '' }),
  };
}

export default defineStudy<At>({
  name: 'break-even',
  question:
    'From how many calls a day on is a GPU of one\'s own cheaper than an API? Background 000 says "at ~5,500 agent calls per day"; policies.md §5.4 finds that number against frontier models and 94,400 against the API of the same model. And can the GPU serve as many?',
  method: `Sums at list prices of the catalogue (November 2026): a call of 3,000 tokens in and 500 out, nothing cached unless said; an H100 at 2.95 USD an hour (the median of 37 providers in May 2026), an H200 at 3.39 (Verda). What a server carries is simulated: single calls at random times, more and more of them, until fewer than 95 % keep the SLO. The books (gateway/ledger) of runs at an even pace, a day of the frontier's break-even and an hour of the other, are held against the sums.`,
  cases({ isQuick }) {
    const seeds = isQuick ? [1, 2] : [1, 2, 3, 4, 5];
    return [
      ...seeds.flatMap(seed =>
        SWEEPS.flatMap(sweep =>
          loadsOf(sweep, isQuick).map(perSec => {
            const { server, promptTokens, isShared = false } = sweep;
            const at = { kind: 'load' as const, server, promptTokens, isShared, perSec, seed };
            return { at, of: loadCase(at, isQuick) };
          }),
        ),
      ),
      ...BOOKS.map(at => ({ at, of: booksCase(at) })),
    ];
  },

  judge: runs => ({
    claims: claims(runs),
    tables: tables(runs),
    charts: [curves(runs), byTokens(runs)],
    limits: [
      'A comparison with a frontier API is one of models, not of hosting: what a smaller model gets wrong, and what people do about it, is not counted.',
      'GPUs by the hour, on demand, one server without a spare. Engineers, networks, storage, committed-use and batch discounts are left out.',
      'List prices without a surcharge for writing to a cache; some vendors ask one.',
      'Step times are a model, for ranking only; vLLM defaults, no speculative decoding. Capacity is that of single calls at random times, read off between two loads a quarter apart; agents come in bursts.',
      `A busiest hour of ${PEAK} times the mean is an assumption.`,
    ],
  }),
});
