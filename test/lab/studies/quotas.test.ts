// The study of quotas: what a limit is worth follows from what each tenant used of its quota, and from what broke.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import type { GroupFigures } from '../../../lab/studies/groups.ts';
import study from '../../../lab/studies/quotas.ts';
import { figuresOf } from '../../builders/figures.ts';
import { groupOf } from '../../builders/groups.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];
type Tenant = 'single' | 'agent' | 'wide';

/** Of a run of a minute, in which each tenant's quota is 530,000 tokens. */
const judged = (of: (at: At, tenant: Tenant) => Partial<GroupFigures> = () => ({})) =>
  study.judge(
    CASES.map(({ at }) => {
      const group = (tenant: Tenant) => groupOf({ tokens: 530_000, ...of(at, tenant) });
      const measured = { single: group('single'), agent: group('agent'), wide: group('wide') };
      return { at, figures: figuresOf({ durationMs: 60_000 }), measured };
    }),
  ).claims;

test('where each tenant gets its quota whatever the limit, requests a minute are as good as any', () => {
  const verdicts = judged().map(({ verdict }) => verdict);
  expect(verdicts[0]).toBe('contradicted');
  expect(verdicts[2]).toBe('contradicted');
  expect([verdicts[1], verdicts[3], verdicts[4], verdicts[6]]).toEqual(Array(4).fill('confirmed'));
});

test('a limit that lets one tenant take twice its quota and another nothing means nothing', () => {
  const used = ({ way }: At, tenant: Tenant) =>
    way === 'questions' && tenant === 'wide'
      ? { tokens: 1_060_000 }
      : way === 'agents' && tenant === 'single'
        ? { tokens: 10_000 }
        : {};
  expect(judged(used)[0]).toMatchObject({ verdict: 'confirmed', figure: expect.stringContaining('2x') });
});

test('what breaks is counted among requests of many calls, and budgets are no exception', () => {
  const broken = ({ way, load }: At, tenant: Tenant) =>
    tenant !== 'single' && ['calls', 'budgets'].includes(way)
      ? { completed: 50, broken: load > 1 ? 50 : 10 }
      : {};
  const [, , calls, budgets] = judged(broken);
  expect(calls).toMatchObject({ verdict: 'confirmed', figure: expect.stringContaining('10 %') });
  expect(budgets).toMatchObject({ verdict: 'contradicted', figure: expect.stringContaining('50 %') });
});

const run = async (way: At['way']) => {
  const { of } = CASES.find(({ at }) => at.way === way && at.load === 2 && at.seed === 1)!;
  const outcome = await new CaseRunner().run(of);
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return { durationMs: outcome.figures.durationMs, of: outcome.measured as Record<Tenant, GroupFigures> };
};

test('a limit of calls breaks agents, one at the door none, and no tenant passes a budget', async () => {
  const [calls, widths, budgets] = [await run('calls'), await run('widths'), await run('budgets')];
  expect(calls.of.agent.broken + calls.of.wide.broken).toBeGreaterThan(0);
  expect(calls.of.wide.wastedTokens).toBeGreaterThan(0);
  // A session of one call cannot break in its middle.
  expect(calls.of.single.broken).toBe(0);
  expect(widths.of.agent.broken + widths.of.wide.broken).toBe(0);
  expect(widths.of.wide.refusals).toBeGreaterThan(0);
  const windows = Math.ceil(budgets.durationMs / 60_000);
  for (const tenant of ['single', 'agent', 'wide'] as const)
    expect(budgets.of[tenant].tokens).toBeLessThanOrEqual(windows * 530_000);
  // 30 calls and 300k tokens a request; the final answer comes on top.
  expect(budgets.of.wide.tokensMost).toBeLessThan(320_000);
  expect(budgets.of.wide.finalized).toBeGreaterThan(0);
}, 60_000);

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/quotas.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study quotas');
  for (const { text } of judged()) expect(page).toContain(text);
});
