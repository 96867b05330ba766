// Vega-Lite to Vega, and to SVG without a browser. The one home of vega and vega-lite; both are heavy, so vega is
// loaded only to draw, and importers of this file load it late.
import { compile, type TopLevelSpec } from 'vega-lite';
import { type ChartSpec, PALETTE } from './charts/chart.ts';

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

/** The colours of the report page's dark theme (page.css). */
const DARK = {
  ink: '#e7eaf0',
  faint: '#9aa4b4',
  paper: '#171b22',
  band: '#272d38',
  line: '#2a303b',
} as const;
/** Blue lines are too dark for dark paper; the other colours carry over. */
const DARK_BLUE = [PALETTE.blue, '#2680cb'] as const;

/** The same spec in colours for dark paper. */
function darkened(spec: ChartSpec): ChartSpec {
  const {
    params = [],
    config = {},
    ...rest
  } = spec as ChartSpec & {
    params?: readonly { name: string; value?: unknown }[];
    config?: object;
  };
  const axis = {
    labelColor: DARK.faint,
    titleColor: DARK.faint,
    gridColor: DARK.line,
    domainColor: DARK.line,
  };
  const themed = {
    ...rest,
    params: params.map(param =>
      param.name in DARK ? { ...param, value: DARK[param.name as keyof typeof DARK] } : param,
    ),
    config: {
      ...config,
      axis: { ...axis, tickColor: DARK.line },
      legend: { labelColor: DARK.ink, titleColor: DARK.ink },
      title: { color: DARK.ink },
    },
  };
  return JSON.parse(JSON.stringify(themed).replaceAll(...DARK_BLUE));
}

/** A chart as SVG text, `widthPx` wide, on white paper or dark. */
export async function toSvg(
  spec: ChartSpec,
  widthPx = 720,
  theme: 'light' | 'dark' = 'light',
): Promise<string> {
  const vega = await import('vega');
  const isDark = theme === 'dark';
  const compiled = {
    ...toVega(isDark ? darkened(spec) : spec),
    width: widthPx,
    background: isDark ? DARK.paper : 'white',
  };
  const view = new vega.View(vega.parse(compiled as never), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  return svg;
}
