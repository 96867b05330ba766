// The records of all shards as they come: into the run's log, so that a coordinator that is killed leaves what it had, and
// into the live view.
import type { RunLog } from '../../../loadgen/run-log.ts';
import { unreachable } from '../../../scenarios/base/errors.ts';
import type {
  AttemptRecord,
  CallRecord,
  DecisionRecord,
  NodeRecord,
  TimelineSample,
  ToolRecord,
  WorkflowRecord,
} from '../../../scenarios/formats/record.ts';
import type { RunOutput, RunSoFar } from '../../../scenarios/formats/run.ts';
import type { LineKind } from '../../../scenarios/formats/run-log.ts';
import type { Inbox } from './inbox.ts';

export class Gathered {
  private readonly inboxes: readonly Inbox[];
  private readonly log: RunLog;
  private readonly calls: CallRecord[] = [];
  private readonly nodes: NodeRecord[] = [];
  private readonly workflows: WorkflowRecord[] = [];
  readonly timeline: TimelineSample[] = [];
  /** In the order of the log, whose end names them by their rows. */
  private readonly attempts: AttemptRecord[] = [];
  private readonly tools: ToolRecord[] = [];

  constructor(inboxes: readonly Inbox[], log: RunLog) {
    this.inboxes = inboxes;
    this.log = log;
  }

  /** Hot: once per record. */
  add(kind: LineKind, record: object, shard: number): void {
    const { onCall, onRecord, journal } = this.log;
    switch (kind) {
      case 'call':
        this.calls.push(record as CallRecord);
        onCall(record as CallRecord);
        return;
      case 'node':
        this.nodes.push(record as NodeRecord);
        onRecord.onNode(record as NodeRecord);
        return;
      case 'session':
        this.addSession(record as WorkflowRecord);
        return;
      case 'sample':
        // All look at the same servers.
        if (shard === this.watcher()) this.timeline.push(record as TimelineSample);
        return;
      case 'attempt':
        this.attempts.push(record as AttemptRecord);
        journal.onAttempt(record as AttemptRecord);
        return;
      case 'tool':
        this.tools.push(record as ToolRecord);
        journal.onTool(record as ToolRecord);
        return;
      case 'decision':
        journal.onDecision(record as DecisionRecord);
        return;
      default:
        unreachable(kind);
    }
  }

  soFar(nowMs: number): RunSoFar {
    const { calls, nodes, workflows, timeline } = this;
    const sum = (count: (inbox: Inbox) => number): number =>
      this.inboxes.reduce((total, inbox) => total + count(inbox), 0);
    return {
      nowMs,
      sessionsStarted: sum(({ progress }) => progress.sessionsStarted),
      activeSessions: sum(({ progress }) => progress.activeSessions),
      callsInFlight: sum(({ progress }) => progress.callsInFlight),
      calls,
      nodes,
      workflows,
      timeline,
    };
  }

  /** The merged run with its rows in the order of the log. */
  inLogOrder(output: RunOutput): RunOutput {
    const { governed } = output;
    if (governed === undefined) return output;
    return { ...output, governed: { ...governed, attempts: this.attempts, tools: this.tools } };
  }

  /** A line as a session starts, and one as it ends. */
  private addSession(record: WorkflowRecord): void {
    const { onStart, onSession } = this.log.onRecord;
    if (record.status === 'unfinished' && record.error === null) {
      onStart(record);
      return;
    }
    this.workflows.push(record);
    onSession(record);
  }

  /** The first shard that still goes on. */
  private watcher(): number {
    return this.inboxes.find(({ isOver }) => !isOver)?.index ?? 0;
  }
}
