import { describe, expect, test } from 'vitest';
import { latencyRows, measuredLines, prefixHitRatio, serverNotes } from '../../reports/measured.ts';
import { clientSection, serverSection } from '../../reports/page/measured-sections.ts';
import { summarise } from '../../reports/summary.ts';
import { terminalSummary } from '../../reports/terminal.ts';
import type { Measured } from '../../scenarios/formats/measured.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { anAgentRun } from '../builders/agents.ts';
import { aClient, aMeasured, aServer, someGpus } from '../builders/measured.ts';
import { aRun } from '../builders/records.ts';
import { aView } from '../builders/views.ts';

const resultOf = (measured?: Measured): RunResult =>
  summarise({ ...aRun(), ...(measured === undefined ? {} : { measured }) }, () => 'digest');
const words = (section: { text: string } | null): string =>
  (section?.text ?? '')
    .replace(/<[^>]+>/g, ' ')
    .replaceAll('&gt;', '>')
    .replaceAll('&lt;', '<')
    .replace(/\s+/g, ' ');

describe('the result', () => {
  test('holds at most 2,000 samples of GPUs, with every GPU and the peaks', () => {
    const gpus = someGpus(20_000);
    gpus[12_345]!.powerW = 999;
    const kept = resultOf(aMeasured({ gpus })).measured!.gpus;
    expect(kept.length).toBeLessThanOrEqual(2000);
    expect(new Set(kept.map(({ gpu }) => gpu)).size).toBe(2);
    expect(Math.max(...kept.map(({ powerW }) => powerW!))).toBe(999);
    expect(resultOf(aMeasured({ gpus: someGpus(30) })).measured!.gpus).toHaveLength(60);
  });

  test('is as it was without anything measured', () => {
    const result = resultOf();
    expect('measured' in result).toBe(false);
    expect(measuredLines(result)).toEqual([]);
    expect(clientSection(aView(result))).toBeNull();
    expect(serverSection(aView(result))).toBeNull();
  });
});

describe('the servers beside us', () => {
  test('several servers count together, means exactly and quantiles inside their bucket', () => {
    const [ttft, e2e, queue] = latencyRows(resultOf(aMeasured()));
    expect(ttft).toMatchObject({
      latency: 'ttft',
      count: 200,
      meanMs: 120,
      p50: { value: 100, from: 50, to: 100 },
      p95: { value: 235, from: 100, to: 250 },
    });
    expect(ttft!.ours!.p50).toBe(100);
    expect(e2e).toMatchObject({ latency: 'e2e', p50: { value: 2500, to: null } });
    expect(queue!.ours).toBeUndefined();
  });

  test('hits are those of servers that count both', () => {
    expect(prefixHitRatio([aServer(), aServer({ prefixHitTokens: null })])).toBe(0.61);
    expect(prefixHitRatio([aServer({ prefixQueriedTokens: null })])).toBeNull();
    expect(prefixHitRatio([aServer({ prefixQueriedTokens: 0 })])).toBeNull();
  });

  test('what spoils the comparison is said', () => {
    const notes = (...servers: Measured['servers']) =>
      serverNotes(resultOf(aMeasured({ servers }))).join(' ');
    expect(notes(aServer({ requestsFinished: 1 }))).toBe('');
    expect(notes(aServer({ requestsFinished: 50 }))).toContain('others used them');
    expect(notes(aServer({ restarted: true, requestsFinished: 1 }))).toMatch(/^main\/0 began anew/);
    expect(notes(aServer(), aServer({ engine: null }))).toContain('1 of 2 servers show no metrics');
  });
});

describe('on the terminal', () => {
  test('two lines say whether the client kept up and what the servers measured', () => {
    const result = resultOf(aMeasured());
    expect(measuredLines(result)[0]).toBe(
      'client: lag p99 3 ms (limit 50 ms), loop delay p99 2 ms, 0.35 cores, 10 sessions/s as planned',
    );
    expect(measuredLines(result)[1]).toBe(
      'server (vllm 0.32.0): TTFT p50/p95 100 ms/235 ms beside ours 100 ms/100 ms, prefix hits 61 %, 4 preemptions, 199 requests not of ours among them',
    );
    const late = aClient({ rate: { plannedPerSec: 200, achievedPerSec: 110, plannedCv: 1, achievedCv: 1 } });
    const silent = aMeasured({ client: late, servers: [aServer({ engine: null, latencies: {} })] });
    expect(measuredLines(resultOf(silent))).toEqual([
      expect.stringContaining('110 sessions/s of 200 planned'),
    ]);
  });

  test('a live run still fits in 25 lines', () => {
    const result = summarise(
      { ...anAgentRun({ workflows: 60, world: 'live' }), measured: aMeasured() },
      () => 'd',
    );
    const lines = terminalSummary(result, { colour: false, reportPath: 'report.html' }).split('\n');
    expect(lines.length).toBeLessThanOrEqual(25);
    expect(lines.filter(line => /^ {2}(client: lag|server \()/.test(line))).toHaveLength(2);
  });
});

describe('on the page', () => {
  test('the client says whether it can be believed', () => {
    const said = (client = aClient()) => words(clientSection(aView(resultOf(aMeasured({ client })))));
    expect(said()).toContain('Our client kept its times: p99 of its lag is 3 ms');
    expect(said()).toContain('40 calls at most; the servers showed 38 at most');
    expect(said(aClient({ serverInFlightMax: null, rate: null }))).toContain('the servers show none');
    const slow = aClient({ lagMs: { n: 9, p50: 1, p95: 60, p99: 80, max: 90 } });
    expect(said(slow)).toContain('our own client was late');
  });

  test('the server stands beside us, its quantiles named as interpolated', () => {
    const text = words(serverSection(aView(resultOf(aMeasured()))));
    expect(text).toContain('By the metrics of vllm 0.32.0');
    expect(text).toMatch(/TTFT arrival to first token 200 120 ms 100 ms 235 ms 100 ms 100 ms 100 ms/);
    expect(text).toMatch(/E2E arrival to last token 200 9 s > 2\.5 s > 2\.5 s/);
    // vLLM's first bound of a queue is 300 ms: nothing finer is known.
    expect(text).toMatch(/Queue arrival to first scheduled 200 4 ms < 300 ms < 300 ms – – –/);
    expect(text).toMatch(/Prefix cache hits 61 %/);
    expect(text).toContain('interpolated');
    expect(text).toContain('[chart gpus]');
    expect(text).toContain('main/1 vllm 0.32.0');
  });

  test('servers without metrics are told from GPUs without an exporter', () => {
    const silent = aServer({ engine: null, latencies: {}, requestsFinished: null });
    const text = words(serverSection(aView(resultOf(aMeasured({ servers: [silent], gpus: [] })))));
    expect(text).toContain('No server shows metrics that we know');
    expect(text).not.toContain('[chart gpus]');
  });
});
