// A report page in a real browser, opened from its file: whatever it asks for or complains about is noted.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';
/** Where the browser is missing its tests are skipped, visibly; in CI they must run. */
export const noBrowser = !existsSync(CHROMIUM) && !process.env.CI;

export interface OpenPage {
  tab: Page;
  requests: string[];
  complaints: string[];
}

export interface PageBrowser {
  open(
    name: string,
    text: string,
    look?: { widthPx?: number; theme?: 'light' | 'dark'; hash?: string },
  ): Promise<OpenPage>;
  close(): Promise<void>;
}

export async function pageBrowser(): Promise<PageBrowser> {
  const folder = await mkdtemp(join(tmpdir(), 'windtunnel-page-'));
  const browser: Browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  return {
    async open(name, text, { widthPx = 1280, theme = 'light', hash = '' } = {}) {
      const file = join(folder, `${name}.html`);
      await writeFile(file, text);
      const tab = await browser.newPage({ viewport: { width: widthPx, height: 800 }, colorScheme: theme });
      const requests: string[] = [];
      const complaints: string[] = [];
      tab.on('request', request => requests.push(request.url()));
      tab.on('console', message => {
        if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
      });
      tab.on('pageerror', error => complaints.push(error.message));
      await tab.goto(`${pathToFileURL(file).href}${hash}`);
      await tab.waitForSelector('html[data-ready]');
      return { tab, requests, complaints };
    },
    async close() {
      await browser.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Scrolls every shown chart into view until it is drawn; how many there are. */
export async function drawAll(tab: Page): Promise<number> {
  const figures = tab.locator('figure[data-chart]:visible');
  const count = await figures.count();
  for (let i = 0; i < count; i++) {
    await figures.nth(i).scrollIntoViewIfNeeded();
    await figures.nth(i).locator('.plot svg').waitFor();
  }
  return count;
}

/** How much wider the page is than the window, px. */
export const overflowPx = (tab: Page): Promise<number> =>
  tab.evaluate('document.documentElement.scrollWidth - innerWidth');
