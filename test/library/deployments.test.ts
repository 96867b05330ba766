// Every library deployment serves something that comes with it; those that runs do not obey yet are refused by name, and
// understood by a check.
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { loadDeployment } from '../../engines/load.ts';
import { prepare } from '../../engines/prepare.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { libraryNames } from '../../scenarios/cli/library.ts';
import { emptyFolder, windtunnel } from '../cli/run.ts';
import { planOfEntry } from './sessions.ts';

/** What only a check understands today. */
const CHECKED_ONLY: Readonly<Record<string, readonly string[]>> = {
  'api-only': ['providers'],
  'edge-and-central': ['places', 'links', 'tools', 'gateway.place', 'gateway.choose', 'gateway.fallback'],
  hybrid: [
    ...['places', 'links', 'providers'],
    ...['place', 'classifier', 'choose', 'destinations', 'retry', 'fallback'].map(key => `gateway.${key}`),
  ],
};

describe.each(libraryNames('deployments'))('%s', name => {
  const loaded = loadDeployment(name, routingPolicies);

  test('has no issue, and says what no run obeys', () => {
    expect(loaded.issues).toEqual([]);
    expect(loaded.unbuilt.map(each => each.path.join('.'))).toEqual(CHECKED_ONLY[name] ?? []);
  });

  test('serves the demo, prompts and all', () => {
    expect(prepare(planOfEntry('demo'), loaded.deployment!).issues).toEqual([]);
  });
});

test('hybrid: easy calls stay in its pool, hard ones go to the provider', () => {
  const { deployment } = loadDeployment('hybrid', routingPolicies);
  const { poolOf } = prepare(planOfEntry('hybrid-routing'), deployment!);
  expect(poolOf('local')).toBe('local');
  expect(poolOf('frontier')).toBe('');
  const standIn = loadDeployment('hybrid-stand-in', routingPolicies).deployment!;
  expect(prepare(planOfEntry('hybrid-routing'), standIn).poolOf('frontier')).toBe('frontier');
});

describe('commands', () => {
  const folder = emptyFolder();
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (...args: string[]) => windtunnel(args, folder);

  test('a run refuses by name what no run obeys, of the deployment and of the models it serves', () => {
    const { code, err } = run('simulate', 'hybrid-routing', '-d', 'hybrid');
    expect(code).toBe(104);
    for (const part of ['places', 'links', 'providers', 'choose'])
      expect(err).toContain(`WT1008 \`${part}\` is part of the language, but no run obeys it yet`);
    expect(err).toContain(
      'WT1008 "frontier" is served by provider "anthropic", and no run calls a provider yet',
    );
    expect(err).not.toContain('"local" is served');
    expect(run('emulate', 'edge-and-central')).toMatchObject({
      code: 104,
      err: expect.stringContaining('`places` is part of the language'),
    });
  });

  test('a check warns of it, and prices what the provider sells', () => {
    const { code, out } = run('check', 'hybrid-routing', '-d', 'hybrid', '--json');
    expect(code).toBe(0);
    const { shapes } = JSON.parse(out);
    expect(shapes[0].usdUncached).toBeGreaterThan(0);
    // The same calls to the local model alone cost less.
    const local = JSON.parse(
      run('check', 'hybrid-routing', '--json', '--set', 'models.frontier.model=mistral-small-4').out,
    );
    expect(shapes[0].usdUncached).toBeGreaterThan(2 * local.shapes[0].usdUncached);
  });
});
