// One case of a grid: which simulation, as plain data that a worker thread can be sent, and what came of it.
import type {
  DeploymentSpec,
  PolicyChoice,
  PoolSpec,
  ScalingSpec,
  SignalAges,
} from '../../engines/engine.ts';
import type { LoadOptions } from '../../scenarios/cli/load.ts';
import type { RunFigures } from '../../scenarios/formats/grid.ts';
import type { Ledger } from '../../scenarios/formats/ledger.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import type { ReplicaSpan } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import type { RunTally } from '../../scenarios/formats/tally.ts';
import type { RunPart } from '../fleet/part.ts';
import type { Targets } from './figures.ts';
import type { Burst } from './load-factor.ts';
import type { SegmentHits } from './segment-hits.ts';

/** What a case changes of a deployment once its file is resolved. Plain data. */
export interface DeploymentChange {
  readonly routing?: PolicyChoice;
  readonly admission?: PolicyChoice;
  readonly signals?: Partial<SignalAges>;
  /** Of every pool. */
  readonly pool?: Partial<Pick<PoolSpec, 'replicas' | 'scheduling' | 'retention'>> & {
    /** Over what the pool has, else over `defaultBounds`. */
    readonly scaling?: PolicyChoice & Partial<ScalingSpec>;
  };
}

/** What an autoscaler gets where the pool has none of its own: from one replica to twice as many as it had. */
const defaultBounds = ({ replicas }: PoolSpec): Omit<ScalingSpec, keyof PolicyChoice> => ({
  min: Math.min(1, replicas),
  max: 2 * replicas,
  signalAgeMs: 0,
  drain: 'calls',
  drainMaxMs: Number.POSITIVE_INFINITY,
});

export interface GridCase {
  readonly scenario: {
    /** File, library entry or trace. */
    readonly input: string;
    /** Seed, overrides, and how a trace is read. */
    readonly options: LoadOptions;
  };
  readonly deployment: {
    readonly input: string;
    /** Overrides of the file, `path=value`. */
    readonly set?: readonly string[];
    readonly change?: DeploymentChange;
  };
  /** Speeds up the clock of open arrivals; 1 as the scenario says. See load-factor.ts. */
  readonly loadFactor: number;
  /** Only the sessions of open cohorts that are planned in this stretch of the plan's clock, which begins the run. */
  readonly window?: { readonly fromMs: number; readonly toMs: number };
  /** A minute like no other: open arrivals come faster for a while. See load-factor.ts. */
  readonly burst?: Burst;
  /** Of the run's clock, what the tally is taken of: calls and sessions planned within. Absent: all. */
  readonly judged?: { readonly fromMs: number; readonly toMs: number };
  /** Only a part of the fleet and of who calls it. */
  readonly part?: RunPart;
  /** SLOs that each call is judged by beside its own. */
  readonly slos?: readonly Targets[];
  /** Whether the figures of each cohort are wanted, too. */
  readonly isByCohort?: boolean;
  /** Whether it is wanted what of each part of the prompts was cached. */
  readonly isBySegment?: boolean;
  /** Whether a tally is wanted: histograms and counters that merge with those of other runs. */
  readonly isTallied?: boolean;
  /** A module (URL) whose default export is a `Measure`: what is read off the records of the whole run. */
  readonly measure?: string;
}

/** Reads a whole run, its books included, where it was run; what it answers is plain data that a thread can send. */
export type Measure<T> = (run: RunOutput & { readonly ledger: Ledger }, plan: Plan) => T;

/** What came of a case. */
export interface CaseResult {
  readonly figures: RunFigures;
  /** By the cohort's name, where asked for; GPU-hours and USD are those of the whole run. */
  readonly cohorts?: Readonly<Record<string, RunFigures>>;
  /** Share of calls that kept each of the case's `slos`. */
  readonly keptRatios?: readonly number[];
  /** By the name of a prefix segment, or `history`, `reads` or `input`; where asked for. */
  readonly segments?: Readonly<Record<string, SegmentHits>>;
  readonly tally?: RunTally;
  /** Of a part: all replicas that it had, and when it ended. */
  readonly ran?: { readonly spans: readonly ReplicaSpan[]; readonly durationMs: number };
  /** What the case's `measure` answered. */
  readonly measured?: unknown;
}

/** A case that threw. */
export interface CaseFailure {
  readonly message: string;
  readonly hint: string | null;
  readonly exitCode: number;
}

export type Outcome =
  | ({ readonly ok: true } & CaseResult)
  | { readonly ok: false; readonly failure: CaseFailure };

/** The deployment with the change. Engines order by urgency only where they are told to. */
export function changed(deployment: DeploymentSpec, change: DeploymentChange): DeploymentSpec {
  const { pool: { scaling, ...given } = {}, signals, ...rest } = change;
  const pools = deployment.pools.map(pool => ({
    ...pool,
    ...given,
    scaling: scaling === undefined ? pool.scaling : { ...(pool.scaling ?? defaultBounds(pool)), ...scaling },
    limits:
      given.scheduling === undefined
        ? pool.limits
        : {
            ...pool.limits,
            schedulingPolicy: given.scheduling.policy === 'fcfs' ? ('fcfs' as const) : ('priority' as const),
          },
  }));
  return { ...deployment, ...rest, pools, signals: { ...deployment.signals, ...signals } };
}
