// The page of a run that goes on: what the server answers, readers that are slow, and a real browser that takes new
// versions in its stride.
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { pageOf } from '../../reports/publish.ts';
import { serveRun } from '../../reports/serve/serve.ts';
import { changing, served } from '../../reports/serve/served.ts';
import { openPageServer, type PageServer } from '../../reports/serve/server.ts';
import { ofLog, ofSimulation } from '../../reports/serve/so-far.ts';
import { summarise } from '../../reports/summary.ts';
import { listenOf } from '../../scenarios/cli/serve-options.ts';
import type { RunSoFar } from '../../scenarios/formats/run.ts';
import { anAgentRun } from '../builders/agents.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const PAGE = `<!doctype html>
<html lang="en">
<head><meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:"></head>
<body><main>one</main><script type="text/plain" id="runtime">AAAA</script></body>
</html>`;

const open: PageServer[] = [];
const server = async (): Promise<PageServer> => {
  const opened = await openPageServer(ANY, 'listen()');
  open.push(opened);
  return opened;
};
afterEach(async () => {
  for (const each of open.splice(0)) await each.end();
});

interface Answer {
  status: number | undefined;
  text: string;
}

const ask = (url: string, options: { method?: string; host?: string } = {}): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { method = 'GET', host } = options;
    const asked = request(url, { method, headers: host === undefined ? {} : { host } }, response => {
      let text = '';
      response.on('data', chunk => {
        text += String(chunk);
      });
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    asked.on('error', reject);
    asked.end();
  });

describe('--serve', () => {
  test('listens on this machine alone unless it is told otherwise', () => {
    expect(listenOf('')).toEqual({ host: '127.0.0.1', port: 8600 });
    expect(listenOf('9000')).toEqual({ host: '127.0.0.1', port: 9000 });
    expect(listenOf('0.0.0.0:80')).toEqual({ host: '0.0.0.0', port: 80 });
    expect(listenOf('[::1]:0')).toEqual({ host: '::1', port: 0 });
    for (const wrong of ['mixed-fleet', '70000', 'a b:1', ':80', 'http://x:1'])
      expect(() => listenOf(wrong)).toThrow('expected a port, or HOST:PORT');
  });

  test('says what to do about a port that is taken', async () => {
    const first = await serveRun(ANY);
    const port = Number(new URL(first.url).port);
    const second = serveRun({ host: '127.0.0.1', port });
    await expect(second).rejects.toThrow(`cannot be served on 127.0.0.1:${port}: the port is taken`);
    await expect(second).rejects.toHaveProperty('hint', expect.stringContaining('--serve PORT'));
    await first.end();
    await expect(ask(first.url)).rejects.toThrow('ECONNREFUSED');
  });
});

describe('the server', () => {
  test('answers the page, which may listen to its own server and to no other, and nothing else', async () => {
    const { url, show } = await server();
    const early = ask(url);
    show(PAGE);
    for (const { status, text } of [await early, await ask(url)]) {
      expect(status).toBe(200);
      expect(text).toContain("content=\"connect-src &#39;self&#39;; default-src 'none'; img-src data:");
      expect(text).toContain('<script>listen()</script>\n</body>');
      expect(text).toContain('data-version="1"');
    }
    expect((await ask(`${url}etc/passwd`)).status).toBe(404);
    expect((await ask(url, { method: 'POST' })).status).toBe(405);
    expect((await ask(url, { host: 'rebound.example' })).status).toBe(403);
    expect((await ask(url, { host: `localhost:${new URL(url).port}` })).status).toBe(200);
  });

  test('a reader that does not read holds up neither the run nor other readers, and gets no queue', async () => {
    const one = await server();
    const { port } = new URL(one.url);
    one.show(PAGE);
    const slow = connect(Number(port), '127.0.0.1');
    slow.pause();
    slow.write(`GET /live?version=0 HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    let last = '';
    const fast = request(`${one.url}live?version=0`, response => {
      response.on('data', chunk => {
        last = (last + String(chunk)).slice(-200);
      });
    });
    fast.end();
    await expect.poll(() => one.readers).toBe(2);

    const big = PAGE.replace('one', 'x'.repeat(1 << 20));
    for (let i = 0; i < 60; i++) {
      one.show(big.replace('</main>', `${i}</main>`));
      await new Promise(resolve => setTimeout(resolve, 1));
    }
    await expect.poll(() => last, { timeout: 20_000 }).toContain('59</main>');

    // What was on its way when it stopped, and the last one.
    let read = '';
    slow.on('data', chunk => {
      read += String(chunk);
    });
    slow.resume();
    await expect.poll(() => read, { timeout: 20_000 }).toContain('59</main>');
    expect(read.match(/^id: \d+$/gm)!.length).toBeLessThan(10);
    slow.destroy();
    fast.destroy();
    await expect.poll(() => one.readers).toBe(0);
  });

  test('a new version carries what changes, not what never does', async () => {
    const page = await pageOf([summarise(anAgentRun({ workflows: 12 }), () => '')]);
    expect(changing(page).length).toBeLessThan(page.length - 200_000);
    expect(changing(page)).toMatch(/<main[\s\S]*<\/main>[\s\S]*id="payload">[A-Za-z0-9+/=]{100}/);
    expect(page).not.toContain('connect-src');
    expect(served(page, 3, '')).toContain('content="connect-src &#39;self&#39;; default-src &#39;none&#39;;');
  });
});

describe('a run so far', () => {
  const output = anAgentRun({ workflows: 40, world: 'live' });
  const { header, assertions, calls, nodes, workflows, timeline } = output;

  test('of a log has what ended, no verdict of failure for what has not, and says that it goes on', () => {
    const half = ofLog({
      start: {
        schemaVersion: 1,
        kind: 'run_log',
        header,
        assertions,
        sessionsPlanned: 40,
        books: null as never,
      },
      records: {
        call: calls.slice(0, 50),
        node: nodes,
        session: [
          ...workflows.slice(0, 5),
          ...workflows.slice(5).map(each => ({ ...each, status: 'unfinished' as const, error: null })),
        ],
        sample: timeline,
        attempt: [],
        tool: [],
        decision: [],
      },
      end: null,
      cutLines: 0,
    });
    const result = summarise(half, () => '');
    expect(result.counts.calls.planned).toBe(50);
    expect(result.counts.workflows).toMatchObject({ planned: 5, unfinished: 0 });
    expect(result.verdict.status).not.toBe('interrupted');
    expect(result.header.warnings[0]).toMatch(/^the run goes on: 50 calls had ended/);
  });

  test('of a simulation can be summarised from its first instant on', () => {
    const run: RunSoFar = {
      nowMs: 0,
      sessionsStarted: 0,
      activeSessions: 0,
      callsInFlight: 0,
      calls: [],
      nodes: [],
      workflows: [],
      timeline: [],
    };
    expect(summarise(ofSimulation(header, assertions, run), () => '').counts.calls.planned).toBe(0);
    const later = ofSimulation(header, assertions, {
      ...run,
      nowMs: 9000,
      calls,
      nodes,
      workflows,
      timeline,
    });
    expect(summarise(later, () => '').counts).toEqual(summarise(output, () => '').counts);
  });
});

const CHROMIUM = '/usr/bin/chromium';

describe.skipIf(!existsSync(CHROMIUM) && !process.env.CI)('in a browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
  });
  afterAll(() => browser?.close());

  test('a new version changes charts and figures in place; what was opened stays open', async () => {
    const serving = await serveRun(ANY);
    const output = anAgentRun({ workflows: 60 });
    const { header, assertions, calls, nodes, workflows, timeline } = output;
    const at = (share: number): RunSoFar => ({
      nowMs: output.durationMs * share,
      sessionsStarted: 60,
      activeSessions: 0,
      callsInFlight: 0,
      calls: calls.slice(0, calls.length * share),
      nodes,
      workflows: workflows.slice(0, workflows.length * share),
      timeline: timeline.filter(({ atMs }) => atMs <= output.durationMs * share),
    });
    let asked = 0;
    const show = (share: number): void =>
      serving.show(header, assertions, () => {
        asked++;
        return at(share);
      });
    show(0.3);
    // Nobody looks, and two seconds have not passed.
    show(0.4);
    expect(asked).toBe(1);

    const tab = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const complaints: string[] = [];
    const others: string[] = [];
    tab.on('console', message => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    tab.on('pageerror', error => complaints.push(error.message));
    tab.on('request', each => {
      if (!each.url().startsWith(serving.url) && !each.url().startsWith('data:')) others.push(each.url());
    });
    let loads = 0;
    tab.on('load', () => loads++);
    await tab.goto(serving.url);
    await tab.waitForSelector('html[data-ready]');
    expect(await tab.textContent('.live')).toContain('live');
    const chart = 'figure[data-drawn][id$="latency-cdf"]';
    await tab.locator('figure[id$="latency-cdf"]').scrollIntoViewIfNeeded();
    await tab.waitForSelector(`${chart} svg`);
    await tab.locator(`${chart} details.how summary`).click();
    const before = await tab.locator(`${chart} .plot svg`).innerHTML();
    const topPx = await tab.evaluate<number>('scrollY');
    expect(topPx).toBeGreaterThan(0);

    await expect
      .poll(
        async () => {
          show(1);
          return tab.getAttribute('html', 'data-version');
        },
        { timeout: 15_000, interval: 200 },
      )
      .toBe('2');
    expect(asked).toBeLessThan(6);
    await tab.waitForSelector(`${chart} svg`);
    expect(await tab.locator(`${chart} .plot svg`).innerHTML()).not.toBe(before);
    expect(await tab.locator(`${chart} details.how`).getAttribute('open')).not.toBeNull();
    expect(Math.abs((await tab.evaluate<number>('scrollY')) - topPx)).toBeLessThan(120);

    serving.last(summarise(output, () => 'the digest of the end'));
    await serving.end();
    await tab.waitForSelector('html[data-ended]');
    expect(await tab.textContent('#summary')).toContain('the digest of the end');
    expect(await tab.textContent('main')).not.toContain('the run goes on');
    expect(loads).toBe(1);
    expect(others).toEqual([]);
    expect(complaints).toEqual([]);
    await tab.close();
  });
});
