// What a benchmark gives: one figure and what it was.

export interface Figure {
  value: number;
  unit: string;
  detail: string;
}

/** CPU seconds of this process that `work` takes. */
export function cpuSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
