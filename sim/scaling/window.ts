// The last so many milliseconds of a series: what averages and stabilisation windows look at.

export interface TimeWindow {
  /** Values come in order of time. */
  add(atMs: number, value: number): void;
  /** Of the last `lastMs` up to and with `nowMs`, what is exactly as old included (as Kubernetes counts); else -Infinity. */
  max(nowMs: number, lastMs?: number): number;
  /** Of the last `lastMs`, what is exactly as old left out (as buckets count); 0 where nothing is. */
  mean(nowMs: number, lastMs?: number): number;
}

/** Keeps what is at most `lengthMs` old. */
export function timeWindow(lengthMs: number): TimeWindow {
  let entries: { atMs: number; value: number }[] = [];
  return {
    add(atMs, value) {
      entries = entries.filter(each => each.atMs >= atMs - lengthMs);
      entries.push({ atMs, value });
    },
    max(nowMs, lastMs = lengthMs) {
      let most = Number.NEGATIVE_INFINITY;
      for (const { atMs, value } of entries) if (atMs >= nowMs - lastMs && value > most) most = value;
      return most;
    },
    mean(nowMs, lastMs = lengthMs) {
      let count = 0;
      let sum = 0;
      for (const { atMs, value } of entries) {
        if (atMs <= nowMs - lastMs) continue;
        count += 1;
        sum += value;
      }
      return count === 0 ? 0 : sum / count;
    },
  };
}
