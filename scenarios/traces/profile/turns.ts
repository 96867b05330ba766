// Turns of a trace: what each prompt adds to the one before it in its thread, and how the main context grows with the
// number of the turn.
import type { TraceProfile } from '../../formats/trace-profile.ts';
import { isNewContext } from '../../importers/parts/blocks.ts';
import { MAIN, type ProfilePart } from './session-view.ts';
import { SpreadSketch } from './spread.ts';

type Turns = Pick<TraceProfile, 'turn' | 'contextByTurn'>;

/** First turn of each bin: one by one up to 8, then four bins an octave. */
export const binOf = (turn: number): number => {
  const octave = 31 - Math.clz32(turn);
  return octave < 3 ? turn : (turn >>> (octave - 2)) << (octave - 2);
};

export function turnPart(): ProfilePart<Turns> {
  const growth = { tool: new SpreadSketch({ whole: true }), human: new SpreadSketch({ whole: true }) };
  const byTurn = new Map<number, { to: number; prompts: SpreadSketch }>();
  let transitions = 0;
  let newContexts = 0;

  return {
    add({ threads }) {
      for (const [agent, calls] of threads) {
        for (const [index, call] of calls.entries()) {
          if (agent === MAIN) {
            const from = binOf(index + 1);
            const bin = byTurn.get(from) ?? { to: from, prompts: new SpreadSketch({ whole: true }) };
            bin.to = Math.max(bin.to, index + 1);
            bin.prompts.record(call.promptTokens);
            byTurn.set(from, bin);
          }
          const before = calls[index - 1];
          if (before === undefined) continue;
          transitions += 1;
          if (isNewContext(before, call.promptTokens)) newContexts += 1;
          else if (call.gapKind === 'tool' || call.gapKind === 'human')
            growth[call.gapKind].record(Math.max(0, call.promptTokens - before.promptTokens));
        }
      }
    },
    result: () => ({
      turn: {
        toolGrowthTokens: growth.tool.spread(),
        humanGrowthTokens: growth.human.spread(),
        transitions,
        newContexts,
      },
      contextByTurn: [...byTurn]
        .toSorted(([a], [b]) => a - b)
        .map(([from, { to, prompts }]) => {
          const at = prompts.quantiles();
          return { from, to, n: prompts.n, p10: at(0.1), p50: at(0.5), p90: at(0.9) };
        }),
    }),
  };
}
