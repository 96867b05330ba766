import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { judge } from '../../reports/assertions.ts';
import { type Display, openDisplay } from '../../scenarios/cli/live-display.ts';
import {
  type LiveTitle,
  liveLines,
  shortCount,
  shortTime,
  sparkline,
} from '../../scenarios/cli/live-view.ts';
import { type LiveState, LiveWindow } from '../../scenarios/cli/live-window.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { RunOutput, RunSoFar } from '../../scenarios/formats/run.ts';
import { anAgentRun } from '../builders/agents.ts';
import { aCall } from '../builders/records.ts';

const TITLE: LiveTitle = { name: 'fleet @ edge', world: 'sim', seed: 7, sessions: 40 };
const SCREEN = { columns: 80, rows: 24, colour: false };

const soFar = (fields: Partial<RunSoFar> = {}): RunSoFar => ({
  nowMs: 0,
  sessionsStarted: 0,
  activeSessions: 0,
  callsInFlight: 0,
  calls: [],
  nodes: [],
  workflows: [],
  timeline: [],
  ...fields,
});

const assertion = (text: string, fields: Partial<Assertion>): Assertion => ({
  text,
  subject: { kind: 'quantile', quantile: 0.95, metric: 'ttft' },
  filter: {},
  op: '<',
  target: 1000,
  ...fields,
});

/** 20 calls, one a second; every tenth fails, and the first token comes later and later. */
const CALLS = Array.from({ length: 20 }, (_, i) =>
  aCall({
    call: `c${i}`,
    plannedMs: 1000 * i,
    sentMs: 1000 * i,
    firstTokenMs: i % 10 === 9 ? null : 1000 * i + 50 * i,
    endMs: 1000 * (i + 1),
    outputTokens: 100,
    outcome: i % 10 === 9 ? 'error' : 'ok',
    error: i % 10 === 9 ? 'http_429' : null,
  }),
);

const PROMISES = [
  assertion('p95(ttft) < 600ms', { target: 600 }),
  assertion('rate(429) < 20%', { subject: { kind: 'rate', code: '429' }, target: 0.2 }),
  assertion('count(calls) > 5', { subject: { kind: 'count', what: 'calls' }, op: '>', target: 5 }),
];

function halfway(): LiveState {
  const window = new LiveWindow(PROMISES);
  for (let second = 1; second <= 20; second++) {
    const calls = CALLS.slice(0, second);
    window.look(
      soFar({
        nowMs: 1000 * second,
        sessionsStarted: 10 + second,
        activeSessions: 10,
        callsInFlight: second,
        calls,
        timeline: [
          {
            atMs: 900 * second,
            pool: 'p',
            replica: 'p/0',
            runningRequests: 1,
            waitingRequests: second,
            kvUsedRatio: 0,
          },
          {
            atMs: 900 * second,
            pool: 'p',
            replica: 'p/1',
            runningRequests: 1,
            waitingRequests: 1,
            kvUsedRatio: 0,
          },
        ],
      }),
    );
  }
  return window.state();
}

describe('the live view', () => {
  test('shows what runs, how far it is, four figures, the promises and the first errors', () => {
    expect(liveLines(TITLE, halfway(), 4000, SCREEN).join('\n')).toMatchInlineSnapshot(`
      "fleet @ edge  simulated, seed 7                         4.0 s, about 4.0 s left
      █████████░░░░░░░░  50 %  20 of 40 sessions, 20 calls, 2 failed, 20 s simulated
      in flight        20    ▁▁▂▂▂▂▂▂▃▃▃▃▃▃▄▄▄▄▅▅▅▅▅▅▆▆▆▆▆▆▇▇▇▇▇▇███
      queue            21    ▂▂▂▂▂▂▃▃▃▃▃▃▄▄▄▄▄▄▅▅▅▅▅▅▆▆▆▆▆▆▇▇▇▇▇▇███
      TTFT p95     900 ms    ▁ ▁ ▂ ▂ ▃ ▃ ▃ ▄ ▄   ▅ ▅ ▆ ▆ ▆ ▇ ▇ █ █  
      tokens/s          0  ▁▁█▁█▁█▁█▁█▁█▁█▁█▁█▁█▁█▁█▁█▁█▁█▁█▁█▁█▁█▁
      ✗ p95(ttft) < 600ms  39 %/5 %
      ✓ rate(429) < 20%  10 %/20 %
      ○ count(calls) > 5
      errors  http_429 × 2 (first at 10 s)"
    `);
  });

  test('of a live run has neither simulated time nor, without a number of sessions, a bar', () => {
    const lines = liveLines({ ...TITLE, world: 'live', sessions: null }, halfway(), 4000, SCREEN);
    expect(lines[0]).toMatch(/^fleet @ edge {2}live, seed 7 +4\.0 s$/);
    expect(lines[1]).toBe('30 sessions started, 20 calls ended, 2 failed');
  });

  test('fits every terminal, broken promises first', () => {
    const state = halfway();
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 30 }), (columns, rows) => {
        const lines = liveLines(TITLE, state, 4000, { columns, rows, colour: true });
        expect(lines.length).toBeLessThanOrEqual(Math.max(1, rows - 1));
        for (const line of lines)
          expect(stripVTControlCharacters(line).length).toBeLessThan(Math.max(2, columns));
      }),
    );
    const short = liveLines(TITLE, state, 4000, { ...SCREEN, rows: 10 });
    expect(short.slice(6)).toEqual([
      expect.stringContaining('✗ p95(ttft)'),
      '  and 2 more',
      expect.stringContaining('429'),
    ]);
  });

  test('has colour only where it is wanted, and names cannot move the cursor', () => {
    const title = { ...TITLE, name: 'evil\u001b[2J\r\nname' };
    const plain = liveLines(title, halfway(), 4000, SCREEN).join('');
    expect(plain).toBe(stripVTControlCharacters(plain));
    expect(plain).toContain('evil [2J  name');
    expect(liveLines(TITLE, halfway(), 4000, { ...SCREEN, colour: true }).join('')).toContain('\u001b[32m');
  });

  test('costs as much for any number of calls at once, of which it takes a sample; errors are all counted', () => {
    const window = new LiveWindow([PROMISES[0]!, PROMISES[1]!]);
    let looked = 0;
    const calls = Array.from({ length: 20_000 }, (_, i) => {
      const call = aCall({
        plannedMs: i,
        firstTokenMs: i + (i % 4 === 0 ? 900 : 300),
        endMs: i + 1000,
        outputTokens: 10,
        outcome: i % 100 === 7 ? 'error' : 'ok',
        error: i % 100 === 7 ? 'http_429' : null,
      });
      Object.defineProperty(call, 'outputTokens', {
        get: () => {
          looked++;
          return 10;
        },
      });
      return call;
    });
    window.look(soFar({ nowMs: 21_000, calls }));
    const state = window.state();
    expect(looked).toBeLessThan(500);
    expect(state.callsEnded).toBe(20_000);
    expect(state.errors).toEqual([{ code: 'http_429', count: 200, firstMs: 1007 }]);
    const [, , ttft, tokens] = state.series;
    expect(ttft!.now).toBeCloseTo(900, -1);
    const shown = tokens!.values.slice(5, 40);
    expect(shown.reduce((sum, value) => sum! + value!, 0)! / shown.length / 10_000).toBeCloseTo(1, 1);
  });

  test('keeps the size of a sparkline when time goes on, and its figures', () => {
    const window = new LiveWindow([]);
    for (let ms = 0; ms < 3_600_000; ms += 1000) window.look(soFar({ nowMs: ms, callsInFlight: 5 }));
    const [inFlight] = window.state().series;
    expect(inFlight!.values.length).toBeLessThanOrEqual(64);
    expect(inFlight!.values.length).toBeGreaterThan(32);
    expect(new Set(inFlight!.values)).toEqual(new Set([5]));
  });
});

test('texts are short', () => {
  expect([0, 4.25, 999, 1204, 12_340, 4_100_000].map(shortCount)).toEqual([
    '0',
    '4.3',
    '999',
    '1204',
    '12.3k',
    '4.1M',
  ]);
  expect([340, 9990, 12_340, 245_000, 7_800_000].map(shortTime)).toEqual([
    '340 ms',
    '10.0 s',
    '12 s',
    '4 min 05 s',
    '2 h 10 min',
  ]);
  expect(sparkline([0, 1, null, 7], 10)).toBe('▁▂ █');
  expect(sparkline([1, 2, 3], 2)).toHaveLength(2);
});

describe('the lamps', () => {
  /** As the report judges it; `open`: it cannot be judged before the end. */
  const cases: [Assertion, 'same' | 'open'][] = [
    ...[200, 400, 700, 1500, 4000].map((target): [Assertion, 'same'] => [
      assertion(`ttft ${target}`, { target }),
      'same',
    ]),
    ...[5_000, 20_000, 60_000].map((target): [Assertion, 'same'] => [
      assertion(`p50 makespan ${target}`, {
        subject: { kind: 'quantile', quantile: 0.5, metric: 'makespan' },
        target,
      }),
      'same',
    ]),
    [assertion('mean', { subject: { kind: 'mean', metric: 'e2e' }, target: 2000 }), 'same'],
    [assertion('max', { subject: { kind: 'max', metric: 'e2e' }, target: 2000 }), 'same'],
    [assertion('hit', { subject: { kind: 'cache_hit' }, op: '>', target: 0.5 }), 'same'],
    [assertion('error', { subject: { kind: 'rate', code: 'error' }, target: 0.01 }), 'same'],
    ...[0.5, 0.99].map((target): [Assertion, 'same'] => [
      assertion(`slo ${target}`, {
        subject: { kind: 'attainment', of: 'calls', withinMs: { ttft: 500 } },
        op: '>=',
        target,
      }),
      'same',
    ]),
    [
      assertion('slo sessions', {
        subject: { kind: 'attainment', of: 'sessions', withinMs: { e2e: 20_000 } },
        op: '>=',
        target: 0.9,
      }),
      'same',
    ],
    [assertion('itl', { subject: { kind: 'quantile', quantile: 0.9, metric: 'itl' } }), 'open'],
    [assertion('count', { subject: { kind: 'count', what: 'calls' } }), 'open'],
  ];

  test('say at the end of a run what the report says', () => {
    const output: RunOutput = anAgentRun({ workflows: 80, assertions: cases.map(([each]) => each) });
    const window = new LiveWindow(output.assertions);
    for (const share of [0.3, 0.31, 1])
      window.look(
        soFar({
          nowMs: output.durationMs * share,
          calls: output.calls.slice(0, output.calls.length * share),
          workflows: output.workflows.slice(0, output.workflows.length * share),
        }),
      );
    const lit = window.state().lamps;
    const states = judge(output).map(({ pass }) => (pass === true ? 'kept' : 'broken'));
    expect(lit.map(({ text, state }) => ({ text, state }))).toEqual(
      cases.map(([{ text }, how], i) => ({ text, state: how === 'open' ? 'open' : states[i] })),
    );
    expect(new Set(states).size).toBe(2);
  });
});

describe('the display', () => {
  class FakeTerminal {
    isTTY = true;
    columns = 60;
    rows = 20;
    text = '';
    write(text: string): void {
      this.text += text;
    }
  }

  function drawn(terminal: FakeTerminal, draw: (display: Display, tick: () => void) => void): void {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const display = openDisplay(TITLE, [], { json: false, quiet: false }, terminal);
      draw(display, () => {
        terminal.text = '';
        vi.advanceTimersByTime(100);
      });
    } finally {
      vi.useRealTimers();
    }
  }

  test('asks for the run ten times a second at most, and goes back to its first line', () => {
    const terminal = new FakeTerminal();
    drawn(terminal, (display, tick) => {
      let asked = 0;
      const look = (): RunSoFar => {
        asked++;
        return soFar();
      };
      display.show(look);
      display.show(look);
      expect(asked).toBe(1);
      expect(terminal.text).not.toContain('\u001b[J');
      tick();
      display.show(look);
      expect(asked).toBe(2);
      expect(terminal.text).toContain('\u001b[6A\r\u001b[J');
      terminal.text = '';
      display.clear();
      expect(terminal.text).toBe('\u001b[6A\r\u001b[J\u001b[?25h');
    });
  });

  test('knows that a terminal which became narrower has broken its lines', () => {
    const terminal = new FakeTerminal();
    drawn(terminal, (display, tick) => {
      display.show(() => soFar());
      const widths = terminal.text.split('\n').map(line => stripVTControlCharacters(line).length);
      expect(Math.max(...widths)).toBeGreaterThan(30);
      tick();
      terminal.columns = 30;
      display.show(() => soFar());
      const rows = widths.slice(0, -1).reduce((sum, width) => sum + Math.max(1, Math.ceil(width / 30)), 0);
      expect(terminal.text).toContain(`\u001b[${rows}A`);
    });
  });

  test('is no view where there is no terminal, no room, or no wish for one', () => {
    const silent = new FakeTerminal();
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      for (const [options, fields] of [
        [{ json: false, quiet: true }, {}],
        [{ json: false, quiet: false }, { isTTY: false }],
        [{ json: false, quiet: false }, { columns: 10 }],
        [{ json: false, quiet: false }, { rows: 3 }],
      ] as const) {
        openDisplay(
          TITLE,
          [],
          options,
          Object.assign(new FakeTerminal(), fields, { write: silent.write }),
        ).show(() => soFar());
      }
    } finally {
      write.mockRestore();
    }
    expect(silent.text).toBe('');
  });
});
