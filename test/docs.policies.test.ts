// docs/policies.md against the registries: every policy has its row, every option of a router its name; the policy that
// it teaches to write is loaded and routes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { routingPolicies } from '../gateway/routing/index.ts';
import { loadRouting } from '../gateway/routing/outside.ts';
import { UserError } from '../scenarios/base/errors.ts';
import { policyKinds } from '../sim/policy-kinds.ts';
import { arrival, setup, view } from './builders/routing.ts';

const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'policies.md'), 'utf8');

/** Rows of the first table under a heading, cells as written. */
function tableOf(heading: string): string[][] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const rows = section.split('\n').filter(line => line.startsWith('| `'));
  return rows.map(line => line.slice(2, -2).split(' | '));
}

const named = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(match => match[1]!);

const HEADINGS: Record<(typeof policyKinds)[number]['key'], string> = {
  'gateway.admission': 'Admission',
  routing: 'Routing',
  'limits.scheduling_policy': 'Scheduling',
  retention: 'Retention',
  autoscaler: 'Autoscaling',
};

test.each(policyKinds)('every policy behind $key has one row', ({ key, policies }) => {
  const rows = tableOf(HEADINGS[key]).map(([name]) => named(name!)[0]);
  expect(rows.toSorted()).toEqual(Object.keys(policies).sort());
});

describe('options of routing policies', () => {
  const options = new Map(tableOf('Routing').map(cells => [named(cells[0]!)[0]!, cells[3]!]));

  /** Why an option is refused; '' when it is taken. */
  function refusal(policy: string, option: string): { message: string; hint: string } {
    try {
      routingPolicies[policy]!.create({ [option]: {} }, setup);
      return { message: '', hint: '' };
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      const { message, hint } = error as UserError;
      return { message, hint: hint ?? '' };
    }
  }

  test.each(Object.keys(routingPolicies))('%s has those that its row names, and no other', policy => {
    const documented = named(options.get(policy)!);
    const [, listed = ''] = /^it has (.+)$/.exec(refusal(policy, 'zzzzzzzz').hint) ?? [];
    const known = listed === '' ? [] : listed.split(', ');
    expect(known.filter(option => !documented.includes(option))).toEqual([]);
    for (const option of documented) expect(refusal(policy, option).message).not.toContain('has no option');
    if (documented.length === 0) expect(options.get(policy)).toBe('none');
  });
});

describe('the policy that the page teaches to write', () => {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-docs-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('is loaded, and keeps a session until its replica has 5 calls more than the least busy', async () => {
    const file = join(folder, 'sticky.ts');
    writeFileSync(file, /\n```ts\n([\s\S]*?)\n```\n/.exec(page)![1]!);
    const policy = await loadRouting(file);
    expect(policy.name).toBe('sticky');
    const router = policy.create({}, setup);
    const route = (outstanding: number[]) =>
      router.route(arrival({ session: 'a' }), view({ outstanding, ids: outstanding.map((_, id) => id) }));
    expect(route([2, 1, 3])).toBe(1);
    expect(route([0, 4, 3])).toBe(1);
    expect(route([0, 5, 3])).toBe(0);
    expect(route([4, 0, 3])).toBe(0);
  });
});
