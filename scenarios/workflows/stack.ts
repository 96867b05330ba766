// A fleet, the layers below it and the world at the bottom, tied together: what is asked goes down, ends go up.
import { Fleet, type FleetOptions } from './fleet.ts';
import type { CallResult, Layer, LayerSetup, Reports, Sessions, World } from './world.ts';

/** Makes a layer between what is below and above it. */
export type MakeLayer = (setup: LayerSetup & { readonly sessions: Sessions }) => Layer;

/** Stands in for what is above until that is there. */
class Upwards implements Reports {
  to: Reports | null = null;

  callEnded(ticket: number, result: CallResult, nowMs: number): void {
    this.to?.callEnded(ticket, result, nowMs);
  }
  delayEnded(ticket: number, nowMs: number, failure?: string | null): void {
    this.to?.delayEnded(ticket, nowMs, failure);
  }
  firstToken(ticket: number, nowMs: number): void {
    this.to?.firstToken(ticket, nowMs);
  }
}

/** `layers`: the topmost first. `reports`: what the world tells of ends; `stop`: layers tell what they hold as unfinished;
 * `isIdle`: no layer has anything under way. */
export function fleetOver(
  options: Omit<FleetOptions, 'world'>,
  bottom: World,
  layers: readonly MakeLayer[],
  nowMs: () => number,
): { fleet: Fleet; reports: Reports; stop: (nowMs: number) => void; isIdle: () => boolean } {
  let fleet: Fleet | null = null;
  const sessions: Sessions = {
    cancel: (session, reason, atMs) => fleet?.cancel(session, reason, atMs),
    finalize: session => fleet?.finalize(session),
    restart: (session, sinceMs, atMs) => fleet?.restart(session, sinceMs, atMs),
    checkpointed: (session, atMs) => fleet?.checkpointed(session, atMs),
  };
  // Made by the fleet, whose tickets and those of layers are one sequence.
  const newTicket = () => (fleet as Fleet).newTicket();
  let below = bottom;
  let lower: Upwards | null = null;
  let reports: Reports | null = null;
  for (const make of [...layers].reverse()) {
    const above = new Upwards();
    const layer = make({ below, above, newTicket, nowMs, sessions });
    if (lower !== null) lower.to = layer;
    reports ??= layer;
    lower = above;
    below = layer;
  }
  const top = below;
  const made = new Fleet({ ...options, world: top });
  fleet = made;
  if (lower !== null) lower.to = made;
  const stop = (atMs: number) => {
    if (layers.length > 0) top.stop?.(atMs);
  };
  const isIdle = () => layers.length === 0 || (top.isIdle?.() ?? true);
  return { fleet: made, reports: reports ?? made, stop, isIdle };
}
