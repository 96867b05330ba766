// What to try next after a run: what usually moves its largest causes, with a command that tries it where one does. A
// first thing to try, not a promise.
import { quoted } from '../scenarios/base/shell-words.ts';
import { quantileSorted, sorted } from '../scenarios/base/statistics.ts';
import { type CallRecord, type CriticalPath, tpotMs } from '../scenarios/formats/record.ts';
import type { Bottleneck, ReplicaRow, RunResult, Suggestion } from '../scenarios/formats/result.ts';
import { reasonOf } from '../scenarios/formats/rules.ts';
import { plural, showRatio } from './numbers.ts';
import { comeAndGo } from './replicas.ts';
import { again, folderOf, nameOf, rerunOf } from './rerun.ts';

const SUGGESTIONS_MAX = 4;
/** A cache full for this share of the run holds back everything else. */
const KV_FULL_MUCH = 0.2;
/** Waiting for this share of the critical path says more than what follows it. */
const QUEUE_MUCH = 0.2;
/** A further cause is worth a suggestion from this share on. */
const CAUSE_MIN = 0.15;
/** Preemptions per call from which recomputation costs more than it tells. */
const PREEMPTED_MIN = 0.01;
/** Below this share of prompt tokens, finding what is cached already is worth a try. */
const HITS_FEW = 0.7;
/** How long these take, the scenario says. */
const PLANNED: readonly (keyof CriticalPath)[] = ['humanMs', 'waitMs'];
/** A usual time per token of so many times the best is one of full batches; of outputs long enough to tell. */
const CROWDED_FROM = 1.3;
const OUTPUT_TOKENS_MIN = 16;
/** So many more replicas, and at least one. */
const MORE_REPLICAS = 1.25;

/** What of a run suggestions rest on. */
export type Facts = Pick<
  RunResult,
  'header' | 'counts' | 'tokens' | 'criticalPath' | 'assertions' | 'byStep' | 'exemplars' | 'durationMs'
> & {
  readonly bottleneck: Bottleneck;
  readonly replicas?: readonly ReplicaRow[] | undefined;
  readonly calls: readonly CallRecord[];
  /** The name of a step among those of all workflows. */
  readonly stepOf: (call: CallRecord) => string;
  /** Sessions come over time: there is a load to vary. */
  readonly hasLoad: boolean;
};

interface Ask {
  readonly facts: Facts;
  /** The command of the run with something changed; null: there is none. */
  again(
    command: 'simulate' | 'check' | 'bench-policies',
    suffix: string | null,
    ...more: string[]
  ): string | null;
}

/** The pool that served most calls of a step; null: none did. */
function poolOf({ calls, stepOf }: Facts, step: string | undefined): string | null {
  const counts = new Map<string, number>();
  for (const call of calls)
    if (stepOf(call) === step) counts.set(call.pool, (counts.get(call.pool) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null;
}

/** Replicas of a pool; of a disaggregated one, of the half that computes what the cause is about. */
function rowOf({ replicas = [] }: Facts, pool: string | null, half: 'prefill' | 'decode'): ReplicaRow | null {
  const rows = replicas.filter(row => row.pool === pool);
  return rows.find(({ name }) => name === `${pool}/${half}`) ?? rows[0] ?? null;
}

/** More replicas of the pool that serves the step with most of a cause; null: nobody has it but a provider. */
function moreReplicas(ask: Ask, cause: keyof CriticalPath, because: string): Suggestion | null {
  const { facts } = ask;
  const half = cause === 'decodeMs' ? 'decode' : 'prefill';
  const row = rowOf(facts, poolOf(facts, worstStep(facts.bottleneck, cause)?.step), half);
  return row === null ? null : moreOf(ask, row, because);
}

function moreOf({ again }: Ask, row: ReplicaRow, because: string): Suggestion {
  if (comeAndGo(row)) {
    const command = again('bench-policies', null, '--kind', 'scaling');
    return { text: `replicas of ${row.name} sooner, or more of them, since ${because}`, command };
  }
  const more = Math.max(row.readyMax + 1, Math.ceil(row.readyMax * MORE_REPLICAS));
  const path = `pools.${row.name.replace('/', '.')}.replicas=${more}`;
  return {
    text: `${more} replicas of ${row.name} in place of ${row.readyMax}, since ${because}`,
    command: again('simulate', `${more}-replicas`, '--set', path),
  };
}

/** Whether a pool decodes slower in its batches than it could: its usual time per token against its best. */
function isCrowded({ calls }: Facts, pool: string | null): boolean {
  const times = sorted(
    calls.flatMap(call =>
      call.pool === pool && call.outputTokens >= OUTPUT_TOKENS_MIN ? (tpotMs(call) ?? []) : [],
    ),
  );
  return times.length > 0 && quantileSorted(times, 0.5) > CROWDED_FROM * times[0]!;
}

const isShared = ({ replicas = [] }: Facts): boolean => replicas.some(({ readyMax }) => readyMax > 1);

/** The step with most of a cause; null: none has any. */
function worstStep(
  { bySteps, causes }: Pick<Bottleneck, 'bySteps' | 'causes'>,
  cause: keyof CriticalPath,
): { step: string; share: number } | null {
  const [row] = bySteps.filter(each => each.cause === cause);
  const all = causes.find(each => each.cause === cause)?.ms ?? 0;
  return row === undefined || all === 0 ? null : { step: row.step, share: row.ms / all };
}

/** A step with nearly all of a cause is the only one that has it. */
const ONLY_STEP = 0.995;

/** `, 61 % of that in worker`; nothing where one step has it all. */
export function shareText(of: Pick<Bottleneck, 'bySteps' | 'causes'>, cause: keyof CriticalPath): string {
  const worst = worstStep(of, cause);
  return worst === null || worst.share >= ONLY_STEP
    ? ''
    : `, ${showRatio(worst.share)} of that in ${worst.step}`;
}

const at = (worst: ReturnType<typeof worstStep>): string => (worst === null ? '' : ` of ${worst.step}`);

/** Queueing for sandboxes is no queueing for GPUs. */
function isOfTools({ bottleneck, byStep }: Facts, cause: 'queueMs' | 'coldMs'): boolean {
  const calls = new Set(byStep.map(({ group }) => group));
  const rows = bottleneck.bySteps.filter(row => row.cause === cause);
  const sum = (of: typeof rows): number => of.reduce((total, { ms }) => total + ms, 0);
  return sum(rows.filter(({ step }) => !calls.has(step))) > sum(rows) / 2;
}

const words = (text: string): Suggestion => ({ text, command: null });

/** What usually moves each cause. */
const REMEDIES: Record<keyof CriticalPath, (ask: Ask) => (Suggestion | null)[]> = {
  queueMs: ask => {
    if (isOfTools(ask.facts, 'queueMs'))
      return [
        words(
          `more sandboxes at once, since runs wait for those${at(worstStep(ask.facts.bottleneck, 'queueMs'))}`,
        ),
      ];
    const kind = isShared(ask.facts) ? 'routing' : 'scheduling';
    return [
      moreReplicas(ask, 'queueMs', 'more work comes than is done') ??
        words(
          `more capacity, or fewer arrivals: calls${at(worstStep(ask.facts.bottleneck, 'queueMs'))} wait for their turn`,
        ),
      {
        text: `other ${kind} policies over a range of loads, as the queue may begin later`,
        command: ask.again('bench-policies', null, '--kind', kind),
      },
    ];
  },
  prefillMs: ask => {
    const { tokens } = ask.facts;
    const hits = tokens.prompt === 0 ? 1 : tokens.cached / tokens.prompt;
    return [
      hits < HITS_FEW && isShared(ask.facts)
        ? {
            text: `routers that find the replica with the prefix, since only ${showRatio(hits)} of the prompt tokens were cached`,
            command: ask.again('bench-policies', null, '--kind', 'routing'),
          }
        : {
            text: `prompts that begin with what stays the same${at(worstStep(ask.facts.bottleneck, 'prefillMs'))}, so that they hit the cache; a check says which do not`,
            command: ask.again('check', null),
          },
    ];
  },
  decodeMs: ask => {
    const worst = worstStep(ask.facts.bottleneck, 'decodeMs');
    const shorter = words(`shorter outputs${at(worst)}, or a faster model for it`);
    if (!isCrowded(ask.facts, poolOf(ask.facts, worst?.step))) return [shorter];
    return [moreReplicas(ask, 'decodeMs', 'smaller batches decode faster'), shorter];
  },
  toolMs: ({ facts }) => [
    words(
      `faster tools${at(worstStep(facts.bottleneck, 'toolMs'))}, or more of them at once; more GPUs would not help`,
    ),
  ],
  humanMs: () => [words('people set the pace; more GPUs would not help')],
  waitMs: () => [words('planned waits set the pace; more GPUs would not help')],
  retryMs: ({ facts }) => [
    words(
      `find out why attempts${at(worstStep(facts.bottleneck, 'retryMs'))} fail: each is waited for, and most are paid for`,
    ),
  ],
  limitMs: ({ facts }) => [
    words(
      `a higher limit for calls${at(worstStep(facts.bottleneck, 'limitMs'))}, more keys or providers, or slower arrivals`,
    ),
  ],
  coldMs: ask => {
    if (isOfTools(ask.facts, 'coldMs'))
      return [words('more warm sandboxes (`warm_pool` of the tool runtime)')];
    const row = ask.facts.replicas?.find(each => comeAndGo(each) && each.lost === 0);
    if (row === undefined || row.name !== row.pool)
      return [words('a replica in reserve, or an autoscaler that looks further ahead')];
    const min = Math.min(row.readyMax, Math.max(row.readyMin + 1, Math.round(row.readyMean)));
    return [
      {
        text: `at least ${min} replicas of ${row.name} in place of ${row.readyMin}, since calls wait for those that start`,
        command: ask.again('simulate', `min-${min}`, '--set', `pools.${row.pool}.autoscaler.min=${min}`),
      },
      {
        text: 'other autoscalers, to see which starts replicas early enough and what it costs',
        command: ask.again('bench-policies', null, '--kind', 'scaling'),
      },
    ];
  },
  transferMs: () => [
    words('prefill and decode, or client and server, closer together; connections that stay open'),
  ],
  otherMs: () => [words('look at the gaps in the waterfall: that time is of no step that the records know')],
};

/** What a first token waits for. */
const BEFORE_FIRST: readonly (keyof CriticalPath)[] = [
  'queueMs',
  'coldMs',
  'limitMs',
  'retryMs',
  'transferMs',
  'prefillMs',
];

/** What a failed promise on the time of single calls asks for, whatever the workflows spend their time on. */
function missedPart({ assertions, bottleneck }: Facts): keyof CriticalPath | null {
  const missed = assertions.filter(({ pass }) => pass === false).map(({ text }) => text);
  const isOfCalls = missed.length > 0 && missed.every(text => /\b(ttft|queue|tpot|itl)\b/.test(text));
  if (!isOfCalls) return null;
  if (missed.every(text => /\b(tpot|itl)\b/.test(text))) return 'decodeMs';
  return bottleneck.causes.find(({ cause }) => BEFORE_FIRST.includes(cause))?.cause ?? 'prefillMs';
}

/** Share of the run in which the cache of any pool was full. */
export function kvFullRatio({ bottleneck, durationMs }: Pick<Facts, 'bottleneck' | 'durationMs'>): number {
  const full = bottleneck.saturation.filter(({ cause }) => cause === 'kv');
  const longest = Math.max(
    0,
    ...[...Map.groupBy(full, ({ pool }) => pool)].map(([, own]) =>
      own.reduce((sum, { startMs, endMs }) => sum + endMs - startMs, 0),
    ),
  );
  return durationMs > 0 ? longest / durationMs : 0;
}

/** From this share of failed workflows on, the time of those that completed is not the question. */
const FAILED_MUCH = 0.05;

/** Whether failures are what stands out, and the error that most calls ended with. */
export function failuresOf({
  workflows,
  errors,
}: RunResult['counts']): { error: string; calls: number } | null {
  const [worst] = Object.entries(errors).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  if (worst === undefined || workflows.failed <= workflows.planned * FAILED_MUCH) return null;
  return { error: worst[0], calls: worst[1] };
}

/** Against the error that most calls ended with. */
function against({ error, calls }: { error: string; calls: number }): Suggestion {
  switch (reasonOf(error)) {
    case '429':
      return words(
        `a higher rate limit, more keys or providers, or slower arrivals: ${plural(calls, 'call')} ended with ${error}`,
      );
    case 'shed':
      return words(
        `more capacity, a longer line, or slower arrivals: ${plural(calls, 'call')} ended with ${error}`,
      );
    case 'timeout':
      return words(`more capacity, or more time: ${plural(calls, 'call')} ended with ${error}`);
    default:
      return words(
        `find out why ${plural(calls, 'call')} ended with ${error}; retries or a fallback of the gateway hide what passes`,
      );
  }
}

/** For KV caches that are full. */
function roomFor(ask: Ask): Suggestion[] {
  const [full] = ask.facts.bottleneck.saturation.filter(({ cause }) => cause === 'kv');
  const row = rowOf(ask.facts, full?.pool ?? null, 'decode');
  return [
    row === null
      ? words('room in the KV cache: more replicas, more GPU memory for it, or fewer agents at once')
      : moreOf(ask, row, 'its KV cache is full'),
    {
      text: 'fewer agents at once, by the admission policy that does most over a range of loads',
      command: ask.again('bench-policies', null, '--kind', 'admission'),
    },
  ];
}

/** The most promising first; at most four, never none. */
export function suggestionsOf(facts: Facts): Suggestion[] {
  const { header, counts, bottleneck } = facts;
  const rerun = rerunOf(header);
  const ask: Ask = {
    facts,
    again: (command, suffix, ...more) => {
      if (rerun === null || (command === 'bench-policies' && !facts.hasLoad)) return null;
      const out = `windtunnel-runs/${nameOf(header.scenario.name, header.deployment.name)}-${suffix}`;
      return again(rerun, command, ...more, ...(suffix === null ? [] : ['--out', out]));
    },
  };
  const found: (Suggestion | null)[] = [];
  const shareOf = (cause: keyof CriticalPath): number =>
    bottleneck.causes.find(each => each.cause === cause)?.share ?? 0;

  // 1. What holds back everything else.
  const failures = failuresOf(counts);
  if (failures !== null) found.push(against(failures));
  const kvFull = kvFullRatio(facts);
  const preempts = counts.preemptions > counts.calls.planned * PREEMPTED_MIN;
  const room = kvFull > 0 ? roomFor(ask) : [];
  if (kvFull >= KV_FULL_MUCH) found.push(...room);
  if (shareOf('queueMs') >= Math.max(QUEUE_MUCH, shareOf('coldMs'))) found.push(...REMEDIES.queueMs(ask));

  // 2. What a promise missed, and the largest causes; what the scenario itself says how long it takes comes last.
  const missed = missedPart(facts);
  if (missed !== null) found.push(...REMEDIES[missed](ask));
  const planned = bottleneck.causes.filter(({ cause }) => PLANNED.includes(cause));
  const [largest, ...others] = bottleneck.causes.filter(({ cause }) => !PLANNED.includes(cause));
  if (largest !== undefined) found.push(...REMEDIES[largest.cause](ask));
  if (preempts) found.push(...room);
  for (const { cause, share } of [...others, ...planned])
    if (share >= CAUSE_MIN) found.push(...REMEDIES[cause](ask));
  if (bottleneck.causes.length === 0) found.push(words('look at the errors first, then run again'));

  // 3. The longest workflow, to look into.
  const slowest = ['p95', 'max', 'p50']
    .map(label => facts.exemplars.find(each => each.label === label))
    .find(each => each !== undefined);
  if (slowest !== undefined && rerun !== null)
    found.push({
      text: `the ${slowest.label === 'p95' ? 'p95' : 'longest'} workflow, step by step`,
      command: `windtunnel report ${quoted(folderOf(header))} --workflow ${quoted(slowest.session)}`,
    });
  const texts = new Set<string>();
  return found
    .filter(each => each !== null)
    .filter(({ text }) => !texts.has(text) && texts.add(text) !== undefined)
    .slice(0, SUGGESTIONS_MAX);
}

/** As a sentence with its command, the same on page and terminal. */
export const suggestionText = ({ text, command }: Suggestion): string =>
  command === null ? text : `${text}: ${command}`;
