// Where a Prometheus range comes from: a file, or a query_range address on this machine or an allowed host.
import { readFileSync } from 'node:fs';
import { createClient } from '../../loadgen/client.ts';
import { startClock } from '../../loadgen/clock.ts';
import { hostIsAllowed } from '../../loadgen/hosts.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { type MetricSeries, readRange } from './prometheus.ts';

/** Reads `prometheus=FILE` or `prometheus=URL`; `series` names the figure where the answer does not. */
export async function metricsFrom(
  place: string,
  series: string | null,
  allowHosts: readonly string[],
): Promise<MetricSeries[]> {
  if (!/^https?:\/\//.test(place)) return readRange(textOf(place), { where: place, query: null, series });
  const url = URL.parse(place);
  if (url === null) throw new UserError(`--against prometheus=${place}: not an address`);
  if (!hostIsAllowed(url.href, allowHosts)) {
    throw new UserError(`${url.hostname} is neither this machine nor allowed`, {
      hint: `add it to \`allow_hosts\` of the deployment, or save the answer to a file: curl '…/api/v1/query_range?…' > range.json`,
    });
  }
  // Never the whole address: it may hold a key.
  const where = `${url.origin}${url.pathname}`;
  const client = createClient({ clock: startClock(), connectTimeoutMs: 3000 });
  try {
    const text = await client.text(url.origin, `${url.pathname}${url.search}`);
    if (text === null) {
      throw new UserError(`${where} gave no answer, or not one with status 200`, {
        hint: 'try the same address with curl: it is …/api/v1/query_range?query=…&start=…&end=…&step=…',
        exitCode: 1,
      });
    }
    return readRange(text, { where, query: url.searchParams.get('query'), series });
  } finally {
    await client.close();
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UserError(`${file} cannot be read: ${(error as Error).message}`, {
      hint: 'expected --against prometheus=FILE or prometheus=http://…/api/v1/query_range?…',
    });
  }
}
