// aiperf's dag_jsonl: a conversation a line. Steps that follow each other are turns; branches are conversations that a turn
// spawns and a later turn joins; a list that no turn can begin is an orchestrator with rounds. Text is made so that four
// characters are a token, as aiperf's readers estimate where they have no tokenizer.
import { extend, keyIndex, keyText } from '../../scenarios/base/key.ts';
import type { PlannedSession } from '../../scenarios/formats/plan.ts';
import { commonTokens, runTokens } from '../../scenarios/formats/prompt.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';
import type { RunRow } from '../k6/session.ts';
import { chainsOf, type Exported, type Exporter, type ExportInput } from './exporter.ts';
import { MetRules } from './losses.ts';
import { type Answered, roledRuns } from './prompt-runs.ts';
import { type FanOutPiece, leavesOf, type Piece, unroll } from './unroll.ts';

export const aiperf: Exporter = {
  name: 'aiperf',
  doc: "conversations for aiperf's dag_jsonl: turns, spawned branches and joins, with text prompts",
  export: exportAiperf,
};

const LOST = [
  'planned starts: aiperf starts conversations by its own rate or concurrency',
  'a token is taken for four characters of text: a tokenizer of your own counts otherwise',
];
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const TEXT_SALT = 0x57544b33;
const ROLES = ['system', 'user', 'assistant'] as const;

/** What does not survive, and how often. */
type Lost = Map<string, number>;
const count = (lost: Lost, what: string): void => void lost.set(what, (lost.get(what) ?? 0) + 1);

function exportAiperf(input: ExportInput): Exported {
  const { plan, deployment, poolOf } = input;
  const modelOf = (alias: string): string => {
    const name = poolOf(alias);
    const endpoints = deployment.pools.find(pool => pool.name === name)?.endpoints;
    const hosted = deployment.hosted.find(model => model.name === name)?.endpoint;
    return endpoints?.[0]?.model ?? hosted?.model ?? alias;
  };
  const lost: Lost = new Map();
  const met = new MetRules();
  const lines: string[] = [];
  let sessions = 0;
  let calls = 0;
  for (const chain of chainsOf(input)) {
    if (chain.sessions.length > 1)
      count(lost, 'agents that begin anew: their sessions are conversations apart');
    for (const { planned } of chain.sessions) {
      const unrolled = unroll(planned);
      const root = seriesOf(unrolled.root);
      if (root === null) {
        count(
          lost,
          'recorded sessions whose calls are neither one after the other nor in branches: left out',
        );
        continue;
      }
      meet(unrolled.root, planned, met);
      const writer = new Conversations(planned.id, modelOf, lost);
      writer.write(root);
      lines.push(...writer.lines.map(line => `${JSON.stringify(line)}\n`));
      sessions++;
      calls += writer.calls;
    }
  }
  const ruled = met.lost(plan, deployment);
  const counted = [...lost].map(([what, times]) => `${what} (${times})`);
  const all = [...LOST, ...counted, ...(ruled === null ? [] : [ruled])];
  const url = deployment.pools[0]?.endpoints[0]?.url ?? 'http://127.0.0.1:8000/v1';
  const command = `aiperf profile --model ${modelOf(plan.modelsUsed[0] ?? '')} --url ${url.replace(/\/v1$/, '')} --endpoint-type chat --streaming --input-file conversations.jsonl --custom-dataset-type dag_jsonl --concurrency ${Math.min(sessions, 16)}`;
  return {
    files: [
      { name: 'conversations.jsonl', text: lines },
      { name: 'README.md', text: [readme(plan.name, command, all)] },
    ],
    sessions,
    calls,
    lost: all,
    command,
  };
}

const readme = (name: string, command: string, lost: readonly string[]): string =>
  [
    `# ${name}, for aiperf`,
    '',
    'Written by `windtunnel export aiperf`.',
    '',
    `    ${command}`,
    '',
    'What is lost beside `windtunnel replay`:',
    '',
    ...lost.map(each => `- ${each}`),
    '',
  ].join('\n');

function meet(root: Piece, { program }: PlannedSession, met: MetRules): void {
  met.workflow(program.rules);
  for (const leaf of leavesOf(root)) {
    if (leaf.kind === 'call') met.step(leaf.call.rules, false);
    else if (leaf.rules !== null) met.tool(leaf.rules);
  }
}

/** A recorded session whose calls follow each other is a list; null where they do otherwise. */
function seriesOf(root: Piece): Piece | null {
  if (root.kind !== 'graph') return root;
  const isChain = root.rows.every(
    ({ after }, row) => after.length === (row === 0 ? 0 : 1) && (after[0] ?? -1) === row - 1,
  );
  if (!isChain) return null;
  return {
    kind: 'list',
    pieces: root.rows.flatMap(({ gap, call }) => (gap === null ? [call] : [gap, call])),
  };
}

/** A call or a fan-out, and the waits before it. */
interface Unit {
  readonly waitMs: number;
  readonly of: { readonly call: Call } | { readonly fanOut: FanOutPiece };
}

interface Turn {
  messages: { role: string; content: string }[];
  model: string;
  max_tokens: number;
  extra: Record<string, unknown>;
  delay?: number;
  spawns?: (string | { children: string[]; join_at: number })[];
}

/** The conversations of one session. */
class Conversations {
  readonly lines: Record<string, unknown>[] = [];
  calls = 0;
  private readonly session: string;
  private readonly modelOf: (alias: string) => string;
  private readonly lost: Lost;
  private readonly answered = new Set<string>();
  private children = 0;

  constructor(session: string, modelOf: (alias: string) => string, lost: Lost) {
    this.session = session;
    this.modelOf = modelOf;
    this.lost = lost;
  }

  write(root: Piece): void {
    const units = this.unitsOf(root);
    if (units.length === 0) {
      count(this.lost, 'sessions without a call: left out');
      return;
    }
    this.conversation(this.session, units, true);
  }

  private unitsOf(piece: Piece): Unit[] {
    const units: Unit[] = [];
    let waitMs = 0;
    const visit = (each: Piece): void => {
      switch (each.kind) {
        case 'wait':
          waitMs += each.delayMs;
          break;
        case 'list':
          each.pieces.forEach(visit);
          break;
        case 'try':
          if (each.otherwise !== null) count(this.lost, 'steps that run on an error');
          visit(each.body);
          break;
        case 'graph':
          break;
        case 'call':
          units.push({ waitMs, of: { call: each.call } });
          waitMs = 0;
          break;
        case 'fan-out':
          if (![...leavesOf(each)].some(({ kind }) => kind === 'call')) {
            waitMs += Math.max(0, ...each.branches.map(waitOf));
            break;
          }
          if (each.need < each.branches.length) count(this.lost, 'joins that do not wait for all branches');
          if (each.width < each.branches.length) count(this.lost, 'limits of branches at once');
          units.push({ waitMs, of: { fanOut: each } });
          waitMs = 0;
      }
    };
    visit(piece);
    if (waitMs > 0) count(this.lost, 'tools and pauses after the last call');
    return units;
  }

  /** Writes a conversation and those that it starts; a parent comes before its children. */
  private conversation(id: string, units: readonly Unit[], isRoot: boolean): void {
    const turns = turnsFrom(units, 0, isRoot);
    if (turns === units.length) this.turns(id, units);
    else this.rounds(id, units);
  }

  private child(units: readonly Unit[]): string {
    const id = `${this.session}/${this.children++}`;
    this.conversation(id, units, false);
    return id;
  }

  /** The branches of a fan-out that hold a call; `waitMs` before each. */
  private branches({ branches }: FanOutPiece, waitMs: number): string[] {
    return branches.flatMap(branch => {
      const [first, ...rest] = this.unitsOf(branch);
      return first === undefined ? [] : [this.child([{ ...first, waitMs: first.waitMs + waitMs }, ...rest])];
    });
  }

  private turns(id: string, units: readonly Unit[]): void {
    const row = this.lines.push({}) - 1;
    const calls = units.flatMap(({ of }) => ('call' in of ? [of.call] : []));
    const isThread = calls.every((call, index) => index === 0 || goesOn(calls[index - 1] as Call, call));
    const turns: Turn[] = [];
    let before: Call | null = null;
    for (const { waitMs, of } of units) {
      if ('call' in of) {
        turns.push(this.turn(of.call, isThread ? before : null, waitMs));
        before = of.call;
        continue;
      }
      const children = this.branches(of.fanOut, waitMs);
      const isJoined = turns.length < calls.length;
      (turns.at(-1) as Turn).spawns = isJoined ? [{ children, join_at: turns.length }] : children;
    }
    this.lines[row] = {
      session_id: id,
      // Else each turn holds the whole prompt, as planned.
      ...(isThread ? {} : { context_mode: 'message_array_with_responses' }),
      turns,
    };
  }

  private turn(call: Call, before: Call | null, waitMs: number): Turn {
    const { model, outputTokens, prompt, parts, output } = call;
    const known = before === null ? 0 : runTokens(before.prompt) + runTokens(before.output);
    const messages = messagesOf(after(roledRuns(prompt, parts, this.answered as Answered), known));
    for (const { key } of output) this.answered.add(keyText(key));
    this.calls++;
    return {
      messages,
      model: this.modelOf(model),
      max_tokens: outputTokens,
      extra: { temperature: 0, ignore_eos: true, min_tokens: outputTokens },
      ...(waitMs > 0 ? { delay: Math.round(waitMs) } : {}),
    };
  }

  /** Stretches that turns can say are conversations; each waits for the one before. */
  private rounds(id: string, units: readonly Unit[]): void {
    const row = this.lines.push({}) - 1;
    const rounds: { spawns: string[]; think_time_ms?: number }[] = [];
    for (let at = 0; at < units.length; ) {
      const { waitMs, of } = units[at] as Unit;
      const think = waitMs > 0 ? { think_time_ms: Math.round(waitMs) } : {};
      if ('fanOut' in of) {
        rounds.push({ spawns: this.branches(of.fanOut, 0), ...think });
        at++;
        continue;
      }
      const end = turnsFrom(units, at, false);
      const [first, ...rest] = units.slice(at, end);
      rounds.push({ spawns: [this.child([{ ...(first as Unit), waitMs: 0 }, ...rest])], ...think });
      at = end;
    }
    this.lines[row] = { session_id: id, orchestrator: true, rounds };
  }
}

/** How far turns reach from a unit on: fan-outs stand between two calls, and of a root also at the end. */
function turnsFrom(units: readonly Unit[], from: number, isRoot: boolean): number {
  const isCall = (at: number): boolean => units[at] !== undefined && 'call' in (units[at] as Unit).of;
  if (!isCall(from)) return from;
  let at = from + 1;
  while (at < units.length) {
    if (isCall(at)) at++;
    else if (isCall(at - 1) && isCall(at + 1)) at += 2;
    else return isRoot && at === units.length - 1 && isCall(at - 1) ? units.length : at;
  }
  return at;
}

/** Of a branch without a call. */
const waitOf = (branch: Piece): number =>
  [...leavesOf(branch)].reduce((sum, leaf) => sum + (leaf.kind === 'wait' ? leaf.delayMs : 0), 0);

/** The prompt of `next` begins with that of `before` and its answer. */
function goesOn(before: Call, next: Call): boolean {
  if (before.reasoningTokens > 0) return false;
  const context = [...before.prompt, ...before.output];
  return commonTokens(context, next.prompt) === runTokens(context) && next.promptTokens > runTokens(context);
}

/** What is left behind the first `tokens`. */
function after(rows: readonly RunRow[], tokens: number): RunRow[] {
  const left: RunRow[] = [];
  let skip = tokens;
  for (const [hi, lo, from, count, role] of rows) {
    const cut = Math.min(skip, count);
    skip -= cut;
    if (count > cut) left.push([hi, lo, from + cut, count - cut, role]);
  }
  return left;
}

/** Runs of one role that follow each other are one message. */
function messagesOf(rows: readonly RunRow[]): { role: string; content: string }[] {
  const messages: { role: string; content: string }[] = [];
  for (const row of rows) {
    const role = ROLES[row[4]];
    const last = messages.at(-1);
    if (last?.role === role) last.content += textOf(row);
    else messages.push({ role, content: textOf(row) });
  }
  return messages;
}

/** Three letters and a space for each token. */
function textOf([hi, lo, from, tokens]: RunRow): string {
  let text = '';
  for (let i = from; i < from + tokens; i++) {
    const drawn = keyIndex(extend({ hi: hi | 0, lo: lo | 0 }, i, TEXT_SALT), 17_576);
    text += `${LETTERS[drawn % 26]}${LETTERS[Math.floor(drawn / 26) % 26]}${LETTERS[Math.floor(drawn / 676)]} `;
  }
  return text;
}
