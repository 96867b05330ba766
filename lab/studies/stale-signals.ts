// Stale signals: what it costs a router that the load it sees is that of a moment ago.
import { msAxis, msLabel } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showSignedRatio } from '../../reports/numbers.ts';
import type { RunFigures } from '../../scenarios/formats/grid.ts';
import type { GridCase } from '../grid/case.ts';
import { type Claim, changeOf, defineStudy, overSeeds, type StudyRun, type Verdict } from './study.ts';

/** From one scrape of the engines to the next, ms; 0: a look at every decision. */
const SCRAPES_MS = [0, 5, 10, 20, 50, 100, 200, 500];
/** Calls a second: so few that replicas are mostly idle, a third and two thirds of what they can serve. */
const RATES_PER_SEC = [10, 100, 200];
const BUSY_PER_SEC = 200;
/** What the scenario says at load factor 1. */
const SCENARIO_PER_SEC = 100;
const REPLICAS = 8;

interface At {
  readonly policy: 'llm-d' | 'least-outstanding';
  readonly scrapeMs: number;
  readonly ratePerSec: number;
  readonly seed: number;
}

const caseOf = ({ policy, scrapeMs, ratePerSec, seed }: At, calls: number): GridCase => ({
  scenario: {
    input: 'studies/stale-signals',
    options: { seed, set: [`traffic.0.sessions=${calls}`] },
  },
  deployment: {
    input: '1xh100-llama-3.1-8b',
    change: {
      routing: {
        policy,
        // Load alone: there is no prefix to know of.
        options: policy === 'llm-d' ? { weights: { queue: 1, kv: 1 } } : {},
      },
      signals: { scrapeMs, delayMs: 0 },
      pool: { replicas: REPLICAS },
    },
  },
  loadFactor: ratePerSec / SCENARIO_PER_SEC,
});

const METRIC = 'ttftMsP99';

/** The runs of one place, a seed each. */
const runsAt = (runs: readonly StudyRun<At>[], where: Omit<At, 'seed'>): RunFigures[] =>
  runs
    .filter(
      ({ at }) =>
        at.policy === where.policy && at.scrapeMs === where.scrapeMs && at.ratePerSec === where.ratePerSec,
    )
    .map(({ figures }) => figures);

const scraped = (runs: readonly StudyRun<At>[], scrapeMs: number, ratePerSec: number): RunFigures[] =>
  runsAt(runs, { policy: 'llm-d', scrapeMs, ratePerSec });

/** Against signals that are never late; null where TTFT is not there. */
const costOf = (runs: readonly StudyRun<At>[], scrapeMs: number, ratePerSec: number) =>
  changeOf(scraped(runs, scrapeMs, ratePerSec), scraped(runs, 0, ratePerSec), METRIC);

const shown = (cost: ReturnType<typeof costOf>): string =>
  cost === null
    ? 'no call to judge'
    : cost.ci95 === null
      ? showSignedRatio(cost.mean)
      : `${showSignedRatio(cost.mean)} (${showSignedRatio(cost.ci95[0])} to ${showSignedRatio(cost.ci95[1])})`;

/** Same direction and within a factor of two is confirmed; a rise of another size partly. */
function sizeVerdict(cost: ReturnType<typeof costOf>, claimed: number): Verdict {
  if (cost === null || cost.mean <= 0 || (cost.ci95 !== null && cost.ci95[0] <= 0)) return 'contradicted';
  return cost.mean >= claimed / 2 && cost.mean <= claimed * 2 ? 'confirmed' : 'partly';
}

function claims(runs: readonly StudyRun<At>[]): Claim[] {
  const [five, ten, hundred] = [5, 10, 100].map(scrapeMs => costOf(runs, scrapeMs, BUSY_PER_SEC));
  const at = `at ${BUSY_PER_SEC} calls/s`;
  const idlePerSec = RATES_PER_SEC[0]!;
  const idle = SCRAPES_MS.map(scrapeMs => ({ scrapeMs, cost: costOf(runs, scrapeMs, idlePerSec) }));
  const small = idle.filter(({ cost }) => cost !== null && Math.abs(cost.mean) < 0.05);
  const worst = idle.reduce((most, each) => ((each.cost?.mean ?? 0) > (most.cost?.mean ?? 0) ? each : most));
  return [
    {
      text: 'State that is refreshed every 5 ms is as good as exact',
      verdict:
        Math.abs(five?.mean ?? 1) < 0.05 ? 'confirmed' : (five?.mean ?? 1) < 0.14 ? 'partly' : 'contradicted',
      figure: `TTFT p99 ${shown(five ?? null)} ${at}`,
    },
    {
      text: 'Every 10 ms costs 14 % of TTFT p99',
      verdict: sizeVerdict(ten ?? null, 0.14),
      figure: `TTFT p99 ${shown(ten ?? null)} ${at}`,
    },
    {
      text: 'Every 100 ms costs 354 % of TTFT p99',
      verdict: sizeVerdict(hundred ?? null, 3.54),
      figure: `TTFT p99 ${shown(hundred ?? null)} ${at}`,
    },
    {
      text: `At ${idlePerSec} calls/s it makes no difference of more than 5 %`,
      verdict: small.length === idle.length ? 'confirmed' : small.length > 1 ? 'partly' : 'contradicted',
      figure: `within 5 % up to a scrape every ${Math.max(...small.map(({ scrapeMs }) => scrapeMs))} ms; TTFT p99 ${shown(worst.cost)} at ${worst.scrapeMs} ms`,
    },
  ];
}

export default defineStudy<At>({
  name: 'stale-signals',
  question:
    'How old may what a router sees of its replicas be? BLIS reports no effect up to 5 ms, TTFT p99 +14 % at 10 ms and +354 % at 100 ms, and all routers within 5 % of each other below about 10 requests a second.',
  method:
    'Independent calls with prompts of their own (600 tokens at the median, 150 out) on eight replicas of Llama 3.1 8B, an H100 each. The router is llm-d with its queue and KV scorers alone, whose signals are scraped at even intervals and arrive at once, so that at a decision they are half an interval old on average. Beside it least-outstanding, which counts what it sent itself and is never late.',
  cases({ isQuick }) {
    const seeds = isQuick ? [1, 2, 3] : [1, 2, 3, 4, 5];
    const calls = isQuick ? 4000 : 20_000;
    return seeds.flatMap(seed =>
      RATES_PER_SEC.flatMap(ratePerSec =>
        [
          { policy: 'least-outstanding' as const, scrapeMs: 0 },
          ...SCRAPES_MS.map(scrapeMs => ({ policy: 'llm-d' as const, scrapeMs })),
        ].map(each => {
          const at = { ...each, ratePerSec, seed };
          return { at, of: caseOf(at, calls) };
        }),
      ),
    );
  },

  judge(runs) {
    const countedMs = (ratePerSec: number) =>
      overSeeds(runsAt(runs, { policy: 'least-outstanding', scrapeMs: 0, ratePerSec }), METRIC);
    const lines: Line[] = RATES_PER_SEC.toReversed().map(ratePerSec => ({
      name: `scraped, ${ratePerSec} calls/s`,
      points: SCRAPES_MS.map(scrapeMs => {
        const found = overSeeds(scraped(runs, scrapeMs, ratePerSec), METRIC);
        const half = found?.half ?? null;
        const band =
          found === null || half === null ? {} : { low: found.mean - half, high: found.mean + half };
        return { x: scrapeMs, y: found?.mean ?? null, ...band };
      }),
    }));
    const strong = `counted by the router, ${BUSY_PER_SEC} calls/s`;
    const exactMs = countedMs(BUSY_PER_SEC)?.mean ?? null;
    lines.push({ name: strong, points: SCRAPES_MS.map(x => ({ x, y: exactMs })) });
    const hundred = costOf(runs, 100, BUSY_PER_SEC);
    return {
      claims: claims(runs),
      tables: [
        {
          title: 'TTFT p99 by scrape interval, and against exact signals',
          columns: ['scrape every', ...RATES_PER_SEC.flatMap(rate => [`${rate} calls/s`, 'change'])],
          rows: [
            [
              'counted (least-outstanding)',
              ...RATES_PER_SEC.flatMap(rate => [showMs(countedMs(rate)?.mean), '']),
            ],
            ...SCRAPES_MS.map(scrapeMs => [
              scrapeMs === 0 ? 'every decision' : `${scrapeMs} ms`,
              ...RATES_PER_SEC.flatMap(rate => [
                showMs(overSeeds(scraped(runs, scrapeMs, rate), METRIC)?.mean),
                scrapeMs === 0 ? '' : shown(costOf(runs, scrapeMs, rate)),
              ]),
            ]),
          ],
        },
      ],
      charts: [
        {
          id: 'stale-signals-age',
          title: `Scraped every 100 ms, TTFT p99 changes by ${showSignedRatio(hundred?.mean ?? null)} at ${BUSY_PER_SEC} calls/s`,
          spec: linesSpec(lines, {
            x: {
              title: 'between two scrapes',
              scale: { type: 'symlog', constant: 5 },
              axis: msAxis({ values: SCRAPES_MS }),
              label: msLabel,
            },
            y: { title: 'TTFT p99', scale: { zero: true }, axis: msAxis(), label: msLabel },
            strong,
          }),
        },
      ],
      limits: [
        'One model, one card and one shape of calls; step times rest on physics, fitted on runs of this card and model among others.',
        'Replicas are scraped at the same instants; a system that scrapes each at its own time herds less.',
        'BLIS does not say at which load it measured: we take two thirds of what the replicas can serve.',
      ],
    };
  },
});
