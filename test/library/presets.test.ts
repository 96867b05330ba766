// What presets claim (`figures:`), counted on their own walked sessions. Where a simple scenario misses a figure, the
// miss is written down here with its reason, and held as tightly as a hit.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findInput, presetNames, readText } from '../../scenarios/cli/library.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import { presetFigures } from '../../scenarios/cli/presets.ts';
import type { FigureName, FigureValue } from '../../scenarios/formats/figures.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';
import { mean, planOfEntry, quantile, type WalkedSession, walked } from './sessions.ts';

// ---- counting -------------------------------------------------------------------------------------------------

/** Sub-agents and summaries are not calls of the session's own thread. */
const isOwn = (call: Call): boolean => !['task', 'find'].includes(call.step) && call.role !== 'summarizer';
const own = ({ calls }: WalkedSession): Call[] => calls.filter(isOwn);
const opens = (call: Call): boolean => call.step === 'ask';

const spread = (values: readonly number[]): FigureValue | null =>
  values.length === 0 ? null : { p50: quantile(values, 0.5), p90: quantile(values, 0.9), mean: mean(values) };
const ratio = (part: number, whole: number): FigureValue => ({ value: part / whole });

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Prompts one after the other on a thread, with how the second came about. */
interface Turn {
  readonly before: Call;
  readonly after: Call;
}
const turnsOf = (session: WalkedSession): Turn[] => {
  const calls = own(session);
  return calls.slice(1).map((after, index) => ({ before: calls[index]!, after }));
};
const collapses = ({ before, after }: Turn): boolean => after.promptTokens < 0.8 * before.promptTokens;
const growth = ({ before, after }: Turn): number => after.promptTokens - before.promptTokens;

/** Seconds of the nodes of a kind that took any time; a person does not pause before the first prompt. */
const secondsOf = (sessions: readonly WalkedSession[], kind: 'tool' | 'human'): number[] =>
  sessions
    .flatMap(({ nodes }) => nodes.filter(node => node.kind === kind && node.endMs > node.startMs))
    .map(node => (node.endMs - node.startMs) / 1000);

/** Names of the sub-agents of a session: the paths up to their workflow. */
const subagents = ({ nodes }: WalkedSession): Map<string, number> => {
  const calls = new Map<string, number>();
  for (const { call, kind } of nodes) {
    const at = call.indexOf('/explore/');
    if (at < 0 || kind !== 'llm') continue;
    const agent = call.slice(0, at);
    calls.set(agent, (calls.get(agent) ?? 0) + 1);
  }
  return calls;
};

/** Leading tokens that the calls before it on the thread leave in a cache that never evicts. */
const hitRatio = ({ promptTokens, parts }: Call): number =>
  1 - sum(parts.filter(part => part.segment === 'input').map(part => part.tokens)) / promptTokens;

function callsPerAsk(session: WalkedSession): number[] {
  const counts: number[] = [];
  for (const call of own(session)) {
    if (opens(call)) counts.push(0);
    counts[counts.length - 1]!++;
  }
  return counts;
}

/** Counts each figure of some sessions by its name. */
function counterOf(sessions: readonly WalkedSession[]): (name: FigureName) => FigureValue | null {
  const calls = sessions.flatMap(own);
  const turns = sessions.flatMap(turnsOf);
  const grown = turns.filter(turn => !collapses(turn));
  const gaps = [...secondsOf(sessions, 'tool'), ...secondsOf(sessions, 'human')];
  const over = (seconds: number): FigureValue => ratio(gaps.filter(gap => gap > seconds).length, gaps.length);
  const agents = sessions.map(subagents).filter(each => each.size > 0);
  return name => {
    switch (name) {
      case 'calls_per_session':
        return spread(sessions.map(each => own(each).length));
      case 'calls_per_human_turn':
        return spread(sessions.flatMap(callsPerAsk));
      case 'human_turns_per_session':
        return spread(sessions.map(each => own(each).filter(opens).length));
      case 'prompt_tokens':
        return spread(calls.map(call => call.promptTokens));
      case 'output_tokens':
        return spread(calls.map(call => call.outputTokens));
      case 'new_tokens_tool_turn':
        return spread(grown.filter(turn => !opens(turn.after)).map(growth));
      case 'new_tokens_human_turn':
        return spread(grown.filter(turn => opens(turn.after)).map(growth));
      case 'first_prompt_tokens':
        return spread(sessions.map(each => own(each)[0]!.promptTokens));
      case 'system_tokens':
        return spread(
          sessions.map(each => {
            const named = own(each)[0]!.parts.filter(
              part => !['history', 'reads', 'input'].includes(part.segment),
            );
            return sum(named.map(part => part.tokens));
          }),
        );
      case 'context_growth':
        return spread(sessions.map(each => own(each).at(-1)!.promptTokens / own(each)[0]!.promptTokens));
      case 'call_hit_ratio':
        return spread(turns.map(turn => hitRatio(turn.after)));
      case 'cache_hit_ratio': {
        // System prompts of the first calls are found as well: the first session's are not, one in hundreds.
        const hits = calls.map(call => hitRatio(call) * call.promptTokens);
        return ratio(sum(hits), sum(calls.map(call => call.promptTokens)));
      }
      case 'input_output_ratio':
        return ratio(sum(calls.map(call => call.promptTokens)), sum(calls.map(call => call.outputTokens)));
      case 'tool_gap_s':
        return spread(secondsOf(sessions, 'tool'));
      case 'human_gap_s':
        return spread(secondsOf(sessions, 'human'));
      case 'gap_over_60s_ratio':
        return over(60);
      case 'gap_over_300s_ratio':
        return over(300);
      case 'tool_turn_ratio':
        return ratio(turns.filter(turn => !opens(turn.after)).length, turns.length);
      case 'compaction_ratio':
        return ratio(turns.filter(collapses).length, turns.length);
      case 'subagent_session_ratio':
        return ratio(agents.length, sessions.length);
      case 'subagents_per_session':
        return spread(agents.map(each => each.size));
      case 'subagent_calls':
        return spread(agents.flatMap(each => [...each.values()]));
      case 'subagent_first_prompt_tokens':
        return spread(
          sessions
            .flatMap(each => each.calls.filter(call => call.step === 'task'))
            .map(call => call.promptTokens),
        );
      case 'session_input_tokens':
        return spread(sessions.map(each => sum(own(each).map(call => call.promptTokens))));
      default:
        throw new Error(`count ${name} here before a preset cites it`);
    }
  };
}

// ---- holding --------------------------------------------------------------------------------------------------

/** A figure is met within so much of the cited one. */
const TOLERANCE = 0.12;

/** What a preset misses, as counted over cited less one; and why. */
const MISSES: Readonly<Record<string, Readonly<Record<string, readonly [miss: number, why: string]>>>> = {
  'coding-agent': {
    'calls_per_human_turn p90': [-0.18, 'two kinds of requests stand for all of them'],
    'prompt_tokens p90': [
      -0.13,
      'compaction at 240k; some of the measured sessions had a window of a million',
    ],
    'new_tokens_tool_turn p90': [-0.13, 'a lognormal fitted to p50 and p90 of the part without the answer'],
    'new_tokens_tool_turn mean': [-0.16, 'the measured tail is heavier than a lognormal'],
    'context_growth p50': [-0.28, 'resumed sessions begin near the window and are as long as the others'],
    'compaction_ratio value': [-0.35, 'people also clear a context; only compaction is modelled'],
    'subagent_session_ratio value': [-0.17, 'a share of 3 % that has a chance, by turns, to need none'],
    'session_input_tokens p50': [-0.2, 'follows from shorter prompts and their growth'],
  },
};
/** A miss is held as tightly as this. */
const MISS_TOLERANCE = 0.06;

const SESSIONS = 1500;

function arrivalCv(preset: string): number {
  const [cohort] = planOfEntry(preset, 'traffic.0.sessions=20000').cohorts;
  if (cohort?.kind !== 'open') throw new Error(`${preset} has no open cohort`);
  const at = [...cohort.sessions()].map(session => session.plannedMs);
  const gaps = at.slice(1).map((each, index) => each - at[index]!);
  const centre = mean(gaps);
  return Math.sqrt(mean(gaps.map(gap => (gap - centre) ** 2))) / centre;
}

describe.each(presetNames())('%s', preset => {
  const sessions = walked(planOfEntry(preset, `traffic.0.sessions=${SESSIONS}`), SESSIONS);
  const cohort = sessions.filter(each => each.workflow !== 'complete');
  const { figures } = presetFigures(preset);
  const cited = figures.flatMap(({ of, p50, p90, mean, value }) =>
    Object.entries({ p50, p90, mean, value })
      .filter((entry): entry is [keyof FigureValue, number] => entry[1] !== undefined)
      .map(([key, wanted]) => ({ of, key, wanted })),
  );
  const counted = counterOf(cohort);
  const count = (name: FigureName): FigureValue | null => {
    if (name === 'arrival_cv') return { value: arrivalCv(preset) };
    return name === 'cache_hit_ratio' ? counterOf(sessions)(name) : counted(name);
  };

  test.each(cited)('$of $key is $wanted', ({ of, key, wanted }) => {
    const got = count(of)?.[key];
    const [miss, why] = MISSES[preset]?.[`${of} ${key}`] ?? [0, 'expected to be met'];
    const off = (got ?? Number.NaN) / wanted - 1;
    expect(Math.abs(off - miss), `${got} is ${(off * 100).toFixed(1)} % off; ${why}`).toBeLessThan(
      miss === 0 ? TOLERANCE : MISS_TOLERANCE,
    );
  });

  test('every figure names its source, and every number of its cohorts its row or that it is an assumption', () => {
    const text = readText(findInput(preset, 'scenarios'));
    expect(figures.every(each => each.source.length > 4)).toBe(true);
    const params = text.slice(text.indexOf('\nparams:'), text.indexOf('\nmodels:')).split('\n').slice(2);
    const bare = params.filter(
      (line, index) => /^ {2}\w/.test(line) && !line.includes('#') && !params[index - 1]?.includes('  # '),
    );
    expect(params.filter(line => /^ {2}\w/.test(line)).length > 0).toBe(text.includes('\nparams:'));
    expect(bare).toEqual([]);
  });
});

test.each(presetNames())('%s is what another scenario extends', preset => {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-preset-'));
  const path = join(folder, 'mine.yaml');
  writeFileSync(path, `windtunnel: 1\nextends: ${preset}\nname: mine\nseed: 3\nfigures: null\n`);
  const { compiled, issues } = loadScenario(path);
  rmSync(folder, { recursive: true });
  expect(issues).toEqual([]);
  expect(compiled?.plan).toMatchObject({ name: 'mine', seed: 3 });
  const own = loadScenario(preset).compiled!.plan!;
  expect(compiled!.plan!.cohorts.map(each => each.name)).toEqual(own.cohorts.map(each => each.name));
});

test('a miss that is written down is of a figure that is cited', () => {
  for (const [preset, misses] of Object.entries(MISSES)) {
    const keys = presetFigures(preset).figures.flatMap(each =>
      Object.keys(each).map(key => `${each.of} ${key}`),
    );
    for (const miss of Object.keys(misses)) expect(keys).toContain(miss);
  }
});
