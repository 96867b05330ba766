// How good answers are: each is good enough or not, by a chance that goes with its target and with how hard its call is,
// and some are looked at. What is found out by looking tells whether a target has become worse.
import { extend, type Key, textKey, uniform } from '../../scenarios/base/key.ts';
import type { PlannedFault } from '../../scenarios/formats/plan.ts';
import type { Complexity, GatewaySpec } from '../../scenarios/formats/rules.ts';
import type { TargetInfo } from '../choice/chooser.ts';
import { Degraded } from './degraded.ts';
import { DriftDetector } from './drift.ts';

/** An answer that is there. */
export interface QualityAsk {
  /** Of its call. */
  readonly key: Key;
  readonly target: string;
  readonly attempt: number;
  /** In truth; null counts as medium. */
  readonly complexity: Complexity | null;
  /** Chance that it is good enough, where its step says; null: as the target's. */
  readonly stepSuccess: number | null;
}

export interface Verdict {
  readonly good: boolean;
  /** Somebody looked: otherwise nobody acts on it. */
  readonly looked: boolean;
}

const LOOKED = textKey('quality looked');
const VERDICTS = {
  good: { looked: { good: true, looked: true }, unseen: { good: true, looked: false } },
  bad: { looked: { good: false, looked: true }, unseen: { good: false, looked: false } },
} as const;

export class Quality {
  private readonly spec: Pick<GatewaySpec, 'quality' | 'onBadAnswer' | 'evaluatesRatio'>;
  private readonly degraded: Degraded;
  private readonly keys = new Map<string, Key>();
  private readonly detectors = new Map<string, DriftDetector>();

  /** `run`: the key of the run, from which faults at a rate are drawn; `targets`: whose models and providers they name. */
  constructor(
    spec: Pick<GatewaySpec, 'quality' | 'onBadAnswer' | 'evaluatesRatio'>,
    faults: readonly PlannedFault[],
    of: { readonly run?: Key; readonly targets?: readonly TargetInfo[] } = {},
  ) {
    this.spec = spec;
    this.degraded = new Degraded(faults, of);
  }

  /** Was the answer good enough? Hashed from call, target and attempt: a fault only ever makes good answers bad. */
  judge({ key, target, attempt, complexity, stepSuccess }: QualityAsk, nowMs: number): Verdict {
    const { quality, evaluatesRatio } = this.spec;
    const usual = stepSuccess ?? quality.get(target)?.success[complexity ?? 'medium'] ?? 1;
    const success = usual * this.degraded.remainingRatio(target, nowMs);
    const of = this.targetKey(target);
    const answer = extend(extend(key, of.hi, of.lo), attempt);
    const verdicts = success >= 1 || uniform(answer) < success ? VERDICTS.good : VERDICTS.bad;
    const looked = evaluatesRatio >= 1 || uniform(extend(answer, LOOKED.hi, LOOKED.lo)) < evaluatesRatio;
    return looked ? verdicts.looked : verdicts.unseen;
  }

  /** Of an answer that was looked at. `drift`: the target's answers have become worse than is usual. */
  observe(target: string, good: boolean, _nowMs: number): 'drift' | null {
    let detector = this.detectors.get(target);
    if (detector === undefined) {
      detector = new DriftDetector();
      this.detectors.set(target, detector);
    }
    return detector.observe(good) ? 'drift' : null;
  }

  private targetKey(target: string): Key {
    let key = this.keys.get(target);
    if (key === undefined) {
      key = textKey(target);
      this.keys.set(target, key);
    }
    return key;
  }
}
