import { expect, test } from 'vitest';
import { Sessions } from '../../../sim/retention/sessions.ts';
import { run } from '../reference/build.ts';
import { call, left } from './build.ts';

const thread = (session: string, name: string, tokens: number) =>
  call(session, 1000 + tokens, { prompt: [run('system', 1000), run(name, tokens)] });

test('a call goes on with the thread it begins with, however much the others share', () => {
  const sessions = new Sessions();
  const a = left(thread('s', 'a', 4000), 100);
  const b = left(thread('s', 'b', 4000), 200);
  for (const each of [a, b]) {
    sessions.arrived(each.call, 0);
    sessions.letGo(each);
  }
  expect(sessions.arrived(thread('s', 'c', 5000), 500)).toBeNull();
  expect(sessions.arrived(thread('s', 'a', 5000), 700)).toEqual({ left: a, gapMs: 600, steps: 3 });
  // The same context comes back once: what follows goes on with what that call will leave.
  expect(sessions.arrived(thread('s', 'a', 5000), 800)).toBeNull();
  expect(sessions.arrived(thread('s', 'b', 5000), 900)).toEqual({ left: b, gapMs: 700, steps: 4 });
});

test('an edit in the last tenth of a prompt is still the same thread, one before it is not', () => {
  const sessions = new Sessions();
  const first = left(call('s', 1000, { prompt: [run('a', 1000)] }), 0);
  sessions.letGo(first);
  expect(sessions.arrived(call('s', 1099, { prompt: [run('a', 899), run('x', 200)] }), 5)).toBeNull();
  expect(sessions.arrived(call('s', 1100, { prompt: [run('a', 900), run('x', 200)] }), 5)?.left).toBe(first);
});

test('sessions know nothing of each other, and a session that is over is forgotten', () => {
  const sessions = new Sessions();
  sessions.arrived(thread('s', 'a', 4000), 0);
  sessions.letGo(left(thread('s', 'a', 4000), 0));
  expect(sessions.arrived(thread('other', 'a', 5000), 5)).toBeNull();
  expect(sessions.ended('s')).toMatchObject({ calls: 1, contexts: [{ isBack: false }] });
  expect(sessions.ended('s')).toEqual({ calls: 0, contexts: [] });
  expect(sessions.arrived(thread('s', 'a', 5000), 5)).toBeNull();
});

test('contexts of which nothing is left, and those beyond the limit, are remembered no longer', () => {
  const sessions = new Sessions();
  for (let i = 0; i < 300; i++) sessions.letGo(left(call('s', 10, { prompt: [run(`thread ${i}`, 10)] }), i));
  expect(sessions.get('s')?.contexts).toHaveLength(256);
  expect(sessions.get('s')?.contexts[0]?.left.atMs).toBe(44);
  const grown = new Sessions();
  for (let turn = 1; turn < 50; turn++) {
    grown.arrived(call('s', 10 * turn), turn);
    grown.letGo({ ...left(call('s', 10 * turn), turn), blocks: 0 }); // the next one has taken all of it over
  }
  expect(grown.get('s')?.contexts).toHaveLength(1);
});
