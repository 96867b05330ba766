// The runs of the study `disaggregation`: four GPUs in several layouts, calls of several shapes, and rising loads.
import type { GridCase } from '../grid/case.ts';
import type { Targets } from '../grid/figures.ts';
import type { StudyCase } from './study.ts';

export const GPUS = 4;
const TTFT_MS = 2000;

/** Targets between tokens, beside TTFT: the mean of a call, or its longest gap. */
export const SLOS = [
  { name: 'TPOT 50 ms', targets: { ttft: TTFT_MS, tpot: 50 } },
  { name: 'TPOT 20 ms', targets: { ttft: TTFT_MS, tpot: 20 } },
  { name: 'gaps 50 ms', targets: { ttft: TTFT_MS, itl: 50 } },
  { name: 'gaps 20 ms', targets: { ttft: TTFT_MS, itl: 20 } },
] as const satisfies readonly { name: string; targets: Targets }[];
/** Rows of `SLOS`. */
export const [LOOSE, TIGHT, SMOOTH, STRICT] = [0, 1, 2, 3] as const;

/** Four replicas that do both, with this token budget of a step. */
const BUDGETS = [8192, 2048, 512, 256] as const;
/** Prefill and decode replicas. */
export const SPLITS = ['1P3D', '2P2D', '3P1D'] as const;
type Split = (typeof SPLITS)[number];
export type Layout = `${(typeof BUDGETS)[number]}` | Split;
export const LAYOUTS: readonly Layout[] = [...BUDGETS.map(budget => `${budget}` as const), ...SPLITS];
export const isSplit = (layout: Layout): layout is Split => layout.includes('P');
/** vLLM's own budget on these cards. */
export const DEFAULT: Layout = '8192';

export interface Shape {
  readonly model: 'llama-3.1-8b' | 'llama-3.1-70b';
  /** Single calls, or sessions of `TURNS` calls with a tool between two. */
  readonly workflow: 'ask' | 'turns';
  readonly promptTokens: number;
  readonly answerTokens: number;
}

export interface At extends Shape {
  readonly layout: Layout;
  readonly linkGbPerSec: number;
  /** Prompts with less that is uncached stay with decode; 0: none. */
  readonly localBelowTokens: number;
  readonly sessionsPerSec: number;
  readonly seed: number;
}
export type Place = Omit<At, 'sessionsPerSec' | 'seed'>;

export const LINK_GB_PER_SEC = 50;
const PROMPTS = [1000, 4000, 16_000];
const ANSWERS = [64, 256, 1024];
const shapes = (model: Shape['model'], prompts: number[], answers: number[]): Shape[] =>
  prompts.flatMap(promptTokens =>
    answers.map(answerTokens => ({ model, workflow: 'ask' as const, promptTokens, answerTokens })),
  );
export const SMALL = shapes('llama-3.1-8b', PROMPTS, ANSWERS);
export const LARGE = shapes('llama-3.1-70b', [1000, 4000], [256]);
export const SESSIONS: Shape = {
  model: 'llama-3.1-8b',
  workflow: 'turns',
  promptTokens: 8000,
  answerTokens: 150,
};
export const TURNS = 5;
const TURN_TOKENS = 500;
export const LINKED = { shape: SMALL.at(-2)!, layout: '3P1D' } as const;

/** Traffic of a run, longer where calls take longer, and within limits of calls. */
const trafficSec = (answerTokens: number): number => 20 + answerTokens / 25;
const [CALLS_MIN, CALLS_MAX] = [250, 1500];

/** Roughly what a GPU does, only to place the loads that are tried: the results do not rest on it. */
const COSTS = {
  'llama-3.1-8b': { prefillTokensPerSec: 40_000, tokenMs: 0.02, contextTokenMs: 45e-6 },
  'llama-3.1-70b': { prefillTokensPerSec: 8000, tokenMs: 0.25, contextTokenMs: 80e-6 },
} as const satisfies Record<Shape['model'], object>;

/** Sessions a second that this layout might do. */
function roughlyPerSec({ model, workflow, promptTokens, answerTokens }: Shape, layout: Layout): number {
  const { prefillTokensPerSec, tokenMs, contextTokenMs } = COSTS[model];
  const calls = workflow === 'ask' ? 1 : TURNS;
  const prefillSec = (promptTokens + (calls - 1) * TURN_TOKENS) / prefillTokensPerSec;
  const contextTokens = promptTokens + (calls * (TURN_TOKENS + answerTokens)) / 2;
  const decodeSec = (calls * answerTokens * (tokenMs + contextTokens * contextTokenMs)) / 1000;
  if (!isSplit(layout)) return GPUS / (prefillSec + decodeSec);
  return Math.min(Number(layout[0]) / prefillSec, Number(layout[2]) / decodeSec);
}

/** Splits that are not hopeless for the shape. */
const splitsFor = (shape: Shape): Split[] => {
  const best = Math.max(...SPLITS.map(split => roughlyPerSec(shape, split)));
  return SPLITS.filter(split => roughlyPerSec(shape, split) > 0.55 * best);
};

export const place = (shape: Shape, layout: Layout, more: Partial<Place> = {}): Place => ({
  ...shape,
  layout,
  linkGbPerSec: LINK_GB_PER_SEC,
  localBelowTokens: 0,
  ...more,
});

const around = (tokens: number): string =>
  `{ median: ${tokens}, p90: ${Math.round(tokens * 1.5)}, max: ${3 * tokens} }`;

function poolOf({ model, layout, linkGbPerSec, localBelowTokens }: At): string[] {
  const card =
    model === 'llama-3.1-8b'
      ? []
      : [
          'pools.main.model=llama-3.1-70b',
          'pools.main.gpu=h200-141gb-sxm',
          'pools.main.precision={ weights: fp8, kv: bf16 }',
        ];
  if (!isSplit(layout))
    return [
      ...card,
      `pools.main.replicas=${GPUS}`,
      ...(layout === DEFAULT ? [] : [`pools.main.limits.max_num_batched_tokens=${layout}`]),
    ];
  const local = localBelowTokens > 0 ? `, local_below: ${localBelowTokens}` : '';
  return [
    ...card,
    `pools.main.prefill={ replicas: ${layout[0]} }`,
    `pools.main.decode={ replicas: ${layout[2]} }`,
    `pools.main.link={ bandwidth: ${linkGbPerSec}GB/s, latency: 10us${local} }`,
  ];
}

function caseOf(at: At): GridCase {
  const { workflow, promptTokens, answerTokens, sessionsPerSec, seed } = at;
  const calls = workflow === 'ask' ? 1 : TURNS;
  const callsMeant = trafficSec(answerTokens) * sessionsPerSec * calls;
  const sessions = Math.ceil(Math.min(CALLS_MAX, Math.max(CALLS_MIN, callsMeant)) / calls);
  const set = [
    `params.prompt=${around(promptTokens)}`,
    `params.answer=${around(answerTokens)}`,
    `traffic.0.workflow=${workflow}`,
    `traffic.0.sessions=${sessions}`,
  ];
  return {
    scenario: { input: 'studies/disaggregation', options: { seed, set } },
    deployment: {
      input: '1xh100-llama-3.1-8b',
      set: poolOf(at),
      change: {
        routing: { policy: workflow === 'ask' ? 'least-outstanding' : 'session-affinity', options: {} },
      },
    },
    loadFactor: sessionsPerSec,
    slos: SLOS.map(({ targets }) => targets),
  };
}

/** Places and the loads tried there, as shares of what the layout might do. */
function places(isQuick: boolean): Place[] {
  const small = isQuick
    ? SMALL.filter(({ promptTokens, answerTokens }) => promptTokens > 1000 && answerTokens === 256)
    : SMALL;
  // On these cards 2048 is much like the default.
  const budgets = isQuick ? BUDGETS.filter(budget => budget !== 2048) : BUDGETS;
  const compared = [...small, ...(isQuick ? [] : LARGE)].flatMap(shape =>
    [...budgets.map(budget => `${budget}` as const), ...splitsFor(shape)].map(layout => place(shape, layout)),
  );
  const linked = [12.5, 450].map(linkGbPerSec => place(LINKED.shape, LINKED.layout, { linkGbPerSec }));
  const turns = [
    place(SESSIONS, DEFAULT),
    place(SESSIONS, '512'),
    ...splitsFor(SESSIONS).flatMap(layout => [
      place(SESSIONS, layout),
      place(SESSIONS, layout, { localBelowTokens: 2048 }),
    ]),
  ];
  return [...compared, ...linked, ...turns];
}

/** Loads tried, over what the layout might do; the last ones are beyond it. */
const LADDER = [0.35, 0.6, 0.85, 1.15, 1.8];
const QUICK_LADDER = [0.5, 0.9, 1.4];

export const cases = ({ isQuick }: { isQuick: boolean }): StudyCase<At>[] =>
  places(isQuick).flatMap(where =>
    (isQuick ? [1, 2] : [1, 2, 3]).flatMap(seed =>
      (isQuick ? QUICK_LADDER : LADDER).map(share => {
        const sessionsPerSec = Number((share * roughlyPerSec(where, where.layout)).toPrecision(3));
        const at = { ...where, sessionsPerSec, seed };
        return { at, of: caseOf(at) };
      }),
    ),
  );
