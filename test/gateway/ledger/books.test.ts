import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { withBooks } from '../../../gateway/ledger/books.ts';
import { verifyAudit } from '../../../gateway/trust/audit.ts';
import type { CostBasis } from '../../../scenarios/formats/ledger.ts';
import { aRun, aSpan, theGoverned } from '../../builders/records.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const basis: CostBasis = { rates: new Map(), price: () => null };

test('a run without a gateway has a ledger and no audit log; replicas that only stood there are paid for', () => {
  const books = withBooks(aRun({ durationMs: 1000 }), basis, sha256, [aSpan()]);
  expect(books.ledger?.totalNanos).toBe(1_000_000);
  expect(books.replicas).toBeUndefined();
  expect(books).not.toHaveProperty('audit');
});

test('decisions become an audit log that can be read twice, and shows what was taken out', () => {
  const decisions = [1, 2, 3].map(atMs => ({
    atMs,
    session: 's0',
    call: null,
    policy: 'budget' as const,
    decision: 'stop',
    why: 'tokens',
  }));
  const { audit } = withBooks(aRun({ governed: theGoverned({ decisions }) }), basis, sha256);
  const lines = [...audit!];
  expect(lines).toEqual([...audit!]);
  expect(lines.map(line => JSON.parse(line).atMs)).toEqual([1, 2, 3]);
  expect(verifyAudit(lines, sha256)).toBeNull();
  expect(verifyAudit(lines.toSpliced(1, 1), sha256)).toMatchObject({ line: 2, problem: 'left out' });
});
