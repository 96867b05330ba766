// A tool cascade: tools that set off tools, with no model between that would decide so.
import type { AnomalyDetector } from './anomaly.ts';

export const toolCascade: AnomalyDetector = {
  name: 'tool_cascade',
  doc: 'Tools run `tool_cascade` times without a call of a model between.',
  watch(rule) {
    const most = rule.toolCascade;
    if (most === null) return null;
    let run = 0;
    return {
      call() {
        run = 0;
        return false;
      },
      tool: () => ++run >= most,
    };
  },
};
