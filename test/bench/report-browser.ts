// Run by report.ts: how long a page takes in Chromium until its first chart, and until all, scrolled through.
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [path] = process.argv.slice(2) as [string];
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
const tab = await browser.newPage({ viewport: { width: 1280, height: 800 } });
await tab.goto(pathToFileURL(path).href);
// Milliseconds since the navigation began.
const times: { firstMs: number; allMs: number; charts: number } = await tab.evaluate(`(async () => {
  const frame = () => new Promise(requestAnimationFrame);
  const drawn = figure => figure.hasAttribute('data-drawn');
  const all = () => [...document.querySelectorAll('figure[data-chart]')].filter(({ offsetWidth }) => offsetWidth > 0);
  while (!document.documentElement.hasAttribute('data-ready')) await frame();
  all()[0].scrollIntoView();
  while (!all().some(drawn)) await frame();
  const firstMs = performance.now();
  for (const figure of all()) {
    figure.scrollIntoView();
    while (!drawn(figure)) await frame();
  }
  return { firstMs, allMs: performance.now(), charts: all().length };
})()`);
console.log(JSON.stringify(times));
await browser.close();
