// Tools that read or write a store: their own run, then the operation, for whose turn they wait. What a read did not
// find costs the step a second time.
//
//   delay(tool) ─▶ run below ─▶ line ─▶ read or write ─▶ stale: wait, run, read │ missed: run, write │ ─▶ delayEnded
//
// Laws: operations at once never exceed the store's concurrency; a tool ends once, after two rounds at most.
import { IdTable } from '../../scenarios/base/id-table.ts';
import { extend, extendText, uniform } from '../../scenarios/base/key.ts';
import { drawAmount } from '../../scenarios/formats/amount.ts';
import type { WorkflowStatus } from '../../scenarios/formats/record.ts';
import type { StoreSpec } from '../../scenarios/formats/rules.ts';
import { PassingLayer } from '../../scenarios/workflows/passing-layer.ts';
import type { DelayRequest, LayerSetup } from '../../scenarios/workflows/world.ts';
import type { Journal } from '../journal.ts';
import { type Timer, Timers } from '../timers.ts';
import type { InLine } from '../tools/line.ts';
import { Store } from './store.ts';

export interface StoreOptions {
  readonly stores: readonly StoreSpec[];
  readonly journal: Journal;
  /** Round trip between a tool and a store, ms; absent: none. */
  readonly wayMs?: (tool: string, store: StoreSpec) => number;
}

/** A tool at a store. */
interface Visit extends InLine {
  readonly ticket: number;
  readonly delayMs: number;
  readonly what: Extract<DelayRequest, { kind: 'tool' }>;
  readonly store: Store<Visit>;
  /** 0, then 1 where it is made again. */
  round: number;
  writes: boolean;
  /** Of the run below; null: it is over. */
  run: number | null;
  /** Of the operation, or until a read would see the last write. */
  timer: Timer<Visit> | null;
  startMs: number;
  joinedMs: number;
  /** When its operation began; null: it waits for its turn. */
  begunMs: number | null;
  failure: string | null | undefined;
}

/** Makes the layer of stores. */
export const storeLayer =
  (options: StoreOptions) =>
  (setup: LayerSetup): Stores =>
    new Stores(options, setup);

export class Stores extends PassingLayer {
  private readonly options: StoreOptions;
  private readonly stores: ReadonlyMap<string, Store<Visit>>;
  private readonly timers: Timers<Visit>;
  private readonly visits = new IdTable<Visit>();
  /** By ticket of the run below. */
  private readonly running = new IdTable<Visit>();

  constructor(options: StoreOptions, setup: LayerSetup) {
    super(setup);
    this.options = options;
    this.stores = new Map(options.stores.map(spec => [spec.name, new Store<Visit>(spec)]));
    this.timers = new Timers(delayMs => this.wait(delayMs));
  }

  override delay(ticket: number, delayMs: number, what?: DelayRequest): void {
    const used = what?.kind === 'tool' ? what.rules.store : null;
    const store = used === null ? undefined : this.stores.get(used.name);
    if (what?.kind !== 'tool' || used === null || store === undefined) {
      super.delay(ticket, delayMs, what);
      return;
    }
    const visit: Visit = {
      ticket,
      delayMs,
      what,
      store,
      round: 0,
      writes: used.writes,
      run: null,
      timer: null,
      startMs: 0,
      joinedMs: 0,
      begunMs: null,
      failure: undefined,
      waits: false,
    };
    this.visits.set(ticket, visit);
    this.run(visit, this.setup.nowMs());
  }

  override abort(ticket: number): void {
    const visit = this.visits.get(ticket);
    if (visit === undefined) {
      super.abort(ticket);
      return;
    }
    this.visits.delete(ticket);
    this.timers.cancel(visit.timer);
    if (visit.run !== null) {
      this.running.delete(visit.run);
      super.abort(visit.run);
    }
    const { store } = visit;
    store.leave(visit);
    if (visit.begunMs === null) return;
    store.release();
    this.admit(store, this.setup.nowMs());
  }

  /** What it had in a store goes with it; a user's stays. */
  override sessionEnded(session: string, workflow: string, status: WorkflowStatus): void {
    for (const store of this.stores.values()) store.forget(session);
    super.sessionEnded(session, workflow, status);
  }

  override isIdle(): boolean {
    return this.visits.size === 0 && super.isIdle();
  }

  override delayEnded(ticket: number, nowMs: number, failure?: string | null): void {
    const visit = this.running.get(ticket);
    if (visit !== undefined) {
      this.running.delete(ticket);
      visit.run = null;
      visit.failure = failure;
      // What did not arrive asks nothing of the store.
      if (typeof failure === 'string') this.end(visit, nowMs);
      else {
        visit.joinedMs = nowMs;
        visit.store.join(visit);
        this.admit(visit.store, nowMs);
      }
    } else if (this.timers.rings(ticket)) {
      for (let due = this.timers.take(nowMs); due !== undefined; due = this.timers.take(nowMs))
        if (due.begunMs === null) this.run(due, nowMs);
        else this.operated(due, due.begunMs, nowMs);
    } else super.delayEnded(ticket, nowMs, failure);
  }

  /** The tool itself, once or again. */
  private run(visit: Visit, nowMs: number): void {
    const { what, round, delayMs } = visit;
    const ticket = this.setup.newTicket();
    visit.startMs = nowMs;
    visit.run = ticket;
    this.running.set(ticket, visit);
    this.setup.below.delay(ticket, delayMs, round === 0 ? what : { ...what, key: extend(what.key, round) });
  }

  private admit(store: Store<Visit>, nowMs: number): void {
    for (let visit = store.next(); visit !== undefined; visit = store.next()) {
      const { spec } = store;
      const { key, rules } = visit.what;
      const draw = uniform(extend(extendText(key, 'store'), visit.round));
      const ms = drawAmount(visit.writes ? spec.write : spec.read, draw, false);
      const wayMs = this.options.wayMs?.(rules.tool, spec) ?? 0;
      visit.begunMs = nowMs;
      visit.timer = this.timers.set(nowMs + ms + wayMs, visit, nowMs);
    }
  }

  /** Its read or write is over. */
  private operated(visit: Visit, begunMs: number, nowMs: number): void {
    const { store } = visit;
    const owner = ownerOf(visit);
    visit.begunMs = null;
    store.release();
    this.admit(store, nowMs);
    if (visit.writes) {
      store.write(owner, nowMs);
      this.end(visit, nowMs);
      return;
    }
    const found = store.read(owner, begunMs);
    if (found.kind === 'fresh' || visit.round > 0) {
      this.end(visit, nowMs);
      return;
    }
    const isStale = found.kind === 'stale';
    this.note(visit, begunMs, isStale, nowMs);
    visit.round += 1;
    // What a store has lost is worked out anew and written back.
    visit.writes = !isStale;
    if (isStale && found.untilMs > nowMs) visit.timer = this.timers.set(found.untilMs, visit, nowMs);
    else this.run(visit, nowMs);
  }

  private end(visit: Visit, nowMs: number): void {
    this.visits.delete(visit.ticket);
    this.setup.above.delayEnded(visit.ticket, nowMs, visit.failure);
  }

  /** The round that has to be made again; the last one is in the tool's own record. */
  private note({ what, store, startMs, joinedMs }: Visit, begunMs: number, isStale: boolean, nowMs: number) {
    const { session, path, step, rules } = what;
    const { journal } = this.options;
    const { name, usdPerOp } = store.spec;
    journal.decision(nowMs, session.id, path, 'store', isStale ? 'stale_read' : 'store_miss', name);
    journal.tool({
      session: session.id,
      call: path,
      workflow: session.program.workflow,
      tenant: session.tenant,
      user: session.user,
      step,
      tool: rules.tool,
      runtime: null,
      attempt: 0,
      askedMs: startMs,
      queueMs: begunMs - joinedMs,
      coldStartMs: 0,
      isCold: false,
      consentMs: 0,
      startMs,
      endMs: nowMs,
      outcome: 'ok',
      error: null,
      isDoubled: false,
      usd: usdPerOp,
      waste: isStale ? 'stale_read' : null,
    });
  }
}

/** Whose entry it is. */
const ownerOf = ({ what, store }: Visit): string => {
  const { id, tenant, user } = what.session;
  return store.spec.kind === 'long_term' && user !== null ? `user ${tenant} ${user}` : id;
};
