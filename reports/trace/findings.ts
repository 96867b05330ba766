// What a trace shows, in sentences with its own numbers: on top of its page, as titles of its charts, and in the terminal.
import type { Spread, TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import { plural, showCount, showMs, showNumber, showRatio, showTokens } from '../numbers.ts';

export interface Finding {
  /** One word: what it is about. */
  about: string;
  /** One sentence, without its full stop. */
  text: string;
}

/** The sentence that a page opens with. */
export function headline({ sessions, calls, reuse }: TraceProfile): string {
  const size = `${plural(sessions, 'session')} with ${plural(calls, 'call')}`;
  if (reuse === null) return `${size}; what their prompts share is not recorded`;
  return `${size}: ${showRatio(reuse.bySessionRatio + (reuse.acrossRatio ?? 0))} of their prompt tokens had been read before`;
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

/** `45 calls at the median and 155 at p90`; one figure where both are shown the same. */
function middleAndTail({ p50, p90 }: Spread, show: (value: number) => string, noun = ''): string {
  const [middle, tail] = [show(p50), show(p90)];
  const words = noun === '' ? middle : `${middle} ${noun}`;
  return middle === tail ? words : `${words} at the median and ${tail} at p90`;
}

function sessionFinding({ session, subagents }: TraceProfile): string {
  if (session.calls.max === 1) return 'every session is a single call';
  const calls = middleAndTail(session.calls, showCount, 'calls');
  const turns =
    session.humanTurns === null
      ? ''
      : `; a person writes ${middleAndTail(session.humanTurns, showCount, 'times')}`;
  const agents =
    subagents.count === 0
      ? ''
      : `; ${showRatio(subagents.sessionsRatio)} of the sessions have sub-agents, ${showCount(subagents.count)} in all`;
  return `a session makes ${calls}${turns}${agents}`;
}

export function lengthFinding({ call, promptTokens, outputTokens }: TraceProfile): string {
  const prompt = middleAndTail(call.promptTokens, showTokens, 'tokens');
  const output = middleAndTail(call.outputTokens, showTokens, 'tokens');
  return `a prompt has ${prompt}, an output ${output}: ${showNumber(promptTokens / outputTokens)} tokens are read for one written`;
}

export function reuseFinding({ reuse }: TraceProfile): string {
  if (reuse === null) return 'no block ids are recorded, so what prompts share is not known';
  const own = `${showRatio(reuse.bySessionRatio)} of prompt tokens repeat earlier calls of the same session`;
  return reuse.acrossRatio === null
    ? `${own}; what sessions share with each other is not recorded`
    : `${own}, ${showRatio(reuse.acrossRatio)} repeat only other sessions, and ${showRatio(1 - reuse.bySessionRatio - reuse.acrossRatio)} are new`;
}

export function hitFinding({ call: { hitRatio } }: TraceProfile): string {
  if (hitRatio === null) return reuseFinding({ reuse: null } as TraceProfile);
  return `Half of the prompts find ${showRatio(hitRatio.p50)} or more of their tokens in an infinite cache, one in twenty ${showRatio(hitRatio.p5)} or less`;
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
    tool && `tools take ${middleAndTail(tool, showMs)}`,
    human && `people ${tool === null ? 'take ' : ''}${middleAndTail(human, showMs)}`,
  ].filter(words => words !== null);
  const which = kinds.length === 0 ? `calls wait ${middleAndTail(gaps.all, showMs)}` : kinds.join(', ');
  const idle = gaps.over.find(({ limitMs }) => limitMs === 300_000)!;
  return `${which}; ${showRatio(idle.callsRatio)} of contexts lie idle for more than 5 min`;
}

export function fanOutFinding({ fanOut: { width, inFlight }, subagents }: TraceProfile): string {
  const most = `at most ${plural(inFlight.max, 'call')} of one session run at once`;
  if (width === null || width.max === 1) {
    if (inFlight.max > 1) return `nothing starts together, and ${most}`;
    return width === null ? 'one call at a time: nothing fans out' : 'sub-agents run one at a time';
  }
  const what = subagents.count > 0 ? 'sub-agents or calls' : 'calls';
  const often = width.n === 1 ? 'once' : `${showCount(width.n)} times`;
  return `work fans out ${often}, to ${middleAndTail(width, showCount, what)} and ${showCount(width.max)} at most; ${most}`;
}

export function arrivalFinding({ arrivals }: TraceProfile): string {
  if (arrivals === null) return 'sessions have no common clock, so when they arrive is not recorded';
  const { ratePerSec, interArrivalCv: cv } = arrivals.sessions;
  if (cv === null) return 'too few sessions to speak of a rate';
  const how = cv > 1.5 ? 'in bursts' : cv < 0.5 ? 'evenly' : 'about as irregular as a Poisson process';
  return `${showNumber(ratePerSec)} sessions arrive per second, ${how}: the times between them have a CV of ${showNumber(cv)}`;
}
