// What a session that is over left is reused first: no call will come back to it. What other sessions left too stays.
import { refuseOptions } from '../../gateway/routing/options.ts';
import { defineRetentionPolicy, wholly } from './policy.ts';
import { Sessions } from './sessions.ts';

/** rank = 0 while the session lives, -1 from its end on. */
export default defineRetentionPolicy({
  name: 'workflow',
  doc: 'Forgets what a session left as soon as it is over, unless other sessions left it too.',
  source: 'own; as an agent gateway that ends a Dynamo or llm-d session and drops its KV',
  create(options) {
    refuseOptions('workflow', options);
    const sessions = new Sessions();
    return {
      letGo(left) {
        sessions.letGo(left);
        return { worth: wholly(0) };
      },
      observe(event) {
        if (event.kind !== 'session_ended') return [];
        return sessions
          .ended(event.session)
          .contexts.map(({ left }) => ({ left, rank: -1, untilMs: Number.POSITIVE_INFINITY }));
      },
    };
  },
});
