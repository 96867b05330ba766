// Retention: which KV blocks to keep once no call holds them, by what is said of them, by time, by steps, by length; and
// when to fetch them from a slower memory.
import { type Line, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber, showRatio } from '../../reports/numbers.ts';
import type { FigureName } from '../../scenarios/formats/grid.ts';
import { type Estimate, estimate, timesAs } from './estimate.ts';
import {
  type At,
  BANDWIDTHS_GB_PER_SEC,
  BUSY_KEPT,
  BUSY_PRESSURES,
  CHAT_KEPT,
  CREW_KEPT,
  CREWS,
  CROWDS,
  type Crowd,
  cases,
  DURABLE,
  GAPS,
  KEPT,
  type Keeping,
  LRU,
  ORDERED,
  PAUSED,
  type Place,
  PRESSURES,
  TIER_MODELS,
  TIER_WORLDS,
  TTLS_SEC,
  ttl,
} from './retention-cases.ts';
import {
  breakEven,
  chatted,
  claims,
  computedTimes,
  crewed,
  hitsOf,
  isAt,
  paused,
  pressed,
  quicker,
  type Runs,
  ratio,
  share,
  tiered,
  values,
} from './retention-claims.ts';
import { defineStudy, type StudyTable } from './study.ts';

// ---- tables and charts ---------------------------------------------------------------------------------------------

const meanOf = (runs: Runs, where: Place, name: FigureName): number | null =>
  estimate(values(runs, where, name))?.mean ?? null;

/** Rows whose runs are there. */
const known = (runs: Runs, where: Place): boolean => runs.some(isAt(where));

function pressureTable(
  runs: Runs,
  crowd: Crowd,
  kept: readonly Keeping[],
  pressures: readonly number[],
): StudyTable {
  const tried = pressures.filter(pressure => known(runs, pressed(crowd, LRU, pressure)));
  return {
    title: `${CROWDS[crowd]} agents: teams’ instructions found, histories found, mean TTFT and workflow time, by KV wanted over room`,
    columns: [
      'policy',
      ...tried.flatMap(pressure => [`${pressure}: instructions`, 'history', 'TTFT', 'workflow']),
    ],
    rows: kept.map(each => [
      each.name,
      ...tried.flatMap(pressure => {
        const where = pressed(crowd, each, pressure);
        return [
          showRatio(estimate(hitsOf(runs, where, 'playbook'))?.mean),
          showRatio(estimate(hitsOf(runs, where, 'history'))?.mean),
          showMs(meanOf(runs, where, 'ttftMsMean')),
          showMs(meanOf(runs, where, 'makespanMsMean')),
        ];
      }),
    ]),
  };
}

function gapTable(runs: Runs): StudyTable {
  const places = (['slow', 'quick'] as const).flatMap(gap =>
    GAPS[gap].perMin.map(perMin => ({ gap, perMin })),
  );
  return {
    title: 'Jobs whose tools pause: hit rate and workflow time, and how many times as quick as LRU',
    columns: [
      'policy',
      ...places.flatMap(({ gap, perMin }) => [`${GAPS[gap].told}, ${perMin}/min`, 'workflow', 'as quick']),
    ],
    rows: [...PAUSED, ...ORDERED].map(each => [
      each.name,
      ...places.flatMap(({ gap, perMin }) => {
        const where = paused(gap, each, perMin);
        return known(runs, where)
          ? [
              showRatio(meanOf(runs, where, 'hitRatio')),
              showMs(meanOf(runs, where, 'makespanMsMean')),
              each === LRU ? '' : ratio(quicker(runs, gap, each, perMin)),
            ]
          : ['', '', ''];
      }),
    ]),
  };
}

function ttlTable(runs: Runs): StudyTable {
  const perMin = GAPS.slow.perMin[1];
  const tried = [...TTLS_SEC.map(ttl), LRU, ...PAUSED.slice(1)].filter(each =>
    known(runs, paused('slow', each, perMin)),
  );
  return {
    title: `Behind tools of ${GAPS.slow.told}, ${perMin} jobs a minute: one time to live for all`,
    columns: ['policy', 'hit rate', 'mean TTFT', 'TTFT p95', 'workflow'],
    rows: tried.map(each => {
      const where = paused('slow', each, perMin);
      return [
        each.name,
        share(estimate(values(runs, where, 'hitRatio'))),
        showMs(meanOf(runs, where, 'ttftMsMean')),
        showMs(meanOf(runs, where, 'ttftMsP95')),
        showMs(meanOf(runs, where, 'makespanMsMean')),
      ];
    }),
  };
}

const crewTable = (runs: Runs): StudyTable => ({
  title: 'Ten agents in turn: mean TTFT and time of a crew, alone and eight at once',
  columns: ['policy', ...CREWS.flatMap(crews => [`${crews}: TTFT`, 'crew'])],
  rows: CREW_KEPT.map(each => [
    each.name,
    ...CREWS.flatMap(crews => [
      showMs(meanOf(runs, crewed(each, crews), 'ttftMsMean')),
      showMs(meanOf(runs, crewed(each, crews), 'makespanMsMean')),
    ]),
  ]),
});

function chatTable(runs: Runs): StudyTable {
  const names = ['ttftMsMean', 'ttftMsP50', 'ttftMsP95', 'ttftMsP99'] as const;
  return {
    title: 'Conversations: TTFT and hit rate',
    columns: ['policy', 'mean', 'p50', 'p95', 'p99', 'hits'],
    rows: CHAT_KEPT.map(each => [
      each.name,
      ...names.map(name => showMs(meanOf(runs, chatted(each), name))),
      showRatio(meanOf(runs, chatted(each), 'hitRatio')),
    ]),
  };
}

function tierTable(runs: Runs): StudyTable {
  const tried = BANDWIDTHS_GB_PER_SEC.filter(each => known(runs, tiered(TIER_MODELS[0]!, each)));
  return {
    title: 'A tier behind the GPU: mean TTFT, and tokens computed against those without a tier',
    columns: ['GB/s', ...TIER_MODELS.flatMap(model => [TIER_WORLDS[model].told, 'computed'])],
    rows: tried.map(gbPerSec => [
      gbPerSec === 0 ? 'no tier' : `${gbPerSec}`,
      ...TIER_MODELS.flatMap(model => [
        showMs(meanOf(runs, tiered(model, gbPerSec), 'ttftMsMean')),
        gbPerSec === 0 ? '' : showRatio(computedTimes(runs, model, gbPerSec)?.mean),
      ]),
    ]),
  };
}

const banded = (x: number, found: Estimate | null) => ({
  x,
  y: found?.mean ?? null,
  low: found?.ci95?.[0] ?? null,
  high: found?.ci95?.[1] ?? null,
});

function hitLines(runs: Runs): Line[] {
  const parts = [
    { told: 'instructions', name: 'playbook' },
    { told: 'history', name: 'history' },
  ];
  return parts.flatMap(({ told, name }) =>
    [DURABLE, LRU].map(each => ({
      name: `${told}, ${each.name}`,
      points: PRESSURES.map(x => banded(x, estimate(hitsOf(runs, pressed('spare', each, x), name)))),
    })),
  );
}

const tierLines = (runs: Runs): Line[] =>
  TIER_MODELS.map(model => ({
    name: TIER_WORLDS[model].told,
    points: BANDWIDTHS_GB_PER_SEC.slice(1).map(x =>
      banded(
        x,
        timesAs(values(runs, tiered(model, x), 'ttftMsMean'), values(runs, tiered(model, 0), 'ttftMsMean')),
      ),
    ),
  }));

export default defineStudy<At>({
  name: 'retention',
  question:
    'Which KV blocks should an engine keep once no call holds them? NVIDIA reports up to 20 % more hits by priority, Continuum jobs that end 1.12 to 3.66 times as quickly by a time to live behind tools, KVFlow 1.83 and 2.19 times by steps to execution and prefetch, T-LRU a TTFT p95 lower by up to 24 %; and a CMX-like tier is to make it all cheap.',
  method:
    'Small clusters of one replica on the reference engine. Agents of eight teams with instructions to keep, histories and pages that are read once (12 agents leave the GPU half idle, 40 fill it); jobs of 13 calls behind slow and quick tools; ten agents that take turns; conversations of all lengths; jobs whose contexts do not fit, with a tier of 1 to 100 GB/s behind three models. Llama 3.1 8B on an H100 where nothing else is said.',
  cases,

  judge(runs) {
    const pressure = PRESSURES.at(-1)!;
    const [own, lru] = [DURABLE, LRU].map(each =>
      estimate(hitsOf(runs, pressed('spare', each, pressure), 'playbook')),
    );
    const small = breakEven(runs, TIER_MODELS[0]!);
    return {
      claims: claims(runs),
      tables: [
        pressureTable(runs, 'spare', KEPT, PRESSURES),
        ...(known(runs, pressed('busy', LRU, BUSY_PRESSURES[0]!))
          ? [pressureTable(runs, 'busy', BUSY_KEPT, BUSY_PRESSURES)]
          : []),
        gapTable(runs),
        ttlTable(runs),
        crewTable(runs),
        chatTable(runs),
        tierTable(runs),
      ],
      charts: [
        {
          id: 'retention-hits',
          title: `With three times as much KV wanted as there is room, labels keep ${showRatio(own?.mean)} of the instructions, LRU ${showRatio(lru?.mean)}`,
          spec: linesSpec(hitLines(runs), {
            x: { title: 'KV wanted, over room for it', axis: { values: PRESSURES } },
            y: {
              title: 'found in the cache',
              scale: { zero: true, domainMax: 1 },
              axis: { format: '.0%' },
              format: '.0%',
            },
          }),
        },
        {
          id: 'retention-bandwidth',
          title: `Llama 3.1 8B begins to load above ${small.below} GB/s; its KV bytes times its prefill rate make ${small.expected === null ? '–' : showNumber(small.expected)}`,
          spec: linesSpec(tierLines(runs), {
            x: {
              title: 'bandwidth of the tier, GB/s',
              scale: { type: 'log' },
              axis: { values: BANDWIDTHS_GB_PER_SEC.slice(1) },
            },
            y: {
              title: 'mean TTFT, of that without a tier',
              scale: { zero: true },
              axis: { format: '.0%' },
              format: '.0%',
            },
          }),
        },
      ],
      limits: [
        'One replica, synthetic traffic, step times that rank: no number here is a forecast of a card.',
        'Pins give way when memory is short, so a new job never waits for an old one’s pin. A server that lets it wait does what the gate of this study does: it admits fewer jobs at once.',
        'Continuum’s price of memory is not published; we take a second for a second. KVFlow learns its steps here, since no engine is told the graph; its own runs were on an A10G and on an H100 with another model.',
        'T-LRU’s gain is the paper’s on WildChat; these conversations are longer, and their lengths are ours. That it gives up ends of live conversations before those of dead ones is the paper’s own rule.',
        'CMX’s bandwidth per GPU and its latency are not published: bandwidths are a sweep, the latency 100 us; writes share nothing with reads.',
        'KV wanted is the instructions of all teams and a mean history of each live agent; pages that are read once are not counted.',
      ],
    };
  },
});
