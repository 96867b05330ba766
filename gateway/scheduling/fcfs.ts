// First come, first served: the order of arrival at the engine, as vLLM, SGLang and TensorRT-LLM have it by default.
import { refuseOptions } from '../routing/options.ts';
import { defineSchedulingPolicy } from './policy.ts';

/** urgency = 0: equal ones go in order of arrival. */
export default defineSchedulingPolicy({
  name: 'fcfs',
  doc: 'Takes calls in order of their arrival at the engine.',
  source: 'vLLM `--scheduling-policy fcfs`, SGLang `fcfs`',
  create(options) {
    refuseOptions('fcfs', options);
    return { urgency: () => 0 };
  },
});
