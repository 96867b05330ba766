// Flow control: calls wait at the gateway by priority, fairly among tenants, and go on one by one while their pool is not
// saturated, so that the engines' own queues stay short and the order can still change. llm-d's endpoint picker (EPP).
import { DETECTOR_OPTIONS, detector } from './detector.ts';
import { readOptions } from './options.ts';
import { type AdmissionArrival, defineAdmissionPolicy, type Gate, type PoolsView } from './policy.ts';
import { type Due, hasCome, Line, refused, SEND, WAIT, type Waiting, WaitingRoom } from './queue.ts';

/** The EPP counts bytes of requests; a token is about 4. */
const BYTES_PER_TOKEN = 4;

const OPTIONS = {
  /** Among the tenants of a band: the best call of all of them, or one tenant after the other. */
  fairness: ['global_strict', 'round_robin'],
  /** Within a tenant: by arrival, or by deadline. */
  ordering: ['fcfs', 'edf'],
  /** Bytes that may wait in one band. */
  band_bytes: { usual: 1e9 },
  /** Calls that may wait in one band; the EPP has no limit by default. */
  band_requests: { usual: Number.POSITIVE_INFINITY },
  /** What waits longer is turned away, ms (defaultRequestTTL). */
  max_wait: { usual: 60_000 },
  /** Between two looks at what waits, ms: the ticker of the EPP's processor. */
  interval: { usual: 1, least: 0.001 },
  ...DETECTOR_OPTIONS,
} as const;

/** Calls of one priority: a line for each tenant that has some. */
interface Band {
  readonly priority: number;
  bytes: number;
  calls: number;
  readonly flows: Map<string, Line>;
  /** Whose turn was last; null: nobody's yet. */
  lastTenant: string | null;
}

/** The calls that wait for one pool, highest band first. */
interface Flows {
  bands: Band[];
  /** When one of them may go on. */
  wakeMs: number;
}

const bytesOf = (call: AdmissionArrival): number => call.promptTokens * BYTES_PER_TOKEN;
const tenantOf = (call: AdmissionArrival): string => call.tenant ?? '';

function bandOf(flows: Flows, priority: number): Band {
  const found = flows.bands.find(band => band.priority === priority);
  if (found !== undefined) return found;
  const band: Band = { priority, bytes: 0, calls: 0, flows: new Map(), lastTenant: null };
  flows.bands.push(band);
  flows.bands.sort((a, b) => b.priority - a.priority);
  return band;
}

/** The first call of the tenant that comes next by name, or the first of the first tenant. */
function nextByTurn(band: Band): Waiting | undefined {
  const tenants = [...band.flows.keys()].sort((a, b) => (a < b ? -1 : 1));
  const { lastTenant } = band;
  const after = lastTenant === null ? 0 : tenants.findIndex(tenant => tenant > lastTenant);
  return band.flows.get(tenants[Math.max(0, after)] as string)?.first();
}

function bestOfAll(band: Band): Waiting | undefined {
  let best: Waiting | undefined;
  for (const line of band.flows.values()) {
    const first = line.first();
    if (first === undefined) continue;
    if (
      best === undefined ||
      first.rank < best.rank ||
      (first.rank === best.rank && first.sequence < best.sequence)
    )
      best = first;
  }
  return best;
}

/**
 * Each pool by itself: the highest band that has calls, in it by `fairness`, within a tenant by `ordering`; one call goes
 * on when one comes and at each tick, while saturation < 1 [llm-d-router flowcontrol/controller/internal/processor.go].
 * `edf`: by the deadline of the SLO, without one by the end of `max_wait`. What a band has no room for is turned away as
 * it comes (RejectedCapacity: `queue_full`), what waits too long then (EvictedTTL: `queue_timeout`).
 */
export default defineAdmissionPolicy({
  name: 'flow_control',
  doc: 'Holds calls at the gateway by priority and tenant, and lets them go on while their pool is not saturated.',
  source: 'llm-d EPP flow control',
  create: options => flowControl(readOptions('flow_control', options, OPTIONS)),
});

function flowControl(settings: ReturnType<typeof readOptions<typeof OPTIONS>>): Gate {
  const { fairness, ordering, band_bytes, band_requests, max_wait, interval } = settings;
  const saturation = detector(settings);
  const room = new WaitingRoom(max_wait);
  const pools = new Map<string, Flows>();

  const add = (flows: Flows, band: Band, call: AdmissionArrival, nowMs: number): void => {
    const rank = ordering === 'edf' ? (call.deadlineMs ?? nowMs + max_wait) : 0;
    let line = band.flows.get(tenantOf(call));
    if (line === undefined) {
      line = new Line();
      band.flows.set(tenantOf(call), line);
    }
    line.add(room.enter(call, nowMs, rank));
    band.bytes += bytesOf(call);
    band.calls++;
    // The cycle that an arrival starts may send another that waits.
    flows.wakeMs = Math.min(flows.wakeMs, nowMs);
  };
  /** Takes account of a call that has left; bands and tenants without calls are forgotten. */
  const forget = ({ call }: Waiting): void => {
    const flows = pools.get(call.pool) as Flows;
    const band = bandOf(flows, call.priority);
    band.bytes -= bytesOf(call);
    band.calls--;
    if (band.flows.get(tenantOf(call))?.first() === undefined) band.flows.delete(tenantOf(call));
    if (band.calls === 0) flows.bands = flows.bands.filter(each => each !== band);
    if (flows.bands.length === 0) pools.delete(call.pool);
  };
  const cycle = (pool: string, flows: Flows, nowMs: number, view: PoolsView): Waiting | undefined => {
    flows.wakeMs = nowMs + interval;
    if (saturation(view.view(pool)) >= 1) return undefined;
    const band = flows.bands[0] as Band;
    const next = fairness === 'round_robin' ? nextByTurn(band) : bestOfAll(band);
    if (next === undefined) return undefined;
    band.lastTenant = tenantOf(next.call);
    room.leave(next);
    return next;
  };
  return {
    arrive(call, nowMs, view) {
      const flows = pools.get(call.pool) ?? { bands: [], wakeMs: Number.POSITIVE_INFINITY };
      if (flows.bands.length === 0 && saturation(view.view(call.pool)) < 1) return SEND;
      const band = bandOf(flows, call.priority);
      const isFull = band.bytes + bytesOf(call) > band_bytes || band.calls + 1 > band_requests;
      if (isFull) {
        if (band.calls === 0) flows.bands = flows.bands.filter(each => each !== band);
        return refused('queue_full');
      }
      pools.set(call.pool, flows);
      add(flows, band, call, nowMs);
      return WAIT;
    },
    ended() {},
    withdraw(id) {
      const left = room.withdraw(id);
      if (left !== undefined) forget(left);
      return left !== undefined;
    },
    sessionEnded() {},
    due(nowMs, view) {
      const due: Due = { send: [], refuse: [] };
      for (let late = room.takeExpired(nowMs); late !== undefined; late = room.takeExpired(nowMs)) {
        forget(late);
        due.refuse.push({ id: late.call.id, reason: 'queue_timeout' });
      }
      for (const [pool, flows] of pools) {
        if (!hasCome(flows.wakeMs, nowMs)) continue;
        const next = cycle(pool, flows, nowMs, view);
        if (next === undefined) continue;
        forget(next);
        due.send.push(next.call.id);
      }
      return due;
    },
    nextMs() {
      let next = room.nextExpiryMs();
      for (const { wakeMs } of pools.values()) next = Math.min(next, wakeMs);
      return next;
    },
    get waiting() {
      return room.size;
    },
  };
}
