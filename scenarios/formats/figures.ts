// The figures that describe a workload: a closed set of names, each with the value of a trace that it is compared with.
// A preset cites them with their source, so that one's own trace can be laid beside it.
import { z } from 'zod';
import type { GapOver, Spread, TraceProfile } from './trace-profile.ts';

/** A figure as cited, or as a trace has it; what is absent is not known. */
export interface FigureValue {
  p50?: number | undefined;
  p90?: number | undefined;
  mean?: number | undefined;
  /** Of a figure that is one number. */
  value?: number | undefined;
}

interface FigureRow {
  readonly doc: string;
  readonly unit: 'calls' | 'turns' | 'agents' | 'tokens' | 's' | 'ratio' | 'times' | '/s';
  /** A spread is cited by p50, p90 or mean; a value is one number. */
  readonly kind: 'spread' | 'value';
  /** The figure of a trace; null where the trace does not say. */
  readonly of: (profile: TraceProfile) => FigureValue | null;
}

type Unit = FigureRow['unit'];

function spread(unit: Unit, doc: string, pick: (profile: TraceProfile) => Spread | null): FigureRow {
  // Profiles count milliseconds, people cite seconds.
  const scale = unit === 's' ? 1000 : 1;
  const of = (profile: TraceProfile): FigureValue | null => {
    const found = pick(profile);
    return found && { p50: found.p50 / scale, p90: found.p90 / scale, mean: found.mean / scale };
  };
  return { doc, unit, kind: 'spread', of };
}

function value(
  unit: Unit,
  doc: string,
  pick: (profile: TraceProfile) => number | null | undefined,
): FigureRow {
  const of = (profile: TraceProfile): FigureValue | null => {
    const found = pick(profile) ?? null;
    return found === null ? null : { value: found };
  };
  return { doc, unit, kind: 'value', of };
}

const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);

const over = ({ gaps }: TraceProfile, limitMs: number): GapOver | undefined =>
  gaps.over.find(row => row.limitMs === limitMs);

/** Every figure that a preset may cite. Rows of docs/figures.md in brackets. */
export const FIGURES = {
  // Sessions.
  calls_per_session: spread('calls', 'calls of one session [1]', ({ session }) => session.calls),
  human_turns_per_session: spread(
    'turns',
    'prompts of one session that a person wrote [3]',
    ({ session }) => session.humanTurns,
  ),
  calls_per_human_turn: spread(
    'calls',
    'calls from one prompt of a person to the next [2]',
    ({ session }) => session.callsPerHumanTurn,
  ),
  tool_calls_per_session: spread(
    'calls',
    'calls of one session that bring a tool result [20, 29]',
    ({ session }) => session.toolTurns,
  ),
  session_s: spread('s', 'first start to last end of a session [15]', ({ session }) => session.spanMs),
  session_input_tokens: spread(
    'tokens',
    'prompt tokens of all calls of a session [19]',
    ({ session }) => session.promptTokens,
  ),
  session_output_tokens: spread(
    'tokens',
    'output tokens of all calls of a session [19]',
    ({ session }) => session.outputTokens,
  ),
  session_uncached_tokens: spread(
    'tokens',
    'prompt tokens of a session that an infinite cache does not find [19]',
    ({ session }) => session.uncachedTokens,
  ),
  // Lengths.
  prompt_tokens: spread('tokens', 'prompt of one call [4]', ({ call }) => call.promptTokens),
  output_tokens: spread(
    'tokens',
    'output of one call, reasoning included [5]',
    ({ call }) => call.outputTokens,
  ),
  reasoning_ratio: value(
    'ratio',
    'share of output tokens that are reasoning [36]',
    ({ reasoningTokens, outputTokens }) =>
      reasoningTokens === 0 ? null : share(reasoningTokens, outputTokens),
  ),
  input_output_ratio: value(
    'times',
    'prompt tokens per output token [11]',
    ({ promptTokens, outputTokens }) => share(promptTokens, outputTokens),
  ),
  first_prompt_tokens: spread(
    'tokens',
    'first prompt of a session [8]',
    ({ session }) => session.firstPromptTokens,
  ),
  last_prompt_tokens: spread(
    'tokens',
    'last prompt of a session [21]',
    ({ session }) => session.lastPromptTokens,
  ),
  system_tokens: spread(
    'tokens',
    'system prompt and tool definitions at the head of a session [8]',
    ({ session }) => session.systemTokens,
  ),
  // Context.
  new_tokens_tool_turn: spread(
    'tokens',
    'growth of the prompt when a tool came back, the answer before included [6]',
    ({ turn }) => turn.toolGrowthTokens,
  ),
  new_tokens_human_turn: spread(
    'tokens',
    'growth of the prompt when a person wrote, the answer before included [7]',
    ({ turn }) => turn.humanGrowthTokens,
  ),
  context_growth: spread(
    'times',
    'last prompt of a session over its first [9]',
    ({ session }) => session.contextGrowth,
  ),
  compaction_ratio: value(
    'ratio',
    'share of prompts more than 20 % shorter than the one before [17]',
    ({ turn }) => share(turn.newContexts, turn.transitions),
  ),
  resumed_ratio: value(
    'ratio',
    'share of sessions whose first prompt has 100,000 tokens or more [8]',
    ({ session }) => session.resumedRatio,
  ),
  // Reuse, of an infinite cache and by whole blocks.
  cache_hit_ratio: value(
    'ratio',
    'share of prompt tokens that an infinite cache finds [10, 32]',
    ({ reuse }) => reuse && reuse.bySessionRatio + (reuse.acrossRatio ?? 0),
  ),
  session_hit_ratio: value(
    'ratio',
    'the same, found in the same session [31]',
    ({ reuse }) => reuse?.bySessionRatio,
  ),
  cross_session_hit_ratio: value(
    'ratio',
    'the same, found only in other sessions [31]',
    ({ reuse }) => reuse?.acrossRatio,
  ),
  call_hit_ratio: spread(
    'ratio',
    'share of one prompt that an infinite cache finds [10]',
    ({ call }) => call.hitRatio,
  ),
  uncached_tokens: spread(
    'tokens',
    'tokens of one prompt that an infinite cache does not find [10]',
    ({ call }) => call.uncachedTokens,
  ),
  recorded_cached_ratio: value(
    'ratio',
    'share of prompt tokens that the recorded server found cached [21, 24]',
    profile => profile.recordedCachedRatio,
  ),
  // Gaps.
  gap_s: spread('s', 'time before a call, whatever filled it [22, 23]', ({ gaps }) => gaps.all),
  tool_gap_s: spread(
    's',
    'time before a call that brings a tool result [12]',
    ({ gaps }) => gaps.byKind.tool,
  ),
  human_gap_s: spread('s', 'time before a call that a person wrote [13]', ({ gaps }) => gaps.byKind.human),
  gap_over_30s_ratio: value(
    'ratio',
    'share of gaps over 30 s [13b]',
    profile => over(profile, 30_000)?.callsRatio,
  ),
  gap_over_60s_ratio: value(
    'ratio',
    'share of gaps over 60 s [13b]',
    profile => over(profile, 60_000)?.callsRatio,
  ),
  gap_over_300s_ratio: value(
    'ratio',
    'share of gaps over 300 s [13b]',
    profile => over(profile, 300_000)?.callsRatio,
  ),
  gap_over_1h_ratio: value(
    'ratio',
    'share of gaps over 1 h [13b]',
    profile => over(profile, 3_600_000)?.callsRatio,
  ),
  tool_turn_ratio: value('ratio', 'share of gaps that are a tool [16, 20]', ({ gaps }) =>
    share(gaps.byKind.tool?.n ?? 0, gaps.all?.n ?? 0),
  ),
  // Fan-out.
  fan_out_width: spread(
    'calls',
    'calls or sub-agents started together from one point [18]',
    ({ fanOut }) => fanOut.width,
  ),
  calls_in_flight: spread(
    'calls',
    'most calls of one session at the same time',
    ({ fanOut }) => fanOut.inFlight,
  ),
  subagents_per_session: spread(
    'agents',
    'sub-agents of a session that has any [18]',
    ({ subagents }) => subagents.perSession,
  ),
  subagent_session_ratio: value(
    'ratio',
    'share of sessions that have sub-agents [18]',
    ({ subagents }) => subagents.sessionsRatio,
  ),
  subagent_calls: spread('calls', 'calls of one sub-agent [18]', ({ subagents }) => subagents.calls),
  subagent_s: spread('s', 'first start to last end of a sub-agent [18]', ({ subagents }) => subagents.spanMs),
  subagent_first_prompt_tokens: spread(
    'tokens',
    'first prompt of a sub-agent [18]',
    ({ subagents }) => subagents.firstPromptTokens,
  ),
  // Servers, as recorded.
  ttft_s: spread('s', 'time to first token of the recorded server [14]', ({ call }) => call.ttftMs),
  call_s: spread('s', 'time of one call on the recorded server [14]', ({ call }) => call.e2eMs),
  failed_call_ratio: value('ratio', 'share of recorded calls that failed', ({ failedCalls, calls }) =>
    share(failedCalls, calls),
  ),
  // Arrivals. A session is what arrives by itself: a conversation, a request, a run of an agent.
  arrival_rate_per_s: value(
    '/s',
    'sessions that arrive per second',
    ({ arrivals }) => arrivals?.sessions.ratePerSec,
  ),
  arrival_cv: value(
    'times',
    'deviation over mean of the times between sessions [34, 35]',
    ({ arrivals }) => arrivals?.sessions.interArrivalCv,
  ),
  arrival_dispersion: value(
    'times',
    'variance over mean of the sessions that arrive in one second [34]',
    ({ arrivals }) => arrivals?.sessions.dispersionPerSec,
  ),
  call_rate_per_s: value(
    '/s',
    'calls per second, of all sessions',
    ({ arrivals }) => arrivals?.calls.ratePerSec,
  ),
  call_arrival_cv: value(
    'times',
    'deviation over mean of the times between calls [34]',
    ({ arrivals }) => arrivals?.calls.interArrivalCv,
  ),
} as const satisfies Record<string, FigureRow>;

export type FigureName = keyof typeof FIGURES;

export const FIGURE_NAMES = Object.keys(FIGURES) as [FigureName, ...FigureName[]];

const number = z.number().nonnegative();

/** One figure that a preset cites, in the unit of its name. */
export const figureSchema = z
  .strictObject({
    of: z.enum(FIGURE_NAMES).describe('name of the figure'),
    p50: number.optional().describe('median'),
    p90: number.optional().describe('90th percentile'),
    mean: number.optional().describe('mean'),
    value: number.optional().describe('of figures that are one number'),
    unit: z.string().optional().describe('for readers; the unit of the figure'),
    source: z.string().min(1).describe('where the number comes from'),
    evidence: z
      .enum(['measured', 'reported', 'assumption'])
      .describe('measured: counted from data; reported: stated by its authors; assumption: neither'),
  })
  .check(({ value: figure, issues }) => {
    const { kind, unit } = FIGURES[figure.of];
    const refuse = (key: string, message: string) =>
      issues.push({ code: 'custom', message, input: figure, path: [key], params: { code: 'WT1005' } });
    const spreads = (['p50', 'p90', 'mean'] as const).filter(key => figure[key] !== undefined);
    if (kind === 'value') {
      if (spreads[0] !== undefined) refuse(spreads[0], `${figure.of} is one number: write value`);
      else if (figure.value === undefined) refuse('of', `${figure.of} needs a value`);
    } else {
      if (figure.value !== undefined)
        refuse('value', `${figure.of} is a distribution: write p50, p90 or mean`);
      else if (spreads.length === 0) refuse('of', `${figure.of} needs p50, p90 or mean`);
    }
    if (figure.unit !== undefined && figure.unit !== unit)
      refuse('unit', `the unit of ${figure.of} is ${JSON.stringify(unit)}`);
  });

/** The figures of a preset. */
export const figuresSchema = z.array(figureSchema).min(1);

export type Figure = z.infer<typeof figureSchema>;
