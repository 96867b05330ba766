// Bars from the left with their value behind them, one row a thing; and a dotted line where something ends.
import { type ChartSpec, chartSpec, FAINT, INK } from '../../charts/chart.ts';

export interface BarsOptions {
  /** A row each; `shown` is written behind its bar. */
  readonly bars: readonly (object & { readonly shown: string })[];
  /** Field of the names, and how long they may be: px on a phone, else. */
  readonly name: { readonly field: string; readonly limitsPx: readonly [number, number] };
  /** Field, scale and axis of the lengths. */
  readonly x: { readonly field: string; readonly [property: string]: unknown };
  readonly color: object;
  readonly tooltip: readonly object[];
  readonly stepPx: number;
  /** Where the dotted line stands. */
  readonly lineAt?: number;
}

export function barsSpec({ bars, name, x, color, tooltip, stepPx, lineAt }: BarsOptions): ChartSpec {
  const [phonePx, widePx] = name.limitsPx;
  const y = {
    field: name.field,
    type: 'nominal',
    sort: bars.map(bar => (bar as Record<string, unknown>)[name.field]),
    title: null,
    axis: { domain: false, ticks: false, labelLimit: { expr: `width < 420 ? ${phonePx} : ${widePx}` } },
  };
  const line = {
    data: { name: 'line' },
    mark: { type: 'rule', strokeDash: [4, 4], color: FAINT },
    encoding: { x: { ...x, field: 'at' } },
  };
  return chartSpec(
    { bars, ...(lineAt === undefined ? {} : { line: [{ at: lineAt }] }) },
    {
      height: { step: stepPx },
      layer: [
        {
          data: { name: 'bars' },
          mark: { type: 'bar', height: { band: 0.62 } },
          encoding: { y, x, color, tooltip },
        },
        {
          data: { name: 'bars' },
          mark: { type: 'text', align: 'left', dx: 5, fontSize: 11, color: INK },
          encoding: { y, x, text: { field: 'shown' } },
        },
        ...(lineAt === undefined ? [] : [line]),
      ],
    },
  );
}
