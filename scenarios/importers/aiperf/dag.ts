// aiperf's dag_jsonl: conversations that fork and spawn others. A root, which no other names, is a session; the
// conversations that it starts are its agents. A fork goes on from its parent's context, a spawn starts afresh.
import type { Provenance, RecordedCall, RecordedSession } from '../../formats/recorded.ts';
import { countFields, countUnreadable, OPEN_OUTPUT_TOKENS, type Tally } from '../importer.ts';
import { MAX_CALL_TOKENS, Refusal, shown, tooLong } from '../parts/rows.ts';
import { PromptText, TEXT_BLOCK_TOKENS, type TextBlocks, tokensOfChars } from '../parts/text-blocks.ts';
import { countTurn, type DagConversation, type DagTurn, systemMessages } from './rows.ts';

/** A conversation and the row that it is from. */
export interface DagRow {
  readonly conversation: DagConversation;
  readonly where: string;
}

interface DagContext {
  readonly source: string;
  readonly blockScope: string;
  readonly names: TextBlocks;
  readonly tally: Tally;
}

/** A graph of a few lines can unroll to any number of calls. */
const CALLS_MAX = 100_000;
/** Of all its prompts together: 128 MB. */
const BLOCKS_MAX = 1 << 24;
const NESTED_MAX = 1000;

/** The sessions of a file; hits are left to count. */
export function* dagSessions(rows: readonly DagRow[], context: DagContext): Generator<RecordedSession> {
  const { tally } = context;
  const byId = new Map<string, DagRow>();
  for (const row of rows) {
    const { id } = row.conversation;
    if (byId.has(id)) countUnreadable(tally, row.where, `session_id ${shown(id)} is there twice`);
    else byId.set(id, row);
  }
  const children = new Set(rows.flatMap(({ conversation }) => childrenOf(conversation)));
  const roots = new Set<string>();
  const read = new Set<string>();
  for (const { conversation, where } of byId.values()) {
    if (children.has(conversation.id)) continue;
    roots.add(conversation.id);
    const unrolling = new Unrolling(conversation, byId, context);
    if (!isRead(where, tally, () => unrolling.unroll())) continue;
    for (const id of unrolling.reached) read.add(id);
    yield unrolling.session();
  }
  // The others start each other in a circle, or are started by what is left out.
  const tried = new Set<string>();
  for (const { conversation, where } of byId.values()) {
    const { id } = conversation;
    if (read.has(id) || roots.has(id)) continue;
    const unrolling = new Unrolling(conversation, byId, context);
    const isSound = tried.has(id) || isRead(where, tally, () => unrolling.unroll());
    if (isSound) countUnreadable(tally, where, 'what starts it is left out');
    for (const each of unrolling.reached) tried.add(each);
  }
}

/** False where it is refused, which is counted. */
function isRead(where: string, tally: Tally, make: () => void): boolean {
  try {
    make();
    return true;
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    countUnreadable(tally, where, refusal.message);
    return false;
  }
}

const childrenOf = ({ turns, preSpawns, rounds }: DagConversation): string[] => [
  ...preSpawns,
  ...rounds.flatMap(round => round.children),
  ...turns.flatMap(({ forks, spawns }) => [...forks, ...spawns.map(({ child }) => child)]),
];

/** How a conversation starts: after which calls, how long after them, and from which context (null: none). */
interface Start {
  readonly after: readonly RecordedCall[];
  readonly delayMs: number;
  readonly delayProvenance: Provenance;
  readonly context: Context | null;
}

interface Context {
  readonly prompt: PromptText;
  readonly tools: string | null;
}

/** One session on its way: the conversations of a root, unrolled. */
class Unrolling {
  private readonly root: DagConversation;
  private readonly byId: ReadonlyMap<string, DagRow>;
  private readonly file: DagContext;
  /** The conversations that have run. */
  readonly reached = new Set<string>();
  private readonly calls: RecordedCall[] = [];
  /** Of the calls, row by row. */
  private readonly callTurns: DagTurn[] = [];
  private readonly agents = new Set<string>();
  /** How often each conversation has run. */
  private readonly copies = new Map<string, number>();
  private readonly path: string[] = [];
  private blocks = 0;

  constructor(root: DagConversation, byId: ReadonlyMap<string, DagRow>, file: DagContext) {
    this.root = root;
    this.byId = byId;
    this.file = file;
  }

  /** Throws a Refusal where the graph cannot be run. */
  unroll(): void {
    this.run(this.root, 'main', { after: [], delayMs: 0, delayProvenance: 'recorded', context: null });
  }

  /** What was unrolled, and counted. */
  session(): RecordedSession {
    const { root, file } = this;
    const { tally } = file;
    for (const [row, { maxTokens, model }] of this.callTurns.entries()) {
      countTurn(tally, { hasOutput: maxTokens !== null, hasModel: model !== null });
      countFields(tally, { gap: this.calls[row]!.gapProvenance });
    }
    countFields(tally, {
      session: 'recorded',
      arrival: 'defaulted',
      blockTokens: 'defaulted',
      systemTokens: 'inferred',
    });
    tally.subagents += this.agents.size - (this.agents.has('main') ? 1 : 0);
    const system = systemMessages(root.turns[0]?.messages ?? []);
    return {
      id: root.id,
      source: file.source,
      tenant: null,
      user: null,
      arrivalMs: null,
      blockTokens: TEXT_BLOCK_TOKENS,
      blockScope: file.blockScope,
      systemTokens: tokensOfChars(system.reduce((sum, { text }) => sum + text.length, 0)),
      calls: this.calls.toSorted((a, b) => a.recorded.startMs - b.recorded.startMs),
    };
  }

  /** Unrolls a conversation; returns the calls that it ends with, for those that wait for it. */
  private run(conversation: DagConversation, agent: string, start: Start): readonly RecordedCall[] {
    const { id, turns, preSpawns } = conversation;
    if (this.path.includes(id)) throw new Refusal(`it starts itself: ${[...this.path, id].join(' → ')}`);
    if (this.path.length >= NESTED_MAX)
      throw new Refusal(`it nests conversations more than ${NESTED_MAX} deep`);
    this.path.push(id);
    this.reached.add(id);
    for (const child of preSpawns) this.child(child, { ...start, context: null });
    const ends =
      turns.length === 0 ? this.rounds(conversation, start) : this.turns(conversation, agent, start);
    this.path.pop();
    return ends;
  }

  private turns(conversation: DagConversation, agent: string, start: Start): readonly RecordedCall[] {
    const { turns, behind } = conversation;
    this.agents.add(agent);
    const joins = new Map<number, RecordedCall[]>();
    let prompt = new PromptText(this.file.names, start.context?.prompt);
    let tools = start.context?.tools ?? null;
    let last: RecordedCall | null = null;
    for (const [index, turn] of turns.entries()) {
      // 1. Its prompt.
      if (behind === 'nothing' && index > 0) {
        prompt = new PromptText(this.file.names);
        tools = null;
      }
      if (turn.tools !== null && turn.tools !== tools) prompt.add('tools', turn.tools);
      tools = turn.tools ?? tools;
      for (const { role, text } of turn.messages) prompt.add(role, text);
      if (prompt.tokens > MAX_CALL_TOKENS) throw new Refusal(`${agent}/${index}: ${tooLong(prompt.tokens)}`);

      // 2. The call, after the turn before and what joins here.
      const waits: readonly RecordedCall[] =
        last === null ? start.after : [last, ...(joins.get(index) ?? [])];
      const isFirst: boolean = last === null;
      const call: RecordedCall = this.call(turn, `${agent}/${index}`, agent, prompt, {
        after: waits,
        delayMs: turn.delayMs + (isFirst ? start.delayMs : 0),
        delayProvenance: isFirst ? start.delayProvenance : 'recorded',
      });
      const isAnswerRead = index < turns.length - 1 || turn.forks.length > 0;
      if (behind === 'exchanges' && isAnswerRead)
        prompt.addUnknown(`${this.root.id}/${call.id}`, call.outputTokens);

      // 3. What it starts.
      const after = { after: [call], delayMs: 0, delayProvenance: 'recorded' as const };
      for (const child of turn.forks) this.child(child, { ...after, context: { prompt, tools } });
      for (const { child, joinAt } of turn.spawns) {
        const ends = this.child(child, { ...after, context: null });
        joins.set(joinAt, [...(joins.get(joinAt) ?? []), ...ends]);
      }
      last = call;
    }
    return [last as RecordedCall];
  }

  /** Rounds of an orchestrator: each waits for all of the round before. */
  private rounds({ rounds, isThinkDrawn }: DagConversation, start: Start): readonly RecordedCall[] {
    let { after } = start;
    for (const [index, { children, thinkMs }] of rounds.entries()) {
      const from = {
        after,
        delayMs: thinkMs + (index === 0 ? start.delayMs : 0),
        delayProvenance: isThinkDrawn ? ('inferred' as const) : start.delayProvenance,
        context: null,
      };
      after = children.flatMap(child => this.child(child, from));
    }
    return after;
  }

  private child(id: string, start: Start): readonly RecordedCall[] {
    const row = this.byId.get(id);
    if (row === undefined)
      throw new Refusal(`it starts ${shown(id)}, which is no conversation of the file that can be read`);
    return this.run(row.conversation, this.freeAgent(id), start);
  }

  /** The name of a conversation, or for another run of it the name with the next number. */
  private freeAgent(id: string): string {
    let copy = this.copies.get(id) ?? (id === 'main' ? 1 : 0);
    let agent: string;
    do {
      copy += 1;
      agent = copy === 1 ? id : `${id}~${copy}`;
    } while (this.agents.has(agent));
    this.copies.set(id, copy);
    return agent;
  }

  private call(
    turn: DagTurn,
    id: string,
    agent: string,
    prompt: PromptText,
    { after, delayMs, delayProvenance }: Omit<Start, 'context'>,
  ): RecordedCall {
    if (this.calls.length >= CALLS_MAX) throw new Refusal(`it unrolls to more than ${CALLS_MAX} calls`);
    const blocks = prompt.blocks();
    this.blocks += blocks.length;
    if (this.blocks > BLOCKS_MAX) throw new Refusal(`its prompts have more than ${BLOCKS_MAX} blocks in all`);
    const sinceMs = after.reduce((latest, { recorded }) => Math.max(latest, recorded.startMs), 0);
    const isOthers = after.some(parent => parent.agent !== agent);
    const call: RecordedCall = {
      id,
      agent,
      model: turn.model ?? 'unknown',
      parents: after.map(parent => parent.id),
      gapMs: delayMs,
      gapKind: after.length === 0 ? 'unknown' : isOthers ? 'client' : gapKindOf(turn),
      gapProvenance: delayProvenance,
      tool: null,
      promptTokens: Math.max(1, prompt.tokens),
      outputTokens: turn.maxTokens ?? OPEN_OUTPUT_TOKENS,
      reasoningTokens: 0,
      blocks,
      recorded: { startMs: sinceMs + delayMs, ttftMs: null, e2eMs: null, cachedTokens: null, error: null },
      primedTokens: 0,
    };
    this.calls.push(call);
    this.callTurns.push(turn);
    return call;
  }
}

/** A turn that brings a tool's result waited for the tool; in a graph of agents nobody knows who else speaks. */
const gapKindOf = ({ messages }: DagTurn): RecordedCall['gapKind'] =>
  messages.some(message => message.isToolResult) ? 'tool' : 'unknown';
