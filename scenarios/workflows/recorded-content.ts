// What a recorded call reads and writes, as content runs. A trace names only whole prompt blocks; a later call of the
// same agent whose ids extend a call's also names that call's tail and output, so both continue into its blocks.
import { invariant } from '../base/errors.ts';
import { extend, extendText, type Key, textKey } from '../base/key.ts';
import { appendRuns, headOf, type Run } from '../formats/prompt.ts';
import type { RecordedCall, RecordedSession } from '../formats/recorded.ts';

export interface CallContent {
  prompt: Run[];
  promptTokens: number;
  /** Reasoning first, which no later prompt holds. */
  output: Run[];
  /** Reasoning included. */
  outputTokens: number;
  reasoningTokens: number;
  /** Leading tokens that the trace says are cached before the session starts. */
  primedTokens: number;
  /** First call of the session: what a warm start would find cached, its full blocks before the last. Else 0. */
  warmTokens: number;
}

/**
 * The content of every call of a session, by call id. `scaleTokens` (0 to 1) shrinks it: position p of a prompt moves
 * to floor(p x scale), at least 1 from the first token on, so what was shared stays shared exactly.
 *
 *   ids ──▶ runs of blocks ┬─ extended by a later call ──▶ prompt = head of that prompt, output = what follows in it
 *                          └─ not extended ──────────────▶ tail and output are content of this call alone
 */
export function contentOf(
  session: RecordedSession,
  options: { scaleTokens?: number } = {},
): Map<string, CallContent> {
  const scale = options.scaleTokens ?? 1;
  invariant(scale > 0 && scale <= 1, () => `scaleTokens must be above 0 and at most 1, not ${scale}`);
  const place = (position: number): number =>
    position === 0 ? 0 : Math.max(1, Math.floor(position * scale));

  // 1. The names: one key per block id, one per call for what only that call has.
  const { blockTokens } = session;
  const scopeKey = textKey(session.blockScope);
  const sessionKey = extendText(scopeKey, session.id);
  const keys = new Map<number, Key>();
  const keyOf = (block: number): Key => {
    const found = keys.get(block);
    if (found !== undefined) return found;
    const key = extend(scopeKey, block % 4294967296, Math.floor(block / 4294967296));
    keys.set(block, key);
    return key;
  };

  // 2. From the last call back, so that the prompt that names a call's tail and output is there before it.
  const content = new Map<string, CallContent>();
  for (const calls of threads(session.calls)) {
    for (let row = calls.length - 1; row >= 0; row -= 1) {
      const call = calls[row]!;
      const promptTokens = place(call.promptTokens);
      const outputTokens = Math.max(1, place(call.promptTokens + call.outputTokens) - promptTokens);
      const reasoningTokens = Math.min(outputTokens, Math.floor(call.reasoningTokens * scale));
      const visibleTokens = outputTokens - reasoningTokens;
      const next = extension(calls, row, blockTokens);
      const after = next === null ? [] : content.get(next.id)!.prompt;

      const prompt = next === null ? ownPrompt(call) : headOf(after, promptTokens);
      const hasRoom =
        next !== null &&
        next.promptTokens >= call.promptTokens + call.outputTokens - call.reasoningTokens &&
        place(next.promptTokens) >= promptTokens + visibleTokens;
      const own = { key: extendText(sessionKey, `${call.id}/output`), from: 0 };
      const output: Run[] = [];
      appendRuns(output, [{ ...own, tokens: hasRoom ? reasoningTokens : outputTokens }]);
      if (hasRoom) appendRuns(output, sliceOf(after, promptTokens, visibleTokens));
      content.set(call.id, {
        prompt,
        promptTokens,
        output,
        outputTokens,
        reasoningTokens,
        primedTokens: place(Math.min(call.primedTokens, call.promptTokens)),
        warmTokens: 0,
      });
    }
  }

  // 3. The first call's full blocks before its last one.
  const first = session.calls[0];
  if (first !== undefined) {
    const fullBlocks = Math.min(first.blocks.length, Math.floor(first.promptTokens / blockTokens));
    content.get(first.id)!.warmTokens = place(Math.max(0, fullBlocks - 1) * blockTokens);
  }
  return content;

  function ownPrompt(call: RecordedCall): Run[] {
    const runs: Run[] = [];
    let at = 0;
    for (const block of call.blocks) {
      const end = Math.min(at + blockTokens, call.promptTokens);
      appendRuns(runs, [{ key: keyOf(block), from: 0, tokens: place(end) - place(at) }]);
      at = end;
    }
    const tail = {
      key: extendText(sessionKey, `${call.id}/tail`),
      from: 0,
      tokens: place(call.promptTokens) - place(at),
    };
    appendRuns(runs, [tail]);
    return runs;
  }
}

/** The calls of each agent, in order. */
function threads(calls: readonly RecordedCall[]): Iterable<RecordedCall[]> {
  const byAgent = new Map<string, RecordedCall[]>();
  for (const call of calls) {
    const thread = byAgent.get(call.agent);
    if (thread === undefined) byAgent.set(call.agent, [call]);
    else thread.push(call);
  }
  return byAgent.values();
}

/** The next call of the thread whose ids go on from this call's; a call without ids gives no evidence, so null. */
function extension(calls: readonly RecordedCall[], row: number, blockTokens: number): RecordedCall | null {
  const { blocks, promptTokens } = calls[row]!;
  const count = blocks.length;
  // A format that names the partial last block (Mooncake) leaves no tail to be named later.
  if (count === 0 || count * blockTokens > promptTokens) return null;
  for (let later = row + 1; later < calls.length; later += 1) {
    const next = calls[later]!;
    if (next.blocks.length <= count || next.promptTokens < promptTokens) continue;
    if (next.blocks[count - 1] !== blocks[count - 1]) continue;
    if (blocks.every((block, index) => next.blocks[index] === block)) return next;
  }
  return null;
}

/** `tokens` tokens of `runs` from token `from` on. */
function sliceOf(runs: readonly Run[], from: number, tokens: number): Run[] {
  const slice: Run[] = [];
  let skip = from;
  let left = tokens;
  for (const run of runs) {
    if (left <= 0) break;
    if (skip >= run.tokens) {
      skip -= run.tokens;
      continue;
    }
    const take = Math.min(left, run.tokens - skip);
    slice.push({ key: run.key, from: run.from + skip, tokens: take });
    left -= take;
    skip = 0;
  }
  return slice;
}
