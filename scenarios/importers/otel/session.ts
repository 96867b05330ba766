// One recorded session out of the spans of one conversation: tokens counted once and with what was cached, gaps named by
// the tools that ran in them, prompts by their blocks. Each value that a span does not say is counted as guessed.
import type { Provenance, RecordedCall, RecordedSession } from '../../formats/recorded.ts';
import {
  countField,
  countFields,
  countNote,
  countUnreadable,
  RESUMED_TOKENS,
  type Tally,
} from '../importer.ts';
import { appendedBlocks, type BlockMinter, isNewContext, type PromptBefore } from '../parts/blocks.ts';
import { MAX_CALL_TOKENS } from '../parts/rows.ts';
import { TEXT_BLOCK_TOKENS, tokensOfChars } from '../parts/text-blocks.ts';
import type { CallFacts, Span } from './attributes.ts';
import { SpanTree, spanKey, toldCalls } from './calls.ts';
import { type LinkedCall, linkedCalls } from './graph.ts';

export interface SessionContext {
  readonly source: string;
  readonly blockScope: string;
  readonly mint: BlockMinter;
  readonly tally: Tally;
}

/** Milliseconds to the microsecond: no dust from binary fractions. */
export const tidy = (ms: number): number => Math.round(ms * 1000) / 1000;

/** Spans by the session that they are of: as they say, as those above them say, as their trace says, or the trace. */
export function spansBySession(spans: readonly Span[]): Map<string, Span[]> {
  const tree = new SpanTree(spans);
  const ofTrace = new Map<string, Set<string>>();
  for (const { traceId, session } of spans) {
    const named = ofTrace.get(traceId) ?? new Set();
    if (session !== null) named.add(session);
    ofTrace.set(traceId, named);
  }
  return Map.groupBy(spans, span => {
    if (span.session !== null) return span.session;
    for (const { session } of tree.above(span)) if (session !== null) return session;
    const [only, another] = ofTrace.get(span.traceId)!;
    return only !== undefined && another === undefined ? only : span.traceId;
  });
}

/** Tokens of a call, with how they are known. */
interface Counted {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  readonly cachedTokens: number | null;
}

/**
 * The session, its first call at 0; null where no call of it can be used. `startMs` is its start, ms from the first
 * span of the file.
 *
 *   spans ──▶ calls, each once ──▶ tokens ──▶ linked ──▶ gaps, tools ──▶ blocks ──▶ session, counted
 */
export function sessionOf(
  id: string,
  spans: readonly Span[],
  context: SessionContext,
): { session: RecordedSession; startMs: number } | null {
  const { tally } = context;
  // 1. Calls, each once, that have tokens.
  const tree = new SpanTree(spans);
  const told = toldCalls(spans, tree);
  for (const { where, spanId } of told.circular)
    countUnreadable(tally, where, `span ${spanId} is inside itself, or deeper than any trace goes`);
  const withoutCache = countedWithoutCache(told.calls.map(({ facts }) => facts));
  const counts = new Map<Span, Counted>();
  const usable = told.calls.filter(({ span, facts }) => {
    const counted = tokensOf(facts, withoutCache.has(facts.countedBy), tally);
    if (counted !== null) counts.set(span, counted);
    else countUnreadable(tally, span.where, `span ${span.spanId} has neither token counts nor messages`);
    return counted !== null;
  });
  countNote(tally, 'mergedSpans', told.merged);
  countNote(tally, 'lookupSpans', spans.filter(({ kind }) => kind === 'lookup').length);
  if (usable.length === 0) return null;
  countNote(tally, 'loneServers', told.loneServers);

  // 2. The graph.
  const { calls, emptyAgents } = linkedCalls(usable, spans, tree, told.after);
  countNote(tally, 'emptyAgents', emptyAgents);
  tally.subagents += new Set(calls.map(call => call.agent).filter(agent => agent !== 'main')).size;

  // 3. What came between calls, and what the prompts share.
  const zeroMs = calls[0]!.startMs;
  const toolIn = toolFinder(spans, tree);
  const blocksOf = blockNamer(context);
  const ordinals = new Map<string, number>();
  const ids = new Map<LinkedCall, string>();
  const session: RecordedSession = {
    id,
    source: context.source,
    tenant: null,
    user: spans.find(({ user }) => user !== null)?.user ?? null,
    arrivalMs: null,
    blockTokens: TEXT_BLOCK_TOKENS,
    blockScope: context.blockScope,
    systemTokens: 0,
    calls: calls.map(call => {
      const ordinal = ordinals.get(call.agent) ?? 0;
      ordinals.set(call.agent, ordinal + 1);
      ids.set(call, `${call.agent}/${ordinal}`);
      const { facts, span, startMs, endMs, parents } = call;
      const counted = counts.get(span)!;
      const sinceMs = parents.reduce((latest, { endMs }) => Math.max(latest, endMs), zeroMs);
      const tool = toolIn(call, sinceMs);
      countFields(tally, {
        model: facts.model === null ? 'defaulted' : 'recorded',
        end: span.endKnown ? 'recorded' : 'defaulted',
        agent: call.agentProvenance,
        parents: call.parentsProvenance,
        gap: call.parentsProvenance,
      });
      if (facts.error !== null) countNote(tally, 'failedCalls');
      return {
        id: ids.get(call)!,
        agent: call.agent,
        model: facts.model ?? 'unknown',
        parents: parents.map(parent => ids.get(parent)!),
        gapMs: Math.max(0, tidy(startMs - sinceMs)),
        gapKind: gapKindOf(call, tool),
        gapProvenance: call.parentsProvenance,
        tool: tool?.name ?? null,
        ...counted,
        blocks: blocksOf(call, counted.promptTokens),
        recorded: {
          startMs: tidy(startMs - zeroMs),
          ttftMs: facts.ttftMs === null ? null : tidy(facts.ttftMs),
          e2eMs: span.endKnown ? tidy(endMs - startMs) : null,
          cachedTokens: counted.cachedTokens,
          error: facts.error,
        },
        primedTokens: 0,
      };
    }),
  };
  const [first] = session.calls as [RecordedCall];
  const { prompt } = calls[0]!.facts;
  countField(tally, 'blockTokens', 'defaulted');
  countField(tally, 'systemTokens', prompt === null ? 'defaulted' : 'inferred');
  session.systemTokens = Math.min(tokensOfChars(prompt?.systemChars ?? 0), first.promptTokens);
  if (first.promptTokens >= RESUMED_TOKENS) countNote(tally, 'resumedSessions');
  return { session, startMs: zeroMs };
}

/**
 * Instrumentations that count input without what was cached, as Anthropic's API does: shown by a call whose cache reads
 * exceed its input.
 */
function countedWithoutCache(calls: readonly CallFacts[]): Set<string> {
  const shown = calls.filter(
    ({ inputTokens, cacheReadTokens }) => inputTokens !== null && (cacheReadTokens ?? 0) > inputTokens,
  );
  return new Set(shown.map(({ countedBy }) => countedBy));
}

function tokensOf(facts: CallFacts, withoutCache: boolean, tally: Tally): Counted | null {
  const { inputTokens, outputTokens, prompt, output } = facts;
  const cached = withoutCache ? (facts.cacheReadTokens ?? 0) + (facts.cacheWriteTokens ?? 0) : 0;
  const promptTokens = inputTokens === null ? tokensOfChars(prompt?.chars ?? 0) : inputTokens + cached;
  if (promptTokens < 1 || promptTokens > MAX_CALL_TOKENS) return null;
  if (cached > 0) countNote(tally, 'cacheApart');
  countField(tally, 'prompt', inputTokens === null ? 'inferred' : 'recorded');

  const reasoning = facts.reasoningTokens ?? 0;
  const said = outputTokens ?? tokensOfChars(output?.chars ?? 0);
  // Output includes reasoning; where it is the smaller of the two it cannot.
  const all = reasoning > said ? said + reasoning : said;
  const known: Provenance = all < 1 ? 'defaulted' : outputTokens === null ? 'inferred' : 'recorded';
  if (known === 'defaulted') countNote(tally, 'unknownOutputs');
  if (inputTokens === null || known === 'inferred') countNote(tally, 'estimatedTokens');
  countField(tally, 'output', known);
  return {
    promptTokens,
    outputTokens: Math.max(1, all),
    reasoningTokens: reasoning,
    cachedTokens: facts.cacheReadTokens === null ? null : Math.min(promptTokens, facts.cacheReadTokens),
  };
}

/** Finds the tool that took most of the time between an instant and the start of a call, in the call's agent. */
function toolFinder(spans: readonly Span[], tree: SpanTree) {
  const agentOf = (span: Span): string => {
    const agent = tree.nearest(span, 'agent');
    return agent === null ? span.traceId : spanKey(agent.traceId, agent.spanId);
  };
  const tools = spans.filter(span => span.kind === 'tool').toSorted((a, b) => a.startMs - b.startMs);
  const byAgent = Map.groupBy(tools, agentOf);
  return (call: LinkedCall, sinceMs: number): Span | null => {
    const own = byAgent.get(agentOf(call.span)) ?? [];
    let longest: Span | null = null;
    for (let row = firstFrom(own, sinceMs); row < own.length && own[row]!.endMs <= call.startMs; row += 1) {
      const tool = own[row]!;
      if (longest === null || tool.endMs - tool.startMs > longest.endMs - longest.startMs) longest = tool;
    }
    return longest;
  };
}

/** The first of the spans, in order of start, that starts at `ms` or later. */
function firstFrom(spans: readonly Span[], ms: number): number {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle]!.startMs >= ms) high = middle;
    else low = middle + 1;
  }
  return low;
}

function gapKindOf({ agent, parents, facts }: LinkedCall, tool: Span | null): RecordedCall['gapKind'] {
  if (tool !== null) return 'tool';
  if (parents.length === 0) return 'unknown';
  if (facts.prompt?.messages.at(-1)?.isToolResult === true) return 'tool';
  // Starting a sub-agent and going on after it are the program's.
  if (parents.some(parent => parent.agent !== agent)) return 'client';
  return parents.some(parent => parent.facts.wantsTool) ? 'tool' : 'unknown';
}

/** Names the blocks of each call: by its text, or as going on from the last call of its thread that had ended. */
function blockNamer({ mint, tally }: SessionContext) {
  const threads = new Map<string, (PromptBefore & { endMs: number })[]>();
  return ({ agent, facts, startMs, endMs }: LinkedCall, promptTokens: number): number[] => {
    const ended = threads.get(agent) ?? [];
    threads.set(agent, ended);
    countField(tally, 'blocks', 'inferred');
    let blocks: number[];
    if (facts.prompt !== null) {
      blocks = facts.prompt.blocks.slice(0, Math.floor(promptTokens / TEXT_BLOCK_TOKENS));
    } else {
      const before = ended.findLast(call => call.endMs <= startMs) ?? null;
      if (isNewContext(before, promptTokens)) countNote(tally, 'contextEpochs');
      countNote(tally, 'mintedBlocks');
      blocks = appendedBlocks(
        before,
        { promptTokens, blockTokens: TEXT_BLOCK_TOKENS, systemTokens: 0 },
        mint,
      );
    }
    ended.push({ promptTokens, blocks, endMs });
    return blocks;
  };
}
