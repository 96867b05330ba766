// Runaways: what budgets and anomaly rules save of the tokens of agents that go in circles, and what they take from agents
// that only work long.
import { linesSpec } from '../../reports/charts/lines.ts';
import { showCount, showMs, showRatio, showTokens, showUsd } from '../../reports/numbers.ts';
import type { AnomalyScore } from '../../scenarios/formats/anomaly-score.ts';
import type { GridCase } from '../grid/case.ts';
import { type Estimate, estimate, showEstimate, showSpread } from './estimate.ts';
import type { GroupFigures } from './groups.ts';
import type { RunawayFigures } from './runaway-measure.ts';
import { type Claim, defineStudy, type StudyRun, type Verdict } from './study.ts';

/** Tokens of one session: about the mean of sound ones, and up to twelve times as much. */
const BUDGETS = [500_000, 1_000_000, 1_500_000, 3_000_000, 6_000_000];
const USUAL_BUDGET = 1_500_000;
/** Beside rules: those catch early what is easy to tell, so that it can be wider. */
const WIDE_BUDGET = 3_000_000;
/** As the rules have them; beyond, what a rule looks for is never there. */
const OFF = { repeats: 10_000, burn: 1_000_000 };
/** What all rules together look for: each so wide that it hardly meets sound work. */
const TUNED = { repeats: 4, tool_cascade: 12, context_growth: 16, burn: 8, calls: 150 };
const SAVE = 'save: { model: claude-haiku-5-5, output_tokens: 200 }';

type Family = 'budget' | 'burn' | 'growth' | 'loop' | 'cascade' | 'calls';
const FAMILIES: Readonly<Record<Family, string>> = {
  budget: 'budget of tokens, stop',
  burn: 'burn',
  growth: 'context growth',
  loop: 'loop',
  cascade: 'tool cascade',
  calls: 'calls',
};

interface Way {
  readonly name: string;
  /** `gateway` of the deployment. */
  readonly gateway: string;
  /** A rule alone, of which the study has several values. */
  readonly family?: Family;
}

const rules = (
  given: Partial<typeof TUNED>,
  action: 'flag' | 'throttle' | 'cancel',
  base: object = OFF,
): string => `anomalies: ${JSON.stringify({ ...base, ...given, action })}`;
const budget = (tokens: number, onExceed: string): string =>
  `budget: { tokens: ${tokens}, on_exceed: ${onExceed}${onExceed === 'degrade' ? `, ${SAVE}` : ''} }`;
const alone = (family: Family, rule: keyof typeof TUNED, values: readonly number[]): [string, Way][] =>
  values.map(value => [
    `${family}-${value}`,
    { name: `${FAMILIES[family]} ${value}`, family, gateway: rules({ [rule]: value }, 'cancel') },
  ]);

const usual = showTokens(USUAL_BUDGET);
const WAYS: Readonly<Record<string, Way>> = Object.fromEntries<Way>([
  ['none', { name: 'nothing', gateway: rules({}, 'flag') }],
  ...BUDGETS.map((tokens): [string, Way] => [
    `stop-${tokens}`,
    { name: `budget ${showTokens(tokens)}, stop`, family: 'budget', gateway: budget(tokens, 'stop') },
  ]),
  ['finalize', { name: `budget ${usual}, finalize`, gateway: budget(USUAL_BUDGET, 'finalize') }],
  ['degrade', { name: `budget ${usual}, degrade`, gateway: budget(USUAL_BUDGET, 'degrade') }],
  ...alone('burn', 'burn', [2, 4, 8]),
  ...alone('growth', 'context_growth', [8, 16, 32]),
  ...alone('loop', 'repeats', [2, 3, 4]),
  ...alone('cascade', 'tool_cascade', [6, 12]),
  ...alone('calls', 'calls', [75, 150]),
  ['flag', { name: 'all rules, flag', gateway: rules(TUNED, 'flag') }],
  ['throttle', { name: 'all rules, throttle', gateway: rules(TUNED, 'throttle') }],
  ['cancel', { name: 'all rules, cancel', gateway: rules(TUNED, 'cancel') }],
  [
    'both',
    {
      name: `all rules, cancel, and budget ${showTokens(WIDE_BUDGET)}, finalize`,
      gateway: `${rules(TUNED, 'cancel')}, ${budget(WIDE_BUDGET, 'finalize')}`,
    },
  ],
]);
const ALL = Object.keys(WAYS);
const STOP = `stop-${USUAL_BUDGET}`;
const DEFENCES = ['none', STOP, 'finalize', 'degrade', 'flag', 'throttle', 'cancel', 'both'];
/** Each label, and the rule that is made for it. */
const OWN_RULES = [
  ['loop', 'loop-4'],
  ['tool_cascade', 'cascade-12'],
  ['context_blowup', 'growth-16'],
  ['prompt_attack', 'burn-8'],
] as const;

interface At {
  readonly way: string;
  readonly seed: number;
}

const caseOf = ({ way, seed }: At, sessions: number): GridCase => ({
  scenario: { input: 'studies/runaway', options: { seed, set: [`traffic.0.sessions=${sessions}`] } },
  deployment: {
    input: 'api-only',
    // What the API itself would refuse is another study.
    set: ['providers.anthropic.limits={ rpm: 1000000 }', `gateway={ ${WAYS[way]!.gateway} }`],
  },
  loadFactor: 1,
  measure: new URL('runaway-measure.ts', import.meta.url).href,
});

/** One run beside the same sessions without a defence. */
interface Found {
  readonly sound: GroupFigures;
  readonly bad: Totals;
  readonly all: Totals;
  /** Of the run with no defence. */
  readonly before: { readonly sound: GroupFigures; readonly bad: Totals; readonly all: Totals };
  readonly score: AnomalyScore;
}
type Totals = Pick<GroupFigures, 'sessions' | 'tokens' | 'usd'>;

function totals(groups: readonly GroupFigures[]): Totals {
  const sum = (name: keyof Totals): number => groups.reduce((all, group) => all + group[name], 0);
  return { sessions: sum('sessions'), tokens: sum('tokens'), usd: sum('usd') };
}

const groupsIn = ({ groups: { sound, ...bad } }: RunawayFigures) => ({
  sound: sound!,
  bad: totals(Object.values(bad)),
  all: totals([sound!, ...Object.values(bad)]),
});

type Read = (found: Found) => number | null;
/** A figure over the seeds that have one: without a runaway of a kind there is nothing to find. */
type Reads = (way: string, read: Read) => Estimate | null;

function readsOf(runs: readonly StudyRun<At>[]): Reads {
  const measured = new Map(
    runs.map(({ at, measured: each }) => [`${at.way} ${at.seed}`, each as RunawayFigures | undefined]),
  );
  const seeds = [...new Set(runs.map(({ at }) => at.seed))];
  return (way, read) =>
    estimate(
      seeds.flatMap(seed => {
        const own = measured.get(`${way} ${seed}`);
        const none = measured.get(`none ${seed}`);
        if (own === undefined || none === undefined) return [];
        return read({ ...groupsIn(own), before: groupsIn(none), score: own.score }) ?? [];
      }),
    );
}

const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);
const wholeOf = ({ completed, finalized }: GroupFigures): number => completed - finalized;

/** Of the tokens of runaways, those that the defence saved. */
const saved: Read = ({ bad, before }) => share(before.bad.tokens - bad.tokens, before.bad.tokens);
const savedUsd: Read = ({ bad, before }) => share(before.bad.usd - bad.usd, before.bad.usd);
/** Of sound sessions that did all their work, those that do not with the defence. */
const harmed: Read = ({ sound, before }) =>
  share(wholeOf(before.sound) - wholeOf(sound), wholeOf(before.sound));
const precision: Read = ({ score }) => score.precision;
const recall: Read = ({ score }) => score.recall;
const recallOf =
  (label: string): Read =>
  ({ score }) =>
    score.byLabel.find(each => each.label === label)?.recall ?? null;

const of = (found: Estimate | null): number => found?.mean ?? 0;
const ratioText = (found: Estimate | null): string => showEstimate(found, showRatio);
const grade = (isSo: boolean, isPartly: boolean): Verdict =>
  isSo ? 'confirmed' : isPartly ? 'partly' : 'contradicted';

function claims(reads: Reads): Claim[] {
  const got = (way: string, read: Read): number => of(reads(way, read));
  const told = (way: string, read: Read): string => ratioText(reads(way, read));
  const sessionShare = reads('none', ({ bad, all }) => share(bad.sessions, all.sessions));
  const tokenShare = reads('none', ({ bad, all }) => share(bad.tokens, all.tokens));
  const usdShare = reads('none', ({ bad, all }) => share(bad.usd, all.usd));
  const found = OWN_RULES.map(([label, way]) => ({ label, way, recall: got(way, recallOf(label)) }));
  const strict = got('loop-2', precision);
  const lax = got('loop-4', precision);
  const completes: Read = ({ sound }) => share(sound.completed, sound.sessions);
  return [
    {
      text: 'A runaway agent can burn budget quickly',
      verdict: grade(of(tokenShare) > 4 * of(sessionShare), of(tokenShare) > 2 * of(sessionShare)),
      figure: `${ratioText(sessionShare)} of the sessions run away and use ${ratioText(tokenShare)} of all tokens and ${ratioText(usdShare)} of the USD: prompts grow with each pass, and cached input is cheap`,
    },
    {
      text: 'A budget of the workflow stops that',
      verdict: grade(got(STOP, saved) > 0.7 && got(STOP, harmed) < 0.02, got(STOP, saved) > 0.3),
      figure: `${usual} tokens a session save ${told(STOP, saved)} of the runaways' tokens (${told(STOP, savedUsd)} of their USD), and stop ${told(STOP, harmed)} of the sound sessions; ${BUDGETS.filter(
        tokens => tokens !== USUAL_BUDGET,
      )
        .map(
          tokens =>
            `${showTokens(tokens)}: ${showRatio(got(`stop-${tokens}`, saved))} and ${showRatio(got(`stop-${tokens}`, harmed))}`,
        )
        .join('; ')}`,
    },
    {
      text: 'To finalize saves as much as to stop, and sound sessions keep their answer',
      verdict: grade(
        got('finalize', saved) > got(STOP, saved) - 0.05 && got('finalize', completes) > 0.99,
        got('finalize', completes) > got(STOP, completes),
      ),
      figure: `the same budget saves ${told('finalize', saved)} and ${told('finalize', completes)} of the sound sessions give an answer, ${told(STOP, completes)} where it stops them; ${told('finalize', harmed)} answer before they are done`,
    },
    {
      text: 'A smaller model and shorter answers (degrade) are enough',
      verdict: grade(
        got('degrade', saved) > got('finalize', saved),
        got('degrade', harmed) < got(STOP, harmed),
      ),
      figure: `with a fifth more than the budget in the saving form, ${told('degrade', saved)} of tokens are saved (${told('degrade', savedUsd)} of USD), and ${told('degrade', harmed)} of the sound sessions are stopped in the end: what runs away does so on any model`,
    },
    {
      text: 'For each kind of runaway there is a rule that finds it and spares the others',
      verdict: grade(
        found.every(({ recall: each, way }) => each > 0.9 && got(way, harmed) < 0.02),
        found.some(({ recall: each, way }) => each > 0.9 && got(way, harmed) < 0.02),
      ),
      figure: found
        .map(
          ({ label, way }) =>
            `${label} by ${WAYS[way]!.name}: recall ${told(way, recallOf(label))}, sound sessions lost ${told(way, harmed)}`,
        )
        .join('; '),
    },
    {
      text: 'A loop is the same step asked the same a few times',
      verdict: grade(lax > 0.9 && strict > 0.9, lax > 0.9 || lax > 2 * strict),
      figure: `sessions that start again after a crash ask again, too: precision ${[2, 3, 4].map(times => `${told(`loop-${times}`, precision)} at ${times} repeats`).join(', ')}; recall of loops ${told('loop-4', recallOf('loop'))} at 4`,
    },
    {
      text: 'Rules and a budget together do better than either',
      verdict: grade(
        got('both', saved) > Math.max(got('cancel', saved), got('finalize', saved)) + 0.02 &&
          got('both', harmed) < got(STOP, harmed),
        got('both', saved) > Math.max(got('cancel', saved), got('finalize', saved)),
      ),
      figure: `saved of the runaways' tokens: ${told('both', saved)} together (the budget at ${showTokens(WIDE_BUDGET)}), ${told('cancel', saved)} rules that cancel, ${told('finalize', saved)} the budget (at ${usual}); sound sessions without all their work: ${told('both', harmed)}, ${told('cancel', harmed)}, ${told('finalize', harmed)}. All rules: precision ${told('flag', precision)}, recall ${told('flag', recall)}`,
    },
    {
      text: 'To throttle a suspect is a milder way to save',
      verdict: grade(got('throttle', saved) > 0.3, got('throttle', saved) > 0.05),
      figure: `a pause of 5 s before each call of a flagged session saves ${told('throttle', saved)} of the runaways' tokens: it buys time for somebody to look, and longer sessions meet more crashes`,
    },
  ];
}

export default defineStudy<At>({
  name: 'runaway',
  question:
    'A runaway agent can burn budget quickly: what do budgets and anomaly rules save of it, and how much sound work do they stop? One session in twenty loops, follows an injected prompt, cascades through tools or blows up its context.',
  method: `Research agents on Claude Sonnet 5.5 at list prices, six passes at the median and up to 40: search, think, fetch a few pages, read; the context grows with each. In 5 % of the sessions one step is run again and again (thought 10 times with the same arguments; reading 10 times with new ones, or 6 times with prompts that grow twice as fast; 40 pages fetched in a row). Now and then processes are lost, and their sessions start again. Budgets of tokens a session (stop, finalize, degrade) and anomaly rules (one by one with cancel; all together, each wide, with flag, throttle and cancel), on the same sessions.`,
  cases({ isQuick }) {
    const sessions = isQuick ? 120 : 220;
    return (isQuick ? [1, 2] : [1, 2, 3, 4, 5]).flatMap(seed =>
      ALL.map(way => ({ at: { way, seed }, of: caseOf({ way, seed }, sessions) })),
    );
  },
  judge(runs) {
    const reads = readsOf(runs);
    const cell = (way: string, read: Read, show: (value: number) => string = showRatio): string =>
      showSpread(reads(way, read), show);
    const point = (way: string) => ({ x: of(reads(way, harmed)), y: reads(way, saved)?.mean ?? null });
    const together = {
      name: 'all rules; with a budget',
      points: [point('cancel'), point('both')],
    };
    const lines = [
      together,
      ...(Object.keys(FAMILIES) as Family[]).map(family => ({
        name: FAMILIES[family],
        points: ALL.filter(way => WAYS[way]!.family === family)
          .map(point)
          .sort((a, b) => a.x - b.x),
      })),
    ];
    return {
      claims: claims(reads),
      tables: [
        {
          title: 'What each defence saves and costs',
          columns: [
            'defence',
            'runaway tokens saved',
            'runaway USD saved',
            'USD per 1,000 sessions',
            'sound sessions that complete',
            'sound sessions without all their work',
            'tokens of the largest sound session',
            'sound session p95',
          ],
          rows: DEFENCES.map(way => [
            WAYS[way]!.name,
            cell(way, saved),
            cell(way, savedUsd),
            cell(way, ({ all }) => (share(all.usd, all.sessions) ?? 0) * 1000, showUsd),
            cell(way, ({ sound }) => share(sound.completed, sound.sessions)),
            cell(way, harmed),
            cell(way, ({ sound }) => sound.tokensMost, showTokens),
            cell(way, ({ sound }) => sound.makespanMsP95, showMs),
          ]),
        },
        {
          title: 'Each rule alone, with cancel',
          columns: [
            'rule',
            'precision',
            'recall',
            ...OWN_RULES.map(([label]) => `recall of ${label}`),
            'runaway tokens saved',
            'sound sessions without all their work',
          ],
          rows: [
            ...ALL.filter(way => WAYS[way]!.family !== undefined && !way.startsWith('stop')),
            'flag',
          ].map(way => [
            WAYS[way]!.name,
            cell(way, precision),
            cell(way, recall),
            ...OWN_RULES.map(([label]) => cell(way, recallOf(label))),
            cell(way, saved),
            cell(way, harmed),
          ]),
        },
        {
          title: 'Without a defence',
          columns: ['sessions', 'how many', 'tokens of each', 'USD of each'],
          rows: (['sound', 'bad'] as const).map(which => [
            which === 'bad' ? 'run away' : 'sound',
            cell('none', found => found[which].sessions, showCount),
            cell('none', found => share(found[which].tokens, found[which].sessions), showTokens),
            cell('none', found => share(found[which].usd, found[which].sessions), showUsd),
          ]),
        },
      ],
      charts: [
        {
          id: 'runaway-tradeoff',
          title: `A budget of ${usual} tokens saves ${showRatio(of(reads(STOP, saved)))} of what runaways use and stops ${showRatio(of(reads(STOP, harmed)))} of the sound sessions; rules and budget together save ${showRatio(of(reads('both', saved)))}`,
          spec: linesSpec(lines, {
            x: {
              title: 'sound sessions without all their work',
              scale: { zero: true },
              axis: { format: '%' },
              format: '.1%',
            },
            y: {
              title: "runaways' tokens that are saved",
              scale: { domain: [0, 1] },
              axis: { format: '%' },
              format: '.0%',
            },
            strong: together.name,
          }),
        },
      ],
      limits: [
        'How sound sessions and runaways differ is an assumption, and decides every figure: the longer the tail of sound work, the less can a budget tell. Look at your own traffic, with `action: flag` first.',
        'A simulated agent never asks the same twice of itself; only sessions that start again do. Real ones do now and then, which costs the loop rule precision (docs/gateway/anomalies.md).',
        'Ten runaways a run, two or three of a kind: their intervals are wide.',
        'A runaway that is cancelled has no answer; nobody tries again. A session that was finalized has one of unknown worth.',
        '`burn` learns from all sessions, the runaways too, and says nothing of the first 20.',
      ],
    };
  },
});
