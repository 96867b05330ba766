// Context blow-up: the prompts of a step grow without end, as those of an agent do that keeps all it ever saw.
import type { AnomalyDetector } from './anomaly.ts';

export const contextGrowth: AnomalyDetector = {
  name: 'context_growth',
  doc: 'The prompt of a step has grown to `context_growth` times its first one in the session.',
  watch(rule) {
    const most = rule.contextGrowth;
    if (most === null) return null;
    /** By step. */
    const firstTokens = new Map<string, number>();
    return {
      call({ step, promptTokens }) {
        const first = firstTokens.get(step);
        if (first === undefined) firstTokens.set(step, promptTokens);
        return first !== undefined && promptTokens >= most * first;
      },
    };
  },
};
