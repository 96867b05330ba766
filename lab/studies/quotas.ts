// Quotas: what a limit of requests a minute is worth where one request is one call, twenty or sixty, and what budgets are.
import { type LineAxis, linesSpec } from '../../reports/charts/lines.ts';
import { showMs, showNumber, showRatio } from '../../reports/numbers.ts';
import { jainIndex } from '../../scenarios/base/statistics.ts';
import type { GridCase } from '../grid/case.ts';
import { type Estimate, estimate, showEstimate, showSpread, showTimes } from './estimate.ts';
import type { GroupFigures } from './groups.ts';
import { type Claim, defineStudy, type StudyRun, type Verdict } from './study.ts';

/** Of each tenant, a minute: three agents' worth. */
const QUOTA_TOKENS = 530_000;
/** Requests a minute that use up the quota, by what they take on average: 3.7k, 177k and 540k tokens. */
const TENANTS = { single: 143, agent: 3, wide: 1 } as const;
type Tenant = keyof typeof TENANTS;
const NAMES = Object.keys(TENANTS) as Tenant[];
const CALLS: Record<Tenant, number> = { single: 1, agent: 20, wide: 60 };
/** Calls a minute that use up the quota of an agent. */
const QUOTA_CALLS = TENANTS.agent * CALLS.agent;
/** Demand of each tenant, over its quota. */
const LOADS = [0.5, 1, 2];
const [SPARE, OVER] = [LOADS[0]!, LOADS.at(-1)!];
const REPLICAS = 2;
const PATIENCE = '5m';
/** Of one request. */
const REQUEST = { tokens: 300_000, calls: 30 };

interface Way {
  readonly name: string;
  /** Requests a minute that a tenant may begin. */
  readonly doorRpm?: Readonly<Record<Tenant, number>>;
  /** `gateway` of the deployment. */
  readonly gateway?: string;
}

const sameDoor = (rpm: number) => ({ single: rpm, agent: rpm, wide: rpm });
/** Who is refused tries twice more, as the vendor's client does. */
const CLIENT = 'retry: openai';

const WAYS = {
  none: { name: 'no limit' },
  questions: {
    name: `${TENANTS.single} requests/min`,
    doorRpm: sameDoor(TENANTS.single),
    gateway: CLIENT,
  },
  agents: { name: `${TENANTS.agent} requests/min`, doorRpm: sameDoor(TENANTS.agent), gateway: CLIENT },
  calls: {
    name: `${QUOTA_CALLS} calls/min, 429`,
    gateway: `rate_limits: [{ each: tenant, rpm: ${QUOTA_CALLS} }], ${CLIENT}`,
  },
  held: {
    name: `${QUOTA_CALLS} calls/min, held back`,
    gateway: `rate_limits: [{ each: tenant, rpm: ${QUOTA_CALLS}, max_wait: ${PATIENCE} }]`,
  },
  tokens: {
    name: 'tokens/min, held back',
    gateway: `rate_limits: [{ each: tenant, tpm: ${QUOTA_TOKENS}, max_wait: ${PATIENCE} }]`,
  },
  budgets: {
    name: 'budgets',
    gateway: `budgets: [{ each: tenant, tokens: ${QUOTA_TOKENS}, per: 1m, on_exceed: queue }, { each: session, tokens: ${REQUEST.tokens}, llm_calls: ${REQUEST.calls}, on_exceed: finalize }]`,
  },
  widths: { name: 'requests by their tokens', doorRpm: TENANTS, gateway: CLIENT },
} as const satisfies Record<string, Way>;
type WayName = keyof typeof WAYS;
const ALL = Object.keys(WAYS) as WayName[];

interface At {
  readonly way: WayName;
  /** Demand over quota. */
  readonly load: number;
  readonly seed: number;
}
type Where = Omit<At, 'seed'>;

function caseOf({ way, load, seed }: At, trafficSec: number): GridCase {
  const { doorRpm, gateway }: Way = WAYS[way];
  const traffic = NAMES.flatMap((name, index) => {
    const perSec = (TENANTS[name] * load) / 60;
    return [
      `traffic.${index}.arrival.poisson.rate=${perSec}/s`,
      `traffic.${index}.sessions=${Math.max(2, Math.round(perSec * trafficSec))}`,
    ];
  });
  const doors = NAMES.flatMap(name =>
    doorRpm === undefined ? [] : [`models.${name}-door.rate_limit={ rpm: ${doorRpm[name]} }`],
  );
  return {
    scenario: {
      input: 'studies/quotas',
      options: { seed, set: ['workflows.chat.steps.0.model=agent-door', ...traffic, ...doors] },
    },
    deployment: {
      input: 'workstation-ministral-14b',
      set: [`pools.main.replicas=${REPLICAS}`, ...(gateway === undefined ? [] : [`gateway={ ${gateway} }`])],
    },
    loadFactor: 1,
    isByCohort: true,
    measure: new URL('quotas-measure.ts', import.meta.url).href,
  };
}

/** What one run says of one tenant. */
interface Found extends GroupFigures {
  /** Tokens over the quota of the whole run. */
  readonly quotas: number;
  readonly ttftMsP95: number | null;
}

const foundIn = (run: StudyRun<At>, tenant: Tenant): Found => {
  const group = (run.measured as Record<Tenant, GroupFigures>)[tenant];
  const quotas = group.tokens / ((QUOTA_TOKENS * run.figures.durationMs) / 60_000);
  return { ...group, quotas, ttftMsP95: run.cohorts?.[tenant]?.ttftMsP95 ?? null };
};

/** A figure of each seed, summed up. */
type Reads = (where: Where, read: (of: Record<Tenant, Found>) => number | null) => Estimate | null;
const readsOf =
  (runs: readonly StudyRun<At>[]): Reads =>
  ({ way, load }, read) =>
    estimate(
      runs
        .filter(({ at }) => at.way === way && at.load === load)
        .map(run =>
          run.measured === undefined
            ? null
            : read({
                single: foundIn(run, 'single'),
                agent: foundIn(run, 'agent'),
                wide: foundIn(run, 'wide'),
              }),
        ),
    );

const sum = (values: readonly number[]): number => values.reduce((all, each) => all + each, 0);
const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);
const total = (of: readonly GroupFigures[], name: 'sessions' | 'broken' | 'tokens' | 'wastedTokens') =>
  sum(of.map(each => each[name]));
/** Requests of more than one call. */
const manyCalls = ({ agent, wide }: Record<Tenant, Found>): Found[] => [agent, wide];
const brokenShare = (of: Record<Tenant, Found>): number | null =>
  share(total(manyCalls(of), 'broken'), total(manyCalls(of), 'sessions'));
const wastedShare = (of: Record<Tenant, Found>): number | null =>
  share(total(Object.values(of), 'wastedTokens'), total(Object.values(of), 'tokens'));
const wholeShare = (of: Record<Tenant, Found>): number | null => {
  const many = manyCalls(of);
  return share(sum(many.map(({ completed, finalized }) => completed - finalized)), total(many, 'sessions'));
};
const completedShare =
  (tenant: Tenant) =>
  (of: Record<Tenant, Found>): number | null =>
    share(of[tenant].completed, of[tenant].sessions);
const fairness = (of: Record<Tenant, Found>): number | null => jainIndex(NAMES.map(name => of[name].quotas));

const of = (found: Estimate | null): number => found?.mean ?? 0;
const ratioText = (found: Estimate | null): string => showEstimate(found, showRatio);

/** Confirmed where it is nearly never so, contradicted where it mostly is. */
const rarely = (ratio: number): Verdict =>
  ratio < 0.05 ? 'confirmed' : ratio < 0.25 ? 'partly' : 'contradicted';

function claims(reads: Reads): Claim[] {
  const over = (way: WayName): Where => ({ way, load: OVER });
  const quotas = (way: WayName, tenant: Tenant) => reads(over(way), each => each[tenant].quotas);
  const wideAtDoor = quotas('questions', 'wide');
  const singleAtDoor = quotas('agents', 'single');
  const isMeaningless = of(wideAtDoor) > 1.5 && of(singleAtDoor) < 0.5;
  const broken = (way: WayName, load: number) => reads({ way, load }, brokenShare);
  const wasted = (way: WayName, load: number) => reads({ way, load }, wastedShare);
  const [budgetBroken, budgetSpare] = [broken('budgets', OVER), broken('budgets', SPARE)];
  const tokensBroken = broken('tokens', OVER);
  const fair = (way: WayName) => reads(over(way), fairness);
  const used = (way: WayName): string =>
    NAMES.map(name => `${name} ${showTimes(quotas(way, name))}`).join(', ');
  const largest = (way: WayName) => reads(over(way), ({ wide }) => wide.tokensMost);
  const wholeBy = (way: WayName) => reads(over(way), wholeShare);
  const mostOf = (way: WayName): number => Math.max(...NAMES.map(name => of(quotas(way, name))));
  return [
    {
      text: 'Requests per minute are meaningless where one request is twenty calls',
      verdict: isMeaningless ? 'confirmed' : of(wideAtDoor) > 1.5 ? 'partly' : 'contradicted',
      figure: `one limit for all, twice the quota in demand: where ${TENANTS.single} requests a minute fit the questions, the wide agents use ${showTimes(wideAtDoor)} their quota, with ${showEstimate(
        reads(over('questions'), ({ wide }) => share(wide.refusals, wide.sessions)),
        showNumber,
      )} refusals a request; where ${TENANTS.agent} fit the agents, the questions get ${showTimes(singleAtDoor)} of theirs. At equal requests a minute a wide agent takes ${showNumber(TENANTS.single / TENANTS.wide)} times the tokens of a question`,
    },
    {
      text: 'Counting calls instead shares tokens out as it should',
      verdict: of(fair('calls')) > 0.95 ? 'confirmed' : of(fair('calls')) > 0.8 ? 'partly' : 'contradicted',
      figure: `Jain's index of the tenants' tokens ${showEstimate(fair('calls'), showNumber)}, with ${TENANTS.single} requests a minute at the door ${showEstimate(fair('questions'), showNumber)}; used of the quota: ${used('calls')}. A question is shorter than an agent's call`,
    },
    {
      text: 'A limit of calls per minute breaks workflows in the middle',
      verdict:
        of(broken('calls', OVER)) > 0.25
          ? of(broken('calls', SPARE)) > 0.05
            ? 'confirmed'
            : 'partly'
          : 'contradicted',
      figure: `of requests of many calls, ${ratioText(broken('calls', SPARE))} break at half the quota, ${ratioText(broken('calls', OVER))} at twice; tokens in vain ${ratioText(wasted('calls', SPARE))} and ${ratioText(wasted('calls', OVER))}. Held back in place of refused: ${ratioText(broken('held', SPARE))} and ${ratioText(broken('held', OVER))} break`,
    },
    {
      text: 'Limits and budgets of tokens do not break them',
      verdict: rarely(Math.max(of(budgetBroken), of(tokensBroken))),
      figure: `within ${PATIENCE}: at half the quota ${ratioText(budgetSpare)} break with budgets; at twice ${ratioText(budgetBroken)} with budgets, ${ratioText(tokensBroken)} with tokens a minute: each call waits for its share, and no workflow gets enough of it in time. Tokens in vain: ${ratioText(wasted('budgets', OVER))} and ${ratioText(wasted('tokens', OVER))}`,
    },
    {
      text: 'Budgets of tokens give each tenant its quota and no more',
      verdict:
        of(fair('budgets')) > 0.95 && mostOf('budgets') < 1.05
          ? 'confirmed'
          : mostOf('budgets') < 1.05
            ? 'partly'
            : 'contradicted',
      figure: `Jain's index ${showEstimate(fair('budgets'), showNumber)} with budgets, ${showEstimate(fair('tokens'), showNumber)} with tokens a minute; used of the quota: ${used('budgets')}: wide agents meet the budget of their request first`,
    },
    {
      text: 'A budget of the workflow bounds what one request takes',
      verdict: of(largest('budgets')) < REQUEST.tokens * 1.1 ? 'confirmed' : 'contradicted',
      figure: `largest request ${showEstimate(largest('budgets'), showNumber)} tokens, without ${showEstimate(largest('none'), showNumber)}; a wide agent then answers from what ${REQUEST.calls} calls found (finalize): ${ratioText(reads(over('budgets'), completedShare('wide')))} of them do, ${ratioText(reads(over('none'), completedShare('wide')))} complete without a limit`,
    },
    {
      text: 'Requests let in by the tokens they will take keep workflows whole',
      verdict:
        of(broken('widths', OVER)) < 0.05 && mostOf('widths') < 1.2
          ? 'confirmed'
          : of(broken('widths', OVER)) < 0.05
            ? 'partly'
            : 'contradicted',
      figure: `at twice the quota ${ratioText(broken('widths', OVER))} break and ${ratioText(wholeBy('widths'))} of many calls do all their work, with budgets ${ratioText(wholeBy('budgets'))}, with tokens a minute ${ratioText(wholeBy('tokens'))}, with no limit ${ratioText(wholeBy('none'))}; used of the quota: ${used('widths')}`,
    },
  ];
}

const loadText = (load: number): string =>
  load === 1 ? 'at its quota' : load < 1 ? 'at half its quota' : 'at twice its quota';

export default defineStudy<At>({
  name: 'quotas',
  question:
    'A user sends one request that triggers twenty model calls: is a limit of requests per minute meaningless then, and what do budgets of tokens and calls do better? Three tenants have the same quota of tokens; their requests are one call, twenty or sixty.',
  method: `Two RTX PRO 6000 with Ministral 3 14B. Three tenants: questions of one call (3.7k tokens), the library's workflow-gateway (20 calls, 177k tokens) and the same with 14 workers (60 calls, 540k). The quota of each is ${showNumber(QUOTA_TOKENS)} tokens a minute: ${NAMES.map(name => TENANTS[name]).join(', ')} such requests. Each asks for half of it, all of it or twice as much, Poisson; a request that takes longer than ${PATIENCE} is given up. Limits: requests a minute at the door, one figure for all tenants, sized for questions or for agents; ${QUOTA_CALLS} calls a minute a tenant, where a refused call is tried twice more by OpenAI's client, or held back; tokens a minute, held back; budgets, of the tenant (tokens a minute, queued) and of each request (${showNumber(REQUEST.tokens)} tokens, ${REQUEST.calls} calls, finalize); and requests at the door by what they take.`,
  cases({ isQuick }) {
    const trafficSec = isQuick ? 300 : 600;
    const loads = isQuick ? [SPARE, OVER] : LOADS;
    return (isQuick ? [1, 2] : [1, 2, 3, 4]).flatMap(seed =>
      loads.flatMap(load =>
        ALL.map(way => ({ at: { way, load, seed }, of: caseOf({ way, load, seed }, trafficSec) })),
      ),
    );
  },
  judge(runs) {
    const reads = readsOf(runs);
    const loads = LOADS.filter(load => runs.some(({ at }) => at.load === load));
    const ratioAxis: LineAxis = {
      title: null,
      scale: { domain: [0, 1] },
      axis: { format: '%' },
      format: '.0%',
    };
    const chart = (id: string, title: string, y: string, read: Parameters<Reads>[1]) => ({
      id,
      title,
      spec: linesSpec(
        ALL.map(way => ({
          name: WAYS[way].name,
          points: loads.map(load => {
            const found = reads({ way, load }, read);
            return { x: load, y: found?.mean ?? null };
          }),
        })),
        {
          x: { title: 'demand of each tenant, over its quota', axis: { values: loads }, format: '.1f' },
          y: { ...ratioAxis, title: y },
          strong: WAYS.none.name,
        },
      ),
    });
    const over = (way: WayName): Where => ({ way, load: OVER });
    return {
      claims: claims(reads),
      tables: loads.map(load => ({
        title: `Each tenant ${loadText(load)}`,
        columns: [
          'limit',
          'tenant',
          'requests completed',
          'of these cut short',
          'broken in the middle',
          'tokens, over quota',
          'tokens in vain',
          'refusals a request',
          'request p95',
          'TTFT p95',
        ],
        rows: ALL.flatMap(way =>
          NAMES.map(name => {
            const cell = (read: (found: Found) => number | null, show: (value: number) => string): string =>
              showSpread(
                reads({ way, load }, each => read(each[name])),
                show,
              );
            return [
              WAYS[way].name,
              name,
              cell(each => share(each.completed, each.sessions), showRatio),
              cell(each => share(each.finalized, each.sessions), showRatio),
              cell(each => share(each.broken, each.sessions), showRatio),
              cell(each => each.quotas, showNumber),
              cell(each => share(each.wastedTokens, each.tokens), showRatio),
              cell(each => share(each.refusals, each.sessions), showNumber),
              cell(each => each.makespanMsP95, showMs),
              cell(each => each.ttftMsP95, showMs),
            ];
          }),
        ),
      })),
      charts: [
        chart(
          'quotas-whole',
          `At twice the quota, ${showRatio(of(reads(over('widths'), wholeShare)))} of the requests of many calls do all their work where the door counts their tokens, ${showRatio(of(reads(over('tokens'), wholeShare)))} with tokens a minute, ${showRatio(of(reads(over('calls'), wholeShare)))} with calls a minute`,
          'requests of many calls that do all their work',
          wholeShare,
        ),
        chart(
          'quotas-wasted',
          `At twice the quota, ${showRatio(of(reads(over('calls'), wastedShare)))} of all tokens are in vain with calls a minute, ${showRatio(of(reads(over('budgets'), wastedShare)))} with budgets that queue`,
          'tokens in vain',
          wastedShare,
        ),
      ],
      limits: [
        'One shape of agents, whose calls carry the same prefixes: most of their tokens are cached, and count all the same. A quota of uncached tokens would let the agents do more.',
        'A tenant that meets its limit goes on asking; one that slows down would break less. Refused requests are not sent again later.',
        `The outcome of waiting hangs on patience, ${PATIENCE} here: with more of it, fewer held-back workflows break, and all are slower.`,
        'A limit by what requests will take needs to know that; here it is the mean of the workflow, which is known. The limit of the door counts what begins, so that a request larger than usual passes.',
        'Few wide requests fit into a run (one a minute is their quota): their intervals are wide.',
        'Step times come from physics fitted on measured runs, for ranking only.',
      ],
    };
  },
});
