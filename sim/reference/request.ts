// One request inside a replica. vLLM V1 has no prefill and no decode phase: a request has `computed` tokens and a
// target, prompt plus generated so far, and each step lets `computed` catch up.
// Law at the end: computedTokens = promptTokens + outputTokens - 1 + lostTokens - hitTokens.
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
  /** Tokens whose KV is there: hit or computed since the last admission. */
  computed: number;
  /** Tokens emitted. */
  generated: number;
  /** Prompt tokens found in the cache at first admission; null before it. */
  cachedTokens: number | null;
  /** Found in the cache, summed over admissions. */
  hitTokens: number;
  /** `computed` at each preemption, summed. */
  lostTokens: number;
  /** Tokens that went through the model, prompt and generated, those computed again included. */
  computedTokens: number;
  preemptions: number;
}

export function newRequest(submission: Submission, blockTokens: number): Request {
  return {
    submission,
    hashes: blockHashes([...submission.prompt, ...submission.output], blockTokens),
    blocks: [],
    computed: 0,
    generated: 0,
    cachedTokens: null,
    hitTokens: 0,
    lostTokens: 0,
    computedTokens: 0,
    preemptions: 0,
  };
}

/** Tokens known so far: the model must have seen them all to give the next one. */
export const targetTokens = (request: Request): number => request.submission.promptTokens + request.generated;

/** Tokens in the KV cache when the last token appears; that one is never computed itself. */
export const tokensAtEnd = (submission: Submission): number =>
  submission.promptTokens + submission.outputTokens - 1;
