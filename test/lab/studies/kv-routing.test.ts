// The study of KV-aware routing: laws of a tiny run of its cases, and of its judgement.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/kv-routing.ts';
import type { RunFigures } from '../../../scenarios/formats/grid.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];

describe('a few runs of agents with spare capacity', async () => {
  const runner = new CaseRunner();
  const runOf = async (router: At['router'], memory: At['memory'] = 'card'): Promise<RunFigures> => {
    const { of } = CASES.find(
      ({ at }) =>
        at.world === 'agents' &&
        at.router === router &&
        at.memory === memory &&
        at.load === 0.2 &&
        at.seed === 1,
    )!;
    const outcome = await runner.run({
      ...of,
      scenario: { ...of.scenario, options: { seed: 1, set: ['traffic.0.copies=1'] } },
    });
    if (!outcome.ok) throw new Error(outcome.failure.message);
    return outcome.figures;
  };
  const blind = await runOf('random');
  const sticky = await runOf('session-affinity');

  test('session affinity keeps every session on its replica, and chance does so about one time in eight', () => {
    expect(sticky.stayRatio).toBe(1);
    expect(blind.stayRatio).toBeGreaterThan(0.02);
    expect(blind.stayRatio).toBeLessThan(0.3);
  });

  test('both meet the same calls; the one that stays computes fewer of their tokens', () => {
    expect(sticky.calls).toBe(blind.calls);
    expect(sticky.promptTokens).toBe(blind.promptTokens);
    expect(sticky.computedTokens).toBeLessThan(blind.computedTokens);
    expect(sticky.laterHitRatio).toBeGreaterThan(blind.laterHitRatio!);
  });

  test('endless memory loses no hit', async () => {
    const endless = await runOf('session-affinity', 'endless');
    expect(endless.hitRatio).toBeGreaterThanOrEqual(sticky.hitRatio!);
  });
});

describe('judgement', () => {
  /** Runs whose figures a world decides; seeds differ a little, in all places alike. */
  const judged = (world: (at: At) => Partial<RunFigures>) =>
    Object.fromEntries(
      study
        .judge(
          CASES.map(({ at }) => {
            const { ttftMsMean = 1000, ...rest } = world(at);
            return {
              at,
              figures: figuresOf({ ttftMsMean: (ttftMsMean ?? 0) * (1 + at.seed / 100), ...rest }),
            };
          }),
        )
        .claims.map(({ text, verdict }) => [text.slice(0, 20), verdict]),
    );
  const isBlind = ({ router }: At): boolean =>
    ['round-robin', 'random', 'least-outstanding'].includes(router);

  test('a world as it is told confirms everything but that both kinds of traffic gain nothing when there is room', () => {
    const claims = judged(at => ({
      ttftMsMean: isBlind(at) ? 1000 : at.router === 'session-affinity' ? 600 : 400,
      laterHitRatio: isBlind(at) ? 0.1 : 0.9,
      stayRatio: 0.125,
      calls: 700,
      failedCalls: 100,
    }));
    expect(claims).toEqual({
      'KV-aware routing, as': 'confirmed',
      'Chats: with spare ca': 'contradicted',
      'Coding agents: with ': 'contradicted',
      'With one call in sev': 'confirmed',
      'It takes a router th': 'confirmed',
      'Calls after the firs': 'confirmed',
      'Without affinity a s': 'confirmed',
      'On Mistral Small 4, ': 'confirmed',
    });
  });

  test('a world where routing changes nothing contradicts the gains and confirms that there are none', () => {
    const claims = judged(() => ({ laterHitRatio: 0.1, stayRatio: 0.5 }));
    expect(claims).toMatchObject({
      'KV-aware routing, as': 'contradicted',
      'Coding agents: with ': 'confirmed',
      'With one call in sev': 'contradicted',
      'It takes a router th': 'contradicted',
      'Calls after the firs': 'contradicted',
      'Without affinity a s': 'contradicted',
    });
  });

  test('chats that gain at the limit alone are as the independent run found them', () => {
    const claims = judged(at => ({ ttftMsMean: at.router === 'dynamo-kv' && at.load >= 1 ? 400 : 1000 }));
    expect(claims['Chats: with spare ca']).toBe('confirmed');
    expect(claims['KV-aware routing, as']).toBe('partly');
  });

  test('memory that binds at the limit alone contradicts in part', () => {
    const claims = judged(at => ({ ttftMsMean: at.memory === 'endless' && at.load === 1 ? 500 : 1000 }));
    expect(claims['On Mistral Small 4, ']).toBe('partly');
  });
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/kv-routing.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study kv-routing');
  const { claims } = study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf() })));
  for (const { text } of claims) expect(page).toContain(text);
});
