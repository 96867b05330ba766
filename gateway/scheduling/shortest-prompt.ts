// Shortest prompt first: shortest job first by the only part of a call's length that is known when it comes.
import { refuseOptions } from '../routing/options.ts';
import { defineSchedulingPolicy } from './policy.ts';

/** urgency = tokens of the prompt, cached or not: what is cached depends on the replica. */
export default defineSchedulingPolicy({
  name: 'shortest_prompt',
  doc: 'Takes the call with the shortest prompt.',
  source: 'SGLang `shortest-prefill-first`; shortest job first',
  create(options) {
    refuseOptions('shortest_prompt', options);
    return { urgency: ({ promptTokens }) => promptTokens };
  },
});
