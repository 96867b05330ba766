// A routing policy from a file: checked when it is loaded, and its failures are its own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { chosenRouting, loadRouting } from '../../../gateway/routing/outside.ts';
import roundRobin from '../../../gateway/routing/round-robin.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import { arrival, setup, view } from '../../builders/routing.ts';

const folder = mkdtempSync(join(tmpdir(), 'windtunnel-outside-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function file(text: string): string {
  const path = join(folder, `policy-${files++}.ts`);
  writeFileSync(path, text);
  return path;
}
const policy = (route: string, more = '') =>
  file(
    `export default { name: 'mine', doc: 'Mine.', source: 'me', create: () => ({ route(arrival: { id: number }, view: any) { ${route} }, ${more} }) };`,
  );

/** The error that this gives. */
const refused = async (promise: Promise<unknown>): Promise<UserError> => {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  return error as UserError;
};

test('a file that keeps the contract routes like any other', async () => {
  const mine = await loadRouting(policy('return arrival.id % view.replicas.length;'));
  const router = mine.create({}, setup);
  expect(mine.name).toBe('mine');
  expect([4, 5, 6].map(id => router.route(arrival({ id }), view({ outstanding: [0, 0, 0] })))).toEqual([
    1, 2, 0,
  ]);
});

test('a name is a policy of ours, and nothing is what the deployment says', async () => {
  expect(await chosenRouting('round-robin')).toBe(roundRobin);
  expect(await chosenRouting(undefined)).toBeNull();
  expect((await refused(chosenRouting('rond-robin'))).message).toContain('unknown routing policy');
});

test.each([
  ['no file', () => join(folder, 'nowhere.ts'), 'there is no file', 104],
  ['no default export', () => file('export const x = 1;'), 'has no name, doc, source, create', 104],
  ['a syntax error', () => file('export default {'), 'cannot be loaded', 107],
  ['it throws when it is tried', () => policy("throw new Error('boom')"), 'threw in route: boom', 107],
  ['it chooses no replica', () => policy('return view.replicas.length'), 'chose no replica', 107],
  ['it chooses half a replica', () => policy('return 0.5'), 'chose no replica', 107],
  ['it writes to the view', () => policy('view.outstanding[0] = 9; return 0;'), 'threw in route', 107],
  [
    'it throws at an end',
    () => policy('return 0', "observe() { throw new Error('late') }"),
    'threw in observe: late',
    107,
  ],
])('%s is told at once', async (_, path, message, exitCode) => {
  const error = await refused(loadRouting(path()));
  expect(error.message).toContain(message);
  expect(error.exitCode).toBe(exitCode);
  expect(error.hint).not.toBeNull();
});

test('what it throws in the middle of a run is its own failure', async () => {
  const mine = await loadRouting(policy("if (view.nowMs > 1e6) throw new Error('late'); return 0;"));
  const router = mine.create({}, setup);
  const late = () => router.route(arrival(), view({ nowMs: 2e6 }));
  expect(late).toThrow(UserError);
  expect(late).toThrow('threw in route: late');
});
