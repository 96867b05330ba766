// What an infinite prefix cache has seen, as a tree of runs: the longest beginning of a prompt that stood before in some
// other sequence is found in one step per run, whatever its tokens.
import { appendRuns, type Run } from '../scenarios/formats/prompt.ts';

/** Content that begins alike goes on in different ways after so many tokens. */
interface Branch {
  longestTokens: number;
  after: Map<number, Node> | null;
}
type Node = Map<string, Branch>;

/** Runs that continue each other are one: equal content has equal runs. */
function plainRuns(sequence: readonly Run[]): Run[] {
  const runs: Run[] = [];
  appendRuns(runs, sequence);
  return runs;
}

export class SeenContent {
  private readonly root: Node = new Map();
  /** Prompts of a thread share their runs: the name of each is put together once. */
  private readonly starts = new WeakMap<Run, string>();

  /** Tokens at the beginning of `prompt` that were seen before. */
  knownTokens(prompt: readonly Run[]): number {
    let known = 0;
    let node: Node | undefined = this.root;
    for (const run of plainRuns(prompt)) {
      const branch: Branch | undefined = node?.get(this.startOf(run));
      if (branch === undefined) break;
      known += Math.min(run.tokens, branch.longestTokens);
      node = branch.after?.get(run.tokens);
    }
    return known;
  }

  private startOf(run: Run): string {
    const known = this.starts.get(run);
    if (known !== undefined) return known;
    const start = `${run.key.hi}.${run.key.lo}.${run.from}`;
    this.starts.set(run, start);
    return start;
  }

  add(sequence: readonly Run[]): void {
    let parent: { branch: Branch; tokens: number } | null = null;
    for (const run of plainRuns(sequence)) {
      const node: Node = parent === null ? this.root : nodeAfter(parent.branch, parent.tokens);
      const start = this.startOf(run);
      let branch = node.get(start);
      if (branch === undefined) {
        branch = { longestTokens: 0, after: null };
        node.set(start, branch);
      }
      branch.longestTokens = Math.max(branch.longestTokens, run.tokens);
      parent = { branch, tokens: run.tokens };
    }
  }
}

function nodeAfter(branch: Branch, tokens: number): Node {
  branch.after ??= new Map();
  const known = branch.after.get(tokens);
  if (known !== undefined) return known;
  const made: Node = new Map();
  branch.after.set(tokens, made);
  return made;
}
