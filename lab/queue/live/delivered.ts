// One shard's part of a live run, made of what its worker delivered, and what is to be said of it.
import { sessionsOfShard, shardName } from '../../../loadgen/shard.ts';
import type { ShardPart } from '../../../loadgen/shard-merge.ts';
import { plural } from '../../../reports/numbers.ts';
import { rebuilt } from '../../../reports/rebuild.ts';
import type { ShardReport } from '../../../scenarios/formats/measured.ts';
import type { Plan } from '../../../scenarios/formats/plan.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import type { RunStart } from '../../../scenarios/formats/run-log.ts';
import type { Inbox } from './inbox.ts';

/** A start that is known worse than this is no common one. */
const CLOCK_ERROR_MS_MAX = 50;

export interface Delivered {
  readonly part: ShardPart;
  readonly report: ShardReport;
  readonly evidence: string;
  readonly warnings: readonly string[];
}

/** `lost`: why a part of it is missing; null: nothing is. */
export function deliveredBy(
  inbox: Inbox,
  start: RunStart,
  plan: Plan,
  shards: number,
  lost: string | null,
): Delivered {
  const shard = { index: inbox.index, count: shards };
  const name = shardName(shard);
  const { records, end, worker, clock } = inbox;
  const header = { ...start.header, evidence: [], warnings: [] };
  const output = rebuilt({ start: { ...start, header }, records, end, cutLines: 0 });
  // Why it has no end is told of the run.
  if (end === null) output.header.warnings = [];
  const missing = lost === null ? null : `${lost}, ${countedText(output, sessionsOfShard(plan, shard))}`;
  const report: ShardReport = {
    name,
    worker,
    state: lost !== null ? 'lost' : output.interrupted ? 'stopped' : 'whole',
    sessions: output.workflows.length,
    calls: output.calls.length,
    lagMsP99: output.calls.length === 0 ? null : (output.measured?.client.lagMs.p99 ?? null),
    clockOffsetMs: clock?.wallMs ?? null,
    clockErrorMs: clock?.errorMs ?? null,
  };
  return {
    part: { name, output, lost: missing },
    report,
    evidence: evidenceOf(report),
    warnings:
      clock === null || clock.errorMs <= CLOCK_ERROR_MS_MAX
        ? []
        : [
            `${name}: its clock is known to ± ${clock.errorMs.toFixed(0)} ms, so that it may have started that much ` +
              `before or after the others (more than ${CLOCK_ERROR_MS_MAX} ms: the way to the queue is slow)`,
          ],
  };
}

function countedText({ workflows }: RunOutput, planned: number | null): string {
  const ended = workflows.filter(({ status }) => status !== 'unfinished').length;
  const underWay = workflows.length - ended;
  const of = planned === null ? '' : ` of ${planned}`;
  return `${plural(ended, 'session')}${of} had ended and ${underWay} ${underWay === 1 ? 'was' : 'were'} under way`;
}

function evidenceOf({ name, worker, sessions, calls, clockOffsetMs, clockErrorMs }: ShardReport): string {
  const clock =
    clockOffsetMs === null || clockErrorMs === null
      ? 'clock not measured'
      : `clock ${clockOffsetMs.toFixed(2)} ms from the queue's, start known to ± ${clockErrorMs.toFixed(2)} ms`;
  return `${name}: worker ${worker}, ${plural(sessions, 'session')}, ${plural(calls, 'call')}, ${clock}`;
}
