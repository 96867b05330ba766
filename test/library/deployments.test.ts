// Every library deployment serves something that comes with it, and a run obeys all that it says.
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { loadDeployment } from '../../engines/load.ts';
import { prepare } from '../../engines/prepare.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { libraryNames } from '../../scenarios/cli/library.ts';
import { emptyFolder, windtunnel, write } from '../cli/run.ts';
import { planOfEntry } from './sessions.ts';

describe.each(libraryNames('deployments'))('%s', name => {
  const loaded = loadDeployment(name, routingPolicies);

  test('has no issue, and nothing that no run obeys', () => {
    expect(loaded.issues).toEqual([]);
    expect(loaded.unbuilt).toEqual([]);
  });

  test('serves the demo, prompts and all', () => {
    expect(prepare(planOfEntry('demo'), loaded.deployment!).issues).toEqual([]);
  });
});

test('hybrid: easy calls stay in its pool, hard ones go to the provider', () => {
  const { deployment } = loadDeployment('hybrid', routingPolicies);
  const { poolOf } = prepare(planOfEntry('hybrid-routing'), deployment!);
  expect(poolOf('local')).toBe('local');
  expect(poolOf('frontier')).toBe('frontier');
  const standIn = loadDeployment('hybrid-stand-in', routingPolicies).deployment!;
  expect(prepare(planOfEntry('hybrid-routing'), standIn).poolOf('frontier')).toBe('frontier');
});

/** `api-only` without the latency of one vendor, of whose model the catalogue has no measurement. */
const SLOW = `windtunnel: 1
extends: api-only
deployment: slow
providers: { anthropic: { latency: null } }
`;

describe('commands', () => {
  const folder = emptyFolder();
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (...args: string[]) => windtunnel(args, folder);

  test('a run refuses a model of a provider of which nothing says how fast it answers', () => {
    write(folder, 'slow.yaml', SLOW);
    const { code, err } = run('simulate', 'hybrid-routing', '-d', 'slow.yaml');
    expect(code).toBe(104);
    expect(err).toContain('WT1202 nothing says how fast "claude-opus-5-5" of provider "anthropic" answers');
  });

  test('a check prices what the provider sells', () => {
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
