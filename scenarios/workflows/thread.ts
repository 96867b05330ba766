// Context threads: append-only lists of content, until one is compacted. A fork copies the list, so siblings share their common prefix and
// nothing else; what a fork appends is dropped at the join.
import { appendRuns, goesOn, type Run, runTokens } from '../formats/prompt.ts';
import type { Segment } from './program.ts';

export class Thread {
  /** Only grows; what prompts share of it never changes. */
  runs: Run[];
  tokens: number;
  /** The prefix segments that this thread's last call used. */
  prefix: readonly Segment[];

  constructor(prefix: readonly Segment[], runs: readonly Run[] = [], tokens = runTokens(runs)) {
    this.prefix = prefix;
    this.runs = [...runs];
    this.tokens = tokens;
  }

  append(runs: readonly Run[]): void {
    // Content that goes on would change the last run.
    if (this.runs.length > 0 && runs[0] !== undefined && goesOn(this.runs.at(-1)!, runs[0]))
      this.runs = [...this.runs];
    appendRuns(this.runs, runs);
    this.tokens += runTokens(runs);
  }

  /** Drops what it held for `runs`: compaction. */
  replace(runs: readonly Run[]): void {
    this.runs = [];
    this.tokens = 0;
    this.append(runs);
  }

  fork(): Thread {
    return new Thread(this.prefix, this.runs, this.tokens);
  }
}

/** The enclosing thread and the named ones beside it. */
export class Threads {
  readonly main: Thread;
  private named: Map<string, Thread> | null = null;

  constructor(main: Thread) {
    this.main = main;
  }

  /** A named thread is empty at first and has the prefix of the enclosing one. */
  get(name: string | null): Thread {
    if (name === null) return this.main;
    this.named ??= new Map();
    const found = this.named.get(name) ?? new Thread(this.main.prefix);
    this.named.set(name, found);
    return found;
  }

  fork(): Threads {
    const forked = new Threads(this.main.fork());
    if (this.named !== null)
      forked.named = new Map([...this.named].map(([name, thread]) => [name, thread.fork()]));
    return forked;
  }
}
