// Placement: a small pool near the user, a region, a large pool far away. What the way costs an agent of many short calls
// and what it costs a single long one, against what the better card gives; and what of it connections, data and state cost.
import { logTicks, msAxis, msLabel } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber, showSignedRatio } from '../../reports/numbers.ts';
import type { FigureName } from '../../scenarios/formats/grid.ts';
import type { GridCase } from '../grid/case.ts';
import { crossing } from '../policy-bench/compare.ts';
import { type Estimate, estimate, showEstimate, showTimes, timesAs } from './estimate.ts';
import { type Claim, defineStudy, type StudyCase, type StudyRun, type Verdict } from './study.ts';

interface SiteSpec {
  readonly what: string;
  readonly gpu: string;
  readonly gpus: number;
  /** Of the catalogue. */
  readonly usdPerGpuHour: number;
  /** Of the model and the gateway, and of the agent's loop: places of scenarios/studies/deployments/placement.yaml. */
  readonly place: Place;
  readonly loop: Place;
}

/** Places, with their round trips from the user, ms. */
const ROUND_TRIP_MS = { user: 0, edge: 10, region: 60, centre: 160 } as const;
type Place = keyof typeof ROUND_TRIP_MS;

const H200 = { gpu: 'h200-141gb-sxm', usdPerGpuHour: 3.39 } as const;

/** The last has the agent's loop beside the model: only its question travels. */
const SITES = {
  'edge L40S': {
    what: 'edge, one L40S',
    gpu: 'l40s',
    gpus: 1,
    usdPerGpuHour: 1.548,
    place: 'edge',
    loop: 'user',
  },
  'edge RTX PRO 6000': {
    what: 'edge, one RTX PRO 6000',
    gpu: 'rtx-pro-6000-server',
    gpus: 1,
    usdPerGpuHour: 1.69,
    place: 'edge',
    loop: 'user',
  },
  'edge H200': { what: 'edge, one H200', ...H200, gpus: 1, place: 'edge', loop: 'user' },
  region: {
    what: 'region, two H100',
    gpu: 'h100-80gb-sxm',
    gpus: 2,
    usdPerGpuHour: 2.29,
    place: 'region',
    loop: 'user',
  },
  central: { what: 'central, eight H200', ...H200, gpus: 8, place: 'centre', loop: 'user' },
  'central, loop there': {
    what: 'central, loop beside the model',
    ...H200,
    gpus: 8,
    place: 'centre',
    loop: 'centre',
  },
} as const satisfies Record<string, SiteSpec>;
type Site = keyof typeof SITES;
const SITE_NAMES = Object.keys(SITES) as Site[];
const EDGES = ['edge L40S', 'edge RTX PRO 6000'] as const satisfies Site[];

/** What the way is made of, as lines of the deployment. */
const WAYS = {
  open: [],
  'a new connection each call': ['links.last-mile.keep_alive=0s'],
  'the same, gateway at the edge': ['links.last-mile.keep_alive=0s', 'gateway.place=edge'],
  'a last mile of 20 Mbit/s with jitter and 0.1 % loss': [
    'links.last-mile.bandwidth=20Mbit/s',
    'links.last-mile.jitter={ median: 2ms, p90: 10ms }',
    'links.last-mile.loss=0.1%',
  ],
} as const satisfies Record<string, readonly string[]>;
type Way = keyof typeof WAYS;
const WAY_NAMES = Object.keys(WAYS) as Way[];
const [, FRESH, SPARED] = WAY_NAMES as [Way, Way, Way, Way];
/** TCP, TLS 1.3, and the request itself. */
const FRESH_ROUND_TRIPS = 3;

type Workflow = 'chatty' | 'once' | 'stateful';
const WORKFLOWS = ['chatty', 'once'] as const;
const TURNS = 50;
const SHORT_TURNS = 10;
const WORDS = 20;
const WORDS_SWEEP = [4, 10, WORDS, 50, 150];
/** Workflows for each USD that a site costs: so a dearer site serves as many more users. The first: nobody else is there. */
const LOADS: Record<(typeof WORKFLOWS)[number], readonly number[]> = {
  chatty: [10, 300, 1000, 3000],
  once: [10, 1000, 4000, 8000, 16_000],
};
const SPARE = 10;

interface Setting {
  readonly site: Site;
  readonly workflow: Workflow;
  readonly turns: number;
  /** Tokens of an answer of the chatty agent. */
  readonly words: number;
  readonly perUsd: number;
  readonly way: Way;
  /** Where its tools and its store are; null: with the loop. */
  readonly data: Place | null;
}
interface At extends Setting {
  readonly seed: number;
}
type Run = StudyRun<At>;

const place = (fields: Partial<Setting> & { site: Site }): Setting => ({
  workflow: 'chatty',
  turns: TURNS,
  words: WORDS,
  perUsd: SPARE,
  way: 'open',
  data: null,
  ...fields,
});

const WAY_SITES = ['edge RTX PRO 6000', 'region', 'central'] as const satisfies Site[];

/** Loop and data together or apart, beside the user or beside the model. */
const APART = [
  { loop: 'user', data: 'user', at: place({ site: 'central' }) },
  { loop: 'user', data: 'centre', at: place({ site: 'central', data: 'centre' }) },
  { loop: 'centre', data: 'user', at: place({ site: 'central, loop there', data: 'user' }) },
  { loop: 'centre', data: 'centre', at: place({ site: 'central, loop there' }) },
] as const satisfies readonly { loop: Place; data: Place; at: Setting }[];
const stateful = (at: Setting): Setting => ({ ...at, workflow: 'stateful' });

function places(): Setting[] {
  const found = [
    ...(['edge H200', 'central'] as const).map(site => place({ site, turns: SHORT_TURNS })),
    ...SITE_NAMES.flatMap(site => WORDS_SWEEP.map(words => place({ site, words }))),
    ...WORKFLOWS.flatMap(workflow =>
      SITE_NAMES.flatMap(site => LOADS[workflow].map(perUsd => place({ site, workflow, perUsd }))),
    ),
    ...WORKFLOWS.flatMap(workflow =>
      WAY_SITES.flatMap(site => WAY_NAMES.map(way => place({ site, workflow, way }))),
    ),
    ...APART.flatMap(({ at }) => [at, stateful(at)]),
  ];
  return [...new Map(found.map(each => [JSON.stringify(each), each])).values()];
}

/** Sessions start over about so long; at the ends there are so few or so many of them. */
const WINDOW_SEC = { quick: 25, whole: 60 } as const;
const SESSIONS = {
  min: { chatty: 12, once: 200, stateful: 12 },
  max: {
    quick: { chatty: 500, once: 1000, stateful: 500 },
    whole: { chatty: 1500, once: 4000, stateful: 1500 },
  },
} as const;

function caseOf(at: At, scale: 'quick' | 'whole'): GridCase {
  const { gpu, gpus, usdPerGpuHour, place: model, loop } = SITES[at.site];
  const data = at.data ?? loop;
  const perSec = (at.perUsd * gpus * usdPerGpuHour) / 3600;
  const most = SESSIONS.max[scale][at.workflow];
  const sessions = Math.min(
    most,
    Math.max(SESSIONS.min[at.workflow], Math.round(perSec * WINDOW_SEC[scale])),
  );
  return {
    scenario: {
      input: 'studies/placement',
      options: {
        seed: at.seed,
        set: [
          `traffic.0.workflow=${at.workflow}`,
          `traffic.0.sessions=${sessions}`,
          `params.turns=${at.turns}`,
          `params.words=${at.words}`,
          `params.far=${ROUND_TRIP_MS[loop]}`,
        ],
      },
    },
    deployment: {
      input: 'studies/placement',
      set: [
        `pools.main.gpu=${gpu}`,
        `pools.main.replicas=${gpus}`,
        `pools.main.price=${usdPerGpuHour}/h`,
        `pools.main.place=${model}`,
        `gateway.place=${model}`,
        `agents.place=${loop}`,
        `tools.all.place=${data}`,
        `stores.state.place=${data}`,
        ...WAYS[at.way],
      ],
    },
    loadFactor: perSec,
  };
}

// ---- judgement ------------------------------------------------------------------------------------------------

const valuesAt = (runs: readonly Run[], where: Setting, name: FigureName): (number | null)[] =>
  runs
    .filter(({ at }) => (Object.keys(where) as (keyof Setting)[]).every(key => at[key] === where[key]))
    .map(({ figures }) => figures[name]);
/** How long a workflow takes at the median, ms, a value each seed. */
const tookMs = (runs: readonly Run[], where: Setting) => valuesAt(runs, where, 'makespanMsP50');
const meanMs = (runs: readonly Run[], where: Setting): number | null =>
  estimate(tookMs(runs, where))?.mean ?? null;

/** Of two places that meet the same workflows: how much longer the first takes, ms. */
const longerMs = (runs: readonly Run[], where: Setting, beside: Setting): Estimate | null => {
  const base = tookMs(runs, beside);
  return estimate(
    tookMs(runs, where).map((value, seed) =>
      value === null || base[seed] == null ? null : value - base[seed],
    ),
  );
};

/** Tokens of an answer up to which a workflow ends sooner at `near` than at `far`; null: none at all. */
const breakEven = (runs: readonly Run[], near: Site, far: Site): number | null =>
  crossing(
    WORDS_SWEEP.map(words => {
      const [own, other] = [near, far].map(site => meanMs(runs, place({ site, words }))) as [
        number | null,
        number | null,
      ];
      return { loadRatio: words, share: own === null || other === null ? null : other - own };
    }),
    0,
  );

/** Workflows per USD up to which one takes at most `times` as long as with spare capacity, a value each seed. */
function loadsHeld(
  runs: readonly Run[],
  site: Site,
  workflow: (typeof WORKFLOWS)[number],
  times: number,
): (number | null)[] {
  const byLoad = LOADS[workflow].map(perUsd => tookMs(runs, place({ site, workflow, perUsd })));
  return byLoad[0]!.map((idleMs, seed) =>
    crossing(
      LOADS[workflow].map((loadRatio, i) => {
        const ms = byLoad[i]![seed] ?? null;
        return { loadRatio, share: ms === null || !idleMs ? null : -ms / idleMs };
      }),
      -times,
    ),
  );
}

const showTook = (runs: readonly Run[], where: Setting): string =>
  showEstimate(estimate(tookMs(runs, where)), showMs);
const words = (found: number | null): string =>
  found === null
    ? 'for no answer'
    : found >= WORDS_SWEEP.at(-1)!
      ? `for answers of ${WORDS_SWEEP.at(-1)} tokens and more`
      : `up to ${showNumber(found)} tokens`;
const verdictOf = (isWhole: boolean, isPart: boolean): Verdict =>
  isWhole ? 'confirmed' : isPart ? 'partly' : 'contradicted';

const SLOWDOWN = 1.5;

function claims(runs: readonly Run[]): Claim[] {
  const byWay = [SHORT_TURNS, TURNS].map(turns => {
    const expectedMs = turns * (ROUND_TRIP_MS.centre - ROUND_TRIP_MS.edge);
    const found = longerMs(runs, place({ site: 'central', turns }), place({ site: 'edge H200', turns }));
    return { turns, expectedMs, found, isMet: Math.abs((found?.mean ?? 0) / expectedMs - 1) < 0.02 };
  });
  const ms = (site: Site, workflow: Workflow = 'chatty'): number =>
    meanMs(runs, place({ site, workflow })) ?? Number.NaN;
  const sooner = EDGES.filter(site => ms(site) < ms('central') && ms(site) < ms('region'));
  const others = SITE_NAMES.filter(
    site => site !== 'central' && site !== 'central, loop there' && site !== 'edge H200',
  );
  const nearest = others.reduce((best, site) => (ms(site, 'once') < ms(best, 'once') ? site : best));
  const soonerOnce = others.filter(site => ms(site, 'once') < ms('central', 'once'));
  const moved = timesAs(
    tookMs(runs, place({ site: 'central, loop there' })),
    tookMs(runs, place({ site: 'edge RTX PRO 6000' })),
  );
  const held = WORKFLOWS.map(workflow => ({
    workflow,
    isBeyond: loadsHeld(runs, 'central', workflow, SLOWDOWN).includes(LOADS[workflow].at(-1) ?? null),
    found: timesAs(
      loadsHeld(runs, 'central', workflow, SLOWDOWN),
      loadsHeld(runs, 'edge L40S', workflow, SLOWDOWN),
    ),
  }));
  return [
    {
      text: 'A chatty agent pays calls x round trip',
      verdict: verdictOf(
        byWay.every(({ isMet }) => isMet),
        byWay.some(({ isMet }) => isMet),
      ),
      figure: byWay
        .map(
          ({ turns, expectedMs, found }) =>
            `${turns} calls: ${showMs(expectedMs)} by arithmetic, ${showEstimate(found, showMs)} simulated on the same card`,
        )
        .join('; '),
    },
    {
      text: `A chatty agent (${TURNS} calls of ${WORDS} tokens) belongs at the edge`,
      verdict: verdictOf(
        sooner.length === EDGES.length,
        sooner.length > 0 || EDGES.some(site => ms(site) < ms('central')),
      ),
      figure: `${[...EDGES, 'region' as const, 'central' as const].map(site => `${showMs(ms(site))} (${SITES[site].what})`).join(', ')}. Against the centre an L40S wins ${words(breakEven(runs, 'edge L40S', 'central'))} an answer, an RTX PRO 6000 ${words(breakEven(runs, 'edge RTX PRO 6000', 'central'))}`,
    },
    {
      text: 'A single long call belongs in the centre',
      verdict: verdictOf(soonerOnce.length === 0, soonerOnce.length < others.length),
      figure: `${[...others, 'central' as const]
        .map(site => `${showMs(ms(site, 'once'))} (${SITES[site].what})`)
        .join(', ')}: ${showTimes(
        timesAs(
          tookMs(runs, place({ site: 'central', workflow: 'once' })),
          tookMs(runs, place({ site: nearest, workflow: 'once' })),
        ),
      )} the time at the best of the others. The same card at the edge would take ${showMs(ms('edge H200', 'once'))}`,
    },
    {
      text: 'It is the loop that should be moved, not the model: beside a far model it beats one at the edge',
      verdict: verdictOf((moved?.ci95?.[1] ?? moved?.mean ?? 1) < 1, (moved?.mean ?? 1) < 1),
      figure: `${showTook(runs, place({ site: 'central, loop there' }))} in the centre with its loop, ${showTimes(moved)} the time at the best edge (${SITES['edge RTX PRO 6000'].what})`,
    },
    {
      text: 'For the same money a large pool holds more before it slows down',
      verdict: verdictOf(
        held.every(({ found }) => (found?.ci95?.[0] ?? found?.mean ?? 1) > 1),
        held.some(({ found }) => (found?.ci95?.[0] ?? found?.mean ?? 1) > 1),
      ),
      figure: held
        .map(
          ({ workflow, found, isBeyond }) =>
            `${workflow}: ${isBeyond ? 'at least ' : ''}${showTimes(found)} the workflows per USD of an L40S until they take ${SLOWDOWN} times as long`,
        )
        .join('; '),
    },
    ...waysClaims(runs),
  ];
}

/** What connections cost, and where data and state belong. */
function waysClaims(runs: readonly Run[]): Claim[] {
  const expectedMs = (FRESH_ROUND_TRIPS - 1) * TURNS * ROUND_TRIP_MS.centre;
  const fresh = longerMs(runs, place({ site: 'central', way: FRESH }), place({ site: 'central' }));
  const spared = longerMs(runs, place({ site: 'central', way: SPARED }), place({ site: 'central' }));
  const once = (site: Site, way: Way): number =>
    meanMs(runs, place({ site, workflow: 'once', way })) ?? Number.NaN;
  const [together, dataFar, dataLeft, allThere] = APART.map(({ at }) => meanMs(runs, at) ?? Number.NaN) as [
    number,
    number,
    number,
    number,
  ];
  const [stateHere, , stateLeft, stateThere] = APART.map(
    ({ at }) => meanMs(runs, stateful(at)) ?? Number.NaN,
  ) as [number, number, number, number];
  return [
    {
      text: 'The way costs a round trip a call, wherever the gateway stands',
      verdict: verdictOf(
        (fresh?.mean ?? 0) < 0.1 * TURNS * ROUND_TRIP_MS.centre,
        Math.abs((fresh?.mean ?? 0) - (spared?.mean ?? 0)) < 0.1 * expectedMs,
      ),
      figure: `only while connections stay open: with a new one for each of ${TURNS} calls the centre takes ${showEstimate(fresh, showMs)} longer (${FRESH_ROUND_TRIPS} round trips; ${showMs(expectedMs)} by arithmetic), and with a gateway at the edge that keeps its own open ${showEstimate(spared, showMs)}. A single call of a new user takes ${showMs(once('central', FRESH))} in the centre, ${showMs(once('region', FRESH))} in the region, and ${showMs(once('central', SPARED))} in the centre behind that gateway`,
    },
    {
      text: 'An agent belongs beside its data',
      verdict: verdictOf(
        dataFar > 1.05 * allThere && dataLeft > 1.05 * together,
        allThere < dataFar || allThere < dataLeft,
      ),
      figure: `where the model is far, the loop gains nothing beside its data: ${showMs(together)} with the loop at its data (the user's) and ${showMs(dataLeft)} with the loop at the model, the tools reaching back. With the data in the centre, too: ${showMs(dataFar)} with the loop at the user, ${showMs(allThere)} with all three in one place`,
    },
    {
      text: 'State may stay where it was when the loop moves',
      verdict: verdictOf(stateLeft < 1.05 * stateThere, stateLeft < stateHere),
      figure: `a state read and written each turn: ${showMs(stateHere)} with loop and state at the user, ${showMs(stateLeft)} with the loop in the centre and the state left behind, ${showMs(stateThere)} with both in the centre`,
    },
  ];
}

export default defineStudy<At>({
  name: 'placement',
  question:
    'Edge, region or centre? A small pool 5 ms from the user, a region at 30 ms, a large pool at 80 ms, one way. It is said that chatty agents belong at the edge, since they pay a round trip for every call, and single calls in the centre, where the large GPUs are.',
  method: `Llama 3.1 8B in fp8 everywhere: an L40S or an RTX PRO 6000 at the edge, two H100 in the region, eight H200 in the centre, and one H200 at the edge to tell the way from the card. An agent of ${TURNS} calls of ${WORDS} tokens in strict series with a tool of 20 ms between, and single calls of 300 tokens at the median. A site serves users in proportion to its price, so that loads are workflows per USD; the lowest is one at a time.`,

  cases({ isQuick }) {
    const scale = isQuick ? 'quick' : 'whole';
    const seeds = isQuick ? [1, 2, 3] : [1, 2, 3, 4, 5];
    return seeds.flatMap(seed =>
      places().map((each): StudyCase<At> => {
        const at = { ...each, seed };
        return { at, of: caseOf(at, scale) };
      }),
    );
  },

  judge(runs) {
    const shown = SITE_NAMES.filter(site => site !== 'edge H200');
    const byWords: Line[] = shown.map(site => ({
      name: SITES[site].what,
      points: WORDS_SWEEP.map(x => ({ x, y: meanMs(runs, place({ site, words: x })) })),
    }));
    // A single call has no loop to move.
    const byLoad = (workflow: (typeof WORKFLOWS)[number]): Line[] =>
      shown
        .filter(site => workflow === 'chatty' || site !== 'central, loop there')
        .map(site => ({
          name: SITES[site].what,
          points: LOADS[workflow].map(perUsd => ({
            x: perUsd,
            y: meanMs(runs, place({ site, workflow, perUsd })),
          })),
        }));
    const ticksOf = (lines: readonly Line[]) =>
      logTicks(lines.flatMap(({ points }) => points.flatMap(({ y }) => y ?? [])));
    const took = (lines: readonly Line[]) => ({
      title: 'workflow p50',
      scale: { type: 'log', nice: false },
      axis: msAxis({ values: ticksOf(lines) }),
      label: msLabel,
    });
    const loadChart = (workflow: (typeof WORKFLOWS)[number], id: string, title: string) => {
      const lines = byLoad(workflow);
      return {
        id,
        title,
        spec: linesSpec(lines, {
          x: {
            title: 'workflows per USD of the site',
            scale: { type: 'log' },
            axis: { values: LOADS[workflow], format: ',' },
            format: ',',
          },
          y: took(lines),
        }),
      };
    };
    const l40s = breakEven(runs, 'edge L40S', 'central');
    const moved = timesAs(
      tookMs(runs, place({ site: 'central, loop there' })),
      tookMs(runs, place({ site: 'central' })),
    );
    return {
      claims: claims(runs),
      tables: [
        {
          title: `Workflow p50 of ${TURNS} calls with spare capacity, by tokens of an answer`,
          columns: ['site', ...WORDS_SWEEP.map(each => `${each} tokens`)],
          rows: SITE_NAMES.map(site => [
            SITES[site].what,
            ...WORDS_SWEEP.map(each => showMs(meanMs(runs, place({ site, words: each })))),
          ]),
        },
        {
          title: 'Workflow p50 with spare capacity, by what the way is made of',
          columns: [
            'way',
            ...WORKFLOWS.flatMap(workflow => WAY_SITES.map(site => `${workflow}, ${SITES[site].what}`)),
          ],
          rows: WAY_NAMES.map(way => [
            way,
            ...WORKFLOWS.flatMap(workflow =>
              WAY_SITES.map(site => showMs(meanMs(runs, place({ site, workflow, way })))),
            ),
          ]),
        },
        {
          title: `Workflow p50 of ${TURNS} calls to the centre, by where the loop and its data are`,
          columns: ['loop', 'data', 'a tool each turn', 'and a state read and written'],
          rows: APART.map(({ loop, data, at }) => [
            loop,
            data,
            showMs(meanMs(runs, at)),
            showMs(meanMs(runs, stateful(at))),
          ]),
        },
        ...WORKFLOWS.map(workflow => ({
          title: `Workflow p50, ${workflow}, by workflows per USD`,
          columns: ['site', ...LOADS[workflow].map(perUsd => `${showNumber(perUsd)} per USD`)],
          rows: SITE_NAMES.map(site => [
            SITES[site].what,
            ...LOADS[workflow].map(perUsd => showTook(runs, place({ site, workflow, perUsd }))),
          ]),
        })),
      ],
      charts: [
        {
          id: 'placement-words',
          title: `An edge L40S beats eight far H200 ${words(l40s)} an answer, ${TURNS} calls in a row`,
          spec: linesSpec(byWords, {
            x: {
              title: 'tokens of an answer',
              scale: { type: 'log' },
              axis: { values: WORDS_SWEEP },
            },
            y: took(byWords),
          }),
        },
        loadChart(
          'chatty',
          'placement-chatty',
          `With its loop beside the model a chatty agent takes ${showSignedRatio((moved?.mean ?? Number.NaN) - 1)} in the centre`,
        ),
        loadChart('once', 'placement-once', 'A single long call waits for the card, not for the way'),
      ],
      limits: [
        'Round trips of 10, 60 and 160 ms are an assumption. But for the table of ways they are all there is: no jitter, no bandwidth, connections open; no congestion anywhere.',
        'All users share the connections of their place; a new user is a link that keeps none open.',
        'The question of an agent that runs elsewhere takes one round trip, without a handshake.',
        'The same model everywhere; one of 70B does not fit on the edge cards at all.',
        'Step times are a model, for ranking only; those of the L40S and of the RTX PRO 6000 rest on one measured run each.',
        'Prices are first list prices; edge sites cost more to run than GPUs in a region do.',
      ],
    };
  },
});
