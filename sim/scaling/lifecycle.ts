// The replicas of one set over time: asked for, started cold, ready, drained, gone. An autoscaler says how many; who
// comes and who goes is decided here, as Kubernetes does: what is not ready goes first, then the youngest.
//
//   asked ─ cold start ─▶ ready ─▶ draining ─▶ gone        a crash leads from anywhere to gone
import type { ColdStart, ScalingSpec, Spot } from '../../engines/engine.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import { extend, type Key, uniform } from '../../scenarios/base/key.ts';
import type { Autoscaler, ScalingView } from './policy.ts';

const NS_PER_MS = 1e6;

export interface Member {
  readonly id: number;
  readonly name: string;
  state: 'starting' | 'ready' | 'draining' | 'gone';
  readonly askedNs: number;
  readyNs: number;
  /** When its drain ends, whatever is left. */
  drainNs: number;
  goneNs: number;
  /** When its owner tells that it is taken back; Infinity for never. */
  spotNs: number;
  /** It crashed, or its owner took it back. */
  isLost: boolean;
}

/** What happens to replicas, told to whoever has their engines. */
export interface MemberSink {
  ready(member: Member, atNs: number): void;
  /** It takes no new requests. */
  draining(member: Member, atNs: number): void;
  /** What it still has is lost; `started`: it was ready once. */
  gone(member: Member, started: boolean, atNs: number): void;
  /** Whether anything is left that a drain waits for. */
  isBusy(member: Member): boolean;
}

export interface LifecycleOptions {
  /** Names of replicas begin with it. */
  readonly name: string;
  /** Ready at the start. */
  readonly replicas: number;
  readonly scaling: ScalingSpec | null;
  readonly autoscaler: Autoscaler | null;
  readonly coldStart: ColdStart | null;
  readonly spot: Spot | null;
  /** Cold starts are drawn from it. */
  readonly key: Key;
  readonly sink: MemberSink;
  readonly view: () => Omit<ScalingView, 'ready' | 'starting' | 'draining' | 'min' | 'max'>;
}

/** A look of the autoscaler, for the timeline of a run. */
export interface ScalingLook {
  readonly atMs: number;
  readonly desired: number;
  readonly ready: number;
  readonly starting: number;
  readonly draining: number;
}

/** At least one, so that time goes on. */
const wholeNs = (ms: number): number => Math.max(1, Math.round(ms * NS_PER_MS));

export class Lifecycle {
  /** All there ever were, by id. */
  readonly members: Member[] = [];
  /** Those that are not gone. */
  private active: Member[] = [];
  /** Looks that changed the wish. */
  readonly looks: ScalingLook[] = [];
  private readonly options: LifecycleOptions;
  /** Of the active, those that are starting or draining. */
  private moving = 0;
  private lookNs: number;
  private lastDesired = -1;

  constructor(options: LifecycleOptions) {
    this.options = options;
    const { replicas, scaling, autoscaler } = options;
    const first = scaling === null ? replicas : Math.min(scaling.max, Math.max(scaling.min, replicas));
    for (let i = 0; i < first; i++) this.ready(this.ask(0), 0);
    this.lookNs = autoscaler === null ? Number.POSITIVE_INFINITY : wholeNs(autoscaler.intervalMs);
  }

  count(state: Member['state']): number {
    let count = 0;
    for (const member of this.active) if (member.state === state) count += 1;
    return count;
  }

  /** When something happens by itself; Infinity where the number is fixed. */
  nextNs(): number {
    let ns = this.lookNs;
    if (this.moving === 0 && this.options.spot === null) return ns;
    for (const { state, readyNs, drainNs, spotNs } of this.active) {
      if (state === 'starting') ns = Math.min(ns, readyNs);
      else if (state === 'draining') ns = Math.min(ns, drainNs);
      else ns = Math.min(ns, spotNs);
    }
    return ns;
  }

  /** What is due at `atNs` happens. */
  advanceTo(atNs: number): void {
    for (const member of [...this.active]) {
      if (member.state === 'starting' && member.readyNs <= atNs) this.ready(member, atNs);
      else if (member.state === 'draining' && member.drainNs <= atNs) this.end(member, atNs);
      else if (member.state === 'ready' && member.spotNs <= atNs) this.takeBack(member, atNs);
    }
    if (this.lookNs <= atNs) this.look(atNs);
  }

  private look(atNs: number): void {
    const { autoscaler, scaling, view } = this.options;
    const { min, max } = scaling!;
    const ready = this.count('ready');
    const starting = this.count('starting');
    const draining = this.count('draining');
    const asked = autoscaler!.desired({ ...view(), ready, starting, draining, min, max });
    invariant(Number.isFinite(asked), () => `${this.options.name}: its autoscaler wants ${asked} replicas`);
    const desired = Math.min(max, Math.max(min, Math.round(asked)));
    if (desired !== this.lastDesired) {
      this.looks.push({ atMs: atNs / NS_PER_MS, desired, ready, starting, draining });
      this.lastDesired = desired;
    }
    this.become(desired, atNs);
    this.lookNs = atNs + wholeNs(autoscaler!.intervalMs);
  }

  private become(desired: number, atNs: number): void {
    let surplus = this.count('ready') + this.count('starting') - desired;
    for (; surplus < 0; surplus++) this.start(atNs);
    for (const state of ['starting', 'ready'] as const) {
      for (const member of this.active.toReversed()) {
        if (surplus <= 0) return;
        if (member.state !== state) continue;
        if (state === 'starting') this.end(member, atNs);
        else this.drain(member, atNs);
        surplus -= 1;
      }
    }
  }

  private ask(atNs: number): Member {
    const id = this.members.length;
    const name = `${this.options.name}/${id}`;
    const never = Number.POSITIVE_INFINITY;
    const member: Member = {
      id,
      name,
      state: 'starting',
      askedNs: atNs,
      readyNs: atNs,
      drainNs: never,
      goneNs: never,
      spotNs: never,
      isLost: false,
    };
    this.members.push(member);
    this.active.push(member);
    this.moving += 1;
    return member;
  }

  /** Asks for one more. */
  start(atNs: number): void {
    const { coldStart, key } = this.options;
    const member = this.ask(atNs);
    if (coldStart !== null) {
      const ms = Math.max(0, coldStart.draw(uniform(extend(key, member.id))));
      member.readyNs = atNs + Math.round(ms * NS_PER_MS);
    }
    if (member.readyNs <= atNs) this.ready(member, atNs);
  }

  private ready(member: Member, atNs: number): void {
    member.state = 'ready';
    this.moving -= 1;
    member.readyNs = atNs;
    const { spot, key } = this.options;
    if (spot !== null && spot.perSec > 0) {
      const seconds = -Math.log(uniform(extend(key, member.id, 1))) / spot.perSec;
      member.spotNs = atNs + Math.round(seconds * 1e9);
    }
    this.options.sink.ready(member, atNs);
  }

  drain(member: Member, atNs: number): void {
    member.state = 'draining';
    this.moving += 1;
    const most = this.options.scaling?.drainMaxMs ?? Number.POSITIVE_INFINITY;
    member.drainNs = atNs + wholeNs(most);
    this.options.sink.draining(member, atNs);
    this.settle(member, atNs);
  }

  /** With the notice it takes no new requests, and another is asked for; after it, what is left is lost. */
  private takeBack(member: Member, atNs: number): void {
    member.isLost = true;
    this.drain(member, atNs);
    member.drainNs = Math.min(member.drainNs, atNs + wholeNs(this.options.spot!.noticeMs));
    this.start(atNs);
  }

  /** Something of a draining replica has ended: it goes when nothing is left. */
  settle(member: Member, atNs: number): void {
    if (member.state === 'draining' && !this.options.sink.isBusy(member)) this.end(member, atNs);
  }

  /** At once, with what it has; whether there is another is the autoscaler's business, or `replace`'s. */
  end(member: Member, atNs: number): void {
    if (member.state === 'gone') return;
    const started = member.state !== 'starting';
    if (member.state !== 'ready') this.moving -= 1;
    member.state = 'gone';
    member.goneNs = atNs;
    this.active = this.active.filter(each => each !== member);
    this.options.sink.gone(member, started, atNs);
  }
}
