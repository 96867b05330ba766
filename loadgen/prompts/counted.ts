// What the server counted of each session's prompts, by their content. A later prompt that begins with one of them goes
// on from that count. Rule: what has been written once is written the same ever after, so that caches find it.
import { extend, type Key, keyText, textKey } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

const START: Key = textKey('prompt');

/** Names the content of runs so far; runs that continue one another are one. */
export class PrefixName {
  private chain = START;
  private last: Run | null = null;

  push(run: Run): void {
    const { last } = this;
    const goesOn =
      last !== null &&
      last.key.hi === run.key.hi &&
      last.key.lo === run.key.lo &&
      last.from + last.tokens === run.from;
    if (goesOn) this.last = { ...last, tokens: last.tokens + run.tokens };
    else {
      this.chain = this.key();
      this.last = run;
    }
  }

  text(): string {
    return keyText(this.key());
  }

  private key(): Key {
    const { chain, last } = this;
    if (last === null) return chain;
    return extend(extend(chain, last.key.hi, last.key.lo), last.from, last.tokens);
  }
}

export class CountedPrompts {
  /** Null: a prompt went on from there without a count, and so do all. */
  private readonly sessions = new Map<string, Map<string, number | null>>();

  /** Before its first prompt. */
  open(session: string): void {
    if (!this.sessions.has(session)) this.sessions.set(session, new Map());
  }

  /** The server counted so many tokens for the prompt of these runs. */
  add(session: string, runs: readonly Run[], tokens: number): void {
    const name = new PrefixName();
    for (const run of runs) name.push(run);
    const known = this.sessions.get(session);
    if (known?.has(name.text()) === false) known.set(name.text(), tokens);
  }

  /** Tokens of that beginning of a prompt, which now goes on: as counted, else as `believed`. */
  at(session: string, beginning: PrefixName, believed: number): number {
    const known = this.sessions.get(session);
    const name = beginning.text();
    const counted = known?.get(name);
    if (counted === undefined) known?.set(name, null);
    return counted ?? believed;
  }

  forget(session: string): void {
    this.sessions.delete(session);
  }
}
