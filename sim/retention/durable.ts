// Three classes of context: durable before session before ephemeral. What a call says of its prompt decides, by priority
// against the default of 35; what nobody speaks of belongs to the session, and is ephemeral when that is over.
import { refuseOptions } from '../../gateway/routing/options.ts';
import { type Decision, defineRetentionPolicy, type Left } from './policy.ts';
import { DEFAULT_PRIORITY, rangeWorth, withinPrompt } from './priority.ts';
import { Sessions } from './sessions.ts';

const EPHEMERAL = -1;
const SESSION = 0;

/**
 * rank = 1 for ranges of a priority above 35, -1 below, 0 for all else; durations are not looked at. When a session ends,
 * what only it left falls to -1, but for what it called durable.
 */
export default defineRetentionPolicy({
  name: 'durable',
  doc: 'Keeps durable parts of prompts (priority above 35) longest, then what sessions still need, then the rest.',
  source: 'own, after the context tiers of agent memory: system and tools, history, scratch',
  create(options, { blockTokens }) {
    refuseOptions('durable', options);
    const sessions = new Sessions();
    const untilMs = Number.POSITIVE_INFINITY;
    return {
      letGo(left: Left): Decision {
        sessions.letGo(left);
        const { retention, promptTokens } = left.call;
        const worth = retention.map(range => {
          const rank = Math.sign(range.priority - DEFAULT_PRIORITY);
          return rangeWorth(withinPrompt(range, promptTokens), blockTokens, rank, untilMs);
        });
        const rest = { fromBlock: 0, toBlock: Number.POSITIVE_INFINITY, rank: SESSION, untilMs };
        return { worth: [...worth, rest] };
      },
      observe(event) {
        if (event.kind !== 'session_ended') return [];
        return sessions
          .ended(event.session)
          .contexts.map(({ left }) => ({ left, rank: EPHEMERAL, untilMs, upTo: SESSION }));
      },
    };
  },
});
