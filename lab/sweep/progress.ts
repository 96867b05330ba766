// What a sweep says while it runs: how far it is, how fast, how long it will take, and the best so far.

import { plural, showNumber } from '../../reports/numbers.ts';
import type { ProgressLine } from '../../scenarios/cli/terminal.ts';
import type { SweepGather } from './gather.ts';

const BAR = 20;

/** `12 s`, `3 min`, `2 h 10 min`: as exact as a guess is. */
export function left(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export class SweepProgress {
  private readonly line: ProgressLine;
  private readonly total: number;
  private readonly earlier: number;
  private readonly startedMs = performance.now();

  constructor(line: ProgressLine, { total, earlier }: { total: number; earlier: number }) {
    this.line = line;
    this.total = total;
    this.earlier = earlier;
  }

  show(gather: SweepGather, where: string): void {
    this.line.show(() => {
      const seconds = (performance.now() - this.startedMs) / 1000;
      const perSec = (gather.runs - this.earlier) / seconds;
      const filled = Math.floor((BAR * gather.runs) / this.total);
      const parts = [
        `${'█'.repeat(filled)}${'░'.repeat(BAR - filled)} ${gather.runs} of ${plural(this.total, 'run')}`,
        `${showNumber(perSec)} /s`,
        `${left((this.total - gather.runs) / perSec)} left`,
        ...(gather.failedRuns > 0 ? [`${gather.failedRuns} failed`] : []),
        ...(gather.bestSoFar() === null ? [] : [`best so far ${gather.bestSoFar()}`]),
        ...(where === '' ? [] : [where]),
      ];
      const text = parts.join(', ');
      const { columns = 0, isTTY } = process.stderr;
      return isTTY && columns > 0 ? text.slice(0, columns - 1) : text;
    });
  }

  clear(): void {
    this.line.clear();
  }
}
