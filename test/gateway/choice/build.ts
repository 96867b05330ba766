// Targets, rules and calls for tests of model choice; what a test is not about has its default.
import type { ChoiceAsk, TargetInfo } from '../../../gateway/choice/chooser.ts';
import { textKey } from '../../../scenarios/base/key.ts';
import type { ChooseRule, Classifier, FallbackRule } from '../../../scenarios/formats/rules.ts';

export const target = (name: string, some: Partial<TargetInfo> = {}): TargetInfo => ({
  name,
  provider: null,
  modelId: `model-of-${name}`,
  maxModelTokens: null,
  place: null,
  labels: [],
  ...some,
});

/** Two pools at home, and two models of a provider far away. */
export const TARGETS = [
  target('local', { place: 'dc', labels: ['eu', 'own'], maxModelTokens: 32_000 }),
  target('wide', { place: 'dc', labels: ['eu', 'own'], maxModelTokens: 256_000 }),
  target('frontier', { provider: 'vendor', place: 'cloud', labels: ['us'], maxModelTokens: 200_000 }),
  target('mini', { provider: 'vendor', place: 'cloud', labels: ['us'], maxModelTokens: 32_000 }),
];

export const rule = (
  use: string | Record<string, number>,
  some: Partial<Omit<ChooseRule, 'use'>> = {},
): ChooseRule => ({
  roles: null,
  complexities: null,
  sensitivities: null,
  models: null,
  workflows: null,
  tenants: null,
  use:
    typeof use === 'string'
      ? [{ target: use, weight: 1 }]
      : Object.entries(use).map(([name, weight]) => ({ target: name, weight })),
  escalate: null,
  ...some,
});

export const ask = (some: Partial<ChoiceAsk> = {}): ChoiceAsk => ({
  key: textKey('call'),
  role: null,
  complexity: null,
  sensitivity: null,
  model: 'local',
  workflow: 'w',
  tenant: null,
  wanted: 'local',
  residency: null,
  ...some,
});

export const classifier = (some: Partial<Classifier> = {}): Classifier => ({
  latency: null,
  usd: 0,
  confusion: [
    [0.8, 0.15, 0.05],
    [0.1, 0.7, 0.2],
    [0.02, 0.08, 0.9],
  ],
  threshold: null,
  ...some,
});

export const fallback = (some: Partial<FallbackRule> = {}): FallbackRule => ({
  general: [],
  contextLength: [],
  contentPolicy: [],
  ...some,
});
