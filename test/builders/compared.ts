// Runs to compare: sessions of three steps in a row whose times are chosen, in any world.
import { Histogram } from '../../scenarios/base/histogram.ts';
import type { CallRecord, WorkflowRecord } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { aCall, aHeader, aRun, aWorkflow } from './records.ts';

export interface ComparedOptions {
  sessions?: number;
  /** Multiplies every time of every step, or of each by its name. */
  scale?: number | Readonly<Record<string, number>>;
  world?: 'sim' | 'live';
}

/** TTFT of 100 ms and 101 tokens in 1 s, 2 s and 4 s; sessions differ by up to a fifth. */
const STEPS: Readonly<Record<string, number>> = { short: 1000, middle: 2000, long: 4000 };

/** Session by session: `short`, then `middle`, then `long`. */
export function aComparedRun({ sessions = 40, scale = 1, world = 'sim' }: ComparedOptions = {}): RunOutput {
  const itl = new Histogram();
  const calls: CallRecord[] = [];
  const workflows: WorkflowRecord[] = [];
  for (let i = 0; i < sessions; i++) {
    const plannedMs = i * 1000;
    let atMs = plannedMs;
    const own = 0.8 + (0.4 * ((i * 7) % sessions)) / sessions;
    for (const [step, decodeMs] of Object.entries(STEPS)) {
      const by = own * (typeof scale === 'number' ? scale : (scale[step] ?? 1));
      const firstTokenMs = atMs + 100 * by;
      const endMs = firstTokenMs + decodeMs * by;
      calls.push(
        aCall({ session: `s${i}`, call: step, step, plannedMs: atMs, sentMs: atMs, firstTokenMs, endMs }),
      );
      itl.record((decodeMs * by) / 100, 100);
      atMs = endMs;
    }
    workflows.push(aWorkflow({ session: `s${i}`, plannedMs, startMs: plannedMs, endMs: atMs, calls: 3 }));
  }
  const durationMs = Math.max(...workflows.map(({ endMs }) => endMs!));
  return aRun({ header: aHeader({ world }), calls, workflows, itlMs: itl.toCounts(), durationMs });
}
