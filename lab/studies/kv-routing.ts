// KV-aware routing: what it takes off TTFT, for agents whose prompts grow and for chats, from spare capacity to saturation.
import { logTicks, msAxis, msLabel } from '../../reports/charts/chart.ts';
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showRatio, showSignedRatio } from '../../reports/numbers.ts';
import type { FigureName } from '../../scenarios/formats/grid.ts';
import type { GridCase } from '../grid/case.ts';
import { type Estimate, estimate, showEstimate, timesAs } from './estimate.ts';
import { type Claim, defineStudy, type StudyRun, type StudyTable, type Verdict } from './study.ts';

const REPLICAS = 8;

interface World {
  readonly told: string;
  /** For a legend. */
  readonly short: string;
  readonly scenario: string;
  readonly deployment: string;
  readonly set: readonly string[];
  /** Copies of the recorded sessions in a run. */
  readonly copies: number;
  /** Sessions a second that the scenario says. */
  readonly scenarioPerSec: number;
  /** Sessions a second with which round-robin is at its limit: the calls it serves when flooded, over those of a session. */
  readonly capacityPerSec: number;
}

const CLAUDE_CODE = { scenario: 'studies/kv-claude-code', copies: 12, scenarioPerSec: 0.1 };
const MOONCAKE = {
  scenario: 'studies/kv-mooncake',
  deployment: '1xh100-llama-3.1-8b',
  copies: 3,
  scenarioPerSec: 1,
  capacityPerSec: 4.8,
};
const A100 = ['model=qwen3-8b', 'gpu=a100-80gb-sxm', 'limits.max_model_len=40960'];

const WORLDS = {
  agents: {
    ...CLAUDE_CODE,
    told: 'Claude Code sessions, Llama 3.1 8B on 8 H100',
    short: 'agents, Llama 3.1 8B',
    deployment: '1xh100-llama-3.1-8b',
    set: ['limits.max_model_len=131072'],
    capacityPerSec: 0.09,
  },
  latent: {
    ...CLAUDE_CODE,
    told: 'Claude Code sessions, Mistral Small 4 on 8 H200',
    short: 'agents, Mistral Small 4',
    deployment: '8xh200-mistral-small-4',
    set: [],
    capacityPerSec: 0.12,
  },
  chats: {
    ...MOONCAKE,
    told: 'Mooncake chats, Qwen3 8B on 8 A100',
    short: 'chats, Qwen3 8B',
    set: A100,
  },
  refusing: {
    ...MOONCAKE,
    told: 'Mooncake chats, 4 calls may wait at a replica',
    short: 'chats, refused beyond 4',
    set: [...A100, 'limits.max_queued_requests=4'],
  },
} as const satisfies Record<string, World>;
type WorldName = keyof typeof WORLDS;

/** Of the load with which round-robin is at its limit. */
const LOADS = [0.2, 0.5, 0.8, 1, 1.2];
const SPARE = 0.2;
const LIMIT = 1;
/** Where round-robin refuses about one call in seven, as in the independent test. */
const REFUSED = 1.62;

const ROUTERS = {
  'round-robin': { policy: 'round-robin', options: {} },
  'dynamo-kv': { policy: 'dynamo-kv', options: {} },
  'llm-d': { policy: 'llm-d', options: {} },
  'session-affinity': { policy: 'session-affinity', options: {} },
  preble: { policy: 'preble', options: {} },
  'sglang-cache-aware': { policy: 'sglang-cache-aware', options: {} },
  'kv-aware': { policy: 'kv-aware', options: {} },
  'prefix-cache': { policy: 'prefix-cache', options: {} },
  'production-stack-prefix': { policy: 'production-stack-prefix', options: {} },
  'dynamo-kv, predicted': { policy: 'dynamo-kv', options: { index: 'predicted' } },
  'dynamo-kv, prefill x 4': { policy: 'dynamo-kv', options: { prefill_load_scale: 4 } },
  'least-outstanding': { policy: 'least-outstanding', options: {} },
  random: { policy: 'random', options: {} },
} as const;
type RouterName = keyof typeof ROUTERS;
const ALL = Object.keys(ROUTERS) as RouterName[];
const BASE = 'round-robin';
const KV = 'dynamo-kv';

/** Routers in each world: all where they are compared, else the few that a claim is about. */
const COMPARED: Record<WorldName, readonly RouterName[]> = {
  agents: ALL,
  latent: [BASE, KV, 'llm-d', 'session-affinity'],
  chats: ALL,
  refusing: [BASE, KV, 'llm-d', 'least-outstanding'],
};

/** As much KV memory as a trace can fill: 160 million tokens a replica. */
const ENDLESS = 'limits.kv_blocks=10000000';

interface Place {
  readonly world: WorldName;
  readonly router: RouterName;
  /** Of the load with which round-robin is at its limit. */
  readonly load: number;
  readonly memory: 'card' | 'endless';
}
interface At extends Place {
  readonly seed: number;
}
type Runs = readonly StudyRun<At>[];

function places(): Place[] {
  const at = (world: WorldName, loads: readonly number[]): Place[] =>
    loads.flatMap(load => COMPARED[world].map(router => ({ world, router, load, memory: 'card' as const })));
  const endless = (['agents', 'latent'] as const).flatMap(world =>
    [SPARE, LIMIT].map(load => ({
      world,
      router: 'session-affinity' as const,
      load,
      memory: 'endless' as const,
    })),
  );
  return [
    ...at('agents', LOADS),
    ...at('latent', LOADS),
    ...at('chats', LOADS),
    ...at('refusing', [REFUSED]),
    ...endless,
  ];
}

const caseOf = ({ world, router, load, memory, seed }: At, share: number): GridCase => {
  const { scenario, deployment, set, copies, scenarioPerSec, capacityPerSec }: World = WORLDS[world];
  const settings = [...set, ...(memory === 'endless' ? [ENDLESS] : [])];
  return {
    scenario: {
      input: scenario,
      options: { seed, set: [`traffic.0.copies=${Math.ceil(copies * share)}`] },
    },
    deployment: {
      input: deployment,
      set: settings.map(each => `pools.main.${each}`),
      change: { routing: ROUTERS[router], pool: { replicas: REPLICAS } },
    },
    loadFactor: (load * capacityPerSec) / scenarioPerSec,
  };
};

// ---- judgement ------------------------------------------------------------------------------------------------

/** A figure, a value each seed. */
const values = (runs: Runs, where: Place, name: FigureName): (number | null)[] =>
  runs
    .filter(({ at }) => (Object.keys(where) as (keyof Place)[]).every(key => at[key] === where[key]))
    .map(({ figures }) => figures[name]);

const place = (world: WorldName, router: RouterName, load: number): Place => ({
  world,
  router,
  load,
  memory: 'card',
});

const found = (runs: Runs, where: Place, name: FigureName): Estimate | null =>
  estimate(values(runs, where, name));

/** Mean TTFT, times that of another router on the same calls. */
const timesTtft = (runs: Runs, where: Place, beside: RouterName = BASE): Estimate | null =>
  timesAs(values(runs, where, 'ttftMsMean'), values(runs, { ...where, router: beside }, 'ttftMsMean'));

const showChange = (times: Estimate | null): string =>
  showEstimate(times, ratio => showSignedRatio(ratio - 1));
/** An interval of a share does not go below none. */
const showShare = (share: Estimate | null): string =>
  showEstimate(share, ratio => showRatio(Math.max(0, ratio)));
const high = (times: Estimate | null): number => times?.ci95?.[1] ?? times?.mean ?? 1;

const verdictOf = (isWhole: boolean, isPart: boolean): Verdict =>
  isWhole ? 'confirmed' : isPart ? 'partly' : 'contradicted';

/** All of them, or some. */
const verdictOfEach = (holds: readonly boolean[]): Verdict =>
  verdictOf(
    holds.length > 0 && holds.every(each => each),
    holds.some(each => each),
  );

/** Half, but for what seeds differ by. */
const isHalved = (times: Estimate | null): boolean => times !== null && times.mean <= 0.5;
/** Within a tenth of the other router. */
const isNothing = (times: Estimate | null): boolean => times !== null && Math.abs(times.mean - 1) < 0.1;
const isGain = (times: Estimate | null): boolean => high(times) < 1;

const WORLDS_OVER_LOADS = ['agents', 'latent', 'chats'] as const;
const PREFIX_HITS = [0.85, 0.97] as const;
/** Whose calls go where the session was. */
const STICKY = ['session-affinity', 'llm-d', 'preble', KV] as const;
const BLIND = ['random', BASE, 'least-outstanding'] as const;

function halves(runs: Runs): Claim {
  const each = WORLDS_OVER_LOADS.map(world => ({
    told: WORLDS[world].told,
    byLoad: LOADS.filter(load => load <= LIMIT).flatMap(
      load => timesTtft(runs, place(world, KV, load)) ?? [],
    ),
  }));
  return {
    text: 'KV-aware routing, as in Dynamo, halves mean TTFT against round-robin',
    verdict: verdictOfEach(each.flatMap(({ byLoad }) => byLoad.map(isHalved))),
    figure: each
      .map(
        ({ told, byLoad }) =>
          `${told}: ${showChange(byLoad[0] ?? null)} with spare capacity, ${showChange(byLoad.at(-1) ?? null)} at the limit`,
      )
      .join('; '),
  };
}

function nearLimitOnly(runs: Runs): Claim[] {
  const at = (world: WorldName, load: number) => timesTtft(runs, place(world, KV, load));
  const [spare, limit] = [at('chats', SPARE), at('chats', LIMIT)];
  const saved = (times: Estimate | null): number => 1 - (times?.mean ?? 1);
  const agents = at('agents', SPARE);
  return [
    {
      text: 'Chats: with spare capacity it gains nothing, only near saturation',
      verdict: verdictOf(isNothing(spare) && isGain(limit), isGain(limit) && saved(spare) < saved(limit) / 2),
      figure: `mean TTFT ${showChange(spare)} at ${showRatio(SPARE)} of the load that round-robin can serve, ${showChange(limit)} at ${showRatio(LIMIT)}`,
    },
    {
      text: 'Coding agents: with spare capacity it gains nothing',
      verdict: verdictOf(isNothing(agents), high(agents) >= 1),
      figure: `mean TTFT ${showChange(agents)} at ${showRatio(SPARE)} of that load, for a prompt of 56 k tokens takes a second to compute on an idle replica`,
    },
  ];
}

function refusals(runs: Runs): Claim {
  const refused = (router: RouterName): Estimate | null => {
    const where = place('refusing', router, REFUSED);
    const calls = values(runs, where, 'calls');
    return estimate(values(runs, where, 'failedCalls').map((failed, i) => (failed ?? 0) / (calls[i] || 1)));
  };
  const times = (router: RouterName) => timesTtft(runs, place('refusing', router, REFUSED));
  const [blind, gained] = [refused(BASE), times(KV)];
  const isSeventh = blind !== null && Math.abs(blind.mean - 1 / 7) < 0.04;
  return {
    text: 'With one call in seven refused, KV-aware routing gains',
    verdict: verdictOf(isGain(gained) && isSeventh, isGain(gained)),
    figure: `mean TTFT of the calls that were served ${showChange(gained)} (llm-d ${showChange(times('llm-d'))}); refused ${showShare(refused(KV))} in place of ${showShare(blind)}`,
  };
}

function hits(runs: Runs): Claim {
  const at = (load: number) =>
    STICKY.map(router => ({ router, share: found(runs, place('agents', router, load), 'laterHitRatio') }));
  const isWithin = ({ share }: { share: Estimate | null }): boolean =>
    share !== null && share.mean >= PREFIX_HITS[0] && share.mean <= PREFIX_HITS[1];
  const [spare, limit] = [at(SPARE), at(LIMIT)];
  const blind = found(runs, place('agents', BASE, SPARE), 'laterHitRatio');
  const told = (list: typeof spare): string =>
    list.map(({ router, share }) => `${router} ${showRatio(share?.mean)}`).join(', ');
  return {
    text: 'Calls after the first of a session find 85 to 97 % of their prompt cached',
    verdict: verdictOf([...spare, ...limit].every(isWithin), spare.some(isWithin)),
    figure: `with spare capacity ${told(spare)} (round-robin ${showRatio(blind?.mean)}); at the limit ${told(limit)}`,
  };
}

function oneInN(runs: Runs): Claim {
  const stays = BLIND.flatMap(router =>
    [SPARE, LIMIT].map(load => found(runs, place('agents', router, load), 'stayRatio')),
  );
  const isOneInN = (share: Estimate | null): boolean =>
    share !== null && Math.abs(share.mean - 1 / REPLICAS) < 0.02;
  return {
    text: `Without affinity a session's next call lands on its replica one time in ${REPLICAS}`,
    verdict: verdictOfEach(stays.map(isOneInN)),
    figure: BLIND.map(
      (router, i) =>
        `${router} ${showShare(stays[2 * i] ?? null)} with spare capacity, ${showShare(stays[2 * i + 1] ?? null)} at the limit`,
    ).join('; '),
  };
}

function againstAffinity(runs: Runs): Claim {
  const pairs = (['agents', 'chats'] as const).flatMap(world =>
    ([KV, 'llm-d'] as const).map(router => ({
      told: `${world}, ${router}`,
      times: timesTtft(runs, place(world, router, LIMIT), 'session-affinity'),
    })),
  );
  return {
    text: 'It takes a router that knows the KV: plain session affinity is not enough',
    verdict: verdictOfEach(pairs.map(({ times }) => isGain(times))),
    figure: `mean TTFT against session affinity, at the limit: ${pairs.map(({ told, times }) => `${told} ${showChange(times)}`).join('; ')}`,
  };
}

function memory(runs: Runs): Claim {
  const of = (world: 'agents' | 'latent', load: number) => {
    const own = place(world, 'session-affinity', load);
    const endless = { ...own, memory: 'endless' as const };
    return {
      times: timesAs(values(runs, endless, 'ttftMsMean'), values(runs, own, 'ttftMsMean')),
      hits: found(runs, own, 'laterHitRatio'),
      endless: found(runs, endless, 'laterHitRatio'),
    };
  };
  const [spare, limit, llama] = [of('latent', SPARE), of('latent', LIMIT), of('agents', LIMIT)];
  const told = ({ times, hits: own, endless }: typeof spare): string =>
    `mean TTFT ${showChange(times)}, hits ${showRatio(own?.mean)} to ${showRatio(endless?.mean)}`;
  return {
    text: 'On Mistral Small 4, with 23 kB of KV a token, memory is not what routing has to save',
    verdict: verdictOfEach([spare, limit].map(({ times }) => isNothing(times))),
    figure: `session affinity, were memory endless: ${told(spare)} with spare capacity; ${told(limit)} at the limit (Llama 8B, 131 kB a token: ${told(llama)})`,
  };
}

// ---- tables and charts ----------------------------------------------------------------------------------------

function tableOf(runs: Runs, world: WorldName, loads: readonly number[]): StudyTable {
  return {
    title: `${WORLDS[world].told}: TTFT at ${loads.map(load => showRatio(load)).join(' and ')} of the load that round-robin can serve`,
    columns: [
      'router',
      ...loads.flatMap(load => [`mean at ${showRatio(load)}`, 'change', 'p50', 'p95', 'later hits']),
    ],
    rows: COMPARED[world].map(router => [
      router,
      ...loads.flatMap(load => {
        const where = place(world, router, load);
        const shown = (name: FigureName): string => showMs(found(runs, where, name)?.mean);
        return [
          shown('ttftMsMean'),
          router === BASE ? '' : showChange(timesTtft(runs, where)),
          shown('ttftMsP50'),
          shown('ttftMsP95'),
          showRatio(found(runs, where, 'laterHitRatio')?.mean),
        ];
      }),
    ]),
  };
}

/** A router so far above the others is no line of a chart: its numbers stand in the table. */
const OFF_CHART_TIMES = 10;

const LOAD_AXIS = {
  title: 'load, of what round-robin can serve',
  axis: { values: LOADS, format: '.0%' },
  format: '.0%',
};

function linesOf(runs: Runs, world: WorldName): Line[] {
  return COMPARED[world].flatMap(router => {
    const points = LOADS.map(load => ({
      x: load,
      y: found(runs, place(world, router, load), 'ttftMsMean')?.mean ?? null,
    }));
    const isOff = LOADS.every(
      load => (timesTtft(runs, place(world, router, load))?.mean ?? 1) > OFF_CHART_TIMES,
    );
    return isOff ? [] : [{ name: router, points }];
  });
}

const ttftSpec = (lines: readonly Line[]) =>
  linesSpec(lines, {
    x: LOAD_AXIS,
    y: {
      title: 'mean TTFT',
      scale: { type: 'log', nice: false },
      axis: msAxis({ values: logTicks(lines.flatMap(({ points }) => points.flatMap(({ y }) => y ?? []))) }),
      label: msLabel,
    },
    strong: BASE,
  });

function changeLines(runs: Runs): Line[] {
  return WORLDS_OVER_LOADS.map(world => ({
    name: WORLDS[world].short,
    points: LOADS.map(load => {
      const times = timesTtft(runs, place(world, KV, load));
      const [low, high] = times?.ci95 ?? [];
      return {
        x: load,
        y: times === null ? null : times.mean - 1,
        low: low === undefined ? null : low - 1,
        high: high === undefined ? null : high - 1,
      };
    }),
  }));
}

export default defineStudy<At>({
  name: 'kv-routing',
  question:
    'Does KV-aware routing cut TTFT in half? Baseten reports so of Dynamo. An independent run on a trace of Mooncake found a gain only near saturation, with one call in seven refused, and none with spare capacity.',
  method: `Two kinds of traffic on ${REPLICAS} replicas: fifteen recorded Claude Code sessions (14 calls and prompts of 56 k tokens at the median), each ${CLAUDE_CODE.copies} times with content of its own, and chats of Mooncake (7 k tokens, most of one call). Sessions start at random; calls follow with their recorded gaps, ten minutes at most. Loads are shares of what round-robin can serve. Metrics are scraped every 50 ms and KV events are 5 ms old.`,

  cases({ isQuick }) {
    const seeds = isQuick ? [1, 2, 3] : [1, 2, 3, 4];
    const kept = isQuick ? places().filter(({ load }) => [SPARE, LIMIT, REFUSED].includes(load)) : places();
    return seeds.flatMap(seed =>
      kept.map(each => {
        const at = { ...each, seed };
        return { at, of: caseOf(at, isQuick ? 1 / 3 : 1) };
      }),
    );
  },

  judge(runs) {
    const at = (world: WorldName, load: number): string =>
      showSignedRatio((timesTtft(runs, place(world, KV, load))?.mean ?? 1) - 1);
    const ttft = (world: WorldName, router: RouterName): string =>
      showMs(found(runs, place(world, router, LIMIT), 'ttftMsMean')?.mean);
    return {
      claims: [
        halves(runs),
        ...nearLimitOnly(runs),
        refusals(runs),
        againstAffinity(runs),
        hits(runs),
        oneInN(runs),
        memory(runs),
      ],
      tables: [
        ...WORLDS_OVER_LOADS.map(world => tableOf(runs, world, [SPARE, LIMIT])),
        tableOf(runs, 'refusing', [REFUSED]),
      ],
      charts: [
        {
          id: 'kv-routing-change',
          title: `Dynamo's router changes mean TTFT of coding agents by ${at('agents', SPARE)} with spare capacity, of chats by ${at('chats', SPARE)} there and ${at('chats', LIMIT)} at the limit`,
          spec: linesSpec(changeLines(runs), {
            x: LOAD_AXIS,
            y: {
              title: 'mean TTFT against round-robin',
              scale: { domainMax: 0 },
              axis: { format: '.0%' },
              format: '+.0%',
            },
            rules: [{ y: -0.5, label: 'half' }],
          }),
        },
        ...(['agents', 'chats'] as const).map(world => ({
          id: `kv-routing-${world}`,
          title: `${WORLDS[world].told}: at the limit mean TTFT is ${ttft(world, BASE)} with round-robin, ${ttft(world, 'session-affinity')} with session-affinity, ${ttft(world, KV)} with dynamo-kv, ${ttft(world, 'llm-d')} with llm-d`,
          spec: ttftSpec(linesOf(runs, world)),
        })),
      ],
      limits: [
        'Step times are physics with fitted factors, for ranking only: no latent attention was measured, and no context beyond 9 k tokens.',
        'Seeds change when sessions start and how ties are broken; the sessions are the same fifteen, so intervals do not speak for other agents.',
        'What Claude Code sessions share with each other (system prompt, tools) is not recorded: here they share nothing, which is hard on routers that spread sessions.',
        'Gaps are cut at ten minutes, and sessions beyond 128 k tokens are left out.',
        'Of Mooncake these are the chats, not the trace with tools; calls beyond 41 k tokens are left out, which Qwen3 8B does not take.',
        'production-stack-prefix looks for the longest match and for nothing else: all prompts of Mooncake begin with the same block, so one replica gets them all. Where its mean is more than ten times that of round-robin the chart leaves it out.',
        'TTFT is of calls that were served; a refused call ends its session.',
      ],
    };
  },
});
