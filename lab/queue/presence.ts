// Who is there. A worker and a coordinator of different versions or keys share no queue, so each says of itself in a form
// that does not change, for a few seconds at a time, who it is; the other reads it and can tell its user.
import type { Redis } from 'ioredis';
import { PREFIX } from './message.ts';

export interface Presence {
  /** What a user calls it: machine and process. */
  readonly name: string;
  readonly build: string;
  /** Of its signing key; `unsigned` without one. */
  readonly key: string;
  /** Cases at once; of a coordinator 0. */
  readonly slots: number;
}

export type Kind = 'worker' | 'sweep';

const membersKey = (kind: Kind): string => `${PREFIX}:${kind}s`;
const memberKey = (kind: Kind, id: string): string => `${PREFIX}:${kind}:${id}`;

export async function announce(
  redis: Redis,
  of: { kind: Kind; id: string; presence: Presence; forMs: number },
): Promise<void> {
  const { kind, id, presence, forMs } = of;
  await redis
    .multi()
    .sadd(membersKey(kind), id)
    .set(memberKey(kind, id), JSON.stringify(presence), 'PX', forMs)
    .exec();
}

export async function leave(redis: Redis, kind: Kind, id: string): Promise<void> {
  await redis.multi().srem(membersKey(kind), id).del(memberKey(kind, id)).exec();
}

/** Who is there now, by id. */
export async function present(redis: Redis, kind: Kind): Promise<Map<string, Presence>> {
  const ids = (await redis.smembers(membersKey(kind))).toSorted();
  if (ids.length === 0) return new Map();
  const texts = await redis.mget(ids.map(id => memberKey(kind, id)));
  const gone = ids.filter((_, i) => texts[i] == null);
  if (gone.length > 0) await redis.srem(membersKey(kind), ...gone);
  return new Map(
    ids.flatMap((id, i) => {
      const presence = presenceIn(texts[i] ?? null);
      return presence === null ? [] : [[id, presence] as const];
    }),
  );
}

/** Anybody may have written it: what goes to a terminal is cut to plain characters. */
function presenceIn(text: string | null): Presence | null {
  if (text === null) return null;
  try {
    const { name, build, key, slots } = JSON.parse(text) as Partial<Record<keyof Presence, unknown>>;
    const plain = (value: unknown): string =>
      String(value)
        .replace(/[^\w./+-]/g, '?')
        .slice(0, 80);
    const count = Number.isInteger(slots) && (slots as number) >= 0 ? Math.min(slots as number, 4096) : 0;
    return { name: plain(name), build: plain(build), key: plain(key), slots: count };
  } catch {
    return null;
  }
}

/** Why two that meet at a queue do not work together, said by `ours` of `theirs`; null: they do. */
export function stranger(ours: Presence, theirs: Presence): string | null {
  if (theirs.build !== ours.build) return `has version ${theirs.build}, this is ${ours.build}`;
  if (theirs.key === ours.key) return null;
  if (ours.key === 'unsigned') return 'has a WINDTUNNEL_QUEUE_KEY, and here is none';
  if (theirs.key === 'unsigned') return 'has no WINDTUNNEL_QUEUE_KEY, and here is one';
  return 'has another WINDTUNNEL_QUEUE_KEY';
}
