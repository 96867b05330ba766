// Knative's pod autoscaler: calls at once over a stable window, and over a short one that can only add (policies §3.2).
import { numberOptions } from '../../gateway/routing/options.ts';
import { defineScalingPolicy, type ScalingView } from './policy.ts';
import { timeWindow } from './window.ts';

/** config-autoscaler; durations in ms. */
const DEFAULTS = {
  /** container-concurrency-target-default. */
  concurrency: 100,
  /** container-concurrency-target-percentage. */
  utilization: 0.7,
  /** stable-window. */
  window: 60_000,
  /** panic-window-percentage. */
  panic_window: 0.1,
  /** panic-threshold-percentage. */
  panic_threshold: 2,
  /** scale-to-zero-grace-period. */
  zero_grace: 30_000,
};
/** max-scale-up-rate and max-scale-down-rate. */
const UP_RATE = 1000;
const DOWN_RATE = 2;
/** Pods report every second, the autoscaler decides every two [autoscaler/scaling: tickInterval]. */
const SAMPLE_MS = 1000;
const TICK_MS = 2000;

/**
 * With n = max(1, ready) and t = concurrency · utilization,
 *   desired(w) = clamp(⌈mean calls in flight over w / t⌉, ⌊n / 2⌋, 1000 n)
 * over the stable window. Panic begins when ⌈mean over the panic window / t⌉ / n >= panic_threshold, and while it lasts
 * the highest of both windows so far counts; it ends a stable window after the last such look. A pool of more than one
 * replica begins in panic, so that a window without history takes nothing away. At zero it decides at every sample, as
 * the activator's report makes it; to zero after `zero_grace` at desired 0. Target burst capacity (211) only decides
 * whether the activator stays in the path of requests, which costs no time here.
 */
export default defineScalingPolicy({
  name: 'knative',
  doc: 'Calls at once for each replica, over a stable window and a panic window.',
  source: 'Knative Serving KPA, pkg/autoscaler/scaling/autoscaler.go',
  create(options) {
    const settings = numberOptions('knative', options, DEFAULTS, {
      most: { panic_window: 1, utilization: 1 },
    });
    const target = settings.concurrency * settings.utilization;
    const panicWindowMs = settings.window * settings.panic_window;
    const samples = timeWindow(settings.window);
    let panicMs: number | null = null;
    let panicMost = 0;
    let wanted: number | null = null;
    let decidedMs = Number.NEGATIVE_INFINITY;
    let zeroMs: number | null = null;

    function decide({ nowMs, ready }: ScalingView): number {
      const pods = Math.max(1, ready);
      const clamp = (count: number): number =>
        Math.min(Math.max(count, Math.floor(pods / DOWN_RATE)), UP_RATE * pods);
      const stable = Math.ceil(samples.mean(nowMs) / target);
      const panic = Math.ceil(samples.mean(nowMs, panicWindowMs) / target);
      if (panic / pods >= settings.panic_threshold) panicMs = nowMs;
      else if (panicMs !== null && nowMs - panicMs > settings.window) {
        panicMs = null;
        panicMost = 0;
      }
      if (panicMs === null) return clamp(stable);
      panicMost = Math.max(panicMost, clamp(stable), clamp(panic));
      return panicMost;
    }

    return {
      intervalMs: SAMPLE_MS,
      desired(view) {
        const { nowMs, ready, starting } = view;
        if (wanted === null && ready > 1) {
          panicMs = nowMs;
          panicMost = ready;
        }
        wanted ??= ready + starting;
        samples.add(nowMs, view.inFlight);
        if (nowMs - decidedMs < TICK_MS && ready + starting > 0) return wanted;
        decidedMs = nowMs;
        const count = decide(view);
        if (count > 0) zeroMs = null;
        else zeroMs ??= nowMs;
        // The last one stays until nothing has come for the grace period.
        const isKept = zeroMs !== null && nowMs - zeroMs < settings.zero_grace && ready + starting > 0;
        wanted = isKept ? 1 : count;
        return wanted;
      },
    };
  },
});
