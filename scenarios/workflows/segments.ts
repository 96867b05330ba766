// Prefix segments of one session: which content a segment names in its scope, and how long it is there.
import { extend, extendText, type Key } from '../base/key.ts';
import type { Run } from '../formats/prompt.ts';
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

const outside = { iteration: 0, tokens: () => 0 };

export class Segments {
  private readonly identity: Identity;
  private readonly draws: Draws;
  private readonly made = new Map<string, Run[]>();

  constructor(identity: Identity, draws: Draws) {
    this.identity = identity;
    this.draws = draws;
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
