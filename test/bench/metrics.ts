// What looking at a server's metrics costs our own client.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readGauges, readServer } from '../../engines/metrics/read.ts';
import { cpuSeconds, type Figure } from './figure.ts';

const SECONDS = 10;
/** As often as a router's deployment may say. */
const LOOKS_PER_SEC = 20;

/** CPU for 1 MB of metrics (thirty vLLMs in one text): gauges 20 times a second, everything once. */
export function metricsWatch(): Figure {
  const file = join(import.meta.dirname, '..', 'fixtures', 'metrics', 'vllm-0.32.txt');
  const one = readFileSync(file, 'utf8');
  const text = one.repeat(Math.ceil(1e6 / one.length));
  const { engine } = readServer(text)!;
  const gauges = cpuSeconds(() => {
    for (let look = 0; look < SECONDS * LOOKS_PER_SEC; look++) readGauges(text, engine);
  });
  const whole = cpuSeconds(() => {
    for (let look = 0; look < SECONDS; look++) readServer(text);
  });
  const megabytes = text.length / 1e6;
  const perSec = (seconds: number, looks: number): string => ((megabytes * looks) / seconds).toFixed(0);
  return {
    value: (100 * (gauges + whole)) / SECONDS,
    unit: '% of a core',
    detail: `${megabytes.toFixed(2)} MB: gauges at ${perSec(gauges, SECONDS * LOOKS_PER_SEC)} MB/s, all that a report needs at ${perSec(whole, SECONDS)} MB/s`,
  };
}
