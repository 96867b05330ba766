// One call over k6/x/sse: the first token and the gaps between pieces are seen, to a millisecond, and a VU does one call at
// a time. Its text stands in exported scripts instead of ask.ts.
import sse from 'k6/x/sse';
import type { Ask } from './ask.ts';
import { holdsToken, type Reply, readStream } from './session.ts';

export async function ask({ url, body, headers, tags, timeoutMs, nowMs, onGap }: Ask): Promise<Reply> {
  const sentMs = nowMs();
  const lines: string[] = [];
  let firstTokenMs: number | null = null;
  let lastMs = 0;
  let failure = '';
  const timeout = `${Math.ceil(timeoutMs)}ms`;
  const response = sse.open(url, { method: 'POST', body, headers, tags, timeout }, client => {
    client.on('event', ({ data }) => {
      const atMs = nowMs();
      lines.push(`data: ${data}\n`);
      if (data === '[DONE]') {
        client.close();
        return;
      }
      if (!holdsToken(data)) return;
      if (firstTokenMs === null) firstTokenMs = atMs;
      else onGap(atMs - lastMs);
      lastMs = atMs;
    });
    client.on('error', error => {
      failure = error.error();
    });
  });
  const endMs = nowMs();
  const reply = { sentMs, endMs, firstTokenMs, retryAfterMs: null };
  const nothing = { promptTokens: null, cachedTokens: null, outputTokens: 0, reasoningTokens: 0 };
  if (response.status === 0 || lines.length === 0) {
    const error = response.status > 0 && response.status !== 200 ? `http_${response.status}` : 'connect';
    return { ...reply, ...nothing, error: /timeout|deadline/i.test(failure) ? 'timeout' : error };
  }
  return { ...reply, ...readStream(lines.join('')) };
}
