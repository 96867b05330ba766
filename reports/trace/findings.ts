// What a trace shows, in sentences with its own numbers: on top of its page, as titles of its charts, and in the terminal.
import type { Spread, TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import { plural, showCount, showMs, showNumber, showRatio, showTokens } from '../numbers.ts';

export interface Finding {
  /** One word: what it is about. */
  about: string;
  /** One sentence, without its full stop. */
  text: string;
}

/** A finding as a title. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** The sentence that a page opens with. */
export function headline({ sessions, calls, reuse }: TraceProfile): string {
  const size = `${plural(sessions, 'session')} with ${plural(calls, 'call')}`;
  if (reuse === null) return `${size}; what their prompts share is not recorded`;
  const known = showRatio(reuse.bySessionRatio + (reuse.acrossRatio ?? 0));
  return `${size}: ${known} of their prompt tokens had been read before`;
}

/** In the order in which a planner asks. What the trace does not hold is said, not left out. */
export const findings = (profile: TraceProfile): Finding[] => [
  { about: 'sessions', text: sessionFinding(profile) },
  { about: 'lengths', text: lengthFinding(profile) },
  { about: 'reuse', text: reuseFinding(profile) },
  { about: 'context', text: contextFinding(profile) },
  { about: 'gaps', text: gapFinding(profile) },
  { about: 'fan-out', text: fanOutFinding(profile) },
  { about: 'arrivals', text: arrivalFinding(profile) },
];

/** `45 calls (p90 155)`; the median alone where both are shown the same. */
function middle({ p50, p90 }: Spread, show: (value: number) => string, noun = ''): string {
  const [half, tail] = [show(p50), show(p90)];
  const words = noun === '' ? half : `${half} ${noun}`;
  return half === tail ? words : `${words} (p90 ${tail})`;
}

const times = (count: number): string => (count === 1 ? 'once' : `${showCount(count)} times`);

function sessionFinding({ session, subagents }: TraceProfile): string {
  const { calls, humanTurns } = session;
  if (calls.max === 1) return 'every session is a single call';
  const made = `at the median a session makes ${middle(calls, showCount, calls.p50 === 1 ? 'call' : 'calls')}`;
  const turns = humanTurns === null ? '' : `, and a person writes ${middle(humanTurns, times)}`;
  const agents =
    subagents.count === 0
      ? ''
      : `; ${showRatio(subagents.sessionsRatio)} of sessions have sub-agents, ${showCount(subagents.count)} in all`;
  return `${made}${turns}${agents}`;
}

export function lengthFinding({ call, promptTokens, outputTokens }: TraceProfile): string {
  const prompt = middle(call.promptTokens, showTokens, 'tokens');
  const output = middle(call.outputTokens, showTokens);
  const read = showNumber(promptTokens / outputTokens);
  return `at the median a prompt has ${prompt}, an output ${output}; ${read} tokens are read for one written`;
}

const UNNAMED = 'no block ids are recorded, so what prompts share is not known';

export function reuseFinding({ reuse }: TraceProfile): string {
  if (reuse === null) return UNNAMED;
  const own = `${showRatio(reuse.bySessionRatio)} of prompt tokens repeat earlier calls of the same session`;
  if (reuse.acrossRatio === null) return `${own}; what sessions share with each other is not recorded`;
  const fresh = showRatio(Math.max(0, 1 - reuse.bySessionRatio - reuse.acrossRatio));
  return `${own}, ${showRatio(reuse.acrossRatio)} repeat only other sessions, and ${fresh} are new`;
}

export function hitFinding({ call: { hitRatio } }: TraceProfile): string {
  if (hitRatio === null) return UNNAMED;
  const { p5, p50, max } = hitRatio;
  if (max === 0) return 'no prompt finds any of its tokens in an infinite cache';
  if (p50 === 0)
    return `half of the prompts find nothing in an infinite cache, and none more than ${showRatio(max)} of its tokens`;
  const half = `half of the prompts find ${leastShare(p50)} of their tokens in an infinite cache`;
  return `${half}, one in twenty ${p5 === 0 ? 'nothing' : `${showRatio(p5)} or less`}`;
}

/** `93 % or more`; near 1 in words, since a rounded 100 % has no more above it. */
function leastShare(ratio: number): string {
  if (ratio < 0.995) return `${showRatio(ratio)} or more`;
  return ratio < 1 ? 'nearly all' : 'all';
}

export function contextFinding({ session, turn }: TraceProfile): string {
  if (session.contextGrowth === null) return 'no session goes on after its first call, so no context grows';
  const adds = [
    turn.toolGrowthTokens && `a tool adds ${showTokens(turn.toolGrowthTokens.p50)} tokens`,
    turn.humanGrowthTokens &&
      `a person ${turn.toolGrowthTokens === null ? 'adds ' : ''}${showTokens(turn.humanGrowthTokens.p50)}`,
  ].filter(words => words !== null);
  const over =
    turn.newContexts === 0
      ? ''
      : `; ${showCount(turn.newContexts)} of ${showCount(turn.transitions)} prompts start over, more than 20 % shorter`;
  const grows = `the last prompt of a session is ${showNumber(session.contextGrowth.p50)} times its first at the median`;
  return `${grows}${adds.length === 0 ? '' : `: ${adds.join(', ')}`}${over}`;
}

export function gapFinding({ gaps }: TraceProfile): string {
  if (gaps.all === null) return 'no call waits for another, so there are no gaps';
  const { tool, human } = gaps.byKind;
  const kinds = [
    tool && `tools take ${middle(tool, showMs)}`,
    human && `people ${tool === null ? 'take ' : ''}${middle(human, showMs)}`,
  ].filter(words => words !== null);
  const which = kinds.length === 0 ? `calls wait ${middle(gaps.all, showMs)}` : kinds.join(', ');
  const idle = gaps.over.find(({ limitMs }) => limitMs === 300_000)!;
  return `at the median ${which}; ${showRatio(idle.callsRatio)} of gaps last more than 5 min`;
}

export function fanOutFinding({ fanOut: { width, inFlight }, subagents }: TraceProfile): string {
  const most = `at most ${plural(inFlight.max, 'call')} of one session run at once`;
  if (width === null || width.max === 1) {
    if (inFlight.max > 1) return `nothing starts together, and ${most}`;
    return width === null ? 'one call at a time: nothing fans out' : 'sub-agents run one at a time';
  }
  const s = width.p50 === 1 ? '' : 's';
  const what = subagents.count > 0 ? `sub-agent${s} or call${s}` : `call${s}`;
  const wide = `${middle(width, showCount, what)}, ${showCount(width.max)} at most`;
  return `work fans out ${times(width.n)}, to ${wide}; ${most}`;
}

export function arrivalFinding({ arrivals }: TraceProfile): string {
  if (arrivals === null) return 'sessions have no common clock, so when they arrive is not recorded';
  const { n, spanMs, ratePerSec, interArrivalCv: cv } = arrivals.sessions;
  if (n > 1 && spanMs === 0) return 'all sessions arrive at one instant';
  if (cv === null) return 'too few sessions to speak of a rate';
  const how = cv > 1.5 ? 'in bursts' : cv < 0.5 ? 'evenly' : 'about as irregular as a Poisson process';
  const rate = `${showNumber(ratePerSec)} sessions arrive per second`;
  return `${rate}, ${how}: the times between them have a CV of ${showNumber(cv)}`;
}
