// A finished (or interrupted) run as a world hands it over: header and raw records, before any statistics.
import type { HistogramCounts } from '../base/histogram.ts';
import type { Assertion } from './assertion.ts';
import type { ApiOffer, Ledger } from './ledger.ts';
import type { Measured } from './measured.ts';
import type {
  CallRecord,
  GovernedRecords,
  NodeRecord,
  ReplicaSpan,
  TimelineSample,
  WorkflowRecord,
} from './record.ts';
import type { Told } from './reporters.ts';

/** Who ran what: enough to run it again. */
export interface RunHeader {
  tool: { name: 'agent-windtunnel'; version: string };
  world: 'sim' | 'live';
  seed: number | string;
  scenario: { name: string; sha256: string };
  deployment: { name: string; sha256: string };
  /** The command line to type again. */
  command: string;
  /** Wall clock, ISO 8601; null in simulated runs, whose bytes must not depend on it. */
  startedAt: string | null;
  /** What the numbers rest on, a sentence each: step model, provenance, expected error. */
  evidence: string[];
  /** What the reader must know before trusting them. */
  warnings: string[];
  /** Live runs: where our client ran. Simulated results do not depend on it. */
  environment?: { node: string; platform: string };
}

/** Everything a run produced. Records are in order of their end; of a run by several machines, of their planned time. */
export interface RunOutput {
  header: RunHeader;
  calls: CallRecord[];
  nodes: NodeRecord[];
  workflows: WorkflowRecord[];
  timeline: TimelineSample[];
  /** Simulated runs: every replica there was. */
  replicas?: ReplicaSpan[];
  /** Runs with a gateway that governs. */
  governed?: GovernedRecords;
  /** Busy time of each replica: steps that ran, ms; simulated runs. */
  busy?: readonly ReplicaBusy[];
  /** Live runs: our own client, and what the servers said of themselves. */
  measured?: Measured;
  /** What it cost; absent: nobody asked. */
  ledger?: Ledger;
  /** Pools on GPUs of one's own, and what could be bought in their place. */
  hosting?: { pools: readonly string[]; offers: readonly ApiOffer[] };
  /** Lines of the audit log, each naming the hash of the one before. */
  audit?: Iterable<string>;
  /** Gaps between successive tokens, ms, over all calls. */
  itlMs: HistogramCounts;
  assertions: Assertion[];
  /** Simulated or measured time from start to the last end, ms. */
  durationMs: number;
  interrupted: boolean;
  /** Live runs: false when our own client was the bottleneck; `invalidReason` says how. */
  valid: boolean;
  invalidReason: string | null;
  /** A part of it is missing, and `invalidReason` says which: a machine that made it was lost. */
  isPartial?: boolean;
}

/** A run as it goes on. Its lists only grow. */
export interface RunSoFar {
  /** Time of the run, ms. */
  readonly nowMs: number;
  readonly sessionsStarted: number;
  readonly activeSessions: number;
  readonly callsInFlight: number;
  readonly calls: readonly CallRecord[];
  readonly nodes: readonly NodeRecord[];
  readonly workflows: readonly WorkflowRecord[];
  readonly timeline: readonly TimelineSample[];
}

/** The page of a run, served while it goes on. */
export interface Serving {
  readonly url: string;
  /** A live run writes its log into this folder: its page is made of that. */
  follow(folder: string): void;
  /** A simulation may be shown. Asks for it only when it is time, and somebody looks. */
  show(header: RunHeader, assertions: readonly Assertion[], run: () => RunSoFar): void;
  /** The result.json of its end. */
  last(result: unknown): void;
  /** Readers get what was last; then nothing is served any more. */
  end(): Promise<void>;
}

/** Given to the worlds by the wiring. Rejects with a UserError where it cannot listen. */
export type ServeRun = (listen: { host: string; port: number }) => Promise<Serving>;

/** How long a replica computed. */
export interface ReplicaBusy {
  pool: string;
  replica: string;
  busyMs: number;
}

/** Where a published run went. */
export interface Published {
  folder: string;
  reportPath: string;
  resultPath: string;
  /** The exit code that the run's verdict asks for (0, 3, 99 or 105). */
  exitCode: number;
  /** The terminal summary, answer first, at most 25 lines. */
  summaryText: string;
  /** The parsed result.json. */
  result: unknown;
}

/** Summarises a run, writes its folder and report page. Given to the worlds by the wiring, which may see reports. */
export type PublishRun = (
  output: RunOutput,
  options: {
    out: string;
    /** Told of the promises that were kept and broken. */
    reporters?: readonly Told[];
    /** stdout belongs to a document. */
    json?: boolean;
  },
) => Promise<Published>;
