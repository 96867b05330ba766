// The registry: every export by its name. A new one is a file beside this and a line here.
import { aiperf } from './aiperf.ts';
import type { Exporter } from './exporter.ts';
import { k6 } from './k6.ts';
import { mooncake } from './mooncake.ts';

export const exporters: readonly Exporter[] = [k6, aiperf, mooncake];
