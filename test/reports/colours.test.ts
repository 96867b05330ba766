// The colours of phases are told apart by readers with any kind of colour vision (Machado et al. 2009, full severity;
// distances in OKLab).
import { expect, test } from 'vitest';
import { PHASE_COLOURS } from '../../reports/charts/chart.ts';

type Three = [number, number, number];
type Matrix = [Three, Three, Three];

const EYES: Record<string, Matrix> = {
  usual: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};
const TO_LMS: Matrix = [
  [0.4122214708, 0.5363325363, 0.0514459929],
  [0.2119034982, 0.6806995451, 0.1073969566],
  [0.0883024619, 0.2817188376, 0.6299787005],
];
const TO_LAB: Matrix = [
  [0.2104542553, 0.793617785, -0.0040720468],
  [1.9779984951, -2.428592205, 0.4505937099],
  [0.0259040371, 0.7827717662, -0.808675766],
];

const times = (matrix: Matrix, of: Three): Three =>
  matrix.map(row => row.reduce((sum, factor, i) => sum + factor * of[i]!, 0)) as Three;
const linear = (hex: string): Three =>
  [1, 3, 5].map(at => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as Three;
const seen = (hex: string, eyes: Matrix): Three => {
  const light = times(eyes, linear(hex)).map(share => Math.min(1, Math.max(0, share))) as Three;
  return times(TO_LAB, times(TO_LMS, light).map(Math.cbrt) as Three);
};

test.each(Object.entries(EYES))('any two phases differ to eyes with %s', (_, eyes) => {
  const colours = Object.entries(PHASE_COLOURS).map(([name, hex]) => ({ name, lab: seen(hex, eyes) }));
  for (const [i, a] of colours.entries()) {
    for (const b of colours.slice(i + 1)) {
      const distance = Math.hypot(...a.lab.map((value, axis) => value - b.lab[axis]!));
      expect(distance, `${a.name} and ${b.name}`).toBeGreaterThan(0.07);
    }
  }
});
