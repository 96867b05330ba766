// Least outstanding: join the shortest queue, as the router itself counts it (nginx `least_conn`, Envoy
// `LEAST_REQUEST` over all hosts, llm-d `active-request`). Its counts are exact, so no signal is stale.
import { refuseOptions } from './options.ts';
import { lowestRow } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';

/** argmin outstanding; of several, the lowest row. */
export default defineRoutingPolicy({
  name: 'least-outstanding',
  doc: 'Takes the replica with the fewest requests that this router sent and has not seen the end of.',
  source:
    'nginx `least_conn`, Envoy `LEAST_REQUEST` over all hosts, llm-d `active-request`, AIBrix `least-request`',
  create(options) {
    refuseOptions('least-outstanding', options);
    return { route: (_arrival, { outstanding }) => lowestRow(outstanding) };
  },
});
