// One runtime: who may run on it now. Places, cores and memory are limits of what runs at once; beyond them runs wait in
// a line, first come, first served, but for those whose session has a sandbox of its own that is free.
import type { ToolRuntimeSpec } from '../../scenarios/formats/rules.ts';
import { type InLine, Line } from './line.ts';
import { Sandboxes } from './sandboxes.ts';

/** What a run asks of its runtime. */
export interface Claim extends InLine {
  readonly sessionId: string;
  /** Thousandths of a core, so that sums are exact. */
  readonly milliCores: number;
  readonly bytes: number;
}

/** What a run may take: what it uses, at most what one sandbox has. */
export const milliCoresOf = (cores: number | null, { limits, cpu }: ToolRuntimeSpec): number =>
  Math.round(
    Math.min(cores ?? 0, limits.cpu ?? Number.POSITIVE_INFINITY, cpu ?? Number.POSITIVE_INFINITY) * 1000,
  );
export const bytesOf = (bytes: number | null, { limits }: ToolRuntimeSpec): number =>
  Math.min(bytes ?? 0, limits.memoryBytes ?? Number.POSITIVE_INFINITY);

/** `C`: what its user remembers of a run. */
export class Runtime<C extends Claim = Claim> {
  readonly spec: ToolRuntimeSpec;
  readonly sandboxes: Sandboxes;
  private readonly line = new Line<C>();
  private milliCores = 0;
  private bytes = 0;

  constructor(spec: ToolRuntimeSpec) {
    this.spec = spec;
    this.sandboxes = new Sandboxes(spec);
  }

  get waiting(): number {
    return this.line.size;
  }

  /** Why a run cannot even wait; null: it can. */
  refuses(claim: Claim, nowMs: number): 'queue_full' | 'oom' | null {
    const { queue, memoryBytes } = this.spec;
    if (memoryBytes !== null && claim.bytes > memoryBytes) return 'oom';
    this.sandboxes.expire(nowMs);
    return queue !== null && this.line.size >= queue && !this.goesAtOnce(claim) ? 'queue_full' : null;
  }

  join(claim: C): void {
    this.line.join(claim);
  }

  leave(claim: C): void {
    this.line.leave(claim);
  }

  /** Who may start now, out of the line and with its share taken; its sandbox is its own to take. */
  next(nowMs: number): C | undefined {
    this.sandboxes.expire(nowMs);
    const next = this.candidate();
    if (next === undefined) return undefined;
    this.line.leave(next);
    this.milliCores += next.milliCores;
    this.bytes += next.bytes;
    return next;
  }

  /** Gives back the share of one that ran. */
  release(claim: Claim): void {
    this.milliCores -= claim.milliCores;
    this.bytes -= claim.bytes;
  }

  /** Nothing runs, waits or is kept. */
  get isEmpty(): boolean {
    return this.milliCores === 0 && this.bytes === 0 && this.line.size === 0 && this.sandboxes.placed === 0;
  }

  private candidate(): C | undefined {
    const first = this.line.first();
    if (first === undefined || this.fits(first)) return first;
    if (this.sandboxes.idling === 0) return undefined;
    return this.line.find(claim => this.sandboxes.hasFor(claim.sessionId) && this.fits(claim));
  }

  private goesAtOnce(claim: Claim): boolean {
    const isNext = this.line.size === 0 || this.sandboxes.hasFor(claim.sessionId);
    return isNext && this.fits(claim);
  }

  private fits({ sessionId, milliCores, bytes }: Claim): boolean {
    const { concurrency, cpu, memoryBytes } = this.spec;
    if (cpu !== null && this.milliCores + milliCores > Math.round(cpu * 1000)) return false;
    if (memoryBytes !== null && this.bytes + bytes > memoryBytes) return false;
    if (concurrency === null || this.sandboxes.hasFor(sessionId)) return true;
    return this.sandboxes.placed < concurrency;
  }
}
