// Prefix segments of one session: which content a segment names in its scope, and how long it is there.
import { extend, extendText, type Key } from '../base/key.ts';
import { type PromptPart, type Retention, type Run, runTokens } from '../formats/prompt.ts';
import type { Draws } from './draws.ts';
import type { Segment, SegmentScope } from './program.ts';

/** Who the session belongs to: each scope's instance as a key. */
export interface Identity {
  readonly session: Key;
  readonly workflow: Key;
  readonly tenant: Key;
  readonly user: Key;
  /** The seed: what `global` means. */
  readonly root: Key;
}

/** Prefix segments one behind the other. */
export interface Head {
  readonly runs: readonly Run[];
  readonly parts: readonly PromptPart[];
  readonly retention: readonly Retention[] | undefined;
  readonly tokens: number;
}

const outside = { iteration: 0, tokens: () => 0 };

export class Segments {
  private readonly identity: Identity;
  private readonly draws: Draws;
  private readonly made = new Map<string, Run[]>();
  /** Of lists that are the same everywhere in the session. */
  private readonly heads = new Map<readonly Segment[], Head>();

  constructor(identity: Identity, draws: Draws) {
    this.identity = identity;
    this.draws = draws;
  }

  /** What a prompt begins with for a step inside `task`; the same object where it is the same. */
  head(list: readonly Segment[], task: { key: Key; path: string }): Head {
    const known = this.heads.get(list);
    if (known !== undefined) return known;
    const head = this.headOf(list, task);
    if (list.every(({ scope }) => scope !== 'task')) this.heads.set(list, head);
    return head;
  }

  private headOf(list: readonly Segment[], task: { key: Key; path: string }): Head {
    const runs: Run[] = [];
    const parts: PromptPart[] = [];
    let retention: Retention[] | undefined;
    let tokens = 0;
    for (const segment of list) {
      const own = this.runs(segment, task);
      const ownTokens = runTokens(own);
      for (const run of own) runs.push(run);
      if (ownTokens > 0) parts.push({ segment: segment.name, tokens: ownTokens });
      const fromToken = tokens;
      tokens += ownTokens;
      if (segment.worth === null) continue;
      retention ??= [];
      retention.push({ fromToken, toToken: tokens, ...segment.worth });
    }
    return { runs, parts, retention, tokens };
  }

  /** The content of `segment` for a step inside `task` (the outermost fan-out branch it is in). */
  runs(segment: Segment, task: { key: Key; path: string }): Run[] {
    const inTask = segment.scope === 'task';
    const name = inTask ? `${segment.name} ${task.path}` : segment.name;
    const known = this.made.get(name);
    if (known !== undefined) return known;
    const scope = this.scopeKey(segment.scope, task.key);
    const key = extend(scope, segment.key.hi, segment.key.lo);
    const place = { key: extendText(key, 'length'), path: `prefix:${name}` };
    const tokens = this.draws.amount(segment.tokens, place, 'segment', true, outside);
    const runs = tokens > 0 ? [{ key, from: 0, tokens }] : [];
    this.made.set(name, runs);
    return runs;
  }

  private scopeKey(scope: SegmentScope, task: Key): Key {
    switch (scope) {
      case 'global':
        return this.identity.root;
      case 'tenant':
        return this.identity.tenant;
      case 'user':
        return this.identity.user;
      case 'workflow':
        return this.identity.workflow;
      case 'session':
        return this.identity.session;
      case 'task':
        return task;
    }
  }
}
