// Fan-out: how many calls one action of a user may send at once, for that user and for those beside.
import { logTicks, msAxis, msLabel } from '../../reports/charts/chart.ts';
import { type Line, type LineAxis, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber, showRatio } from '../../reports/numbers.ts';
import type { FigureName } from '../../scenarios/formats/grid.ts';
import type { DeploymentChange, GridCase } from '../grid/case.ts';
import { type Estimate, estimate, showChange, showSpread, showTimes, timesAs } from './estimate.ts';
import { type Claim, defineStudy, type StudyRun } from './study.ts';

const WIDTHS = [1, 4, 16, 64, 256];
const WIDEST = WIDTHS.at(-1)!;
/** Calls a second of the user's fan-outs; bystanders make half as many, whatever the width. */
const LOADS = { spare: 20, busy: 30 } as const;
type Load = keyof typeof LOADS;
const REPLICAS = 2;
const CAP = 16;
/** Widths of the tables; the charts have all. */
const SHOWN_WIDTHS = [WIDTHS[0]!, CAP, WIDEST];
/** Sessions let in at a time: about as many as are inside near saturation with fan-outs of 16. */
const INSIDE = 192;

/** What is done about it. */
const WAYS = {
  fcfs: { name: 'first come, first served', change: {} },
  priority: { name: 'priority', change: { pool: { scheduling: { policy: 'priority', options: {} } } } },
  shortest: {
    name: 'shortest prompt',
    change: { pool: { scheduling: { policy: 'shortest_prompt', options: {} } } },
  },
  plas: { name: 'PLAS', change: { pool: { scheduling: { policy: 'plas', options: {} } } } },
  sessions: {
    name: 'whole workflows',
    change: { admission: { policy: 'sessions', options: { max: INSIDE, queue: 1_000_000 } } },
  },
  flow: {
    name: 'flow control by tenant',
    change: { admission: { policy: 'flow_control', options: { fairness: 'round_robin' } } },
  },
  cap: { name: `${CAP} calls at once`, change: {} },
} as const satisfies Record<string, { name: string; change: DeploymentChange }>;
type Way = keyof typeof WAYS;
const ALL = Object.keys(WAYS) as Way[];
/** Those that change who is served when, by what a call or its program is. */
const ORDERS: readonly Way[] = ['priority', 'shortest', 'plas'];

interface At {
  readonly way: Way;
  readonly load: Load;
  readonly width: number;
  readonly seed: number;
}

function caseOf({ way, load, width, seed }: At, trafficSec: number): GridCase {
  const callsPerSec = LOADS[load];
  // A fan-out has a call before it and one after.
  const fanOutsPerSec = callsPerSec / (width + 2);
  const bystandersPerSec = callsPerSec / 2;
  const set = [
    `params.width=${width}`,
    `traffic.0.arrival.poisson.rate=${fanOutsPerSec}/s`,
    `traffic.0.sessions=${Math.max(4, Math.round(fanOutsPerSec * trafficSec))}`,
    `traffic.1.arrival.poisson.rate=${bystandersPerSec}/s`,
    `traffic.1.sessions=${Math.round(bystandersPerSec * trafficSec)}`,
    ...(way === 'cap' ? [`workflows.fan-out.steps.1.max_parallel=${CAP}`] : []),
  ];
  const change: DeploymentChange = WAYS[way].change;
  return {
    scenario: { input: 'studies/fan-out', options: { seed, set } },
    deployment: {
      input: '1xh100-llama-3.1-8b',
      change: {
        routing: { policy: 'least-outstanding', options: {} },
        ...change,
        pool: { replicas: REPLICAS, ...change.pool },
      },
    },
    loadFactor: 1,
    isByCohort: true,
  };
}

type Cohort = 'fanning' | 'bystanders';
/** A figure of one of the two, of each seed. */
type Values = (where: Omit<At, 'seed'>, cohort: Cohort, figure: FigureName) => (number | null)[];
const valuesOf =
  (runs: readonly StudyRun<At>[]): Values =>
  ({ way, load, width }, cohort, figure) =>
    runs
      .filter(({ at }) => at.way === way && at.load === load && at.width === width)
      .map(({ cohorts }) => cohorts?.[cohort]?.[figure] ?? null);

const of = (found: Estimate | null): number => found?.mean ?? 1;

function claims(values: Values): Claim[] {
  const wide = (way: Way, load: Load): Omit<At, 'seed'> => ({ way, load, width: WIDEST });
  const against = (way: Way, load: Load, cohort: Cohort, figure: FigureName): Estimate | null =>
    timesAs(values(wide(way, load), cohort, figure), values(wide('fcfs', load), cohort, figure));
  const widened = (load: Load): Estimate | null =>
    timesAs(
      values(wide('fcfs', load), 'bystanders', 'ttftMsP95'),
      values({ way: 'fcfs', load, width: 1 }, 'bystanders', 'ttftMsP95'),
    );
  const [spare, busy] = [widened('spare'), widened('busy')];
  const harmless = WIDTHS.filter(
    width =>
      (estimate(values({ way: 'fcfs', load: 'busy', width }, 'bystanders', 'sloRatio'))?.mean ?? 0) >= 0.95,
  );
  const ordered = ORDERS.map(way => ({
    way,
    ttft: against(way, 'busy', 'bystanders', 'ttftMsP95'),
    own: against(way, 'busy', 'fanning', 'makespanMsP95'),
    slo: estimate(values(wide(way, 'busy'), 'bystanders', 'sloRatio')),
  }));
  const kept = estimate(values(wide('fcfs', 'busy'), 'bystanders', 'sloRatio'));
  const gate = against('sessions', 'busy', 'bystanders', 'ttftMsP95');
  const gateOwn = against('sessions', 'busy', 'fanning', 'makespanMsP95');
  const flow = against('flow', 'busy', 'bystanders', 'ttftMsP95');
  const capTtft = against('cap', 'busy', 'bystanders', 'ttftMsP95');
  const capOwn = against('cap', 'busy', 'fanning', 'makespanMsP95');
  const capKept = estimate(values(wide('cap', 'busy'), 'bystanders', 'sloRatio'));
  const shortestTail = against('shortest', 'busy', 'bystanders', 'ttftMsP99');
  const isCured = ({ ttft, slo }: (typeof ordered)[number]): boolean =>
    of(ttft) < 0.5 && (slo?.mean ?? 0) >= 0.95;
  const helped = ordered.filter(({ ttft }) => of(ttft) < 0.5).length;
  return [
    {
      text: 'Wide fan-outs hurt those beside them, at the same calls a second',
      verdict: of(busy) > 2 && of(spare) > 2 ? 'confirmed' : of(busy) > 1.2 ? 'partly' : 'contradicted',
      figure: `from ${WIDTHS[0]} to ${WIDEST} calls at once the bystanders' TTFT p95 is ${showTimes(spare)} as long with capacity to spare, ${showTimes(busy)} near saturation; near saturation 95 % of their calls keep 2 s and 50 ms up to a width of ${harmless.at(-1) ?? 'none'}`,
    },
    {
      text: 'An order of the queue (priority, shortest prompt, PLAS) protects the bystanders',
      verdict: ordered.every(isCured) ? 'confirmed' : helped > 0 ? 'partly' : 'contradicted',
      figure: `width ${WIDEST}, near saturation, against first come, first served: TTFT p95 ${ordered.map(({ way, ttft }) => `${showChange(ttft)} with ${WAYS[way].name}`).join(', ')}; but calls that keep 2 s and 50 ms go from ${showRatio(kept?.mean)} to ${ordered.map(({ slo }) => showRatio(slo?.mean)).join(', ')}: the batch stays as large and each token as slow`,
    },
    {
      text: 'Such an order costs the fanning user little',
      verdict: ordered.every(({ own }) => of(own) < 1.1)
        ? 'confirmed'
        : ordered.some(({ own }) => of(own) < 1.1)
          ? 'partly'
          : 'contradicted',
      figure: `workflow p95 ${ordered.map(({ way, own }) => `${showChange(own)} with ${WAYS[way].name}`).join(', ')}`,
    },
    {
      text: 'Shortest prompt first has a price in its tail',
      verdict: of(shortestTail) > 1 ? 'confirmed' : of(shortestTail) > 0.5 ? 'partly' : 'contradicted',
      figure: `the bystanders' TTFT p99 is ${showTimes(shortestTail)} that of first come, first served`,
    },
    {
      text: 'Admission of whole workflows protects the bystanders',
      verdict: of(gate) < 0.5 ? 'confirmed' : of(gate) < 0.9 ? 'partly' : 'contradicted',
      figure: `with ${INSIDE} sessions inside: the bystanders' TTFT p95 ${showTimes(gate)}, the fan-outs' workflow p95 ${showTimes(gateOwn)}, of first come, first served; a fan-out of ${WIDEST} counts as one session, as a chat does. Flow control by tenant: ${showTimes(flow)}`,
    },
    {
      text: `A cap of ${CAP} calls at once a user action protects them, at the user's expense`,
      verdict:
        of(capTtft) < 0.5 && (capKept?.mean ?? 0) >= 0.95
          ? 'confirmed'
          : of(capTtft) < 0.9
            ? 'partly'
            : 'contradicted',
      figure: `the bystanders' TTFT p95 ${showChange(capTtft)}, ${showRatio(capKept?.mean)} of their calls keep 2 s and 50 ms; the fan-outs' workflow p95 ${showChange(capOwn)}`,
    },
  ];
}

const LOAD_TEXT: Record<Load, string> = { spare: 'Capacity to spare', busy: 'Near saturation' };

/** A line for each way: a figure against the width. */
const linesOf = (values: Values, load: Load, cohort: Cohort, figure: FigureName): Line[] =>
  ALL.map(way => ({
    name: WAYS[way].name,
    points: WIDTHS.map(width => ({
      x: width,
      y: estimate(values({ way, load, width }, cohort, figure))?.mean ?? null,
    })),
  }));

export default defineStudy<At>({
  name: 'fan-out',
  question:
    'How many calls may one action of a user send at once? A fan-out of 1 to 256 calls meets people who ask one question at a time: who waits, and do priorities, the order of the queue, whole-workflow admission or a cap help?',
  method: `Two H100 with Llama 3.1 8B. One tenant's actions are a plan, a fan-out of calls (800 tokens in, 80 out) and an answer that reads all results; the bystanders are a tenant of single calls with prompts of their own. The user makes ${LOADS.spare} calls a second (capacity to spare) or ${LOADS.busy} (near saturation), bystanders half as many, whatever the width: wider fan-outs come less often. Priority puts the bystanders first. Whole workflows lets in ${INSIDE} sessions at a time; flow control sends while the pool is not saturated, tenants in turn; the cap is the user's own (max_parallel).`,
  cases({ isQuick }) {
    const trafficSec = isQuick ? 40 : 120;
    const widths = isQuick ? SHOWN_WIDTHS : WIDTHS;
    return (isQuick ? [1, 2, 3] : [1, 2, 3, 4, 5, 6, 7, 8]).flatMap(seed =>
      (Object.keys(LOADS) as Load[]).flatMap(load =>
        widths.flatMap(width =>
          ALL.map(way => {
            const at = { way, load, width, seed };
            return { at, of: caseOf(at, trafficSec) };
          }),
        ),
      ),
    );
  },
  judge(runs) {
    const values = valuesOf(runs);
    const cell = (
      where: Omit<At, 'seed'>,
      cohort: Cohort,
      figure: FigureName,
      show: (value: number) => string,
    ): string => showSpread(estimate(values(where, cohort, figure)), show);
    const chart = (of: { id: string; title: string; cohort: Cohort; figure: FigureName; y: LineAxis }) => ({
      id: of.id,
      title: of.title,
      spec: linesSpec(linesOf(values, 'busy', of.cohort, of.figure), {
        x: {
          title: 'calls of one fan-out',
          scale: { type: 'log', base: 4 },
          axis: { values: WIDTHS },
          format: 'd',
        },
        y: of.y,
        strong: WAYS.fcfs.name,
      }),
    });
    const ttfts = linesOf(values, 'busy', 'bystanders', 'ttftMsP95').flatMap(({ points }) =>
      points.flatMap(({ y }) => y ?? []),
    );
    const fcfs = { way: 'fcfs', load: 'busy', width: WIDEST } as const;
    const worst = estimate(values(fcfs, 'bystanders', 'ttftMsP95'));
    const own = estimate(values(fcfs, 'fanning', 'makespanMsP95'));
    return {
      claims: claims(values),
      tables: (Object.keys(LOADS) as Load[]).map(load => ({
        title: `${LOAD_TEXT[load]}: ${LOADS[load]} calls a second in fan-outs, ${LOADS[load] / 2} of bystanders`,
        columns: [
          'width',
          'way',
          'in flight of an action, p95',
          'fan-out workflow p95',
          'fan-out TTFT p95',
          'bystanders TTFT p95',
          'bystanders E2E p95',
          'bystanders in SLO',
        ],
        rows: SHOWN_WIDTHS.flatMap(width =>
          ALL.map(way => ({ way, load, width }))
            .filter(where => values(where, 'fanning', 'calls').length > 0)
            .map(where => [
              String(width),
              WAYS[where.way].name,
              showNumber(of(estimate(values(where, 'fanning', 'sessionWidthP95')))),
              cell(where, 'fanning', 'makespanMsP95', showMs),
              cell(where, 'fanning', 'ttftMsP95', showMs),
              cell(where, 'bystanders', 'ttftMsP95', showMs),
              cell(where, 'bystanders', 'e2eMsP95', showMs),
              cell(where, 'bystanders', 'sloRatio', showRatio),
            ]),
        ),
      })),
      charts: [
        chart({
          id: 'fan-out-bystanders',
          title: `Near saturation, fan-outs of ${WIDEST} calls bring the bystanders' TTFT p95 to ${showMs(worst?.mean)}`,
          cohort: 'bystanders',
          figure: 'ttftMsP95',
          y: {
            title: "bystanders' TTFT p95",
            scale: { type: 'log', nice: false },
            axis: msAxis(ttfts.length === 0 ? {} : { values: logTicks(ttfts) }),
            label: msLabel,
          },
        }),
        chart({
          id: 'fan-out-user',
          title: `Near saturation, a workflow with ${WIDEST} calls at once takes ${showMs(own?.mean)} at the 95th percentile`,
          cohort: 'fanning',
          figure: 'makespanMsP95',
          y: { title: 'workflow p95', scale: { zero: true }, axis: msAxis(), label: msLabel },
        }),
      ],
      limits: [
        'One model on two cards, one shape of calls; vLLM schedules by steps of up to 8192 tokens, a smaller budget would shorten gaps and lengthen TTFT.',
        'PLAS takes the urgency of a call when it comes: a fan-out whose calls come at once has been served little by then.',
        'Admission counts the sessions of both tenants together; a limit for each is not part of the gateway yet.',
        'Workflows of different widths do different work: compare ways at one width, widths by the bystanders alone.',
        'Few wide fan-outs fit into a run: of 256 calls about ten, so that their p95 is that of the slowest.',
        'Step times come from physics fitted on measured runs, for ranking only.',
      ],
    };
  },
});
