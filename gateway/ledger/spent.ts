// One request to one server, as the ledger sees it: an attempt, or in a run without a gateway a call.
import type { TokenPrice, WorkRate } from '../../scenarios/formats/ledger.ts';
import type { AttemptRecord, CallRecord, Waste, WorkflowStatus } from '../../scenarios/formats/record.ts';

export type Spent = AttemptRecord | CallRecord;

export const targetOf = (spent: Spent): string => ('target' in spent ? spent.target : spent.pool);

const wasServed = ({ scheduledMs, firstTokenMs }: Pick<Spent, 'scheduledMs' | 'firstTokenMs'>): boolean =>
  scheduledMs !== null || firstTokenMs !== null;

const promptComputed = ({ promptTokens, cachedTokens, computedTokens, outputTokens }: Spent): number => {
  const uncached = Math.max(0, promptTokens - (cachedTokens ?? 0));
  // Each output token but the last goes through the model too.
  return computedTokens === null ? uncached : Math.max(0, computedTokens - Math.max(0, outputTokens - 1));
};

/** Marginal time of decoding up to `outputTokens` tokens, ns: the first comes with the prompt. */
function decodeNs({ promptTokens }: Spent, outputTokens: number, rate: WorkRate): number {
  const steps = Math.max(0, outputTokens - 1);
  const contextTokens = steps * promptTokens + (steps * outputTokens) / 2;
  return steps * rate.decodeNs + contextTokens * rate.contextNs;
}

/** Marginal time of what was computed of its prompt, ns. */
export const prefillNs = (spent: Spent, rate: WorkRate): number =>
  wasServed(spent) ? promptComputed(spent) * rate.prefillNs : 0;

/** Its work at marginal rates, ns; the weight by which the time of its replicas is split. */
export const workNs = (spent: Spent, rate: WorkRate): number =>
  wasServed(spent) ? prefillNs(spent, rate) + decodeNs(spent, spent.outputTokens, rate) : 0;

/** Output tokens that appeared after somebody gave it up. */
export const tokensAfter = (spent: Spent): number =>
  'target' in spent && spent.cancelledTokens !== null
    ? Math.max(0, spent.outputTokens - spent.cancelledTokens)
    : 0;

/** Of its work, what came after it was given up: decoding only, since nobody knows how far its prompt was then. */
export const workNsAfter = (spent: Spent, rate: WorkRate): number =>
  wasServed(spent)
    ? decodeNs(spent, spent.outputTokens, rate) -
      decodeNs(spent, spent.outputTokens - tokensAfter(spent), rate)
    : 0;

/** Providers bill what they worked on up to the abort; a refusal, or an error before the first token, is free. */
export function isBilled(
  spent: Pick<Spent, 'sentMs' | 'scheduledMs' | 'firstTokenMs' | 'outcome' | 'error'>,
): boolean {
  if (spent.sentMs === null) return false;
  return wasServed(spent) || spent.outcome !== 'error' || spent.error === 'timeout';
}

/** Nano-dollars of one million tokens at a USD are as many for each token in thousandths of it. */
const nanosOf = (tokens: number, usdPerMTok: number): number => Math.round(tokens * usdPerMTok * 1000);

/** Of what a provider bills, nano-dollars. */
export interface Bill {
  readonly input: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
  readonly output: number;
  /** Of `output`, what appeared after it was given up. */
  readonly after: number;
}

const NO_BILL: Bill = { input: 0, cachedInput: 0, cacheWrite: 0, output: 0, after: 0 };

export function billOf(spent: Spent, price: TokenPrice): Bill {
  if (!isBilled(spent)) return NO_BILL;
  const cached = Math.min(spent.promptTokens, spent.cachedTokens ?? 0);
  const writes = 'cacheWriteTokens' in spent ? (spent.cacheWriteTokens ?? 0) : 0;
  const written = Math.min(spent.promptTokens - cached, writes);
  const output = nanosOf(spent.outputTokens, price.out);
  return {
    input: nanosOf(spent.promptTokens - cached - written, price.in),
    cachedInput: nanosOf(cached, price.cachedIn),
    cacheWrite: nanosOf(written, price.cacheWrite),
    output,
    after: Math.min(output, nanosOf(tokensAfter(spent), price.out)),
  };
}

/** Why it was paid for in vain; null: it was not. What went well is lost with its session. */
export function wasteOf(spent: Spent, session: WorkflowStatus | undefined): Waste | null {
  const own = 'waste' in spent ? spent.waste : wasteOfCall(spent);
  return own ?? (session === 'failed' || session === 'cancelled' ? 'session_failed' : null);
}

function wasteOfCall({ outcome, error }: CallRecord): Waste | null {
  if (outcome === 'cancelled') return 'cancelled';
  if (outcome !== 'error') return null;
  if (error === 'replica_lost') return 'crash';
  return error === 'timeout' ? 'timed_out' : 'failed';
}

/** Tokens paid for. */
export const tokensOf = (spent: Spent): number =>
  isBilled(spent) ? spent.promptTokens + spent.outputTokens : 0;
