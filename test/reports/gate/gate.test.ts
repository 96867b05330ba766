import { describe, expect, test } from 'vitest';
import { assertionCheck, figureCheck, gateOf, shapeCheck } from '../../../reports/gate/gate.ts';
import type { FigureComparison, GateCheck, Verdict } from '../../../scenarios/formats/comparison.ts';

const aFigure = (verdict: Verdict, isPrimary = true): FigureComparison => ({
  id: 'ttft.p95',
  label: 'TTFT p95',
  unit: 'ms',
  better: 'lower',
  isPrimary,
  baseline: 400,
  candidate: 440,
  changeRatio: 0.1,
  ci95: [0.04, 0.16],
  pValue: 0.002,
  minEffectRatio: 0.01,
  verdict,
  blocksMissing: verdict === 'inconclusive' ? 6 : null,
});

const aShape = { id: 'main/calls', label: 'main: calls', unit: 'count', better: 'lower' } as const;

describe('a gate', () => {
  test('fails by a primary figure that regressed, never by one that informs', () => {
    expect(gateOf([figureCheck(aFigure('regressed'))]).pass).toBe(false);
    expect(gateOf([figureCheck(aFigure('regressed', false))]).pass).toBe(true);
    expect(figureCheck(aFigure('regressed')).text).toBe(
      'TTFT p95 regressed: +10 % [+4 %, +16 %], 400 ms to 440 ms',
    );
  });

  test('lets pass what is not settled, unless it is strict, and says what would settle it', () => {
    const check = figureCheck(aFigure('inconclusive'));
    expect(check.text).toContain('6 more blocks a side would settle it');
    expect(gateOf([check])).toMatchObject({ pass: true, status: 'inconclusive' });
    expect(gateOf([check], { strict: true }).pass).toBe(false);
  });

  test('puts what failed first', () => {
    const checks = (['unchanged', 'inconclusive', 'regressed'] as const).map(verdict =>
      figureCheck(aFigure(verdict)),
    );
    expect(gateOf(checks).checks.map(({ status }) => status)).toEqual(['fail', 'inconclusive', 'pass']);
  });

  test('takes a promise that judged nothing for no proof', () => {
    const check = assertionCheck({
      text: 'p95(ttft) < 500ms',
      value: null,
      target: 500,
      unit: 'ms',
      pass: null,
    });
    expect(check.status).toBe('inconclusive');
    expect(check.text).toContain('nothing to judge');
  });
});

describe('a shape', () => {
  const status = (baseline: number | null, value: number | null, allowed = 0): GateCheck['status'] =>
    shapeCheck(aShape, { baseline, value }, allowed).status;

  test('fails by any rise that is not allowed', () => {
    expect(status(10, 10)).toBe('pass');
    expect(status(10, 10.01)).toBe('fail');
    expect(status(10, 10.4, 0.05)).toBe('pass');
    expect(status(10, 10.6, 0.05)).toBe('fail');
    expect(status(10, 8)).toBe('pass');
    expect(status(0, 1)).toBe('fail');
  });

  test('fails by a fall where more is better', () => {
    const cacheable = { ...aShape, better: 'higher' } as const;
    expect(shapeCheck(cacheable, { baseline: 0.8, value: 0.7 }, 0.01).status).toBe('fail');
    expect(shapeCheck(cacheable, { baseline: 0.8, value: 0.9 }, 0.01).status).toBe('pass');
  });

  test('informs of what is new or gone', () => {
    expect(status(null, 10)).toBe('info');
    expect(status(10, null)).toBe('info');
  });
});
