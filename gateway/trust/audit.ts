// The audit log: what policies decided, a line each. Every line has its number and the digest of the line before, so that
// a line that was changed, left out or moved shows from there on.
//
//   {"line":2,"before":"<digest of line 1>","atMs":…,"policy":…,"why":…,"sha256":"<digest of all before this key>"}
import type { DecisionRecord } from '../../scenarios/formats/record.ts';

/** SHA-256 of a text in UTF-8, as 64 hexadecimal digits; a parameter, since pure code has no such thing. */
export type Digest = (text: string) => string;

/** What stands before the first line. */
export const NO_LINE = '0'.repeat(64);
const SEAL = /^(\{"line":(\d+),"before":"([0-9a-f]{64})",.*),"sha256":"([0-9a-f]{64})"\}$/s;

/** Appends; keeps the number and digest of the last line only. */
export class AuditLog {
  private readonly digest: Digest;
  lines = 0;
  /** Of the last line. Kept elsewhere, it also tells whether lines at the end are missing. */
  last = NO_LINE;

  constructor(digest: Digest) {
    this.digest = digest;
  }

  /** The next line, without its end of line. */
  append({ atMs, session, call, policy, decision, why }: DecisionRecord): string {
    const line = { line: this.lines + 1, before: this.last, atMs, session, call, policy, decision, why };
    const body = JSON.stringify(line).slice(0, -1);
    this.lines += 1;
    this.last = this.digest(body);
    return `${body},"sha256":"${this.last}"}`;
  }
}

/** The first line, from 1, that is not as it was written. */
export interface AuditBreak {
  readonly line: number;
  readonly problem: 'malformed' | 'changed' | 'left out' | 'cut off';
}

/**
 * null: every line is as it was written and in its place. `last`: the digest of the last line where it is known; without
 * it nobody can tell whether lines are missing at the end.
 */
export function verifyAudit(
  lines: Iterable<string>,
  digest: Digest,
  last: string | null = null,
): AuditBreak | null {
  let line = 0;
  let before = NO_LINE;
  for (const text of lines) {
    line += 1;
    const [, body, number, claimed, sha256] = SEAL.exec(text) ?? [];
    if (body === undefined) return { line, problem: 'malformed' };
    if (digest(body) !== sha256) return { line, problem: 'changed' };
    if (Number(number) !== line) return { line, problem: 'left out' };
    // Whoever changed the line before sealed it anew.
    if (claimed !== before) return { line: Math.max(1, line - 1), problem: 'changed' };
    before = sha256;
  }
  return last !== null && last !== before ? { line: line + 1, problem: 'cut off' } : null;
}
