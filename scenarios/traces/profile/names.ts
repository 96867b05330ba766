// Models and tools of a trace by name, a bounded number of them.
import type { TraceProfile } from '../../formats/trace-profile.ts';
import type { ProfilePart } from './session-view.ts';
import { SpreadSketch } from './spread.ts';

/** Names told apart; the rest is counted together, as `other`. */
const NAMES_MAX = 64;

type Model = Omit<TraceProfile['models'][number], 'model'>;

export function namePart(): ProfilePart<Pick<TraceProfile, 'models' | 'tools'>> {
  const models = new Map<string, Model>();
  const tools = new Map<string, SpreadSketch>();

  return {
    add({ session }) {
      for (const { model, tool, gapMs, promptTokens, outputTokens } of session.calls) {
        const sums = named(models, model, () => ({ calls: 0, promptTokens: 0, outputTokens: 0 }));
        sums.calls += 1;
        sums.promptTokens += promptTokens;
        sums.outputTokens += outputTokens;
        if (tool !== null) named(tools, tool, () => new SpreadSketch()).record(gapMs);
      }
    },
    result: () => ({
      models: [...models]
        .map(([model, sums]) => ({ model, ...sums }))
        .toSorted((a, b) => b.calls - a.calls || (a.model < b.model ? -1 : 1)),
      tools: [...tools]
        .map(([tool, gaps]) => ({ tool, calls: gaps.n, gapMs: gaps.spread()! }))
        .toSorted((a, b) => b.calls - a.calls || (a.tool < b.tool ? -1 : 1)),
    }),
  };
}

/** What stands under the name, or under `other` where there are too many. */
function named<T>(things: Map<string, T>, name: string, make: () => T): T {
  const key = things.has(name) || things.size < NAMES_MAX ? name : 'other';
  const thing = things.get(key) ?? make();
  things.set(key, thing);
  return thing;
}
