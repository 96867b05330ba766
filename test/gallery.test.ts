// The gallery is whole: every chart that the page can have has its place, its picture on both papers, and its runs.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CHART_IDS, MEASURED, NOT_SHOWN, PAGE, PICTURES, SIMULATED } from './gallery.ts';

/** All pictures together. */
const BYTES_MAX = 2_500_000;

const page = readFileSync(PAGE, 'utf8');
const groups = [...SIMULATED, ...MEASURED];
const shown = groups.flatMap(({ charts }) => Object.keys(charts));
const pictures = readdirSync(PICTURES);

test('every chart is shown once, or said not to be', () => {
  expect([...shown, ...NOT_SHOWN].sort()).toEqual([...CHART_IDS].sort());
});

test.each(shown)('%s has its finding and its picture, light and dark', id => {
  const [, below] = page.split(`\n### ${id}\n`);
  const [, finding, light] = /^\s*\*\*(.+)\*\*[\s\S]*?<img alt="(.+)" src/.exec(below!)!;
  expect(light!.replaceAll('&quot;', '"')).toBe(finding);
  expect(below).toContain(`srcset="gallery/${id}-dark.svg"`);
  expect(below).toContain(`src="gallery/${id}.svg"`);
  for (const name of [`${id}.svg`, `${id}-dark.svg`]) {
    expect(readFileSync(join(PICTURES, name), 'utf8'), name).toMatch(/^<svg [\s\S]*<\/svg>\s*$/);
  }
});

test.each(NOT_SHOWN)('the page says why %s is not shown', id => {
  expect(page).toMatch(new RegExp(`^- \`${id}\`: `, 'm'));
  expect(pictures).not.toContain(`${id}.svg`);
});

test('there are no other pictures, and all of them are small', () => {
  expect(pictures.sort()).toEqual(shown.flatMap(id => [`${id}.svg`, `${id}-dark.svg`]).sort());
  const bytes = pictures.reduce((sum, name) => sum + statSync(join(PICTURES, name)).size, 0);
  expect(bytes).toBeLessThan(BYTES_MAX);
});

describe('commands', () => {
  test.each(groups)(
    '$title: those of the page are those of the script, and make the runs that it draws',
    group => {
      expect(page).toContain(`## ${group.title}\n\n${group.about}\n\n\`\`\`sh\n${group.commands}\n\`\`\`\n`);
      const made = groups.map(({ commands }) => commands).join('\n');
      for (const folder of group.runs) expect(`${made}\n`).toMatch(new RegExp(`--out ${folder}\\n`));
    },
  );
});
