// What the study of retries reads off a run: tokens paid for in vain, side effects done again, and who got through when.
import { isBilled, tokensOf, wasteOf } from '../../gateway/ledger/spent.ts';
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import type { ToolRecord } from '../../scenarios/formats/record.ts';
import type { Measure } from '../grid/case.ts';

/** Tools of the scenario that change something. */
const WRITES = ['reserve', 'charge', 'notify'];
/** Sessions over time are counted by when they started. */
export const BUCKET_MS = 20_000;

export interface Retried {
  readonly sessions: number;
  readonly completed: number;
  readonly calls: number;
  readonly attempts: number;
  /** Prompt and output tokens that were paid for, and those of them that led to nothing. */
  readonly tokens: number;
  readonly wastedTokens: number;
  /** Work of GPUs and bills, without idle GPUs. */
  readonly usd: number;
  /** Runs of a tool that changes something, after one that did it, and after one of which nobody knows. */
  readonly doneAgain: number;
  readonly perhapsAgain: number;
  /** Of these, the harmful ones, as the records of the gateway tell them. */
  readonly doubled: number;
  /** Of calls made again, attempts and further lives alike. */
  readonly againPromptTokens: number;
  readonly againCachedTokens: number;
  /** By start: sessions, those that completed; and attempts by when they were sent. */
  readonly started: readonly number[];
  readonly through: readonly number[];
  readonly sent: readonly number[];
}

/** The path of a step, whichever life of its session it was in. */
const placeOf = (path: string): string => path.replace(/~\d+$/, '');

function add(counts: number[], atMs: number): void {
  const bucket = Math.floor(atMs / BUCKET_MS);
  while (counts.length <= bucket) counts.push(0);
  counts[bucket]! += 1;
}

/** Runs that changed something, or may have, after others of the same step. */
function doublesOf(tools: readonly ToolRecord[]): Pick<Retried, 'doneAgain' | 'perhapsAgain'> {
  const before = new Map<string, { wasDone: boolean }>();
  let [doneAgain, perhapsAgain] = [0, 0];
  // In order of their ends: runs of one step follow one another.
  for (const { session, call, tool, startMs, outcome } of tools) {
    if (startMs === null || !WRITES.includes(tool)) continue;
    const key = `${session} ${placeOf(call)}`;
    const known = before.get(key);
    if (known?.wasDone === true) doneAgain += 1;
    else if (known !== undefined) perhapsAgain += 1;
    before.set(key, { wasDone: known?.wasDone === true || outcome === 'ok' });
  }
  return { doneAgain, perhapsAgain };
}

const measure: Measure<Retried> = ({ workflows, calls, governed, ledger }) => {
  const { attempts = [], tools = [] } = governed ?? {};
  const statuses = new Map(workflows.map(({ session, status }) => [session, status]));
  const [started, through, sent]: number[][] = [[], [], []];
  let [tokens, wastedTokens, againPromptTokens, againCachedTokens] = [0, 0, 0, 0];
  for (const attempt of attempts) {
    add(sent!, attempt.sentMs ?? attempt.wantedMs);
    if (!isBilled(attempt)) continue;
    tokens += tokensOf(attempt);
    if (wasteOf(attempt, statuses.get(attempt.session)) !== null) wastedTokens += tokensOf(attempt);
    if (attempt.attempt === 0 && placeOf(attempt.call) === attempt.call) continue;
    againPromptTokens += attempt.promptTokens;
    againCachedTokens += attempt.cachedTokens ?? 0;
  }
  for (const { status, startMs } of workflows) {
    add(started!, startMs);
    add(through!, startMs);
    if (status !== 'completed') through![Math.floor(startMs / BUCKET_MS)]! -= 1;
  }
  return {
    sessions: workflows.length,
    completed: workflows.filter(({ status }) => status === 'completed').length,
    calls: calls.length,
    attempts: attempts.length,
    tokens,
    wastedTokens,
    usd: (ledger.totalNanos - ledger.components.gpu_idle) / NANOS_PER_USD,
    ...doublesOf(tools),
    doubled: tools.filter(({ isDoubled, startMs }) => isDoubled && startMs !== null).length,
    againPromptTokens,
    againCachedTokens,
    started: started!,
    through: through!,
    sent: sent!,
  };
};

export default measure;
