// Recorded sessions for tests: everything that a test is not about has a default.
import type { RecordedCall, RecordedSession } from '../../scenarios/formats/recorded.ts';

type CallPart = Partial<Omit<RecordedCall, 'recorded'>> & { recorded?: Partial<RecordedCall['recorded']> };

/** A call of 100 + 10 tokens that starts with its session. */
export const aRecordedCall = ({ recorded, ...part }: CallPart = {}): RecordedCall => ({
  id: `${part.agent ?? 'main'}/0`,
  agent: 'main',
  model: 'a-model',
  parents: [],
  gapMs: 0,
  gapKind: 'unknown',
  gapProvenance: 'recorded',
  tool: null,
  promptTokens: 100,
  outputTokens: 10,
  reasoningTokens: 0,
  blocks: [],
  primedTokens: 0,
  ...part,
  recorded: { startMs: 0, ttftMs: null, e2eMs: null, cachedTokens: null, error: null, ...recorded },
});

/** A session of blocks of 10 tokens whose ids are its own. */
export const aRecordedSession = (part: Partial<RecordedSession> = {}): RecordedSession => {
  const id = part.id ?? 'a-session';
  return {
    id,
    source: 'a-trace.jsonl',
    tenant: null,
    user: null,
    arrivalMs: null,
    blockTokens: 10,
    blockScope: `test/${id}`,
    systemTokens: 0,
    calls: [aRecordedCall()],
    ...part,
  };
};

/** A chain of calls: each [start, length, kind] in ms waits for the one before it; prompts grow by two blocks. */
export function aChain(
  rows: readonly [startMs: number, e2eMs: number, gapKind?: RecordedCall['gapKind']][],
  part: Partial<RecordedSession> = {},
): RecordedSession {
  let endMs = 0;
  const calls = rows.map(([startMs, e2eMs, gapKind = 'tool'], row) => {
    const gapMs = startMs - endMs;
    endMs = startMs + e2eMs;
    return aRecordedCall({
      id: `main/${row}`,
      parents: row === 0 ? [] : [`main/${row - 1}`],
      gapMs,
      gapKind,
      promptTokens: 20 * (row + 1),
      outputTokens: 10,
      blocks: Array.from({ length: 2 * (row + 1) }, (_, block) => block),
      recorded: { startMs, e2eMs },
    });
  });
  return aRecordedSession({ ...part, calls });
}
