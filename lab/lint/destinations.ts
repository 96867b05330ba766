// Where the data of steps may go: labels that the gateway does not know, and models, fallbacks and tenants whose calls the
// rules deny.
import { fallbackNames } from '../../engines/contradictions.ts';
import type { DeploymentSpec } from '../../engines/engine.ts';
import type { ChooseRule } from '../../scenarios/formats/rules.ts';
import { defineLint, type Finding, quoted } from '../../scenarios/lint/lint.ts';
import { eachStep, type LlmStep } from '../../scenarios/workflows/program.ts';
import type { LabContext } from './context.ts';

/** Steps of the traffic that have a label, in order. */
function labelled({ workflows }: LabContext): { step: LlmStep; workflow: string; label: string }[] {
  const found: { step: LlmStep; workflow: string; label: string }[] = [];
  for (const [workflow, { steps }] of workflows)
    eachStep(steps, step => {
      if (step.verb === 'llm' && step.rules.sensitivity !== null)
        found.push({ step, workflow, label: step.rules.sensitivity });
    });
  return found;
}

export const unknownLabels = defineLint('WT2017', function* (context: LabContext): Generator<Finding> {
  const destinations = context.deployment?.gateway?.destinations ?? null;
  if (destinations === null) return;
  for (const { step, label } of labelled(context)) {
    if (destinations.has(label)) continue;
    yield {
      path: [...step.at, 'sensitivity'],
      message: `the gateway knows no destination of "${label}": every call of "${step.name}" is denied`,
      hint: `add it to \`destinations\`, which has: ${quoted([...destinations.keys()])}`,
    };
  }
});

export const deniedData = defineLint('WT2021', function* (context: LabContext): Generator<Finding> {
  yield* deniedSteps(context);
  yield* homelessTenants(context);
});

/** Calls, and what stands in for them, that their label keeps from where they would go. */
function* deniedSteps(context: LabContext): Generator<Finding> {
  const { deployment, plan } = context;
  const destinations = deployment?.gateway?.destinations;
  if (deployment === null || destinations === undefined || destinations === null) return;
  for (const { step, workflow, label } of labelled(context)) {
    const allowed = destinations.get(label);
    if (allowed === undefined) continue;
    const denied = (model: string): boolean => {
      const server = context.serverOf(model);
      if (server === null) return false;
      const names =
        server.kind === 'pool' ? [server.pool.name] : [server.hosted.name, server.hosted.provider];
      return !names.some(name => allowed.includes(name));
    };
    const hint = `the gateway allows ${label}: ${quoted(allowed)}`;
    const isChosen = deployment.gateway?.choose.some(rule => mayMatch(rule, step, workflow)) === true;
    if (!isChosen && denied(step.model))
      yield {
        path: [...step.at, 'sensitivity'],
        message: `"${label}" may not go to "${step.model}": every call of "${step.name}" is denied`,
        hint,
      };
    const { fallback } = step.rules;
    for (const model of fallback === null ? [] : fallbackNames(fallback))
      if (denied(model))
        yield {
          path: [...step.at, 'fallback'],
          message: `"${model}" cannot stand in for "${step.name}": "${label}" may not go there`,
          hint,
        };
    // Of a model, the fallback is for steps of any label: what a rule chooses has its own.
    const ofModel = isChosen ? null : (plan.rules?.models.get(step.model)?.fallback ?? null);
    const standIns = ofModel === null ? [] : fallbackNames(ofModel);
    if (fallback === null && standIns.length > 0 && standIns.every(denied))
      yield {
        path: ['models', step.model, 'fallback'],
        message: `nothing can stand in for "${step.name}": "${label}" may go to none of ${quoted(standIns)}`,
        hint,
      };
  }
}

/** Whether a rule takes calls of the step, as far as the files say. */
function mayMatch(rule: ChooseRule, { role, model, rules }: LlmStep, workflow: string): boolean {
  const has = (list: readonly string[] | null, value: string | null): boolean =>
    list === null || (value !== null && list.includes(value));
  return (
    has(rule.roles, role) &&
    has(rule.sensitivities, rules.sensitivity) &&
    has(rule.models, model) &&
    has(rule.workflows, workflow) &&
    (rule.complexities === null || rules.complexity !== null)
  );
}

/** Tenants whose data may go to places where nothing stands. */
function* homelessTenants({ deployment, plan, file }: LabContext): Generator<Finding> {
  if (deployment === null) return;
  const labelsAt = labelsOfTargets(deployment);
  for (const [tenant, { residency }] of plan.rules?.tenants ?? []) {
    if (residency === null || file.tenants?.[tenant] === undefined) continue;
    if (labelsAt.some(labels => labels.some(each => residency.includes(each)))) continue;
    yield {
      path: ['tenants', tenant, 'residency'],
      message: `nothing that serves stands at a place labelled ${quoted(residency)}: every call of "${tenant}" is denied`,
      hint: 'give places of the deployment these `labels`, and pools and providers a `place`',
    };
  }
}

const labelsOfTargets = ({ pools, hosted, places }: DeploymentSpec): (readonly string[])[] => {
  const labels = new Map(places?.places.map(({ name, labels: each }) => [name, each]));
  const at = [...pools.map(each => each.place), ...hosted.map(each => each.api?.place ?? null)];
  return at.map(place => (place === null ? [] : (labels.get(place) ?? [])));
};
