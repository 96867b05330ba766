// What one k6 iteration does: it walks an exported session, call by call. The text of this file stands in every exported
// script, so it imports nothing and uses what the JavaScript engine of k6 1.x knows. Times are ms since the test began.
// Rule: an instant that is wanted is the one before plus what was planned, never the one at which we came to it.

/** [hi, lo] of the content's key, its first token, tokens, and whose message it stands in. */
export type RunRow = readonly [number, number, number, number, Role];
/** 0 system, 1 user, 2 assistant. */
export type Role = 0 | 1 | 2;

export interface CallRow {
  readonly path: string;
  readonly step: string;
  readonly role: string | null;
  readonly model: string;
  /** Rows of the settings. */
  readonly target: number;
  readonly rule: number;
  /** The first `keep` runs of call `like`, then `runs`: rows of the session's runs. */
  readonly like: number;
  readonly keep: number;
  readonly runs: readonly number[];
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  /** Uniform draws for the pauses before further attempts. */
  readonly draws?: readonly number[];
  readonly fields?: Readonly<Record<string, unknown>>;
}

export type PieceRow =
  | { readonly call: number }
  | {
      readonly waitMs: number;
      readonly path: string;
      readonly step: string;
      readonly kind: string;
      /** A tool's reason code. */
      readonly fails?: string;
      readonly stops?: boolean;
    }
  | { readonly list: readonly PieceRow[] }
  | { readonly atOnce: readonly PieceRow[]; readonly need: number; readonly width: number }
  | { readonly body: PieceRow; readonly otherwise?: PieceRow }
  | { readonly graph: readonly { readonly after: readonly number[]; readonly piece: PieceRow }[] };

export interface SessionRow {
  readonly id: string;
  readonly workflow: string;
  readonly tenant: string | null;
  /** Planned start; of an agent's later sessions the pause after the one before. */
  readonly atMs: number;
  readonly runs: readonly RunRow[];
  readonly calls: readonly CallRow[];
  readonly root: PieceRow;
}

/** How a call is tried again; null: not said. */
export interface RuleRow {
  readonly attemptMs: number | null;
  readonly totalMs: number | null;
  readonly retry: {
    readonly max: number;
    readonly reasons: readonly string[];
    readonly baseMs: number;
    readonly capMs: number;
    readonly factor: number;
    readonly jitter:
      | 'none'
      | 'full'
      | 'equal'
      | 'decorrelated'
      | { readonly minus: number }
      | { readonly plusMs: number };
    readonly obeysRetryAfter: boolean;
    readonly retryAfterMaxMs: number;
    readonly isBlind: boolean;
  } | null;
}

/** What came of one attempt. */
export interface Reply {
  /** A reason code; null: it went well. */
  readonly error: string | null;
  readonly sentMs: number;
  readonly endMs: number;
  /** The first token where it was seen. */
  readonly firstTokenMs: number | null;
  readonly retryAfterMs: number | null;
  /** As the server counted them; null: it does not say. */
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
}

/** A call, tool or pause that ended. */
export interface LeafEnd {
  readonly path: string;
  readonly cause: string | null;
  readonly plannedMs: number;
  readonly endMs: number;
  /** Of a call; null: a tool or a pause, or a call that was never sent. */
  readonly call: CallRow | null;
  readonly reply: Reply | null;
  readonly firstSentMs: number;
  readonly attempts: number;
  readonly outcome: 'ok' | 'error' | 'cancelled';
  readonly error: string | null;
  readonly kind: string;
  readonly step: string;
}

export interface Io {
  nowMs(): number;
  /** Runs at an instant, or soon after; returns how to take it back. */
  at(atMs: number, run: () => void): () => void;
  send(session: SessionRow, call: CallRow, timeoutMs: number): Promise<Reply>;
  onSend(call: CallRow, plannedMs: number): void;
  onEnd(leaf: LeafEnd): void;
  readonly rules: readonly RuleRow[];
  /** Longest an attempt may take where nothing is said. */
  readonly timeoutMs: number;
}

/** Where the walk is: when what came last ended, and its path. */
export interface End {
  readonly atMs: number;
  readonly cause: string | null;
}

/** A step that did not end well: its list ends with it. */
class StepFailed extends Error {
  readonly end: End;
  constructor(reason: string, end: End) {
    super(reason);
    this.end = end;
  }
}

/** What can be given up together: the losers of a join. */
class Scope {
  isOver = false;
  /** Takes back what waits. */
  readonly waiting = new Set<() => void>();

  /** Of the branches of a fan-out. */
  inner(): Scope {
    const scope = new Scope();
    this.waiting.add(() => scope.giveUp());
    return scope;
  }

  giveUp(): void {
    this.isOver = true;
    for (const stop of this.waiting) stop();
    this.waiting.clear();
  }
}

/** One session from its planned start; its status, and why it failed. */
export async function walkSession(
  session: SessionRow,
  startMs: number,
  io: Io,
): Promise<{ atMs: number; error: string | null }> {
  try {
    const end = await walkPiece(session.root, { atMs: startMs, cause: null }, new Scope());
    return { atMs: end.atMs, error: null };
  } catch (failure) {
    if (!(failure instanceof StepFailed)) throw failure;
    return { atMs: failure.end.atMs, error: failure.message };
  }

  async function walkPiece(piece: PieceRow, from: End, scope: Scope): Promise<End> {
    if (scope.isOver) throw new StepFailed('cancelled', from);
    if ('call' in piece) return call(session.calls[piece.call] as CallRow, from, scope);
    if ('waitMs' in piece) return pause(piece, from, scope);
    if ('atOnce' in piece) return fanOut(piece, from, scope);
    if ('graph' in piece) return graph(piece.graph, from, scope);
    if ('body' in piece) {
      try {
        return await walkPiece(piece.body, from, scope);
      } catch (failure) {
        if (!(failure instanceof StepFailed) || scope.isOver) throw failure;
        return piece.otherwise === undefined ? failure.end : walkPiece(piece.otherwise, failure.end, scope);
      }
    }
    let end = from;
    for (const each of piece.list) end = await walkPiece(each, end, scope);
    return end;
  }

  /** Until an instant, or until it is given up. */
  function until(atMs: number, scope: Scope): Promise<void> {
    return new Promise(resolve => {
      const clear = io.at(atMs, stop);
      function stop(): void {
        clear();
        scope.waiting.delete(stop);
        resolve();
      }
      scope.waiting.add(stop);
    });
  }

  async function pause(
    piece: Extract<PieceRow, { waitMs: number }>,
    { atMs, cause }: End,
    scope: Scope,
  ): Promise<End> {
    const { path, step, kind, fails } = piece;
    const dueMs = atMs + piece.waitMs;
    await until(dueMs, scope);
    const isCut = scope.isOver;
    const error = isCut ? 'cancelled' : (fails ?? null);
    const endMs = isCut ? Math.min(dueMs, io.nowMs()) : dueMs;
    io.onEnd({
      path,
      step,
      kind,
      cause,
      plannedMs: atMs,
      endMs,
      call: null,
      reply: null,
      firstSentMs: atMs,
      attempts: 0,
      outcome: isCut ? 'cancelled' : error === null ? 'ok' : 'error',
      error,
    });
    const end = { atMs: endMs, cause: path };
    if (error !== null && (isCut || piece.stops === true)) throw new StepFailed(error, end);
    return end;
  }

  async function call(row: CallRow, { atMs, cause }: End, scope: Scope): Promise<End> {
    const { path, step, draws = [] } = row;
    const rule = io.rules[row.rule];
    const totalMs = rule?.totalMs ?? Number.POSITIVE_INFINITY;
    let attempts = 0;
    let firstSentMs = -1;
    let reply: Reply;
    let pausedMs = 0;
    for (;;) {
      const leftMs = Math.max(1, totalMs - (io.nowMs() - atMs));
      io.onSend(row, atMs);
      reply = await io.send(session, row, Math.min(rule?.attemptMs ?? io.timeoutMs, leftMs));
      if (firstSentMs < 0) firstSentMs = reply.sentMs;
      attempts++;
      if (reply.error === null || scope.isOver) break;
      const pauseMs = pauseBefore(rule, reply, {
        made: attempts - 1,
        pausedMs,
        draw: draws[attempts - 1] ?? 0.5,
      });
      if (pauseMs === null || io.nowMs() - atMs + pauseMs >= totalMs) break;
      pausedMs = pauseMs;
      await until(io.nowMs() + pauseMs, scope);
      if (scope.isOver) break;
    }
    // A call whose answer nobody waits for any more runs to its end: k6 cannot cancel it.
    const outcome = scope.isOver ? 'cancelled' : reply.error === null ? 'ok' : 'error';
    const error = scope.isOver ? 'cancelled' : reply.error;
    const { endMs } = reply;
    io.onEnd({
      path,
      step,
      kind: 'llm',
      cause,
      plannedMs: atMs,
      endMs,
      call: row,
      reply,
      firstSentMs,
      attempts,
      outcome,
      error,
    });
    const end = { atMs: endMs, cause: path };
    if (error !== null) throw new StepFailed(error, end);
    return end;
  }

  function fanOut(
    { atOnce, need, width }: Extract<PieceRow, { need: number }>,
    from: End,
    outer: Scope,
  ): Promise<End> {
    const scope = outer.inner();
    return new Promise((resolve, reject) => {
      let begun = 0;
      let live = 0;
      let completed = 0;
      let failed = 0;
      const launch = (at: End): void => {
        while (!scope.isOver && live < width && begun < atOnce.length) {
          live++;
          walkPiece(atOnce[begun++] as PieceRow, at, scope).then(
            end => ended(end, null),
            (failure: unknown) =>
              failure instanceof StepFailed ? ended(failure.end, failure) : reject(failure),
          );
        }
      };
      const ended = (end: End, failure: StepFailed | null): void => {
        live--;
        if (scope.isOver) {
          if (outer.isOver) reject(new StepFailed('cancelled', end));
          return;
        }
        if (failure === null) completed++;
        else failed++;
        if (completed >= need) finish(() => resolve(end));
        else if (atOnce.length - failed < need) finish(() => reject(failure as StepFailed));
        else launch(end);
      };
      const finish = (tell: () => void): void => {
        scope.giveUp();
        tell();
      };
      if (need === 0) finish(() => resolve(from));
      else launch(from);
    });
  }

  /** Recorded calls: each once all that it waits for have ended. */
  function graph(
    rows: readonly { readonly after: readonly number[]; readonly piece: PieceRow }[],
    from: End,
    outer: Scope,
  ): Promise<End> {
    const scope = outer.inner();
    const left = rows.map(({ after }) => after.length);
    const next: number[][] = rows.map(() => []);
    for (const [row, { after }] of rows.entries()) for (const parent of after) next[parent]?.push(row);
    return new Promise((resolve, reject) => {
      let open = rows.length;
      const start = (row: number, at: End): void => {
        walkPiece((rows[row] as { piece: PieceRow }).piece, at, scope).then(
          end => {
            if (--open === 0) resolve(end);
            for (const child of next[row] as number[]) {
              left[child] = (left[child] as number) - 1;
              if (left[child] === 0) start(child, end);
            }
          },
          (failure: unknown) => {
            scope.giveUp();
            reject(failure);
          },
        );
      };
      if (open === 0) resolve(from);
      for (const row of rows.keys()) if (left[row] === 0) start(row, from);
    });
  }
}

/** How long until another attempt, ms; null: there is none. As the gateway of Windtunnel has it. */
function pauseBefore(
  rule: RuleRow | undefined,
  { error, retryAfterMs, outputTokens }: Reply,
  { made, pausedMs, draw }: { made: number; pausedMs: number; draw: number },
): number | null {
  const retry = rule?.retry ?? null;
  if (retry === null || made >= retry.max) return null;
  if (!retry.reasons.includes(reasonBehind(error ?? ''))) return null;
  if (!retry.isBlind && outputTokens > 0) return null;
  if (retry.obeysRetryAfter && retryAfterMs !== null && retryAfterMs > 0) {
    if (retryAfterMs <= retry.retryAfterMaxMs) return retryAfterMs;
  }
  const { baseMs, capMs, factor, jitter } = retry;
  if (jitter === 'decorrelated') {
    const mostMs = Math.max(baseMs, pausedMs) * 3;
    return Math.min(capMs, baseMs + draw * (mostMs - baseMs));
  }
  let fullMs = baseMs;
  for (let i = 0; i < made && fullMs < capMs; i++) fullMs *= factor;
  fullMs = Math.min(capMs, fullMs);
  if (jitter === 'none') return fullMs;
  if (jitter === 'full') return draw * fullMs;
  if (jitter === 'equal') return (fullMs + draw * fullMs) / 2;
  return 'minus' in jitter ? fullMs * (1 - jitter.minus * draw) : fullMs + jitter.plusMs * draw;
}

/** The class of a failure, as retry rules name it. */
function reasonBehind(error: string): string {
  if (error === 'http_429') return '429';
  if (error === 'http_413' || error === 'too_long' || error === 'context_length') return 'context_length';
  if (error === 'http_408') return 'timeout';
  if (error.startsWith('http_5') || ['stream_error', 'stream_cut', 'bad_response'].includes(error))
    return '5xx';
  return ['timeout', 'connect', 'content_policy'].includes(error) ? error : 'other';
}

// ---- prompts: every token of named content is one word, the same that Windtunnel sends --------------------------

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
/** Two letters for each number below 676; a table of three would cost every VU a megabyte. */
const PAIRS: readonly string[] = Array.from(
  { length: 676 },
  (_, n) => `${LETTERS[n % 26]}${LETTERS[Math.floor(n / 26)]}`,
);
/** Three letters for 14 bits. */
const triple = (n: number): string => `${PAIRS[n % 676]}${LETTERS[Math.floor(n / 676)]}`;
const WORD_SALT = 0x57544b31;
const TOKEN_ID_SALT = 0x57544b32;
const RESERVED_IDS = 10;

/** The two halves of the last key that was made; a pair for every token would be garbage. */
let keyHi = 0;
let keyLo = 0;

/** murmur3's finalizer, the round function of `extendKey`. */
function scrambleLane(x: number, salt: number): number {
  let h = (x + salt) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The key of (a, b) under (hi, lo). */
function extendKey(hi: number, lo: number, a: number, b: number): void {
  let high = hi ^ (a | 0);
  let low = lo ^ (b | 0);
  low ^= scrambleLane(high, 0x9e3779b9);
  high ^= scrambleLane(low, 0x7f4a7c15);
  low ^= scrambleLane(high, 0xf39cc060);
  high ^= scrambleLane(low, 0x5ced1c3b);
  keyHi = high >>> 0;
  keyLo = low >>> 0;
}

/** Mixed into all content, so that the cache of an earlier run is not found; null: it is. */
export type Salt = readonly [hi: number, lo: number] | null;

/** Words of a run, joined by spaces. */
export function wordsOf([hi, lo, from, tokens]: RunRow, salt: Salt): string {
  if (salt !== null) {
    extendKey(hi, lo, salt[0], salt[1]);
    [hi, lo] = [keyHi, keyLo];
  }
  const words: string[] = [];
  for (let i = from; i < from + tokens; i++) {
    extendKey(hi, lo, i, WORD_SALT);
    const first = `${triple(keyHi >>> 18)}${triple((keyHi >>> 4) & 0x3fff)}`;
    words.push(`${first}${triple(keyLo >>> 18)}${triple((keyLo >>> 4) & 0x3fff)}`);
  }
  return words.join(' ');
}

/** Token ids of a run, for a vocabulary of `vocabTokens`. */
export function idsOf([hi, lo, from, tokens]: RunRow, salt: Salt, vocabTokens: number): number[] {
  if (salt !== null) {
    extendKey(hi, lo, salt[0], salt[1]);
    [hi, lo] = [keyHi, keyLo];
  }
  const ids: number[] = [];
  for (let i = from; i < from + tokens; i++) {
    extendKey(hi, lo, i, TOKEN_ID_SALT);
    ids.push(RESERVED_IDS + (keyHi % (vocabTokens - 2 * RESERVED_IDS)));
  }
  return ids;
}

/** The runs of a call's prompt: those that it shares with an earlier call, and its own. */
export function promptRuns({ runs, calls }: SessionRow, { like, keep, runs: own }: CallRow): RunRow[] {
  const shared =
    keep === 0 ? [] : promptRuns({ runs, calls } as SessionRow, calls[like] as CallRow).slice(0, keep);
  return [...shared, ...own.map(row => runs[row] as RunRow)];
}

export const nameOf = ([hi, lo, from, tokens]: RunRow): string => `${hi}/${lo}/${from}/${tokens}`;

/** The text of runs that this VU has spelled before, the oldest dropped first. */
export class Spelled {
  private readonly texts = new Map<string, string>();
  private chars = 0;
  private readonly spell: (run: RunRow) => string;
  private readonly charsMax: number;

  constructor(spell: (run: RunRow) => string, charsMax: number) {
    this.spell = spell;
    this.charsMax = charsMax;
  }

  of(run: RunRow): string {
    const name = nameOf(run);
    const known = this.texts.get(name);
    if (known !== undefined) return known;
    const text = this.spell(run);
    this.texts.set(name, text);
    this.chars += text.length;
    for (const [oldest, old] of this.texts) {
      if (this.chars <= this.charsMax || oldest === name) break;
      this.texts.delete(oldest);
      this.chars -= old.length;
    }
    return text;
  }
}

const ROLES = ['system', 'user', 'assistant'] as const;

/** Runs of one role that follow each other are one message. */
export function messagesOf(
  runs: readonly RunRow[],
  spelled: Spelled,
): { role: (typeof ROLES)[number]; content: string }[] {
  const drafts: { role: Role; texts: string[] }[] = [];
  for (const run of runs) {
    const last = drafts[drafts.length - 1];
    if (last !== undefined && last.role === run[4]) last.texts.push(spelled.of(run));
    else drafts.push({ role: run[4], texts: [spelled.of(run)] });
  }
  return drafts.map(({ role, texts }) => ({ role: ROLES[role], content: texts.join(' ') }));
}

// ---- answers -------------------------------------------------------------------------------------------------

/** What the lines of a stream that has ended say. */
export function readStream(
  body: string,
): Pick<Reply, 'error' | 'promptTokens' | 'cachedTokens' | 'outputTokens' | 'reasoningTokens'> {
  let usage: UsageJson | null = null;
  let counted = 0;
  let finish: string | null = null;
  let isDone = false;
  let failed = false;
  for (let at = body.indexOf('data:'); at >= 0; ) {
    const lineEnd = body.indexOf('\n', at);
    const data = body.slice(at + 5, lineEnd < 0 ? body.length : lineEnd).trim();
    at = lineEnd < 0 ? -1 : body.indexOf('data:', lineEnd);
    if (data === '[DONE]') isDone = true;
    else {
      const chunk = chunkOf(data);
      if (chunk === null || chunk.error != null) failed = true;
      else {
        if (chunk.usage != null) usage = chunk.usage;
        const choice = chunk.choices?.[0];
        if (hasToken(choice)) counted++;
        if (choice?.finish_reason != null) finish = choice.finish_reason;
      }
    }
  }
  const outputTokens = usage?.completion_tokens ?? counted;
  const error = failed
    ? 'stream_error'
    : !isDone && finish === null
      ? 'stream_cut'
      : finish === 'content_filter'
        ? 'content_policy'
        : outputTokens === 0
          ? 'bad_response'
          : null;
  return {
    error,
    promptTokens: usage?.prompt_tokens ?? null,
    cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? null,
    outputTokens,
    reasoningTokens: usage?.completion_tokens_details?.reasoning_tokens ?? 0,
  };
}

interface UsageJson {
  prompt_tokens?: number;
  completion_tokens?: number;
  prompt_tokens_details?: { cached_tokens?: number | null } | null;
  completion_tokens_details?: { reasoning_tokens?: number | null } | null;
}

interface ChoiceJson {
  finish_reason?: string | null;
  text?: string;
  delta?: { content?: string | null; reasoning_content?: string | null; reasoning?: string | null };
}

interface ChunkJson {
  error?: unknown;
  usage?: UsageJson | null;
  choices?: ChoiceJson[];
}

function chunkOf(data: string): ChunkJson | null {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === 'object' ? (value as ChunkJson | null) : null;
  } catch {
    return null;
  }
}

/** Whether one event of a stream has a generated token in it. */
export const holdsToken = (data: string): boolean => hasToken(chunkOf(data)?.choices?.[0]);

const hasToken = (choice: ChoiceJson | undefined): boolean =>
  (choice?.text ?? '') !== '' ||
  (choice?.delta?.content ?? '') !== '' ||
  (choice?.delta?.reasoning_content ?? choice?.delta?.reasoning ?? '') !== '';
