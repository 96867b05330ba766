// aiperf's conversation files: what a benchmark is to send, written as text, one conversation or prompt per line. Tokens
// are estimated from the text; outputs are what the file allows. Rows stream, but for graphs (dag_jsonl), whose
// conversations name each other.
import type { RecordedSession } from '../../formats/recorded.ts';
import {
  countFields,
  countNote,
  countUnreadable,
  type Importer,
  OPEN_OUTPUT_TOKENS,
  type Tally,
  type TraceText,
} from '../importer.ts';
import { BlockMinter } from '../parts/blocks.ts';
import { FileCache } from '../parts/hits.ts';
import { firstRow, isObject, jsonRows, MAX_CALL_TOKENS, parsedJson, tooLong } from '../parts/rows.ts';
import {
  countTextSession,
  PromptText,
  TEXT_BLOCK_TOKENS,
  TextBlocks,
  tokensOfChars,
} from '../parts/text-blocks.ts';
import { addCall, newThread, type Thread } from '../parts/threads.ts';
import { dagSessions } from './dag.ts';
import { checkConversation, checkTextRow, countTurn, isDagRow, type TextRow, type TextTurn } from './rows.ts';

export const aiperf: Importer = {
  name: 'aiperf',
  doc: 'aiperf conversations, JSONL: multi_turn, single_turn, random_pool, and graphs (dag_jsonl).',
  detect: head => {
    const first = firstRow(head);
    return first.startsWith('{') && /"(turns|texts?|orchestrator)"\s*:/.test(first);
  },
  *read(text, tally) {
    const names = new TextBlocks(new BlockMinter());
    // Of a first row longer than the head, the text decides.
    const first = parsedJson(firstRow(text.head));
    const isDag =
      'value' in first && isObject(first.value)
        ? isDagRow(first.value)
        : /"(messages|spawns|forks)"\s*:/.test(text.head);
    yield* isDag ? dagFile(text, names, tally) : textFile(text, names, tally);
  },
};

const scopeOf = ({ name }: TraceText): string => `aiperf/file:${name}`;

/** Rows of one session stand together. */
function* textFile(text: TraceText, names: TextBlocks, tally: Tally): Generator<RecordedSession> {
  const cache = new FileCache();
  let open: TextSession | null = null;
  for (const { row, number } of jsonRows(text, tally, checkTextRow)) {
    const id = row.sessionId ?? `${text.name}:${number}`;
    if (open !== null && open.id !== id) yield* open.closed();
    if (open === null || open.id !== id) open = new TextSession(id, row, { text, names, cache, tally });
    open.add(row, number);
  }
  if (open !== null) yield* open.closed();
}

interface FileContext {
  readonly text: TraceText;
  readonly names: TextBlocks;
  readonly cache: FileCache;
  readonly tally: Tally;
}

/** A conversation as its rows come. */
class TextSession {
  readonly id: string;
  private readonly thread: Thread;
  private readonly file: FileContext;
  private prompt: PromptText;
  private lastAtMs: number | null;
  private readonly isNamed: boolean;
  /** Whether the prompt holds the answer to the last call. */
  private isAnswered = true;

  constructor(id: string, { sessionId, turns }: TextRow, file: FileContext) {
    const { text, tally, names } = file;
    this.id = id;
    this.file = file;
    this.prompt = new PromptText(names);
    this.lastAtMs = turns.find(({ role }) => role !== 'system')?.atMs ?? null;
    const arrivalMs = this.lastAtMs === null ? null : arrivalOf(this.lastAtMs, tally);
    const scope = { source: text.file, blockTokens: TEXT_BLOCK_TOKENS, blockScope: scopeOf(text) };
    this.thread = newThread({ id, ...scope, arrivalMs }, arrivalMs);
    this.isNamed = sessionId !== null;
  }

  /** Adds the turns of a row, up to one that no context holds. */
  add({ turns, isChat }: TextRow, number: number): void {
    const { session } = this.thread;
    const { text, tally } = this.file;
    for (const [index, turn] of turns.entries()) {
      const promptTokens = tokensOfChars(turn.text.length) + (isChat ? this.contextTokens() : 0);
      if (promptTokens > MAX_CALL_TOKENS) {
        countUnreadable(tally, `${text.file}:${number}, from turn ${index + 1} on`, tooLong(promptTokens));
        return;
      }
      if (turn.hasMedia) countNote(tally, 'imageCalls');
      if (!isChat) this.prompt = new PromptText(this.file.names);
      else this.addAnswer();
      this.prompt.add(turn.role, turn.text);
      // aiperf sends leading instructions with the turn after them.
      const isInstruction = turn.role === 'system' && session.calls.length === 0 && index < turns.length - 1;
      if (isInstruction && turn.atMs === null && turn.delayMs === null && turn.outputTokens === null)
        session.systemTokens = this.prompt.tokens;
      else this.call(turn);
    }
  }

  /** Tokens in front of the next turn. */
  private contextTokens(): number {
    const answerTokens = this.isAnswered ? 0 : (this.thread.session.calls.at(-1)?.outputTokens ?? 0);
    return this.prompt.tokens + answerTokens;
  }

  /** The answer to the last call, of which only the length is known. */
  private addAnswer(): void {
    const { session } = this.thread;
    const call = session.calls.at(-1);
    if (call === undefined || this.isAnswered) return;
    this.prompt.addUnknown(`${session.id}/${call.id}`, call.outputTokens);
    this.isAnswered = true;
  }

  private call(turn: TextTurn): void {
    const { tally } = this.file;
    const { session } = this.thread;
    const before = session.calls.at(-1);
    const isTimed = turn.delayMs === null && turn.atMs !== null && this.lastAtMs !== null;
    const gapMs = isTimed ? Math.max(0, turn.atMs! - this.lastAtMs!) : (turn.delayMs ?? 0);
    this.lastAtMs = turn.atMs ?? (this.lastAtMs === null ? null : this.lastAtMs + gapMs);
    const promptTokens = this.prompt.tokens;
    const outputTokens = turn.outputTokens ?? OPEN_OUTPUT_TOKENS;
    const call = addCall(this.thread, {
      promptTokens,
      outputTokens,
      parents: before === undefined ? [] : [before.id],
      gapMs,
      gapKind: turn.role === 'tool' ? 'tool' : 'human',
      // Of two instants, the answer between them took an unknown part.
      gapProvenance: before !== undefined && isTimed ? 'inferred' : 'recorded',
      blocks: this.prompt.blocks(),
      recorded: { startMs: (before?.recorded.startMs ?? 0) + gapMs },
    });
    this.isAnswered = false;
    countTurn(tally, { hasOutput: turn.outputTokens !== null, hasModel: false });
    countFields(tally, { gap: call.gapProvenance });
  }

  /** The session, counted; nothing where no turn could be read. */
  *closed(): Generator<RecordedSession> {
    const { session } = this.thread;
    const { cache, tally } = this.file;
    if (session.calls.length === 0) return;
    countFields(tally, {
      session: this.isNamed ? 'recorded' : 'defaulted',
      arrival: session.arrivalMs === null ? 'defaulted' : 'recorded',
      blockTokens: 'defaulted',
      systemTokens: 'inferred',
    });
    countTextSession(session, cache, tally);
    yield session;
  }
}

/** From here on a timestamp in ms is of the calendar, not of a trace: 2001. */
const CALENDAR_MS = 1e12;

/** Timestamps count from the start of a trace, or since 1970: then from the first one. */
function arrivalOf(atMs: number, tally: Tally): number {
  if (atMs < CALENDAR_MS) return Math.max(0, atMs);
  tally.epochMs ??= atMs;
  if (atMs < tally.epochMs) countNote(tally, 'earlyRows');
  return Math.max(0, atMs - tally.epochMs);
}

function* dagFile(text: TraceText, names: TextBlocks, tally: Tally): Generator<RecordedSession> {
  // Holds the file: whole() refuses one that is too large for that.
  text.whole();
  const rows = [...jsonRows(text, tally, checkConversation)].map(({ row, number }) => ({
    conversation: row,
    where: `${text.file}:${number}`,
  }));
  const cache = new FileCache();
  for (const session of dagSessions(rows, { source: text.file, blockScope: scopeOf(text), names, tally })) {
    countTextSession(session, cache, tally);
    yield session;
  }
}
