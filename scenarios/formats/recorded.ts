// A recorded session: what an importer makes of a trace and the interpreter replays. A graph of calls, each with the
// calls it waits for, the gap after them, and its prompt as the trace's own blocks. (workloads.md §4.2)

/** How a field of an imported session is known. */
export type Provenance = 'recorded' | 'inferred' | 'defaulted';

export interface RecordedCall {
  /** Unique in the session, readable: `main/12`, `agent_001/3`. */
  id: string;
  /** The thread it belongs to: `main` or a sub-agent's id. */
  agent: string;
  model: string;
  /** Starts `gapMs` after the last of these ends; none: after the session's start. */
  parents: string[];
  gapMs: number;
  gapKind: 'tool' | 'human' | 'client' | 'unknown';
  gapProvenance: Provenance;
  /** The tool that ran in the gap; null where the trace names none. */
  tool: string | null;
  promptTokens: number;
  /** Generated tokens, reasoning included. */
  outputTokens: number;
  /** Of these, tokens that leave the context after the call. */
  reasoningTokens: number;
  /** Content ids of the leading prompt blocks, `blockTokens` tokens each; what is left of the prompt has no id. */
  blocks: number[];
  /** What the trace measured, ms from the session's start; null where it does not say. */
  recorded: {
    startMs: number;
    ttftMs: number | null;
    e2eMs: number | null;
    /** Prompt tokens that the recorded server found in its cache. */
    cachedTokens: number | null;
    /** A reason code where the recorded call failed. */
    error: string | null;
  };
  /** Leading prompt tokens that are in the cache before the session starts: context from before the cut of a trace. */
  primedTokens: number;
}

export interface RecordedSession {
  id: string;
  /** The file it came from, as given. */
  source: string;
  tenant: string | null;
  user: string | null;
  /** From the start of the trace; null where the trace has no common clock. */
  arrivalMs: number | null;
  blockTokens: number;
  /** Block ids mean the same content inside one scope: a file's own (`local`) or shared by all (`global`). */
  blockScope: string;
  /** Leading prompt tokens of the first call that are system prompt and tool definitions. */
  systemTokens: number;
  /** In order of recorded start. */
  calls: RecordedCall[];
}

/** What an import read, and how much of it was guessed. */
export interface ImportReport {
  format: string;
  totals: {
    sessions: number;
    calls: number;
    inputTokens: number;
    outputTokens: number;
    /** Leading blocks already seen in the session: the hits of an infinite cache, in the trace's own blocks. */
    hitBlocks: number;
    /** The same in tokens, with the tails and outputs that later calls name by their blocks. */
    hitTokens: number;
  };
  subagents: number;
  /** Wall clock at the start of the trace, Unix ms; null where it has none. */
  epochMs: number | null;
  provenance: Record<string, Record<Provenance, number>>;
  /** Lines or files that could not be read: counted and named. */
  unreadable: { where: string; why: string }[];
  warnings: string[];
}
