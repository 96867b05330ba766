// From zero: a pool that slept, and a thousand workflows within a minute. What waits, for how long, and what being asleep
// saves.
import { msAxis, msLabel } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber, showSignedRatio } from '../../reports/numbers.ts';
import type { FigureName, RunFigures } from '../../scenarios/formats/grid.ts';
import type { DeploymentChange, GridCase } from '../grid/case.ts';
import { type Estimate, estimate, showEstimate } from './estimate.ts';
import { type Claim, defineStudy, type StudyCase, type StudyRun, type Verdict } from './study.ts';

/** The middle one is vLLM's, measured with weights on local disk; a node that must be made first takes the last. */
const COLD_SECS = [10, 62, 300];
const MEASURED_COLD_SEC = 62;
const MOST = 16;

interface Way {
  readonly label: string;
  /** Replicas that never go. */
  readonly floor: number;
  readonly policy: string;
  readonly options: Record<string, unknown>;
  readonly admission?: DeploymentChange['admission'];
}

const IN_FLIGHT = { metric: 'in_flight', target: 15 };
const TARGETS = { ttft: 2000, itl: 50 };
/** Calls wait at the gateway while replicas are full, not in the queue of the replica that is there. */
const HELD = { policy: 'flow_control', options: { max_wait: 3_600_000 } };

const keda = (floor: number, more: Partial<Way> = {}): Way => ({
  label: `KEDA, floor of ${floor}`,
  floor,
  policy: 'keda',
  options: IN_FLIGHT,
  ...more,
});
const WAYS = {
  keda: keda(0, { label: 'KEDA on calls in flight' }),
  'keda-queue': keda(0, { label: 'KEDA on queue length', options: { metric: 'queue', target: 5 } }),
  knative: { label: 'Knative', floor: 0, policy: 'knative', options: { concurrency: 20 } },
  wva: { label: 'WVA', floor: 0, policy: 'wva', options: {} },
  dynamo: { label: 'Dynamo, both loops', floor: 0, policy: 'dynamo', options: { ...TARGETS, loops: 'both' } },
  'workflow-aware': { label: 'workflow-aware', floor: 0, policy: 'workflow-aware', options: TARGETS },
  'floor-1': keda(1),
  'floor-2': keda(2),
  'floor-4': keda(4),
  'floor-1-held': keda(1, {
    label: 'KEDA, floor of 1, calls held',
    admission: HELD,
  }),
  awake: { label: `${MOST} replicas, always`, floor: MOST, policy: 'fixed', options: { replicas: MOST } },
} as const satisfies Record<string, Way>;
type WayName = keyof typeof WAYS;
const WAY_NAMES = Object.keys(WAYS) as WayName[];
const WAY: Record<WayName, Way> = WAYS;

interface At {
  readonly way: WayName;
  readonly coldSec: number;
  readonly seed: number;
}

function caseOf({ way, coldSec, seed }: At): GridCase {
  const { floor, policy, options, admission } = WAY[way];
  return {
    scenario: { input: 'studies/from-zero', options: { seed } },
    deployment: {
      input: 'autoscaled-llama-3.1-70b',
      set: [`pools.main.cold_start=${coldSec}s`],
      change: {
        routing: { policy: 'least-outstanding', options: {} },
        ...(admission === undefined ? {} : { admission }),
        pool: { replicas: floor, scaling: { policy, options, min: floor, max: MOST } },
      },
    },
    loadFactor: 1,
  };
}

// ---- what came of it ---------------------------------------------------------------------------------------------

type Runs = readonly StudyRun<At>[];

const runsAt = (runs: Runs, way: WayName, coldSec: number): RunFigures[] =>
  runs.filter(({ at }) => at.way === way && at.coldSec === coldSec).map(({ figures }) => figures);

const figure = (runs: Runs, way: WayName, coldSec: number, name: FigureName): Estimate | null =>
  estimate(runsAt(runs, way, coldSec).map(figures => figures[name]));

/** How much more `own` has than `other`, seed by seed: a difference, or a share of the other's. */
function difference(
  runs: Runs,
  [own, other]: readonly [WayName, WayName],
  coldSec: number,
  name: FigureName,
  kind: 'absolute' | 'relative' = 'absolute',
): Estimate | null {
  const others = runsAt(runs, other, coldSec);
  return estimate(
    runsAt(runs, own, coldSec).map((figures, i) => {
      const [a, b] = [figures[name], others[i]?.[name] ?? null];
      if (a === null || b === null) return null;
      return kind === 'absolute' ? a - b : b === 0 ? null : (a - b) / b;
    }),
  );
}

const below = (found: Estimate | null, limit: number): boolean =>
  (found?.mean ?? Number.POSITIVE_INFINITY) < limit;
const overColdStarts = (show: (coldSec: number) => string): string =>
  COLD_SECS.map(coldSec => `${show(coldSec)} with a cold start of ${coldSec} s`).join('; ');

// ---- claims ------------------------------------------------------------------------------------------------------

/** More of a workflow's p95 than this is felt. */
const FELT = 0.1;

function pays(runs: Runs): Claim {
  const pair = ['keda', 'floor-1'] as const;
  const saved = difference(runs, ['floor-1', 'keda'], MEASURED_COLD_SEC, 'gpuHours');
  const slower = COLD_SECS.map(coldSec => difference(runs, pair, coldSec, 'makespanMsP95', 'relative'));
  const isFree = slower.filter(found => below(found, FELT)).length;
  const saves = (saved?.ci95?.[0] ?? saved?.mean ?? 0) > 0;
  const verdict: Verdict =
    !saves || isFree === 0 ? 'contradicted' : isFree === COLD_SECS.length ? 'confirmed' : 'partly';
  const figureOf = (coldSec: number): string =>
    `first answer after ${showMs(figure(runs, 'keda', coldSec, 'firstAnswerMs')?.mean)}, workflow p95 ${showEstimate(difference(runs, pair, coldSec, 'makespanMsP95', 'relative'), showSignedRatio)}`;
  return {
    text: 'Scale to zero pays',
    verdict,
    figure: `saves ${showEstimate(saved, showNumber)} GPU-hours in an hour with one burst, against a floor of one; ${overColdStarts(figureOf)}`,
  };
}

function lead(runs: Runs): Claim {
  const asked = (way: WayName): Estimate | null => figure(runs, way, MEASURED_COLD_SEC, 'replicasMostAtMs');
  const isEarlier = (than: WayName): boolean =>
    below(difference(runs, ['workflow-aware', than], MEASURED_COLD_SEC, 'replicasMostAtMs'), 0);
  const p95 = difference(
    runs,
    ['workflow-aware', 'keda-queue'],
    MEASURED_COLD_SEC,
    'makespanMsP95',
    'relative',
  );
  return {
    text: 'Workflows in flight lead queue length',
    // Knative counts calls, not workflows: where it is as early, the loop was slow and not the signal.
    verdict: !isEarlier('keda-queue') ? 'contradicted' : isEarlier('knative') ? 'confirmed' : 'partly',
    figure: `all replicas asked for after ${showMs(asked('workflow-aware')?.mean)}, by KEDA on the queue after ${showMs(asked('keda-queue')?.mean)}; workflow p95 ${showEstimate(p95, showSignedRatio)} against KEDA. But Knative, which counts calls every second, has asked for all after ${showMs(asked('knative')?.mean)}`,
  };
}

function oneIsEnough(runs: Runs): Claim {
  const pair = ['floor-1', 'awake'] as const;
  const slower = (coldSec: number): Estimate | null =>
    difference(runs, pair, coldSec, 'makespanMsP95', 'relative');
  const hidden = COLD_SECS.filter(coldSec => below(slower(coldSec), FELT)).length;
  return {
    text: 'A warm floor of one replica hides the cold start',
    verdict: hidden === COLD_SECS.length ? 'confirmed' : hidden > 0 ? 'partly' : 'contradicted',
    figure: `first answer after ${showMs(figure(runs, 'floor-1', MEASURED_COLD_SEC, 'firstAnswerMs')?.mean)}; but workflow p95 against ${MOST} replicas that never sleep ${overColdStarts(coldSec => showEstimate(slower(coldSec), showSignedRatio))}`,
  };
}

function held(runs: Runs): Claim {
  const faster = (coldSec: number): Estimate | null =>
    difference(runs, ['floor-1-held', 'floor-1'], coldSec, 'makespanMsP95', 'relative');
  const found = COLD_SECS.filter(
    coldSec => (faster(coldSec)?.ci95?.[1] ?? faster(coldSec)?.mean ?? 0) < 0,
  ).length;
  return {
    text: 'A burst should wait at the gateway, not at the replica that is awake',
    verdict: found === COLD_SECS.length ? 'confirmed' : found > 0 ? 'partly' : 'contradicted',
    figure: `workflow p95 with calls held until replicas have room, floor of one: ${overColdStarts(coldSec => showEstimate(faster(coldSec), showSignedRatio))}`,
  };
}

// ---- table and chart ---------------------------------------------------------------------------------------------

const ROWS: readonly [string, FigureName, (value: number) => string][] = [
  ['first answer', 'firstAnswerMs', showMs],
  ['workflow p50', 'makespanMsP50', showMs],
  ['workflow p95', 'makespanMsP95', showMs],
  ['most calls waiting', 'waitingMost', showNumber],
  ['all asked for after', 'replicasMostAtMs', showMs],
  ['GPU-hours', 'gpuHours', showNumber],
];

const tableAt = (runs: Runs, coldSec: number) => ({
  title: `With a cold start of ${coldSec} s, over the hour`,
  columns: ['', ...ROWS.map(([title]) => title)],
  rows: WAY_NAMES.map(way => [
    WAY[way].label,
    ...ROWS.map(([, name, show]) => showEstimate(justMean(figure(runs, way, coldSec, name)), show)),
  ]),
});
const justMean = (found: Estimate | null): Estimate | null =>
  found === null ? null : { ...found, ci95: null };

const CHARTED: readonly WayName[] = [
  'workflow-aware',
  'dynamo',
  'keda',
  'floor-1',
  'floor-1-held',
  'floor-4',
  'knative',
];

export default defineStudy<At>({
  name: 'from-zero',
  question:
    'A pool is at zero replicas and a thousand workflows start within a minute: when does the first answer come, how long do workflows take, what waits, and what does the sleep save? Against it: a warm floor of one, two or four, and calls held at the gateway.',
  method:
    'A thousand agents of four calls (contexts of 2k to 4k tokens, a fetch of a second between them) at even times within the first minute of an hour, then nothing. H200 that serve Llama 3.1 70B in fp8, a replica each, 16 at most, of which 16 keep up with the minute. GPU-hours count over the whole hour from the wish for a replica, so what stays up after the burst is in them.',
  cases({ isQuick }) {
    const seeds = isQuick ? [1, 2] : [1, 2, 3, 4, 5];
    return seeds.flatMap(seed =>
      COLD_SECS.flatMap(coldSec =>
        WAY_NAMES.map((way): StudyCase<At> => {
          const at = { way, coldSec, seed };
          return { at, of: caseOf(at) };
        }),
      ),
    );
  },

  judge(runs) {
    const lines: Line[] = [...CHARTED, 'awake' as const].map(way => ({
      name: WAY[way].label,
      points: COLD_SECS.map(coldSec => {
        const found = figure(runs, way, coldSec, 'makespanMsP95');
        const [low, high] = found?.ci95 ?? [null, null];
        return { x: coldSec * 1000, y: found?.mean ?? null, low, high };
      }),
    }));
    const zero = figure(runs, 'keda', MEASURED_COLD_SEC, 'makespanMsP95');
    const one = figure(runs, 'floor-1', MEASURED_COLD_SEC, 'makespanMsP95');
    return {
      claims: [pays(runs), lead(runs), oneIsEnough(runs), held(runs)],
      tables: COLD_SECS.map(coldSec => tableAt(runs, coldSec)),
      charts: [
        {
          id: 'from-zero-p95',
          title: `With a cold start of ${MEASURED_COLD_SEC} s, workflow p95 is ${showMs(zero?.mean)} from zero and ${showMs(one?.mean)} from a floor of one`,
          spec: linesSpec(lines, {
            x: {
              title: 'cold start',
              scale: { type: 'log' },
              axis: msAxis({ values: COLD_SECS.map(sec => sec * 1000) }),
              label: msLabel,
            },
            y: {
              title: 'workflow p95',
              scale: { zero: true },
              axis: msAxis({ values: [0, 2, 4, 6, 8, 10, 12].map(minutes => minutes * 60_000) }),
              label: msLabel,
            },
            strong: WAY.awake.label,
          }),
        },
      ],
      limits: [
        'One model, one card, one shape of workflow; step times rest on physics: for ranking only.',
        'One burst an hour: with more of them the sleep saves less, with fewer it saves more.',
        'The burst is the first that the autoscalers see. Whoever has seen one knows what calls are like, and the workflow-aware one how often sessions call.',
        'Cold starts are constant, and sixteen at once are as quick as one; a registry or a disk that they share is not.',
        `Targets are ours: KEDA and Knative aim at 15 and 14 calls at once for each replica.`,
      ],
    };
  },
});
