// A chart as files: its Vega-Lite spec, and SVG on white paper and on dark. A rim.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChartSpec, isAbsent } from './charts/chart.ts';

/** Writes ID.vl.json, ID.svg and ID-dark.svg into a folder that exists; their names, none of a chart that is not drawn. */
export async function writeChart(
  folder: string,
  { id, title, drawn }: { id: string; title: string; drawn: ChartSpec | { absent: string } },
): Promise<string[]> {
  if (isAbsent(drawn)) return [];
  // Vega is heavy: loaded only to draw.
  const { toSvg } = await import('./render.ts');
  const spec = { title, ...drawn };
  const files: [string, string][] = [
    [`${id}.vl.json`, JSON.stringify(spec)],
    [`${id}.svg`, await toSvg(drawn)],
    [`${id}-dark.svg`, await toSvg(drawn, 720, 'dark')],
  ];
  for (const [name, text] of files) await writeFile(join(folder, name), text);
  return files.map(([name]) => name);
}
