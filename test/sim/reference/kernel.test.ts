import { expect, test } from 'vitest';
import { Kernel, type KernelEvent } from '../../../sim/reference/kernel.ts';

function handled(events: KernelEvent[], toNs: number): string[] {
  const kernel = new Kernel();
  for (const event of events) kernel.add(event);
  const seen: string[] = [];
  kernel.advanceTo(toNs, ({ atNs, kind, row }) => seen.push(`${atNs} ${kind} ${row}`));
  return seen;
}

test('events of one instant go by rank, then by row, in whatever order they were added', () => {
  const events: KernelEvent[] = [
    { atNs: 5, kind: 'stepBegin', row: 1 },
    { atNs: 5, kind: 'input', row: 8 },
    { atNs: 5, kind: 'input', row: 2 },
    { atNs: 5, kind: 'stepEnd', row: 3 },
    { atNs: 4, kind: 'stepBegin', row: 0 },
  ];
  const expected = ['4 stepBegin 0', '5 stepEnd 3', '5 input 2', '5 input 8', '5 stepBegin 1'];
  expect(handled(events, 6)).toEqual(expected);
  expect(handled(events.reverse(), 6)).toEqual(expected);
});

test('a step that begins now stays open until time has passed', () => {
  const kernel = new Kernel();
  const seen: string[] = [];
  kernel.add({ atNs: 5, kind: 'stepBegin', row: 0 });
  kernel.advanceTo(5, event => seen.push(event.kind));
  expect(seen).toEqual([]);
  expect(kernel.nextNs()).toBe(6);
  kernel.add({ atNs: 5, kind: 'input', row: 0 });
  expect(kernel.nextNs()).toBe(5);
  kernel.advanceTo(6, event => seen.push(event.kind));
  expect(seen).toEqual(['input', 'stepBegin']);
  expect(kernel.nextNs()).toBe(Number.POSITIVE_INFINITY);
});

test('time is whole nanoseconds and never goes back', () => {
  const kernel = new Kernel();
  const add = (atNs: number) => () => kernel.add({ atNs, kind: 'input', row: 0 });
  expect(add(Number.NaN)).toThrow('the time of event input is NaN nanoseconds');
  expect(add(1.5)).toThrow('not a whole number of nanoseconds');
  expect(add(2 ** 53)).toThrow('the run goes on beyond 104 days');
  kernel.advanceTo(10, () => {});
  expect(add(9)).toThrow('lies behind now, 10 ns');
  expect(() => kernel.advanceTo(9, () => {})).toThrow('lies behind now, 10 ns');
  expect(() => kernel.advanceTo(Number.POSITIVE_INFINITY, () => {})).toThrow('not a whole number');
});

test('two equal events are a broken invariant, for their order would be open', () => {
  const kernel = new Kernel();
  kernel.add({ atNs: 1, kind: 'stepEnd', row: 0 });
  expect(() => kernel.add({ atNs: 1, kind: 'stepEnd', row: 0 })).toThrow('two events stepEnd of row 0');
});
