// Sessions of one call, for formats that give nothing but lengths and arrivals: prompts that share nothing.
import type { Provenance, RecordedCall, RecordedSession } from '../formats/recorded.ts';
import { countFields, countNote, countSession, type Tally, type TraceText } from './importer.ts';
import { addCall, newThread } from './threads.ts';

/** Contents without ids are cut nowhere: this only rounds what a warm start finds. */
const BLOCK_TOKENS = 16;

export interface SingleCall {
  /** From the start of the trace; null: not recorded. */
  readonly arrivalMs: number | null;
  readonly promptTokens: number;
  /** 0: nothing was generated. */
  readonly outputTokens: number;
  readonly model?: string | null;
  readonly recorded?: Partial<RecordedCall['recorded']>;
}

const known = (value: unknown): Provenance => (value == null ? 'defaulted' : 'recorded');

/** The session of the row at `line`, counted. */
export function singleCallSession(
  text: TraceText,
  line: number,
  { arrivalMs, promptTokens, outputTokens, model, recorded = {} }: SingleCall,
  tally: Tally,
): RecordedSession {
  const id = `${text.name}:${line}`;
  const session = { id, source: text.file, arrivalMs, blockTokens: BLOCK_TOKENS, blockScope: id };
  const thread = newThread(session, arrivalMs);
  addCall(thread, {
    promptTokens,
    outputTokens: Math.max(1, outputTokens),
    ...(model == null ? {} : { model }),
    recorded,
  });
  countFields(tally, {
    arrival: known(arrivalMs),
    session: 'defaulted',
    blocks: 'defaulted',
    blockTokens: 'defaulted',
    systemTokens: 'defaulted',
    model: known(model),
    output: outputTokens === 0 ? 'defaulted' : 'recorded',
  });
  countNote(tally, 'uniquePrompts');
  if (recorded.error != null) countNote(tally, 'failedCalls');
  else if (outputTokens === 0) countNote(tally, 'unknownOutputs');
  countSession(tally, thread.session, thread.hits);
  return thread.session;
}
