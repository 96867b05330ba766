// Seals: what was signed for one thing cannot be changed, forged or passed off as another.
import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { seal, signerOf, unseal } from '../../../lab/queue/sign.ts';

const KEY = 'a key of more than sixteen characters';
const signer = signerOf(KEY);
const plain = signerOf(undefined);
const value = { cases: Array.from({ length: 200 }, (_, index) => ({ index, ms: index / 3 })) };

describe('a seal', () => {
  test('opens with the key and for the scope that it was made with', () => {
    for (const each of [{ a: 1 }, value])
      expect(unseal(signer, 'job 1', seal(signer, 'job 1', each))).toEqual({ ok: true, value: each });
  });

  test('is HMAC-SHA-256 over scope and body', () => {
    const [signature, ...body] = seal(signer, 'job 1', { a: 1 }).split('.');
    expect(signature).toBe(
      createHmac('sha256', KEY)
        .update(`job 1\n${body.join('.')}`)
        .digest('hex'),
    );
  });

  test('does not open for another scope, with another key, or with a byte changed', () => {
    const sealed = seal(signer, 'job 1', value);
    const other = signerOf('another key of more than sixteen');
    expect(unseal(signer, 'job 2', sealed)).toEqual({ ok: false, why: 'wrongly signed' });
    expect(unseal(other, 'job 1', sealed)).toEqual({ ok: false, why: 'wrongly signed' });
    expect(unseal(signer, 'job 1', `${sealed.slice(0, -2)}A=`)).toEqual({ ok: false, why: 'wrongly signed' });
    expect(unseal(signer, 'job 1', `00${sealed}`)).toEqual({ ok: false, why: 'wrongly signed' });
  });

  test('that has no signature is refused where there is a key', () => {
    expect(unseal(signer, 'job 1', seal(plain, 'job 1', { a: 1 }))).toEqual({ ok: false, why: 'unsigned' });
  });

  test('without a key is no secret and still read; what is no seal is unreadable', () => {
    expect(unseal(plain, 'job 1', seal(plain, 'job 1', value))).toEqual({ ok: true, value });
    for (const text of ['', '.', 'x', '.json.{', '.gzip.AAAA', 'nonsense.json'])
      expect(unseal(plain, 'job 1', text)).toEqual({ ok: false, why: 'unreadable' });
  });

  test('names keys apart without holding them', () => {
    expect(signer.id).toMatch(/^[0-9a-f]{8}$/);
    expect(signerOf(`${KEY}!`).id).not.toBe(signer.id);
    expect(plain.id).toBe('unsigned');
    expect(seal(signer, 'job 1', { a: 1 })).not.toContain(KEY);
  });

  test('needs a key that cannot be guessed at once', () => {
    expect(() => signerOf('secret')).toThrow(/fewer than 16/);
    expect(() => signerOf('secret')).not.toThrow(/secret\b/);
  });
});
