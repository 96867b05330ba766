// By priority: what the scenario says of a call, of equal ones the first to come.
import { refuseOptions } from '../routing/options.ts';
import { defineSchedulingPolicy } from './policy.ts';

/** urgency = -priority: a scenario has higher first, vLLM's `priority` field lower first [vLLM v1/request.py]. */
export default defineSchedulingPolicy({
  name: 'priority',
  doc: 'Takes the call of the highest priority, as the scenario gives it.',
  source: 'vLLM `--scheduling-policy priority`, SGLang `--enable-priority-scheduling`',
  create(options) {
    refuseOptions('priority', options);
    return { urgency: ({ priority }) => 0 - priority };
  },
});
