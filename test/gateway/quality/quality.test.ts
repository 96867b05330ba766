// How good answers are: success by target and complexity, looks, degraded models, and the detector of drift.
import { describe, expect, test } from 'vitest';
import { DriftDetector } from '../../../gateway/quality/drift.ts';
import { Quality, type QualityAsk } from '../../../gateway/quality/quality.ts';
import { extend, extendText, type Key, seedKey, textKey, uniform } from '../../../scenarios/base/key.ts';
import type { PlannedFault } from '../../../scenarios/formats/plan.ts';
import type { GatewaySpec } from '../../../scenarios/formats/rules.ts';
import { Troubles } from '../../../sim/hosted/troubles.ts';
import { target } from '../choice/build.ts';

type Spec = Pick<GatewaySpec, 'quality' | 'onBadAnswer' | 'evaluatesRatio'>;
const spec = (some: Partial<Spec> = {}): Spec => ({
  quality: new Map([['local', { success: { low: 0.95, medium: 0.8, high: 0.4 } }]]),
  onBadAnswer: 'accept',
  evaluatesRatio: 1,
  ...some,
});
const degraded = (some: Partial<PlannedFault> = {}): PlannedFault => ({
  fault: 0,
  kind: 'degraded_model',
  target: null,
  atMs: 0,
  perSec: null,
  lastsMs: Number.POSITIVE_INFINITY,
  factor: 1,
  share: 0.25,
  label: '',
  ...some,
});
const answer = (some: Partial<QualityAsk> = {}): QualityAsk => ({
  key: textKey('call'),
  target: 'local',
  attempt: 0,
  complexity: null,
  stepSuccess: null,
  ...some,
});
const COUNT = 20_000;
const keys = Array.from({ length: COUNT }, (_, i) => extend(textKey('answers'), i));
const goodRatio = (quality: Quality, some: Partial<QualityAsk>, nowMs = 0): number =>
  keys.filter(key => quality.judge(answer({ key, ...some }), nowMs).good).length / COUNT;
/** Four standard errors at worst: 4 * sqrt(0.25 / 20000). */
const CLOSE = 0.0142;

describe('answers', () => {
  test('are good as often as target and complexity say; the step speaks first, an unknown target is always good', () => {
    const quality = new Quality(spec(), []);
    expect(Math.abs(goodRatio(quality, { complexity: 'low' }) - 0.95)).toBeLessThan(CLOSE);
    expect(Math.abs(goodRatio(quality, { complexity: 'high' }) - 0.4)).toBeLessThan(CLOSE);
    expect(goodRatio(quality, {})).toBe(goodRatio(quality, { complexity: 'medium' }));
    expect(Math.abs(goodRatio(quality, { complexity: 'high', stepSuccess: 0.7 }) - 0.7)).toBeLessThan(CLOSE);
    expect(goodRatio(quality, { target: 'other' })).toBe(1);
  });

  test('of another attempt, or another target, are drawn anew; of the same they are the same', () => {
    const quality = new Quality(spec(), []);
    const of = (some: Partial<QualityAsk>) =>
      keys.slice(0, 200).map(key => quality.judge(answer({ key, stepSuccess: 0.5, ...some }), 0).good);
    expect(of({})).toEqual(of({}));
    expect(of({ attempt: 1 })).not.toEqual(of({}));
    expect(of({ target: 'other' })).not.toEqual(of({}));
  });

  test('are looked at so often, whether good or not', () => {
    const quality = new Quality(spec({ evaluatesRatio: 0.1 }), []);
    const verdicts = keys.map(key => quality.judge(answer({ key, stepSuccess: 0.5 }), 0));
    const looked = verdicts.filter(each => each.looked);
    expect(Math.abs(looked.length / COUNT - 0.1)).toBeLessThan(CLOSE);
    expect(Math.abs(looked.filter(each => each.good).length / looked.length - 0.5)).toBeLessThan(0.045);
  });
});

describe('a degraded model', () => {
  test('loses its share of good answers while it lasts, and only makes good ones bad', () => {
    const fault = degraded({ atMs: 1000, lastsMs: 500 });
    const [sound, faulty] = [new Quality(spec(), []), new Quality(spec(), [fault])];
    for (const nowMs of [0, 999, 1000, 1499, 1500]) {
      const isOn = nowMs >= 1000 && nowMs < 1500;
      const expected = isOn ? 0.95 * 0.75 : 0.95;
      expect(Math.abs(goodRatio(faulty, { complexity: 'low' }, nowMs) - expected)).toBeLessThan(CLOSE);
      for (const key of keys.slice(0, 500)) {
        const was = sound.judge(answer({ key, complexity: 'low' }), nowMs).good;
        const is = faulty.judge(answer({ key, complexity: 'low' }), nowMs).good;
        expect(is && !was).toBe(false);
        if (!isOn) expect(is).toBe(was);
      }
    }
  });

  test('is named as a target, a model or a provider; another kind of fault changes nothing', () => {
    const targets = [target('local', { modelId: 'm', provider: 'vendor' }), target('b')];
    const always = { share: 1 };
    const isGood = (fault: PlannedFault, name = 'local') =>
      new Quality(spec({ quality: new Map() }), [fault], { targets }).judge(answer({ target: name }), 0).good;
    for (const named of ['local', 'm', 'vendor', null]) {
      expect(isGood(degraded({ ...always, target: named }))).toBe(false);
      expect(isGood(degraded({ ...always, target: named }), 'b')).toBe(named !== null);
    }
    expect(isGood(degraded({ ...always, target: 'b' }))).toBe(true);
    expect(isGood({ ...degraded(always), kind: 'provider_outage' })).toBe(true);
  });

  test('at a rate is bad in just the spells in which a hosted API is slow for the same fault', () => {
    const run = extendText(seedKey(7), 'hosted');
    const fault = degraded({ fault: 3, atMs: null, perSec: 0.2, lastsMs: 1500, share: 1, factor: 4 });
    const quality = new Quality(spec({ quality: new Map() }), [fault], { run });
    const api = new Troubles(run, { name: 'local', modelId: 'm', provider: 'p' }, [], [fault]);
    let bad = 0;
    for (let nowMs = 0; nowMs < 400_000; nowMs += 100) {
      const isBad = !quality.judge(answer(), nowMs).good;
      expect(isBad).toBe(api.reach(textKey('call'), nowMs).slowdown === 4);
      if (isBad) bad += 1;
    }
    // 0.2 a second of 1.5 s each: 1 - exp(-0.3) = 26 % of the time.
    expect(Math.abs(bad / 4000 - 0.259)).toBeLessThan(0.08);
  });
});

describe('drift', () => {
  const drawn = (target: number): ((n: number) => Key) => {
    const root = extend(textKey('drift'), target);
    return n => extend(root, n);
  };
  const isGood = (key: Key, success: number) => uniform(key) < success;

  test('of a steady target is told less than once in 10,000 answers, whatever its quality', () => {
    for (const success of [0.99, 0.95, 0.8, 0.5]) {
      let alarms = 0;
      const answers = 20_000;
      const targets = 30;
      for (let t = 0; t < targets; t++) {
        const detector = new DriftDetector();
        const at = drawn(t);
        for (let n = 0; n < answers; n++) if (detector.observe(isGood(at(n), success))) alarms += 1;
      }
      expect(alarms).toBeLessThan((targets * answers) / 10_000);
    }
  });

  test('from 95 % to 80 % is found within 600 answers, mostly within 160, of 200 targets', () => {
    const found: number[] = [];
    for (let t = 0; t < 200; t++) {
      const detector = new DriftDetector();
      const at = drawn(1000 + t);
      for (let n = 0; n < 500; n++) detector.observe(isGood(at(n), 0.95));
      let after = 0;
      while (!detector.observe(isGood(at(500 + after), 0.8)) && after < 5000) after += 1;
      found.push(after + 1);
    }
    found.sort((a, b) => a - b);
    expect(found[100]).toBeLessThan(160);
    expect(found[199]).toBeLessThan(600);
  });

  test('is told once: what is worse becomes usual', () => {
    const detector = new DriftDetector();
    const at = drawn(5);
    let alarms = 0;
    for (let n = 0; n < 8000; n++) if (detector.observe(isGood(at(n), n < 1000 ? 0.95 : 0.7))) alarms += 1;
    expect(alarms).toBe(1);
  });

  test('of one target says nothing of another, and a target that gets better is no drift', () => {
    const quality = new Quality(spec(), []);
    const at = drawn(9);
    const told = new Set<string>();
    for (let n = 0; n < 4000; n++) {
      if (quality.observe('falls', isGood(at(n), n < 1000 ? 0.95 : 0.6), n) !== null) told.add('falls');
      if (quality.observe('steady', isGood(at(n), 0.95), n) !== null) told.add('steady');
      if (quality.observe('rises', isGood(at(n), n < 1000 ? 0.6 : 0.95), n) !== null) told.add('rises');
    }
    expect([...told]).toEqual(['falls']);
  });
});
