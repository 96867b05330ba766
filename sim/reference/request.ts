// One request inside a replica. vLLM V1 has no prefill and no decode phase: a request has `computed` tokens and a
// target, prompt plus generated so far, and each step lets `computed` catch up.
// Law: computedTokens + tokens in flight = computed + lostTokens - hitTokens.
import type { Submission } from '../cluster.ts';
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
  /** Tokens that steps in flight will emit. */
  expected: number;
  /** Ended or cancelled: what a step in flight still computes for it counts for nothing. */
  gone: boolean;
  /** When its last token appeared, and the longest gap before one. */
  lastTokenNs: number;
  itlMaxNs: number;
  /** Prompt tokens found in the cache at first admission; null before it. */
  cachedTokens: number | null;
  /** Found in the cache, summed over admissions. */
  hitTokens: number;
  /** `computed` at each preemption, summed. */
  lostTokens: number;
  /** Tokens that went through the model in steps that ended, those computed again included. */
  computedTokens: number;
  preemptions: number;
}

export function newRequest(submission: Submission, blockTokens: number, arrival: number): Request {
  return {
    submission,
    hashes: blockHashes([...submission.prompt, ...submission.output], blockTokens),
    blocks: [],
    arrival,
    computed: 0,
    generated: 0,
    expected: 0,
    gone: false,
    lastTokenNs: 0,
    itlMaxNs: 0,
    cachedTokens: null,
    hitTokens: 0,
    lostTokens: 0,
    computedTokens: 0,
    preemptions: 0,
  };
}

/** Tokens known once the steps in flight are through: the model must have seen them all to give the next one. */
export const targetTokens = (request: Request): number =>
  request.submission.promptTokens + request.generated + request.expected;

/** Whether its last token is on its way: nothing is left to schedule. */
export const isEnding = (request: Request): boolean =>
  request.generated + request.expected >= request.submission.outputTokens;

/** Tokens in the KV cache when the last token appears; that one is never computed itself. */
export const tokensAtEnd = (submission: Submission): number =>
  submission.promptTokens + submission.outputTokens - 1;
