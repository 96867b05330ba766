// The study of a thousand at once: counts are read off between those that were tried, and verdicts follow from times.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study, { gpusFor, TARGET_MS } from '../../../lab/studies/thousand.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type Case = (typeof CASES)[number];
type At = Case['at'];

/** A world in which work is shared out, and a token takes so long on a replica of one's own. */
const world =
  (perTokenMs: number, load = 1, perLever: Partial<Record<At['lever'], number>> = {}) =>
  (at: At): number => {
    const share = at.replicas === null ? 0 : (load * 20) / at.replicas;
    const ms = at.words * perTokenMs * (1 + share) * (at.kind === 'task' ? 4 : 1);
    return perLever[at.lever] ?? ms;
  };
const judged = (tookMs: (at: At) => number) =>
  study.judge(
    CASES.map(({ at }) => {
      const ms = tookMs(at);
      return { at, figures: figuresOf({ ttftMsP99: ms / 50, e2eMsP99: ms, makespanMsP99: ms }) };
    }),
  );
const verdicts = (tookMs: (at: At) => number) => judged(tookMs).claims.map(({ verdict }) => verdict);

test('where time is a floor and a share of the work, the count between two that were tried is exact', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 10, max: 1900, noNaN: true }),
      fc.integer({ min: 1, max: 64 }),
      fc.constantFrom(1, 4, 8),
      (floorMs, replicas, gpus) => {
        const work = (TARGET_MS - floorMs) * replicas;
        const points = [1, 2, 4, 8, 16, 32, 64].map(count => ({
          replicas: count,
          ms: floorMs + work / count,
        }));
        expect(gpusFor(points, gpus)).toBe(replicas * gpus);
      },
    ),
  );
});

test('what never comes within the target has no count, and what always does takes the fewest that were tried', () => {
  const points = [2, 4].map(replicas => ({ replicas, ms: TARGET_MS + 1 }));
  expect(gpusFor(points, 1)).toBeNull();
  expect(gpusFor([{ replicas: 2, ms: 10 }], 4)).toBe(8);
});

test('a token that takes too long is told as such, whatever the number of GPUs', () => {
  // 4 x 50 x 11 ms = 2.2 s on a replica of its own.
  const { claims, tables } = judged(world(11));
  expect(claims[1]!.verdict).not.toBe('confirmed');
  expect(tables[0]!.rows[2]![3]).toBe('never: 2.2 s alone');
});

test('where a workflow takes no more than a call, and no token takes time, every claim holds', () => {
  // The target is met on 12.
  const shared = ({ replicas }: At): number => (replicas === null ? 1 : (TARGET_MS * 12) / replicas);
  expect(verdicts(shared)).toEqual(Array.from({ length: 5 }, () => 'confirmed'));
});

test('what helps on few GPUs is judged by the target, and a part of it by being sooner', () => {
  const base = world(3);
  const [, , scaled, helped, budget] = verdicts(
    world(3, 1, { 'hedge 5 % of calls': 1900, 'budget: answers of at most 25 tokens': 1 }),
  );
  // 4 x 50 x 3 ms x (1 + 20 / 16) = 1.35 s: that is within the target already.
  expect(base(CASES.find(({ at }) => at.replicas === 16 && at.kind === 'task')!.at)).toBe(1350);
  expect([scaled, helped, budget]).toEqual(['confirmed', 'confirmed', 'confirmed']);
  const slow = verdicts(
    world(6, 1, { 'hedge 5 % of calls': 1900, 'budget: answers of at most 25 tokens': 2100 }),
  );
  expect(slow.slice(2)).toEqual(['contradicted', 'partly', 'partly']);
});

const SMALL = ['traffic.0.arrival.closed={ agents: 40, ramp: 100ms }', 'traffic.0.sessions=120'];
const runner = new CaseRunner();
/** The case of forty agents in place of a thousand. */
async function small({ of }: Case, set: readonly string[] = []) {
  const options = { ...of.scenario.options, set: [...(of.scenario.options.set ?? []), ...SMALL] };
  const deployment = { ...of.deployment, set: [...(of.deployment.set ?? []), ...set] };
  const outcome = await runner.run({ ...of, scenario: { ...of.scenario, options }, deployment });
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.figures;
}
const caseAt = (wanted: Partial<At>): Case =>
  CASES.find(({ at }) => Object.entries(wanted).every(([key, value]) => at[key as keyof At] === value))!;

test('agents never rest: all are in flight at once, and fewer replicas are never sooner', async () => {
  const of = caseAt({ kind: 'task', lever: 'nothing', replicas: 16 });
  const [one, four] = await Promise.all([1, 4].map(count => small(of, [`pools.main.replicas=${count}`])));
  expect(one!.completedSessions).toBe(120);
  expect(one!.calls).toBe(480);
  expect(one!.makespanMsP99!).toBeGreaterThan(four!.makespanMsP99!);
  expect(four!.makespanMsP99!).toBeGreaterThan(four!.e2eMsP99!);
  expect(four!.e2eMsP99!).toBeGreaterThan(four!.ttftMsP99!);
});

test('shorter answers are sooner', async () => {
  const replicas = ['pools.main.replicas=1'];
  const [all, short] = await Promise.all([
    small(caseAt({ kind: 'task', lever: 'nothing', replicas: 16 }), replicas),
    small(caseAt({ lever: 'budget: answers of at most 25 tokens' }), replicas),
  ]);
  expect(short.outputTokens).toBeLessThanOrEqual(480 * 25);
  expect(short.makespanMsP99!).toBeLessThan(all.makespanMsP99!);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/thousand.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study thousand');
  for (const { text } of judged(() => 1).claims) expect(page).toContain(text);
});
