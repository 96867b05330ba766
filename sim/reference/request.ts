// One request inside a replica. vLLM V1 has no prefill and no decode phase: a request has `computed` tokens and a
// target, prompt plus generated so far, and each step lets `computed` catch up.
// Law: computedTokens + tokens in flight = computed + lostTokens - hitTokens + rejectedTokens.
import type { Submission } from '../cluster.ts';
import type { Handover } from '../handover.ts';
import type { BlockHash } from './block-hash.ts';
import { blockHashes } from './block-hash.ts';
import type { Block } from './free-queue.ts';

export interface Request {
  readonly submission: Submission;
  /** Of every full block of prompt and output; generated content is named in advance, its tokens are not. */
  readonly hashes: readonly BlockHash[];
  /** KV blocks held, in order of the sequence. */
  readonly blocks: Block[];
  /** When it came, as an ordinal of the replica. */
  readonly arrival: number;
  /** Tokens whose KV is there or will be after the steps in flight: hit or scheduled since the last admission. */
  computed: number;
  /** Tokens emitted. */
  generated: number;
  /** Tokens that steps in flight will emit, at least: one each. */
  expected: number;
  /** Drafted tokens that steps in flight verify; `computed` counts them until they are rejected. */
  drafted: number;
  /** Drafted tokens that were rejected, and count as computed no more. */
  rejectedTokens: number;
  /** Steps that verified drafts for it. */
  verifications: number;
  /** Ended or cancelled: what a step in flight still computes for it counts for nothing. */
  gone: boolean;
  /** When its last token appeared, and the longest gap before one. */
  lastTokenNs: number;
  itlMaxNs: number;
  /** Prompt tokens found in the cache at first admission; null before it. */
  cachedTokens: number | null;
  /** Found in the cache or loaded, summed over admissions. */
  hitTokens: number;
  /** Of those, loaded from a tier or from another replica. */
  loadedTokens: number;
  /** Where the KV of its prompt lies until it is here; null when it is computed here. */
  handover: Handover | null;
  /** When its KV came from there; null: it has not, or need not. */
  transfer: { readonly startNs: number; readonly endNs: number } | null;
  /** Full blocks given to the tiers since the last admission. */
  writtenBlocks: number;
  /** `computed` at each preemption, summed. */
  lostTokens: number;
  /** Tokens that went through the model in steps that ended, those computed again included. */
  computedTokens: number;
  preemptions: number;
}

export function newRequest(submission: Submission, blockTokens: number, arrival: number): Request {
  let hashes: BlockHash[] | null = null;
  return {
    submission,
    get hashes() {
      hashes ??= blockHashes([...submission.prompt, ...submission.output], blockTokens);
      return hashes;
    },
    blocks: [],
    arrival,
    computed: 0,
    generated: 0,
    expected: 0,
    drafted: 0,
    rejectedTokens: 0,
    verifications: 0,
    gone: false,
    lastTokenNs: 0,
    itlMaxNs: 0,
    cachedTokens: null,
    hitTokens: 0,
    loadedTokens: 0,
    handover: null,
    transfer: null,
    writtenBlocks: 0,
    lostTokens: 0,
    computedTokens: 0,
    preemptions: 0,
  };
}

/** Tokens known once the steps in flight are through: the model must have seen them all to give the next one. */
export const targetTokens = (request: Request): number =>
  request.submission.promptTokens + request.generated + request.expected + request.drafted;

/** Of those, the ones that no rejected draft takes back. */
export const knownTokens = (request: Request): number =>
  request.submission.promptTokens + request.generated + request.expected;

/** Whether its last token is on its way: nothing is left to schedule. */
export const isEnding = (request: Request): boolean =>
  request.generated + request.expected >= request.submission.outputTokens;

/** Tokens in the KV cache when the last token appears; that one is never computed itself. */
export const tokensAtEnd = (submission: Submission): number =>
  submission.promptTokens + submission.outputTokens - 1;
