// One request inside a replica of the fast engine. While it decodes it is a member of the batch, and what it has computed
// and generated is known from the step at which it joined.
import { Sequence } from '../../gateway/routing/passage.ts';
import type { Submission } from '../cluster.ts';
import type { Handover } from '../handover.ts';
import { Hold } from './prefix-tree.ts';

export class FastRequest {
  readonly submission: Submission;
  /** What it is made of: the cache keeps it when the rest of the request is gone. */
  readonly content: Sequence;
  /** When it came, as an ordinal of the replica. */
  readonly arrival: number;
  /** Row of its replica in the cluster. */
  readonly row: number;
  readonly hold = new Hold();
  /** Tokens whose KV is there or will be after the steps decided; of a member of the batch: before `joinStep`. */
  computed = 0;
  /** Tokens emitted or on their way; of a member: before `joinStep`. */
  generated = 0;
  /** Tokens that went through the model, those on their way included; of a member: before `joinStep`. */
  computedTokens = 0;
  /** Prompt tokens found in the cache at first admission; -1 before it. */
  cachedTokens = -1;
  preemptions = 0;
  /** In the list of running requests, as against waiting. */
  isRunning = false;
  /** Place in the order of admission. */
  seq = 0;
  previous: FastRequest | null = null;
  next: FastRequest | null = null;
  /** One token in every step from `joinStep` (-1: never, or no more) to `lastStep`. */
  inBatch = false;
  joinStep = -1;
  /** Of a member, and of one whose last token is on its way: the step that gives it. */
  lastStep = 0;
  heapPlace = 0;
  /** Its last token is on its way. */
  isEnding = false;
  /** Its first token has appeared. */
  hasToken = false;
  /** Outside of the batch: when its last token appeared or will; and the longest gap so far. */
  lastTokenNs = 0;
  itlMaxNs = 0;
  /** It is cancelled at the end of the step that runs. */
  isCancelled = false;
  /** Where the KV of its prompt lies until it is here; null when it is computed here. */
  handover: Handover | null = null;
  /** When its KV came from there; null: it has not, or need not. */
  transfer: { readonly startNs: number; readonly endNs: number } | null = null;

  constructor(submission: Submission, arrival: number, row: number) {
    this.submission = submission;
    this.content = Sequence.of(submission, submission.output);
    this.arrival = arrival;
    this.row = row;
  }

  /** Tokens the model must have seen to give the next one, outside of the batch. */
  get target(): number {
    return this.submission.promptTokens + this.generated;
  }
}

/** By priority, lower first, then by arrival. */
export const goesBefore = (a: FastRequest, b: FastRequest): boolean =>
  a.submission.priority < b.submission.priority ||
  (a.submission.priority === b.submission.priority && a.arrival < b.arrival);
