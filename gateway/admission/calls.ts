// A limit of calls in flight, and a line before it: nginx `limit_conn`, Envoy `max_requests` with `max_pending_requests`,
// the concurrency limit and queue of SGLang's gateway.
import { readOptions } from './options.ts';
import { defineAdmissionPolicy } from './policy.ts';
import { LINE_OPTIONS, singleLine } from './single-line.ts';

/**
 * A call goes on when fewer than `max` that were sent have not ended, all pools together (default 1024, Envoy's
 * max_requests). `queue` more may wait, each for `max_wait` ms at most; beyond, they are turned away.
 */
export default defineAdmissionPolicy({
  name: 'calls',
  doc: 'Lets so many calls in at once; more of them wait in order of arrival, or are turned away.',
  source:
    'Envoy `max_requests` and `max_pending_requests`; SGLang gateway `max_concurrent_requests`, `queue_size`',
  create(options) {
    const { max, ...line } = readOptions('calls', options, {
      max: { usual: 1024, least: 1 },
      ...LINE_OPTIONS,
    });
    let inFlight = 0;
    return singleLine(
      {
        readyMs: (_call, nowMs) => (inFlight < max ? nowMs : Number.POSITIVE_INFINITY),
        sent() {
          inFlight++;
        },
        ended() {
          inFlight--;
        },
        refusal: 'shed',
      },
      line,
    );
  },
});
