// Context memory: what an agent does whose context outgrows the GPU's memory - computes it again, cuts it, compacts it, or
// fetches it from a tier.
import { logTicks, msAxis, msLabel } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber, showRatio, showTokens } from '../../reports/numbers.ts';
import type { FigureName, RunFigures } from '../../scenarios/formats/grid.ts';
import type { GridCase } from '../grid/case.ts';
import { type Estimate, estimate, showChange, showSpread, showTimes, timesAs } from './estimate.ts';
import { type Claim, defineStudy, type StudyRun } from './study.ts';

/** Turns of a session after the first call: contexts of about 17k, 27k, 37k and 47k tokens at the end. */
const TURNS = [10, 20, 30, 40];
const QUICK_TURNS = [10, 30];
/** Sessions on the replica at a time, and in all. */
const AGENTS = 48;
const SESSIONS = 2 * AGENTS;
/** A compaction comes at prompts longer than this. */
const LIMIT_TOKENS = 16_000;

/** What is done about a long context: the workflow, and the memory behind the GPU. */
const WAYS = {
  recompute: { name: 'compute again', workflow: 'keep', tiers: null },
  cpu: {
    name: 'CPU memory',
    workflow: 'keep',
    // Measured over PCIe 5 x16 on an H200 of ours; the size of a large server's share.
    tiers: '{ tier: cpu, capacity: 400GB, read: 55GB/s, latency: 20us }',
  },
  cmx: {
    name: 'shared flash (CMX-like)',
    workflow: 'keep',
    // No vendor says what a GPU gets: an eighth of the 100 GB/s of a BlueField-4, an assumption.
    tiers: '{ tier: cmx, capacity: 4000GB, read: 12.5GB/s, latency: 200us, shared: true }',
  },
  compact: { name: `compact at ${LIMIT_TOKENS / 1000}k`, workflow: 'compact', tiers: null },
  truncate: { name: 'last result only', workflow: 'truncate', tiers: null },
} as const;
type Way = keyof typeof WAYS;
const ALL = Object.keys(WAYS) as Way[];

interface At {
  readonly way: Way;
  readonly turns: number;
  readonly seed: number;
}

function caseOf({ way, turns, seed }: At): GridCase {
  const { workflow, tiers } = WAYS[way];
  const set = [
    `params.turns=${turns}`,
    `params.limit=${LIMIT_TOKENS}`,
    `traffic.0.workflow=${workflow}`,
    `traffic.0.arrival.closed.agents=${AGENTS}`,
    `traffic.0.sessions=${SESSIONS}`,
  ];
  return {
    scenario: { input: 'studies/context-memory', options: { seed, set } },
    deployment: {
      input: '1xh100-llama-3.1-8b',
      set: [
        'pools.main.limits.max_model_len=131072',
        ...(tiers === null ? [] : [`pools.main.kv_tiers=[${tiers}]`]),
      ],
    },
    loadFactor: 1,
  };
}

type Figure = (run: RunFigures) => number | null;
const by =
  (name: FigureName): Figure =>
  run =>
    run[name];
const perSession =
  (name: 'promptTokens' | 'computedTokens' | 'usd'): Figure =>
  run => {
    const sum = run[name];
    return sum === null ? null : sum / run.sessions;
  };
const workflowMs = by('makespanMsP50');
const ttftMs = by('ttftMsP95');

/** A figure of each seed. */
type Values = (way: Way, turns: number, figure: Figure) => (number | null)[];
const valuesOf =
  (runs: readonly StudyRun<At>[]): Values =>
  (way, turns, figure) =>
    runs.filter(({ at }) => at.way === way && at.turns === turns).map(({ figures }) => figure(figures));

function claims(values: Values, lengths: readonly number[]): Claim[] {
  const long = lengths.at(-1)!;
  const against = (way: Way, beside: Way, turns: number, figure: Figure): Estimate | null =>
    timesAs(values(way, turns, figure), values(beside, turns, figure));
  const slower = lengths.map(turns => ({ turns, times: against('recompute', 'cpu', turns, workflowMs) }));
  const [first, last] = [slower[0]!.times, slower.at(-1)!.times];
  const ttfts = lengths.map(turns => ({ turns, times: against('recompute', 'cpu', turns, ttftMs) }));
  const isClaimed = ({ times }: { times: Estimate | null }): boolean => of(times) >= 2 && of(times) <= 22;
  const rate = against('recompute', 'cpu', long, workflowMs);
  const flash = against('cmx', 'cpu', long, workflowMs);
  const flashTtft = against('cmx', 'cpu', long, ttftMs);
  const compactTime = against('compact', 'cpu', long, workflowMs);
  const compactTokens = against('compact', 'cpu', long, perSession('computedTokens'));
  const compactAgain = against('compact', 'recompute', long, workflowMs);
  const cut = (['cpu', 'compact'] as const).map(way => ({
    way,
    time: against('truncate', way, long, workflowMs),
    tokens: against('truncate', way, long, perSession('computedTokens')),
  }));
  const hit = estimate(values('recompute', long, by('hitRatio')));
  const of = (found: Estimate | null): number => found?.mean ?? 1;
  return [
    {
      text: 'Contexts that outgrow the memory of the GPU make the whole workflow slow',
      verdict: of(last) > 1.2 && of(first) < 1.05 ? 'confirmed' : of(last) > 1.05 ? 'partly' : 'contradicted',
      figure: `computed again, a workflow takes ${slower.map(({ turns, times }) => `${showChange(times)} at ${turns} turns`).join(', ')}, against CPU memory behind the GPU; at ${long} turns ${showRatio(hit?.mean)} of the prompt tokens are still in the GPU's cache`,
    },
    {
      text: 'KV in CPU memory cuts TTFT by 2 to 22 times (vLLM)',
      verdict: of(ttfts.at(-1)!.times) < 2 ? 'contradicted' : ttfts.some(isClaimed) ? 'confirmed' : 'partly',
      figure: `TTFT p95 without it is ${ttfts.map(({ turns, times }) => `${showTimes(times)} at ${turns} turns`).join(', ')}, of that with it`,
    },
    {
      text: 'KV in CPU memory serves up to 9 times as much (vLLM)',
      verdict: of(rate) >= 4.5 ? 'confirmed' : of(rate) >= 1.2 ? 'partly' : 'contradicted',
      figure: `the same agents finish ${showTimes(rate)} as fast at ${long} turns, waits for their tools included`,
    },
    {
      text: 'Shared flash behind the network does as well as CPU memory',
      verdict:
        of(flash) < 1.05 && of(flashTtft) < 1.2 ? 'confirmed' : of(flash) < 1.05 ? 'partly' : 'contradicted',
      figure: `at 12.5 GB/s (an assumption) and ${long} turns: workflow p50 ${showChange(flash)}, TTFT p95 ${showTimes(flashTtft)}`,
    },
    {
      text: 'Compaction is cheaper than memory',
      verdict:
        of(compactTime) < 1 && of(compactTokens) < 1
          ? 'confirmed'
          : of(compactTime) < 1 || of(compactTokens) < 1
            ? 'partly'
            : 'contradicted',
      figure: `at ${long} turns, against CPU memory: workflow p50 ${showChange(compactTime)}, tokens computed ${showTimes(compactTokens)}; against computing again: workflow p50 ${showChange(compactAgain)}`,
    },
    {
      text: 'Cutting the context is the fastest and cheapest of all',
      verdict: cut.every(({ time, tokens }) => of(time) < 1 && of(tokens) < 1.02) ? 'confirmed' : 'partly',
      figure: `at ${long} turns: ${cut.map(({ way, time, tokens }) => `workflow p50 ${showChange(time)}, tokens computed ${showTimes(tokens)}, against ${WAYS[way].name}`).join('; ')}; what the agent forgets is not counted`,
    },
  ];
}

/** A line for each way, a point for each length. */
const linesOf = (values: Values, figure: Figure): Line[] =>
  ALL.map(way => ({
    name: WAYS[way].name,
    points: TURNS.map(turns => {
      const found = estimate(values(way, turns, figure));
      const [low, high] = found?.ci95 ?? [null, null];
      return { x: turns, y: found?.mean ?? null, low: low !== null && low > 0 ? low : null, high };
    }),
  }));

export default defineStudy<At>({
  name: 'context-memory',
  question:
    "What should become of contexts that outgrow the GPU's memory: computed again, fetched from CPU memory or shared flash, compacted, or cut? vLLM reports TTFT 2 to 22 times shorter with KV in CPU memory and up to 9 times the throughput; NVIDIA says 5 times the tokens a second for CMX against ordinary storage.",
  method: `${AGENTS} agents at a time on one H100 with Llama 3.1 8B, whose KV memory holds about 450k tokens. A session has a first prompt of 7.5k tokens and then 10 to 40 turns, each behind a tool (9 s at the median, 74 s at the 90th percentile) whose result adds about 800 tokens and whose answer 250. Five ways with the same draws: keep the context and compute again what the cache has lost; keep it, with CPU memory (400 GB at 55 GB/s) or shared flash (12.5 GB/s) behind the GPU; compact it to a summary of 2,000 tokens at ${LIMIT_TOKENS / 1000}k; or begin each call with the last result alone.`,
  cases({ isQuick }) {
    return (isQuick ? [1, 2] : [1, 2, 3]).flatMap(seed =>
      (isQuick ? QUICK_TURNS : TURNS).flatMap(turns =>
        ALL.map(way => {
          const at = { way, turns, seed };
          return { at, of: caseOf(at) };
        }),
      ),
    );
  },
  judge(runs) {
    const values = valuesOf(runs);
    const shown = TURNS.filter(turns => values('recompute', turns, workflowMs).length > 0);
    const cell = (way: Way, turns: number, figure: Figure, show: (value: number) => string): string =>
      showSpread(estimate(values(way, turns, figure)), show);
    const long = shown.at(-1)!;
    const lost = timesAs(values('recompute', long, ttftMs), values('cpu', long, ttftMs));
    const ttfts = linesOf(values, ttftMs);
    const known = ttfts.flatMap(({ points }) => points.flatMap(({ y }) => y ?? []));
    return {
      claims: claims(values, shown),
      tables: shown.map(turns => ({
        title: `Sessions of ${turns} turns`,
        columns: [
          'way',
          'workflow p50',
          'workflow p95',
          'TTFT p50',
          'TTFT p95',
          'hits',
          'prompt tokens a session',
          'computed',
          'USD per 1,000 sessions',
        ],
        rows: ALL.filter(way => values(way, turns, workflowMs).length > 0).map(way => [
          WAYS[way].name,
          cell(way, turns, workflowMs, showMs),
          cell(way, turns, by('makespanMsP95'), showMs),
          cell(way, turns, by('ttftMsP50'), showMs),
          cell(way, turns, ttftMs, showMs),
          cell(way, turns, by('hitRatio'), showRatio),
          cell(way, turns, perSession('promptTokens'), showTokens),
          cell(way, turns, perSession('computedTokens'), showTokens),
          cell(way, turns, run => (perSession('usd')(run) ?? 0) * 1000, showNumber),
        ]),
      })),
      charts: [
        {
          id: 'context-memory-ttft',
          title: `At ${long} turns TTFT p95 is ${showNumber(lost?.mean ?? 1)} times as long where lost context is computed again as with CPU memory`,
          spec: linesSpec(ttfts, {
            x: { title: 'turns of a session', axis: { values: TURNS }, format: 'd' },
            y: {
              title: 'TTFT p95',
              scale: { type: 'log', nice: false },
              axis: msAxis(known.length === 0 ? {} : { values: logTicks(known) }),
              label: msLabel,
            },
          }),
        },
        {
          id: 'context-memory-computed',
          title: 'Tokens that are computed for a session, by what becomes of its context',
          spec: linesSpec(linesOf(values, perSession('computedTokens')), {
            x: { title: 'turns of a session', axis: { values: TURNS }, format: 'd' },
            y: {
              title: 'tokens computed a session',
              scale: { zero: true },
              axis: { format: '~s' },
              format: '.3~s',
            },
          }),
        },
      ],
      limits: [
        'What an agent loses with its context is not modelled: compacted and cut sessions take the same steps with the same answers, where real ones would ask again or fail.',
        'One replica of one model with 131 kB of KV a token; Mistral Small 4 stores 23 kB, and its memory lasts nearly six times as long.',
        'CMX has no published bandwidth for a GPU: 12.5 GB/s is an assumption, and nothing else uses that link.',
        'Agents come back at once when a session is over, so that a slow way is met by less load than it would be in the open.',
        'USD are those of the GPU for as long as the run took, its end with few agents included; CPU memory and flash cost nothing here.',
        'Step times come from physics fitted on measured runs, for ranking only; contexts of this length are beyond what they were tried with.',
      ],
    };
  },
});
