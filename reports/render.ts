// Vega-Lite to Vega, and to SVG without a browser. The one home of vega and vega-lite; both are heavy, so vega is
// loaded only to draw, and importers of this file load it late.
import { compile, type TopLevelSpec } from 'vega-lite';
import type { ChartSpec } from './charts/chart.ts';

/** A Vega specification: plain JSON, data by name and still to be filled in. */
export interface VegaSpec {
  data?: { name: string; values?: unknown }[];
  [property: string]: unknown;
}

/** Compiles a chart; any warning of Vega-Lite's is an error of ours. */
export function toVega(spec: ChartSpec): VegaSpec {
  const complain = (...messages: readonly (string | object)[]) => {
    // Said of every spec that fits its width and counts its rows, which is what we want.
    if (messages.join(' ').includes('Dropping "fit-y"')) return logger;
    throw new Error(`chart spec: ${messages.join(' ')}`);
  };
  const silent = () => logger;
  const logger = { level: silent, error: complain, warn: complain, info: silent, debug: silent };
  return compile(spec as unknown as TopLevelSpec, { logger: logger as never }).spec as unknown as VegaSpec;
}

/** A chart as SVG text, `widthPx` wide, on white. */
export async function toSvg(spec: ChartSpec, widthPx = 720): Promise<string> {
  const vega = await import('vega');
  const compiled = { ...toVega(spec), width: widthPx, background: 'white' };
  const view = new vega.View(vega.parse(compiled as never), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  return svg;
}
