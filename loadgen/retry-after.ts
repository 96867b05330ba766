// When a server that refuses says to come back, read from the headers of its answer.

/**
 * How long to wait before another attempt, ms, as the OpenAI and Anthropic clients read it: `retry-after-ms`, else
 * `retry-after` in seconds or as an HTTP date; null: nothing that can be read, or a time that is over. `unixMs`: now.
 */
export function retryAfterMs(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  unixMs: number,
): number | null {
  const exact = headers['retry-after-ms'];
  if (typeof exact === 'string' && exact.trim() !== '' && Number(exact) >= 0) return Number(exact);
  const given = headers['retry-after'];
  if (typeof given !== 'string' || given.trim() === '') return null;
  const ms = Number.isFinite(Number(given)) ? Number(given) * 1000 : Date.parse(given) - unixMs;
  return ms >= 0 ? ms : null;
}
