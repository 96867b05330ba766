// A token bucket over the tokens of prompts: it holds `capacity`, fills at `refill` a second, and each call takes out
// the tokens of its prompt.
import { readOptions } from './options.ts';
import { defineAdmissionPolicy } from './policy.ts';
import { LINE_OPTIONS, singleLine } from './single-line.ts';

const MS_PER_SEC = 1000;

/**
 * A call goes on when level >= promptTokens, with level = min(capacity, level + refill * dt). What is kept is the instant
 * at which the bucket will be full, so that both worlds compute the same instant at which a call fits. BLIS turns away
 * what does not fit (`queue` 0); a prompt above `capacity` never fits. Defaults: BLIS, capacity 10,000, refill 1000/s.
 */
export default defineAdmissionPolicy({
  name: 'token_bucket',
  doc: 'Lets prompt tokens in at a rate, with a burst; calls beyond it wait or are turned away.',
  source: 'BLIS `token-bucket`',
  create(options) {
    const { capacity, refill, ...line } = readOptions('token_bucket', options, {
      capacity: { usual: 10_000 },
      refill: { usual: 1000, least: 0.001 },
      ...LINE_OPTIONS,
    });
    const msPerToken = MS_PER_SEC / refill;
    let fullMs = Number.NEGATIVE_INFINITY;
    return singleLine(
      {
        isTooLarge: ({ promptTokens }) => promptTokens > capacity,
        readyMs: ({ promptTokens }) => fullMs - (capacity - promptTokens) * msPerToken,
        sent({ promptTokens }, nowMs) {
          fullMs = Math.max(fullMs, nowMs) + promptTokens * msPerToken;
        },
        refusal: 'rate_limited',
      },
      line,
    );
  },
});
