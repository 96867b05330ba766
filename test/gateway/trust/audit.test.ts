// An audit log shows the first line that was changed, left out, moved or made up.
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AuditLog, NO_LINE, verifyAudit } from '../../../gateway/trust/audit.ts';
import type { DecisionRecord } from '../../../scenarios/formats/record.ts';

const sha256 = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');
const decision = (some: Partial<DecisionRecord> = {}): DecisionRecord => ({
  atMs: 12.5,
  session: 'chat/3',
  call: 'plan',
  policy: 'choose',
  decision: 'frontier',
  why: 'rule 2: complexity high',
  ...some,
});
function written(records: readonly DecisionRecord[]): { lines: string[]; last: string } {
  const log = new AuditLog(sha256);
  const lines = records.map(record => log.append(record));
  return { lines, last: log.last };
}
const FIVE = Array.from({ length: 5 }, (_, i) => decision({ atMs: i, call: i === 2 ? null : `c[${i}]` }));

describe('an audit log', () => {
  test('is a line of JSON for each decision, numbered and chained', () => {
    const { lines, last } = written(FIVE);
    const parsed = lines.map(line => JSON.parse(line) as Record<string, unknown>);
    expect(parsed.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5]);
    expect(parsed[0]).toMatchObject({ ...FIVE[0], before: NO_LINE });
    for (let i = 1; i < parsed.length; i++) expect(parsed[i]!.before).toBe(parsed[i - 1]!.sha256);
    expect(last).toBe(parsed[4]!.sha256);
    // The digest is that of all in front of its key: anyone can do the sum again.
    const [body] = lines[2]!.split(',"sha256"');
    expect(sha256(body!)).toBe(parsed[2]!.sha256);
    expect(verifyAudit(lines, sha256, last)).toBeNull();
    expect(verifyAudit([], sha256, NO_LINE)).toBeNull();
  });

  test('shows what was done to it', () => {
    const { lines, last } = written(FIVE);
    const changed = lines.with(2, lines[2]!.replace('frontier', 'local'));
    expect(verifyAudit(changed, sha256)).toEqual({ line: 3, problem: 'changed' });
    expect(verifyAudit(lines.toSpliced(1, 1), sha256)).toEqual({ line: 2, problem: 'left out' });
    expect(verifyAudit(lines.slice(1), sha256)).toEqual({ line: 1, problem: 'left out' });
    expect(verifyAudit([lines[1]!, lines[0]!], sha256)).toEqual({ line: 1, problem: 'left out' });
    expect(verifyAudit(lines.with(3, '{"line":4}'), sha256)).toEqual({ line: 4, problem: 'malformed' });
    expect(verifyAudit(lines.with(3, ''), sha256)).toEqual({ line: 4, problem: 'malformed' });
    expect(verifyAudit(lines.slice(0, 4), sha256)).toBeNull();
    expect(verifyAudit(lines.slice(0, 4), sha256, last)).toEqual({ line: 5, problem: 'cut off' });
  });

  test('shows a line that was changed and sealed anew, by the line behind it', () => {
    const { lines, last } = written(FIVE);
    const body = lines[2]!.split(',"sha256"')[0]!.replace('frontier', 'local');
    const forged = lines.with(2, `${body},"sha256":"${sha256(body)}"}`);
    expect(verifyAudit(forged, sha256)).toEqual({ line: 3, problem: 'changed' });
    const atEnd = [...lines.slice(0, 4), forged[4]!];
    expect(verifyAudit(atEnd, sha256, last)).toBeNull();
    // Sealed anew to the end, it hangs together: only the digest that was kept elsewhere tells.
    const rewritten = written(FIVE.with(2, decision({ why: 'forged' })));
    expect(verifyAudit(rewritten.lines, sha256)).toBeNull();
    expect(verifyAudit(rewritten.lines, sha256, last)).toEqual({ line: 6, problem: 'cut off' });
  });

  test('law: any text in a decision is kept, and any change of one letter shows at its line', () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 });
    fc.assert(
      fc.property(
        fc.array(fc.record({ why: text, session: text }), { minLength: 1, maxLength: 6 }),
        fc.nat(),
        fc.nat(),
        (some, at, where) => {
          const { lines, last } = written(some.map(each => decision(each)));
          expect(verifyAudit(lines, sha256, last)).toBeNull();
          const i = at % lines.length;
          const line = lines[i]!;
          expect((JSON.parse(line) as DecisionRecord).why).toBe(some[i]!.why);
          const letter = where % line.length;
          const other = line[letter] === 'x' ? 'y' : 'x';
          const broken = lines.with(i, line.slice(0, letter) + other + line.slice(letter + 1));
          expect(verifyAudit(broken, sha256)?.line).toBe(i + 1);
        },
      ),
    );
  });
});
