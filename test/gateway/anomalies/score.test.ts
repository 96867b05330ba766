// The score of anomaly rules: by hand, and on drawn sessions of which some loop.
import { describe, expect, test } from 'vitest';
import { AnomalyWatch } from '../../../gateway/anomalies/watch.ts';
import { extend, type Key, textKey, uniform } from '../../../scenarios/base/key.ts';
import { scoreAnomalies } from '../../../scenarios/formats/anomaly-score.ts';
import type { AnomalyRecord } from '../../../scenarios/formats/record.ts';

const record = (some: Partial<AnomalyRecord>): AnomalyRecord => ({
  session: 's',
  workflow: 'w',
  injected: null,
  flagged: [],
  tokens: 0,
  tokensUnstopped: null,
  ...some,
});
const flagged = [{ rule: 'loop', atMs: 1 }];

describe('the score', () => {
  test('of six sessions by hand', () => {
    const score = scoreAnomalies([
      record({ injected: 'loop', flagged, tokens: 300, tokensUnstopped: 1000 }),
      record({ injected: 'loop', flagged, tokens: 500 }),
      record({ injected: 'loop' }),
      record({ injected: 'attack', flagged, tokens: 100, tokensUnstopped: 150 }),
      record({ flagged, tokens: 40, tokensUnstopped: 90 }),
      record({}),
    ]);
    expect(score).toEqual({
      precision: 3 / 4,
      recall: 3 / 4,
      f1: 3 / 4,
      tokensSaved: 750,
      tokensLost: 50,
      byLabel: [
        { label: 'attack', sessions: 1, found: 1, recall: 1, tokensSaved: 50 },
        { label: 'loop', sessions: 3, found: 2, recall: 2 / 3, tokensSaved: 700 },
      ],
    });
  });

  test('is not known where there is nothing to judge by', () => {
    expect(scoreAnomalies([])).toMatchObject({ precision: null, recall: null, f1: null, byLabel: [] });
    expect(scoreAnomalies([record({})])).toMatchObject({ precision: null, recall: null, f1: null });
    expect(scoreAnomalies([record({ flagged })])).toMatchObject({ precision: 0, recall: null, f1: 0 });
    expect(scoreAnomalies([record({ injected: 'loop' })])).toMatchObject({
      precision: null,
      recall: 0,
      f1: 0,
    });
  });
});

describe('on 2,000 drawn sessions', () => {
  const SESSIONS = 2000;
  const CALLS = 20;
  const TOKENS = 1000;
  const draw = (key: Key, n: number): number => uniform(extend(key, n));

  /**
   * A session of 20 calls, each with arguments of its own but for one question in ten, which is asked again at once. A
   * tenth of the sessions go wrong: from some call on they ask the same thing, and nobody would stop them for 200 calls.
   */
  function sessionOf(row: number, repeats: number): AnomalyRecord {
    const key = extend(textKey('drawn sessions'), row);
    const loopsFrom = draw(key, 0) < 0.1 ? 1 + Math.floor(draw(key, 1) * (CALLS - 1)) : null;
    const wanted = loopsFrom === null ? CALLS : 200;
    const watch = new AnomalyWatch(
      {
        repeats,
        calls: null,
        callsSd: null,
        toolCascade: null,
        burn: null,
        contextGrowth: null,
        action: 'cancel',
        throttleMs: 0,
      },
      () => null,
    );
    watch.sessionStarted('s', 'w');
    let question = 0;
    let made = 0;
    let stopped = false;
    while (made < wanted && !stopped) {
      const loops = loopsFrom !== null && made >= loopsFrom;
      if (!loops && draw(key, 100 + made) >= 0.1) question++;
      const argsKey = extend(key, 1, question);
      stopped =
        watch.call({ session: 's', step: 'a', argsKey, promptTokens: TOKENS, outputTokens: 0 }, made) !==
        null;
      if (stopped) break;
      watch.ended('s', TOKENS, made);
      made++;
    }
    const seen = watch.sessionEnded('s');
    return record({
      injected: loopsFrom === null ? null : 'loop',
      flagged: [...(seen?.flagged ?? [])],
      tokens: seen?.tokens ?? 0,
      tokensUnstopped: stopped ? wanted * TOKENS : null,
    });
  }
  const scored = (repeats: number) =>
    scoreAnomalies(Array.from({ length: SESSIONS }, (_, row) => sessionOf(row, repeats)));

  test('every loop is found, at any number of repeats', () => {
    for (const repeats of [2, 3, 4, 8]) expect(scored(repeats).recall).toBe(1);
  });

  test('false alarms are fewer the more repeats a loop needs, as docs/gateway/anomalies.md says', () => {
    const scores = [2, 3, 4, 8].map(scored);
    // A question is asked three times in a row with 18 chances of 1 %, overlaps left out: about 15 % of sound sessions.
    expect(scores.map(({ precision }) => Math.round((precision as number) * 100))).toEqual([13, 47, 91, 100]);
    const sound = SESSIONS - scores[0]!.byLabel[0]!.sessions;
    expect(scores.map(({ tokensLost }) => Math.round(tokensLost / sound / 100) / 10)).toEqual([
      11.1, 1.4, 0.1, 0,
    ]);
  });

  test('tokens are saved from the repeats-th question on', () => {
    const [at3, at8] = [scored(3), scored(8)];
    expect(at3.tokensSaved).toBeGreaterThan(at8.tokensSaved);
    expect(
      [at3, at8].map(({ tokensSaved, byLabel }) => Math.round(tokensSaved / byLabel[0]!.sessions / 1000)),
    ).toEqual([189, 184]);
    // Each loop is stopped within its first 28 of 200 calls.
    const loops = at8.byLabel[0]!.sessions;
    expect(at8.tokensSaved).toBeGreaterThanOrEqual(loops * 172 * TOKENS);
    expect(at8.tokensSaved).toBeLessThan(loops * 200 * TOKENS);
  });
});
