// What an infinite prefix cache has seen, as a tree of runs: the longest beginning of a prompt that stood before in some
// other sequence is found in one step per run, whatever its tokens.
import { appendRuns, type Run } from '../scenarios/formats/prompt.ts';

/** Content that begins alike goes on in different ways after so many tokens. */
interface Branch {
  longestTokens: number;
  readonly after: Map<number, Node>;
}
type Node = Map<string, Branch>;

const startOf = ({ key, from }: Run): string => `${key.hi}.${key.lo}.${from}`;

/** Runs that continue each other are one: equal content has equal runs. */
function plainRuns(sequence: readonly Run[]): Run[] {
  const runs: Run[] = [];
  appendRuns(runs, sequence);
  return runs;
}

export class SeenContent {
  private readonly root: Node = new Map();

  /** Tokens at the beginning of `prompt` that were seen before. */
  knownTokens(prompt: readonly Run[]): number {
    let known = 0;
    let node: Node | undefined = this.root;
    for (const run of plainRuns(prompt)) {
      const branch: Branch | undefined = node?.get(startOf(run));
      if (branch === undefined) break;
      known += Math.min(run.tokens, branch.longestTokens);
      node = branch.after.get(run.tokens);
    }
    return known;
  }

  add(sequence: readonly Run[]): void {
    let node = this.root;
    for (const run of plainRuns(sequence)) {
      const start = startOf(run);
      const branch: Branch = node.get(start) ?? { longestTokens: 0, after: new Map() };
      node.set(start, branch);
      branch.longestTokens = Math.max(branch.longestTokens, run.tokens);
      const next: Node = branch.after.get(run.tokens) ?? new Map();
      branch.after.set(run.tokens, next);
      node = next;
    }
  }
}
