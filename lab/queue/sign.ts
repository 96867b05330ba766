// What goes through a queue is sealed: signed with a key that both ends have (HMAC-SHA-256 over the bytes), and bound to
// what it is for, so that a message cannot be passed off as another. Without a key it is carried as it is.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { UserError } from '../../scenarios/base/errors.ts';
import { fromText, toText } from './plain-text.ts';

const KEY_CHARACTERS_MIN = 16;
/** From here on a message is compressed. */
const GZIP_CHARACTERS = 1024;
const MESSAGE_BYTES_MAX = 1 << 28;

export interface Signer {
  /** Tells keys apart and gives none away; `unsigned` where there is no key. */
  readonly id: string;
  /** Hexadecimal; null without a key. `scope`: what the bytes are for. */
  sign(scope: string, bytes: string): string | null;
  /** Always true without a key. */
  isSigned(scope: string, bytes: string, signature: string | null): boolean;
}

/** By the key of WINDTUNNEL_QUEUE_KEY; empty or absent: there is none. */
export function signerOf(key: string | undefined): Signer {
  if (key === undefined || key === '') return { id: 'unsigned', sign: () => null, isSigned: () => true };
  if (key.length < KEY_CHARACTERS_MIN)
    throw new UserError(`WINDTUNNEL_QUEUE_KEY has fewer than ${KEY_CHARACTERS_MIN} characters`, {
      hint: 'make one: openssl rand -hex 32',
    });
  const mac = (text: string): string => createHmac('sha256', key).update(text).digest('hex');
  const sign = (scope: string, bytes: string): string => mac(`${scope}\n${bytes}`);
  return {
    id: mac('windtunnel queue').slice(0, 8),
    sign,
    isSigned: (scope, bytes, signature) => {
      if (signature === null) return false;
      const [given, expected] = [Buffer.from(signature), Buffer.from(sign(scope, bytes))];
      return given.length === expected.length && timingSafeEqual(given, expected);
    },
  };
}

/** A value as a signed text: `SIGNATURE.FORM.BODY`. */
export function seal(signer: Signer, scope: string, value: unknown): string {
  const text = toText(value);
  const body =
    text.length < GZIP_CHARACTERS
      ? `json.${text}`
      : `gzip.${gzipSync(text, { level: 1 }).toString('base64')}`;
  return `${signer.sign(scope, body) ?? ''}.${body}`;
}

export type Unsealed =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly why: 'unsigned' | 'wrongly signed' | 'unreadable' };

/** What was sealed for this scope; nothing of it is read before its signature is checked. */
export function unseal(signer: Signer, scope: string, sealed: string): Unsealed {
  const dot = sealed.indexOf('.');
  const signature = sealed.slice(0, Math.max(0, dot));
  const body = sealed.slice(dot + 1);
  if (!signer.isSigned(scope, body, signature === '' ? null : signature))
    return { ok: false, why: signature === '' ? 'unsigned' : 'wrongly signed' };
  try {
    const text = body.startsWith('gzip.')
      ? gunzipSync(Buffer.from(body.slice(5), 'base64'), { maxOutputLength: MESSAGE_BYTES_MAX }).toString()
      : body.slice(5);
    return { ok: true, value: fromText(text) };
  } catch {
    return { ok: false, why: 'unreadable' };
  }
}
