// Content that several sessions hold, such as a system prompt, spelled beforehand: k6's JavaScript needs some 9 us a word,
// and every virtual user would spell it for itself.
import { nameOf, type RunRow } from '../k6/session.ts';

/** Text that every user holds at most. */
const CHARS_MAX = 8_000_000;

export class SharedTexts {
  private readonly seen = new Map<string, { readonly run: RunRow; sessions: number }>();

  /** The runs of one session. */
  add(runs: readonly RunRow[]): void {
    for (const [name, run] of new Map(runs.map(each => [nameOf(each), each]))) {
      const known = this.seen.get(name);
      if (known === undefined) this.seen.set(name, { run, sessions: 1 });
      else known.sessions++;
    }
  }

  /** Tokens of runs that only one session holds. */
  ownTokens(runs: readonly RunRow[]): number {
    return runs.reduce((sum, run) => sum + ((this.seen.get(nameOf(run))?.sessions ?? 0) > 1 ? 0 : run[3]), 0);
  }

  /** A line each, its name before it: those that save most first, as many as there is room for. */
  lines(spell: (run: RunRow) => string): string[] {
    const savedTokens = ({ run, sessions }: { run: RunRow; sessions: number }): number =>
      run[3] * (sessions - 1);
    const lines: string[] = [];
    let chars = 0;
    for (const each of [...this.seen.values()].sort((a, b) => savedTokens(b) - savedTokens(a))) {
      if (each.sessions < 2) continue;
      const line = `${nameOf(each.run)}\t${spell(each.run)}`;
      chars += line.length;
      if (chars > CHARS_MAX) break;
      lines.push(line);
    }
    return lines;
  }
}
