// Rules of one gateway that contradict each other: targets that a sensitivity denies, and targets that stand in for
// themselves. What of a scenario they deny is for `check` (lab/lint), which knows both files.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { DeploymentFile } from '../scenarios/formats/deployment/deployment.ts';
import type { FallbackRule, GatewaySpec } from '../scenarios/formats/rules.ts';

/** Every name of a fallback, whatever for. */
export const fallbackNames = (rule: FallbackRule): string[] => [
  ...new Set([...rule.general, ...rule.contextLength, ...rule.contentPolicy]),
];

/** Errors, and warnings of circles. */
export function gatewayContradictions(file: DeploymentFile, gateway: GatewaySpec | null): Issue[] {
  if (gateway === null) return [];
  const providerOf = new Map(
    Object.entries(file.providers ?? {}).flatMap(([provider, { models }]) =>
      Object.keys(models).map(model => [model, provider] as const),
    ),
  );
  return [
    ...deniedChoices(gateway, providerOf),
    ...deniedFallbacks(gateway, providerOf),
    ...circles(gateway.fallback, ['gateway', 'fallback']),
  ];
}

type Providers = ReadonlyMap<string, string>;

/** Whether calls with this label may go to a target; a label that is not there goes nowhere. */
function mayGo(gateway: GatewaySpec, label: string, target: string, providerOf: Providers): boolean {
  const allowed = gateway.destinations?.get(label) ?? [];
  return allowed.includes(target) || allowed.includes(providerOf.get(target) ?? target);
}

/** A rule for a sensitivity that sends its calls where they may not go. */
function deniedChoices(gateway: GatewaySpec, providerOf: Providers): Issue[] {
  const { destinations, choose } = gateway;
  if (destinations === null) return [];
  return choose.flatMap(({ sensitivities, use, escalate }, index) =>
    (sensitivities ?? []).flatMap(label => {
      const path = ['gateway', 'choose', index];
      const denied = (target: string, at: InputPath): Issue[] => {
        if (mayGo(gateway, label, target, providerOf)) return [];
        const list = destinations.get(label);
        const hint =
          list === undefined
            ? `add \`${label}\` to \`destinations\`: a label that is not there goes nowhere`
            : `\`destinations\` allows ${label}: ${list.join(', ')}`;
        return [issue(at, 'WT1401', `"${label}" may not go to "${target}"`, hint)];
      };
      return [
        ...use.filter(({ weight }) => weight > 0).flatMap(({ target }) => denied(target, [...path, 'use'])),
        ...(escalate === null ? [] : denied(escalate.to, [...path, 'escalate', 'to'])),
      ];
    }),
  );
}

/** A fallback that no label lets through which lets its target through. */
function deniedFallbacks(gateway: GatewaySpec, providerOf: Providers): Issue[] {
  const labels = [...(gateway.destinations?.keys() ?? [])];
  return [...gateway.fallback].flatMap(([target, rule]) => {
    const served = labels.filter(label => mayGo(gateway, label, target, providerOf));
    if (served.length === 0) return [];
    return fallbackNames(rule).flatMap(to => {
      if (served.some(label => mayGo(gateway, label, to, providerOf))) return [];
      const message = `"${to}" cannot stand in for "${target}": no sensitivity that may go there may go to "${to}"`;
      const hint = `allowed at "${target}" and not at "${to}": ${served.join(', ')}`;
      return [issue(['gateway', 'fallback', target], 'WT1401', message, hint)];
    });
  });
}

/** Fallbacks that lead back to where they began: an error where a target names itself, else a warning, told once. */
function circles(fallback: ReadonlyMap<string, FallbackRule>, path: InputPath): Issue[] {
  const issues: Issue[] = [];
  const told = new Set<string>();
  const visit = (target: string, way: readonly string[]): void => {
    const begin = way.indexOf(target);
    if (begin >= 0) {
      const circle = way.slice(begin);
      const name = circle.toSorted().join(' ');
      if (told.has(name)) return;
      told.add(name);
      const at = [...path, circle[0] as string];
      if (circle.length === 1)
        issues.push(issue(at, 'WT1402', `"${target}" stands in for itself`, 'name another target'));
      else {
        const message = `${[...circle, target].join(' -> ')}: when all of them fail, nothing is left to try`;
        issues.push(issue(at, 'WT2020', message, 'let one of them end the chain', { severity: 'warning' }));
      }
      return;
    }
    const rule = fallback.get(target);
    if (rule !== undefined) for (const next of fallbackNames(rule)) visit(next, [...way, target]);
  };
  for (const target of fallback.keys()) visit(target, []);
  return issues;
}
