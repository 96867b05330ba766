// Pseudonyms for everything in recorded sessions that could name a person, a project or a machine, given out in order of
// first use. What shares content keeps sharing exactly that, and no length or time changes. Models keep their names.
import type { RecordedCall, RecordedSession } from '../../formats/recorded.ts';
import { MINTED_FROM } from '../../importers/parts/blocks.ts';
import { MAIN } from '../profile/session-view.ts';
import { hasOwnScope } from '../reuse.ts';

/** Reason codes that say nothing but the reason; any other text becomes `error`. */
const PLAIN_ERRORS =
  /^(\d{3}|error|timeout|cancelled|canceled|rate_?limit(ed|_exceeded)?|overloaded|length|context_length_exceeded)$/;

/** Ids may be numbered in an array that long per block: no more memory than a map takes. */
const IDS_PER_BLOCK = 8;

/** Numbers block ids from 0 on, in order of first use. */
class BlockNumbers {
  /** One column for ids that a trace numbers from 0 on, one for those that its importer minted. */
  private readonly columns: readonly NumberColumn[] = [new NumberColumn(0), new NumberColumn(MINTED_FROM)];
  private readonly others = new Map<number, number>();
  count = 0;

  of(block: number): number {
    const known = this.columns[0]!.get(block) ?? this.columns[1]!.get(block) ?? this.others.get(block);
    if (known !== undefined) return known;
    const number = this.count++;
    const limit = this.count * IDS_PER_BLOCK + 1024;
    if (!this.columns.some(column => column.set(block, number, limit))) this.others.set(block, number);
    return number;
  }
}

/** Numbers of ids from `first` on, in an array that grows with them. */
class NumberColumn {
  private readonly first: number;
  /** The number plus one; 0: none. */
  private numbers = new Uint32Array(256);

  constructor(first: number) {
    this.first = first;
  }

  get(block: number): number | undefined {
    const found = this.numbers[block - this.first];
    return found === undefined || found === 0 ? undefined : found - 1;
  }

  /** False where the id lies further than `limit` behind the first. */
  set(block: number, number: number, limit: number): boolean {
    const at = block - this.first;
    if (at < 0 || at >= Math.max(limit, this.numbers.length)) return false;
    if (at >= this.numbers.length) {
      const longer = new Uint32Array(Math.max(at + 1, this.numbers.length * 2));
      longer.set(this.numbers);
      this.numbers = longer;
    }
    this.numbers[at] = number + 1;
    return true;
  }
}

/** Pseudonyms `prefix1`, `prefix2`, … by first use. */
class Pseudonyms {
  private readonly given = new Map<string, string>();
  private readonly prefix: string;

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  of(name: string): string {
    const known = this.given.get(name) ?? `${this.prefix}${this.given.size + 1}`;
    this.given.set(name, known);
    return known;
  }

  get size(): number {
    return this.given.size;
  }
}

export interface Anonymizer {
  session(session: RecordedSession): RecordedSession;
  /** What was replaced so far. */
  counts(): { sessions: number; names: number; blocks: number };
}

/** Memory grows with the names that a trace has, and with the block ids that its sessions share. */
export function anonymizer(): Anonymizer {
  const names = {
    agent: new Pseudonyms('agent-'),
    tool: new Pseudonyms('tool-'),
    tenant: new Pseudonyms('tenant-'),
    user: new Pseudonyms('user-'),
    source: new Pseudonyms('trace-'),
    scope: new Pseudonyms('shared/'),
  };
  const shared = new Map<string, BlockNumbers>();
  let sessions = 0;
  let ownBlocks = 0;

  return {
    session(session) {
      sessions += 1;
      const id = `s${sessions}`;
      const own = hasOwnScope(session);
      const numbers = own ? new BlockNumbers() : sharedNumbers(session.blockScope);
      const idOf = callIds(session);
      const calls = session.calls.map((call): RecordedCall => {
        const { error } = call.recorded;
        return {
          ...call,
          id: idOf.get(call.id)!,
          agent: agentOf(call.agent),
          parents: call.parents.map(parent => idOf.get(parent)!),
          tool: call.tool === null ? null : names.tool.of(call.tool),
          blocks: call.blocks.map(block => numbers.of(block)),
          recorded: { ...call.recorded, error: error === null || PLAIN_ERRORS.test(error) ? error : 'error' },
        };
      });
      if (own) ownBlocks += numbers.count;
      return {
        ...session,
        id,
        source: names.source.of(session.source),
        tenant: session.tenant === null ? null : names.tenant.of(session.tenant),
        user: session.user === null ? null : names.user.of(session.user),
        blockScope: own ? `own/${id}` : names.scope.of(session.blockScope),
        calls,
      };
    },
    counts: () => ({
      sessions,
      names: Object.values(names).reduce((sum, each) => sum + each.size, 0),
      blocks: [...shared.values()].reduce((sum, { count }) => sum + count, ownBlocks),
    }),
  };

  function sharedNumbers(scope: string): BlockNumbers {
    const known = shared.get(scope) ?? new BlockNumbers();
    shared.set(scope, known);
    return known;
  }

  /** The main thread is a role, not a name. */
  function agentOf(agent: string): string {
    return agent === MAIN ? MAIN : names.agent.of(agent);
  }

  /** `agent-2/5`: the sixth call of that thread. */
  function callIds({ calls }: RecordedSession): Map<string, string> {
    const counts = new Map<string, number>();
    return new Map(
      calls.map(({ id, agent }) => {
        const count = counts.get(agent) ?? 0;
        counts.set(agent, count + 1);
        return [id, `${agentOf(agent)}/${count}`];
      }),
    );
  }
}
