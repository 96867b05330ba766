// Model choice: the first rule that matches, weights, escalation, fallbacks; and that nothing goes where it may not.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Chooser } from '../../../gateway/choice/chooser.ts';
import { extend, textKey } from '../../../scenarios/base/key.ts';
import { constant } from '../../../scenarios/formats/amount.ts';
import {
  type AllowRule,
  type Complexity,
  type FallbackRule,
  type GatewaySpec,
  REASONS,
} from '../../../scenarios/formats/rules.ts';
import { ask, classifier, fallback, rule, TARGETS, target } from './build.ts';

type Spec = Pick<GatewaySpec, 'choose' | 'classifier' | 'destinations'>;
const chooser = (some: Partial<Spec> = {}, targets = TARGETS) =>
  new Chooser({ choose: [], classifier: null, destinations: null, ...some }, targets);
const keys = (count: number) => Array.from({ length: count }, (_, i) => extend(textKey('calls'), i));
const NO_LIST: AllowRule = { tools: null, models: null, hosts: null, files: null, subprocesses: null };

describe('rules', () => {
  test('without rules a call goes where its step says', () => {
    const choice = chooser().choose(ask({ wanted: 'frontier' }));
    expect(choice).toMatchObject({ target: 'frontier', rule: null, denied: null, seen: null });
  });

  test('the first rule that matches wins, and its clause says what matched', () => {
    const choose = [
      rule('mini', { roles: ['router'] }),
      rule('frontier', { complexities: ['high'], tenants: ['acme'] }),
      rule('wide'),
    ];
    const at = (some: Parameters<typeof ask>[0]) => chooser({ choose }).choose(ask(some));
    expect(at({ role: 'router', complexity: 'high', tenant: 'acme' }).target).toBe('mini');
    expect(at({ complexity: 'high', tenant: 'acme' })).toMatchObject({
      target: 'frontier',
      rule: 1,
      why: 'rule 2: complexity high, tenant acme',
    });
    expect(at({ complexity: 'high', tenant: 'other' })).toMatchObject({
      target: 'wide',
      why: 'rule 3: every call',
    });
    expect(at({ complexity: 'low', tenant: 'acme' }).target).toBe('wide');
  });

  test('a rule for a label does not match a call without one', () => {
    const choose = [
      rule('mini', { roles: ['worker'] }),
      rule('frontier', { complexities: ['low', 'medium', 'high'] }),
      rule('wide', { sensitivities: ['public'] }),
    ];
    expect(chooser({ choose, classifier: classifier() }).choose(ask())).toMatchObject({
      target: 'local',
      seen: null,
      classifyMs: 0,
    });
  });

  test('weights converge, and the same key has the same choice', () => {
    const one = chooser({ choose: [rule({ local: 8, wide: 0, frontier: 2 })] });
    const again = chooser({ choose: [rule({ local: 8, wide: 0, frontier: 2 })] });
    const count = 20_000;
    let far = 0;
    for (const key of keys(count)) {
      const { target: to } = one.choose(ask({ key }));
      expect(to).not.toBe('wide');
      expect(again.choose(ask({ key })).target).toBe(to);
      if (to === 'frontier') far += 1;
    }
    // Four standard errors: 4 * sqrt(0.2 * 0.8 / 20000) = 0.0113.
    expect(Math.abs(far / count - 0.2)).toBeLessThan(0.0114);
  });

  test('weights are shared among the targets that a call may go to', () => {
    const destinations = new Map([['personal', ['local', 'wide']]]);
    const one = chooser({ choose: [rule({ local: 1, wide: 3, frontier: 96 })], destinations });
    const sent = keys(4000).map(key => one.choose(ask({ key, sensitivity: 'personal' })).target);
    const wide = sent.filter(to => to === 'wide').length / sent.length;
    expect(sent).not.toContain('frontier');
    expect(Math.abs(wide - 0.75)).toBeLessThan(0.028);
  });

  test('a share escalates so many answers, and the others have nowhere to escalate to', () => {
    const one = chooser({ choose: [rule('local', { escalate: { to: 'frontier', share: 0.3 } })] });
    const choices = keys(10_000).map(key => one.choose(ask({ key })));
    for (const { escalates, escalateTo } of choices) expect(escalateTo).toBe(escalates ? 'frontier' : null);
    const share = choices.filter(({ escalates }) => escalates).length / choices.length;
    expect(Math.abs(share - 0.3)).toBeLessThan(0.0184);
  });

  test('without a share quality decides; nothing escalates to where it already is', () => {
    const choose = (to: string) => [rule('local', { escalate: { to, share: null } })];
    expect(chooser({ choose: choose('frontier') }).choose(ask())).toMatchObject({
      escalateTo: 'frontier',
      escalates: false,
    });
    expect(chooser({ choose: choose('local') }).choose(ask()).escalateTo).toBeNull();
  });
});

describe('the classifier', () => {
  const choose = [rule('frontier', { complexities: ['high'] }), rule('local')];

  test('without one, rules see the truth, at no cost', () => {
    for (const complexity of ['low', 'medium', 'high'] as const)
      expect(chooser({ choose }).choose(ask({ complexity }))).toMatchObject({
        seen: complexity,
        target: complexity === 'high' ? 'frontier' : 'local',
        classifyMs: 0,
        classifyUsd: 0,
      });
  });

  test('looks only where a rule asks, once, and what it saw stands beside any outcome', () => {
    const looks = classifier({ latency: constant(40), usd: 0.001 });
    const rules = [
      rule('mini', { roles: ['router'] }),
      rule('frontier', { complexities: ['high'] }),
      rule('wide', { complexities: ['medium'] }),
    ];
    const one = chooser({ choose: rules, classifier: looks });
    expect(one.choose(ask({ role: 'router', complexity: 'high' }))).toMatchObject({
      seen: null,
      classifyMs: 0,
      classifyUsd: 0,
    });
    for (const key of keys(50)) {
      const choice = one.choose(ask({ key, complexity: 'low' }));
      expect(choice).toMatchObject({ classifyMs: 40, classifyUsd: 0.001 });
      expect(choice.target).toBe({ low: 'local', medium: 'wide', high: 'frontier' }[choice.seen!]);
    }
  });

  test('errs at the rates of its matrix', () => {
    const one = chooser({ choose, classifier: classifier() });
    const count = 20_000;
    const truths: Complexity[] = ['low', 'medium', 'high'];
    truths.forEach((complexity, row) => {
      const seen = { low: 0, medium: 0, high: 0 };
      for (const key of keys(count)) seen[one.choose(ask({ key, complexity })).seen!] += 1;
      truths.forEach((each, column) => {
        const ratio = classifier().confusion[row]![column]!;
        const error = Math.sqrt((ratio * (1 - ratio)) / count);
        expect(Math.abs(seen[each] / count - ratio)).toBeLessThan(4 * error);
      });
    });
  });

  test('a higher threshold never adds to what is seen as high; its ends let all through, or none', () => {
    const seenAt = (threshold: number | null) =>
      keys(2000).map(
        key =>
          chooser({ choose, classifier: classifier({ threshold }) }).choose(
            ask({ key, complexity: 'medium' }),
          ).seen,
      );
    const thresholds = [0, 0.2, 0.5, 0.8, 1];
    const seen = thresholds.map(seenAt);
    expect(seenAt(null)).toEqual(seen[2]);
    expect(new Set(seen[0])).toEqual(new Set(['high']));
    expect(seen[4]).not.toContain('high');
    for (let i = 1; i < seen.length; i++)
      seen[i]!.forEach((each, call) => {
        if (each === 'high') expect(seen[i - 1]![call]).toBe('high');
      });
    // Hand-computed at 0.8: 0.2 of mediums at 0.5, times 0.2 / 0.5.
    expect(Math.abs(seen[3]!.filter(each => each === 'high').length / 2000 - 0.08)).toBeLessThan(0.025);
  });
});

describe('sensitivity and residency', () => {
  const destinations = new Map([
    ['personal', ['local', 'wide']],
    ['public', ['local', 'vendor']],
  ]);

  test('a label goes to the targets and providers that it names, an unknown one nowhere', () => {
    const one = chooser({ destinations });
    const may = (label: string | null) =>
      TARGETS.filter(({ name }) => one.allows(name, label, null)).map(({ name }) => name);
    expect(may('personal')).toEqual(['local', 'wide']);
    expect(may('public')).toEqual(['local', 'frontier', 'mini']);
    expect(may('secret')).toEqual([]);
    expect(may(null)).toEqual(['local', 'wide', 'frontier', 'mini']);
    expect(one.choose(ask({ sensitivity: 'secret' }))).toMatchObject({
      denied: 'denied_sensitivity',
      why: 'data labelled secret may not go to local',
    });
  });

  test('without destinations labels deny nothing', () => {
    expect(chooser().allows('frontier', 'personal', null)).toBe(true);
  });

  test('steps without a label are bound where `unlabelled` is named', () => {
    const one = chooser({ destinations: new Map([['unlabelled', ['local']]]) });
    expect(one.allows('local', null, null)).toBe(true);
    expect(one.choose(ask({ wanted: 'frontier' }))).toMatchObject({
      denied: 'denied_sensitivity',
      why: 'steps without a label may not go to frontier',
    });
  });

  test("a tenant's data stays in places with one of its labels; a target without a place is in none", () => {
    const one = chooser({}, [...TARGETS, target('somewhere')]);
    expect(one.allows('local', null, ['eu'])).toBe(true);
    expect(one.allows('frontier', null, ['eu'])).toBe(false);
    expect(one.allows('frontier', null, ['eu', 'us'])).toBe(true);
    expect(one.allows('somewhere', null, ['eu'])).toBe(false);
    expect(one.allows('unheard of', null, ['eu'])).toBe(false);
    expect(one.choose(ask({ wanted: 'frontier', residency: ['eu'] }))).toMatchObject({
      denied: 'denied_residency',
    });
  });

  test('the gate that let none of the targets of a rule through is the reason', () => {
    const one = chooser({ choose: [rule({ wide: 1, frontier: 1 })], destinations });
    expect(one.choose(ask({ sensitivity: 'secret' })).denied).toBe('denied_sensitivity');
    // `wide` may not have it for its label, `frontier` not for its place.
    expect(one.choose(ask({ sensitivity: 'public', residency: ['eu'] }))).toMatchObject({
      denied: 'denied_residency',
      rule: 0,
    });
  });

  test("a step's list of models names targets, models or aliases", () => {
    const aliases = new Map([['big', { modelId: 'model-of-frontier' }]]);
    const one = new Chooser({ choose: [], classifier: null, destinations: null }, TARGETS, aliases);
    const of = (models: string[]) =>
      one.choose(ask({ wanted: 'frontier', allow: { ...NO_LIST, models } })).denied;
    expect(of(['frontier'])).toBeNull();
    expect(of(['model-of-frontier'])).toBeNull();
    expect(of(['big'])).toBeNull();
    expect(of(['local'])).toBe('denied_model');
    expect(of([])).toBe('denied_model');
  });
});

describe('fallbacks', () => {
  const lists = fallback({
    general: ['mini', 'frontier'],
    contextLength: ['wide'],
    contentPolicy: ['frontier'],
  });
  const tried = (failed: string, reason: (typeof REASONS)[number], some: Partial<FallbackRule> = lists) =>
    chooser().fallbacks(failed, reason, fallback(some), new Map(), ask());

  test('each reason has its list, and the general one behind it', () => {
    expect(tried('local', '5xx')).toEqual(['mini', 'frontier']);
    expect(tried('local', 'content_policy')).toEqual(['frontier', 'mini']);
    // `mini` has no larger window than `local`.
    expect(tried('local', 'context_length')).toEqual(['wide', 'frontier']);
    expect(tried('local', 'cancelled')).toEqual([]);
    expect(tried('local', 'budget')).toEqual([]);
  });

  test('where the failed target stands in a list, only what is behind it is left', () => {
    expect(tried('mini', '5xx')).toEqual(['frontier']);
    expect(tried('frontier', '5xx')).toEqual([]);
  });

  test('the step speaks before the target, the failed target before the wanted one', () => {
    const byTarget = new Map([
      ['mini', fallback({ general: ['wide'] })],
      ['local', fallback({ general: ['frontier', 'wide'] })],
    ]);
    const one = chooser();
    expect(one.fallbacks('mini', '429', null, byTarget, ask())).toEqual(['wide']);
    expect(one.fallbacks('frontier', '429', null, byTarget, ask())).toEqual(['wide']);
    expect(one.fallbacks('mini', '429', fallback({ general: ['local'] }), byTarget, ask())).toEqual([
      'local',
    ]);
    expect(one.fallbacks('mini', '429', null, new Map(), ask())).toEqual([]);
  });

  test('a name may be a model or an alias: all targets that serve it', () => {
    const twins = [target('a', { modelId: 'm' }), target('b', { modelId: 'm' }), target('c')];
    const aliases = new Map([['strong', { modelId: 'm' }]]);
    const one = new Chooser({ choose: [], classifier: null, destinations: null }, twins, aliases);
    const step = fallback({ general: ['strong', 'm', 'nobody'] });
    expect(one.fallbacks('c', 'timeout', step, new Map(), ask())).toEqual(['a', 'b']);
    expect(one.fallbacks('a', 'timeout', step, new Map(), ask())).toEqual(['b']);
    expect(one.fallbacks('b', 'timeout', step, new Map(), ask())).toEqual([]);
  });
});

describe('laws', () => {
  const name = fc.constantFrom(...TARGETS.map(each => each.name));
  const label = fc.option(fc.constantFrom('personal', 'public', 'secret', 'unlabelled'));
  const lists = fc.record({
    general: fc.array(name),
    contextLength: fc.array(name),
    contentPolicy: fc.array(name),
  });
  const drawnRule = fc
    .record({
      use: fc.dictionary(name, fc.integer({ min: 0, max: 5 }), { minKeys: 1, noNullPrototype: true }),
      complexities: fc.option(fc.subarray<Complexity>(['low', 'medium', 'high'], { minLength: 1 })),
      sensitivities: fc.option(fc.subarray(['personal', 'public', 'secret'], { minLength: 1 })),
      escalate: fc.option(
        fc.record({ to: name, share: fc.option(fc.double({ min: 0, max: 1, noNaN: true })) }),
      ),
    })
    .map(({ use, ...some }) => rule(use, some));
  const drawn = fc.record({
    choose: fc.array(drawnRule, { maxLength: 4 }),
    classifier: fc.option(fc.constant(classifier())),
    destinations: fc.option(
      fc
        .dictionary(
          fc.constantFrom('personal', 'public', 'unlabelled'),
          fc.array(fc.oneof(name, fc.constant('vendor'))),
        )
        .map(each => new Map(Object.entries(each))),
    ),
    sensitivity: label,
    complexity: fc.option(fc.constantFrom<Complexity>('low', 'medium', 'high')),
    residency: fc.option(fc.subarray(['eu', 'us', 'own'])),
    models: fc.option(fc.subarray(TARGETS.map(each => each.name))),
    wanted: name,
    failed: name,
    reason: fc.constantFrom(...REASONS),
    step: fc.option(lists),
    byTarget: fc.dictionary(name, lists).map(each => new Map(Object.entries(each))),
    seed: fc.integer(),
  });

  test('no call goes to a target that is denied: by choice, escalation or fallback', () => {
    fc.assert(
      fc.property(drawn, ({ choose, classifier: looks, destinations, step, byTarget, seed, ...rest }) => {
        const one = chooser({ choose, classifier: looks, destinations });
        const { sensitivity, complexity, residency, models, wanted } = rest;
        const allow = models === null ? null : { ...NO_LIST, models };
        const call = ask({
          key: extend(textKey('law'), seed),
          sensitivity,
          complexity,
          residency,
          wanted,
          allow,
        });
        // Said again, from the rules alone.
        const may = (to: string): boolean => {
          const { provider, labels } = TARGETS.find(each => each.name === to)!;
          const listed = destinations?.get(sensitivity ?? 'unlabelled');
          const bySensitivity =
            destinations === null ||
            (listed === undefined
              ? sensitivity === null
              : listed.includes(to) || (provider !== null && listed.includes(provider)));
          const byResidency = residency === null || labels.some(each => residency.includes(each));
          return bySensitivity && byResidency && (models === null || models.includes(to));
        };
        const choice = one.choose(call);
        if (choice.denied === null) expect(may(choice.target)).toBe(true);
        else {
          const could = choice.rule === null ? [wanted] : choose[choice.rule]!.use.map(each => each.target);
          const weighty = could.filter(
            (_, i) => choice.rule === null || choose[choice.rule]!.use[i]!.weight > 0,
          );
          expect(weighty.filter(may)).toEqual([]);
          expect(choice.escalateTo).toBeNull();
        }
        if (choice.escalateTo !== null) expect(may(choice.escalateTo)).toBe(true);
        if (choice.escalates) expect(choice.escalateTo).not.toBeNull();
        const next = one.fallbacks(rest.failed, rest.reason, step, byTarget, call);
        expect(next.filter(to => !may(to))).toEqual([]);
        expect(next).not.toContain(rest.failed);
        expect(new Set(next).size).toBe(next.length);
        const all = TARGETS.map(each => each.name);
        expect(one.others(rest.failed, call)).toEqual(all.filter(to => to !== rest.failed && may(to)));
        expect(one.choose(call)).toEqual(choice);
        if (models === null)
          for (const { name: to } of TARGETS) expect(one.allows(to, sensitivity, residency)).toBe(may(to));
      }),
      { numRuns: 2000 },
    );
  });
});
