import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Block, FreeQueue, newBlock } from '../../../sim/reference/free-queue.ts';

const ids = (queue: FreeQueue) => queue.toArray().map(({ id }) => id);

function free(queue: FreeQueue, id: number, rank = 0, hash: number | null = id): Block {
  const block = Object.assign(newBlock(id), { rank, hash });
  queue.append(block);
  return block;
}

test('blank blocks go first, then the lowest rank, and in a rank what was let go first', () => {
  const queue = new FreeQueue();
  free(queue, 1, 2);
  free(queue, 2);
  free(queue, 3, -1);
  free(queue, 4);
  free(queue, 5, 7, null);
  expect(ids(queue)).toEqual([5, 3, 2, 4, 1]);
  expect(queue.headRank).toBe(Number.NEGATIVE_INFINITY);
  expect([queue.popHead().id, queue.headRank, queue.popHead().id, queue.headRank]).toEqual([5, -1, 3, 0]);
});

test('a block that changes its rank lies where it would lie if it had always had that one', () => {
  const queue = new FreeQueue();
  const pinned = [free(queue, 1, 1), free(queue, 2, 1)];
  free(queue, 3);
  const late = free(queue, 4, 1);
  free(queue, 5);
  queue.move([late, ...pinned], 0);
  expect(ids(queue)).toEqual([1, 2, 3, 4, 5]);
});

/** What the queue should be: an array, searched anew each time. */
test('whatever is let go, taken, hit and ranked anew, the order is by rank and then by time let go', () => {
  const operation = fc.record({
    kind: fc.constantFrom('free', 'blank', 'hit', 'take', 'rank'),
    pick: fc.nat(30),
    rank: fc.integer({ min: -2, max: 2 }),
    many: fc.integer({ min: 1, max: 6 }),
  });
  let moved = 0;
  const property = fc.property(fc.array(operation, { maxLength: 80, size: 'max' }), operations => {
    const queue = new FreeQueue();
    const held: Block[] = Array.from({ length: 20 }, (_, id) => newBlock(id));
    const model: { block: Block; rank: number; turn: number }[] = [];
    let turn = 0;
    const order = () =>
      model
        .sort((a, b) => (a.rank === b.rank ? a.turn - b.turn : a.rank < b.rank ? -1 : 1))
        .map(({ block }) => block.id);
    for (const { kind, pick, rank, many } of operations) {
      turn += 1;
      if (kind === 'free' || kind === 'blank') {
        const block = held.splice(pick % Math.max(1, held.length), 1)[0];
        if (block === undefined) continue;
        block.rank = rank;
        block.hash = kind === 'free' ? block.id : null;
        if (kind === 'free') queue.append(block);
        else queue.prepend(block);
        const isBlank = kind === 'blank';
        model.push({ block, rank: isBlank ? Number.NEGATIVE_INFINITY : rank, turn: isBlank ? -turn : turn });
      } else if (kind === 'rank') {
        const named = model.filter(each => each.rank > Number.NEGATIVE_INFINITY);
        const some = named.slice(pick % Math.max(1, named.length)).slice(0, many);
        queue.move(
          some.map(({ block }) => block),
          rank,
        );
        for (const each of some) each.rank = rank;
        moved += some.length;
      } else if (model.length > 0) {
        order();
        const place = kind === 'take' ? 0 : pick % model.length;
        const { block } = model.splice(place, 1)[0]!;
        if (kind === 'take') expect(queue.popHead()).toBe(block);
        else queue.remove(block);
        held.push(block);
      }
      expect(ids(queue)).toEqual(order());
      expect(queue.count).toBe(model.length);
    }
  });
  fc.assert(property, { numRuns: 300 });
  expect(moved).toBeGreaterThan(500); // or the draws would not test what they are for
});
