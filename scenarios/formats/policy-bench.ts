// result.json of a policy bench: the same plan under every policy of one kind, over a range of loads, with the differences
// to a baseline paired by seed.
import type { FigureName, RunFigures } from './grid.ts';

export const POLICY_KINDS = ['routing', 'scheduling', 'admission', 'scaling', 'retention'] as const;
export type PolicyKind = (typeof POLICY_KINDS)[number];

/** Figures whose differences are tested. */
export const COMPARED = [
  'goodputPerSec',
  'sloRatio',
  'makespanMsP50',
  'makespanMsP95',
  'ttftMsP95',
  'ttftMsP99',
  'e2eMsP95',
  'hitRatio',
  'wasteRatio',
  'usd',
  'fairnessRatio',
] as const satisfies readonly FigureName[];
export type ComparedFigure = (typeof COMPARED)[number];

/** This policy's figure minus the baseline's, over seeds. */
export interface FigureDifference {
  mean: number;
  /** Student's, paired by seed; null under two seeds. */
  ci95: [number, number] | null;
  /** Two-sided, adjusted by Holm's rule over the policies at this load. */
  p: number | null;
  /** p < 0.05. */
  isReal: boolean;
}

/** One policy at one load: means over seeds. */
export interface PolicyPoint {
  /** Offered load over capacity. */
  loadRatio: number;
  mean: RunFigures;
  /** Null for the baseline itself, and for figures that are not there. */
  difference: Partial<Record<ComparedFigure, FigureDifference>> | null;
}

export interface PolicyCurve {
  policy: string;
  doc: string;
  options: Record<string, unknown>;
  /** Load over capacity up to which the mean share of good calls keeps the target, between loads by a line; null: never. */
  holdsToRatio: number | null;
  /** One a load, in their order. */
  points: PolicyPoint[];
}

export interface PolicyBenchResult {
  schemaVersion: number;
  kind: 'policy-bench';
  header: {
    tool: { name: 'agent-windtunnel'; version: string };
    scenario: { name: string; sha256: string };
    deployment: { name: string; sha256: string };
    command: string;
    evidence: string[];
    warnings: string[];
  };
  policyKind: PolicyKind;
  baseline: string;
  seeds: (number | string)[];
  runs: number;
  /** Fewest calls of a run. */
  callsMin: number;
  capacity: {
    /** Calls a second at which the baseline saturates. */
    callsPerSec: number;
    /** The scenario's own load times this. */
    loadFactor: number;
  };
  slo: { text: string; targetRatio: number };
  loadRatios: number[];
  /** The highest load at which a policy still keeps the target, where the table stands; else the lowest load. */
  kneeRatio: number;
  /** Whether some policy keeps the target there. */
  isKneeKept: boolean;
  /** Best first. */
  curves: PolicyCurve[];
  /** Policies that could not run, with the reason. */
  leftOut: { policy: string; reason: string; hint: string | null; runs: number; exitCode: number }[];
}

/** The point of a curve at the knee. */
export const atKnee = ({ points }: PolicyCurve, { kneeRatio }: PolicyBenchResult): PolicyPoint =>
  points.find(({ loadRatio }) => loadRatio === kneeRatio) as PolicyPoint;
