// Who waits for whom in a session of spans. Agent spans say which thread a call belongs to; inside a thread a call waits
// for those that had ended when it started, unless the text of its prompt says whose output it holds. workloads.md 4.2
import type { Provenance } from '../../formats/recorded.ts';
import type { Span } from './attributes.ts';
import type { SpanTree, ToldCall } from './calls.ts';
import type { OutputContent, PromptContent } from './content.ts';

/** A call in its thread, with what it waits for. Times in ms from the first span of the file. */
export interface LinkedCall extends ToldCall {
  readonly startMs: number;
  readonly endMs: number;
  /** The thread: `main`, or an agent's name. */
  agent: string;
  agentProvenance: Provenance;
  /** Row in the order of starts; parents come before children. */
  readonly row: number;
  /** Calls whose output its prompt holds, or that its span names as parent. */
  causes: LinkedCall[];
  parents: LinkedCall[];
  parentsProvenance: Provenance;
}

/** An agent at work: its calls and the agents that it called, in order of start. */
interface Invocation {
  /** null: the session itself. */
  readonly span: Span | null;
  readonly name: string;
  items: Item[];
}

const MAIN = 'main';

/** The calls of one session, linked, in order of start. `spans` are all of its spans. */
export function linkedCalls(
  told: readonly ToldCall[],
  spans: readonly Span[],
  tree: SpanTree,
  after: ReadonlyMap<Span, Span>,
): { calls: LinkedCall[]; emptyAgents: number } {
  const calls = told
    .toSorted((a, b) => a.span.startMs - b.span.startMs || a.span.endMs - b.span.endMs)
    .map(
      (call, row): LinkedCall => ({
        ...call,
        startMs: call.span.startMs,
        endMs: call.span.endMs,
        row,
        agent: MAIN,
        agentProvenance: 'defaulted',
        causes: [],
        parents: [],
        parentsProvenance: row === 0 ? 'recorded' : 'inferred',
      }),
    );
  findCauses(calls, after);
  const { root, emptyAgents } = invocations(calls, spans, tree);
  const isStructured = root.items.some(isAgent);
  if (isStructured) nameByAgent(root);
  else nameByPrompt(calls);
  link(root, [], isStructured);
  return { calls, emptyAgents };
}

/** Looks for the output of earlier calls in each prompt, and keeps those that no other of them waited for. */
function findCauses(calls: readonly LinkedCall[], after: ReadonlyMap<Span, Span>): void {
  const bySpan = new Map(calls.map(call => [call.span, call]));
  const saidBy = new Map<number, LinkedCall[]>();
  for (const call of calls) {
    const found = new Set<LinkedCall>();
    const before = bySpan.get(after.get(call.span) as Span);
    if (before !== undefined && before.row < call.row) {
      found.add(before);
      call.parentsProvenance = 'recorded';
    }
    for (const link of linksOf(call.facts.prompt)) {
      const said = saidBy.get(link);
      // Of several that said it, it came from the last one that was done.
      const source = said?.findLast(({ endMs }) => endMs <= call.startMs) ?? said?.at(-1);
      if (source !== undefined) found.add(source);
    }
    call.causes = withoutAncestors(found);
    for (const link of linksOf(call.facts.output)) {
      const said = saidBy.get(link);
      if (said === undefined) saidBy.set(link, [call]);
      else said.push(call);
    }
  }
}

const linksOf = (content: PromptContent | OutputContent | null): number[] =>
  content?.messages.flatMap(({ links }) => links) ?? [];

function withoutAncestors(found: ReadonlySet<LinkedCall>): LinkedCall[] {
  const kept: LinkedCall[] = [];
  const covered = new Set<LinkedCall>();
  for (const call of [...found].toSorted((a, b) => b.row - a.row)) {
    if (covered.has(call)) continue;
    kept.push(call);
    const stack = [...call.causes];
    for (let up = stack.pop(); up !== undefined; up = stack.pop()) {
      if (covered.has(up)) continue;
      covered.add(up);
      stack.push(...up.causes);
    }
  }
  return kept.toReversed();
}

type Item = LinkedCall | Invocation;
const isCall = (item: Item): item is LinkedCall => 'row' in item;
const isAgent = (item: Item): item is Invocation => !isCall(item);
const startOf = (item: Item): number => (isCall(item) ? item.startMs : (item.span as Span).startMs);

/** The tree of agents that have calls. One that only calls one other agent is that agent's wrapper. */
function invocations(
  calls: readonly LinkedCall[],
  spans: readonly Span[],
  tree: SpanTree,
): { root: Invocation; emptyAgents: number } {
  const root: Invocation = { span: null, name: MAIN, items: [] };
  const bySpan = new Map<Span, Invocation>();
  const invocationOf = (span: Span | null): Invocation => {
    if (span === null) return root;
    const known = bySpan.get(span);
    if (known !== undefined) return known;
    const made: Invocation = { span, name: span.name ?? 'agent', items: [] };
    bySpan.set(span, made);
    // A broken trace may have an agent inside itself: it then stands at the top.
    const above = tree.nearest(span, 'agent');
    const isCircle = above !== null && [...tree.above(above)].includes(span);
    invocationOf(isCircle ? null : above).items.push(made);
    return made;
  };
  for (const call of calls) invocationOf(tree.nearest(call.span, 'agent')).items.push(call);

  for (const { items } of [root, ...bySpan.values()]) {
    for (const [index, item] of items.entries()) {
      let inner = item;
      while (!isCall(inner) && inner.items.length === 1 && !isCall(inner.items[0]!)) inner = inner.items[0]!;
      items[index] = inner;
    }
    items.sort((a, b) => startOf(a) - startOf(b) || (isCall(a) && isCall(b) ? a.row - b.row : 0));
  }
  const agents = spans.filter(span => span.kind === 'agent').length;
  return { root, emptyAgents: agents - bySpan.size };
}

/**
 * Threads: calls outside of agents are `main`, and so is the one agent that a session is. An agent at the top goes on
 * from turn to turn; one that another agent calls starts anew each time.
 */
function nameByAgent(root: Invocation): void {
  const agents = root.items.filter(isAgent);
  const taken = new Set<string>([MAIN]);
  const free = (name: string): string => {
    let id = name;
    for (let copy = 2; taken.has(id); copy += 1) id = `${name}~${copy}`;
    taken.add(id);
    return id;
  };
  const nameInside = (items: Invocation['items'], thread: string): void => {
    for (const item of items) {
      if (!isCall(item)) nameInside(item.items, free(item.name));
      else {
        item.agent = thread;
        item.agentProvenance = 'recorded';
      }
    }
  };
  const isMain = agents.length === root.items.length && agents.every(({ name }) => name === agents[0]!.name);
  // Invocations of a name that overlap are different threads of it.
  const lanes = new Map<string, { thread: string; endMs: number }[]>();
  for (const item of root.items) {
    if (isCall(item)) continue;
    const { name, span } = item;
    const ofName = lanes.get(name) ?? [];
    lanes.set(name, ofName);
    let lane = ofName.find(({ endMs }) => endMs <= span!.startMs);
    if (lane === undefined) {
      lane = { thread: isMain && ofName.length === 0 ? MAIN : free(name), endMs: 0 };
      ofName.push(lane);
    }
    lane.endMs = span!.endMs;
    nameInside(item.items, lane.thread);
  }
}

/**
 * Without agent spans: a prompt that goes on from another is of its thread; else system instructions tell agents
 * apart, those of the first call being the main thread's.
 */
function nameByPrompt(calls: readonly LinkedCall[]): void {
  const threads = new Map<number | null, string>();
  for (const call of calls) {
    const { prompt } = call.facts;
    if (prompt === null) continue;
    // One that holds several outputs brings branches together, and is none of them.
    const [only, another] = call.causes;
    const before = only !== undefined && another === undefined && goesOn(only, call) ? only : null;
    call.agent =
      before?.agent ?? threads.get(prompt.system) ?? (threads.size === 0 ? MAIN : `agent-${threads.size}`);
    call.agentProvenance = 'inferred';
    if (!threads.has(prompt.system)) threads.set(prompt.system, call.agent);
  }
}

/** Whether the messages of `call` begin with those of `before` and its output. */
function goesOn(before: LinkedCall, call: LinkedCall): boolean {
  const head = before.facts.prompt?.messages ?? [];
  const messages = call.facts.prompt?.messages ?? [];
  const said = linksOf(before.facts.output);
  return (
    head.every(({ text }, index) => messages[index]?.text === text) &&
    (messages[head.length]?.links.some(link => said.includes(link)) ?? false)
  );
}

/** An item whose end comes: what its end makes known, and who is then no longer waited for. */
interface Running {
  readonly endMs: number;
  readonly gives: readonly LinkedCall[];
  readonly covers: readonly LinkedCall[];
}

/**
 * Links the items of an invocation that waits for `before`, and returns the calls that had ended when it ended and that
 * nothing in it waited for: what comes after it waits for those. Where agents are known, all of them are waited for;
 * where they are not, what a prompt holds tells branches apart that time alone would join.
 */
function link(
  { span, items }: Invocation,
  before: readonly LinkedCall[],
  isStructured: boolean,
): LinkedCall[] {
  const frontier = new Set(before);
  const running: Running[] = [];
  let result: LinkedCall[] | null = null;
  const endUntil = (ms: number): void => {
    running.sort((a, b) => a.endMs - b.endMs);
    while (running.length > 0 && running[0]!.endMs <= ms) {
      const { gives, covers } = running.shift()!;
      if (gives.length === 0) continue;
      for (const call of covers) frontier.delete(call);
      for (const call of gives) frontier.add(call);
    }
  };
  const close = (): LinkedCall[] => {
    endUntil(span?.endMs ?? Number.POSITIVE_INFINITY);
    return [...frontier].filter(call => !before.includes(call));
  };
  for (const item of items) {
    if (result === null && span !== null && startOf(item) >= span.endMs) result = close();
    endUntil(startOf(item));
    if (isCall(item)) {
      const waits = new Set(item.causes);
      if (isStructured || waits.size === 0) for (const call of frontier) waits.add(call);
      item.parents = [...waits].filter(({ row }) => row < item.row).toSorted((a, b) => a.row - b.row);
      running.push({ endMs: item.endMs, gives: [item], covers: item.parents });
    } else {
      const waits = [...frontier];
      running.push({ endMs: item.span!.endMs, gives: link(item, waits, isStructured), covers: waits });
    }
  }
  return result ?? close();
}
