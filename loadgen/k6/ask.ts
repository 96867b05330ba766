// One call over k6/http: calls of one session can be in flight at once. The answer is buffered, so the first token is not
// seen, only the first byte. Its text stands in exported scripts.
import http from 'k6/http';
import { type Reply, readStream } from './session.ts';

export interface Ask {
  readonly url: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** ms since the test began. */
  nowMs(): number;
  /** Told of the time to the first byte. */
  onFirstByte(ms: number): void;
  /** Told of a gap between two pieces of an answer. */
  onGap(ms: number): void;
}

const NOTHING = { promptTokens: null, cachedTokens: null, outputTokens: 0, reasoningTokens: 0 };

export async function ask({ url, body, headers, tags, timeoutMs, nowMs, onFirstByte }: Ask): Promise<Reply> {
  const sentMs = nowMs();
  const reply = { sentMs, firstTokenMs: null, retryAfterMs: null, ...NOTHING };
  const timeout = `${Math.ceil(timeoutMs)}ms`;
  const response = await http.asyncRequest('POST', url, body, { headers, tags, timeout });
  const endMs = nowMs();
  const isLate = response.error_code === 1050;
  if (response.status === 0) return { ...reply, endMs, error: isLate ? 'timeout' : 'connect' };
  if (response.status !== 200) {
    const retryAfterMs = waitAsked(response.headers['Retry-After']);
    return { ...reply, endMs, retryAfterMs, error: `http_${response.status}` };
  }
  onFirstByte(response.timings.waiting);
  const read = readStream(response.body ?? '');
  const cut = response.error === '' ? null : isLate ? 'timeout' : 'stream_cut';
  return { ...reply, endMs, ...read, error: cut ?? read.error };
}

/** Seconds, or a date. */
function waitAsked(header: string | undefined): number | null {
  if (header === undefined) return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return seconds * 1000;
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? null : atMs - Date.now();
}
