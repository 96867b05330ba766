// What steps use and no `allow` grants: the gateway denies it.
import { modelDenial, type ToolDenial, toolDenial } from '../../gateway/trust/allow.ts';
import type { AllowRule, ToolRules } from '../../scenarios/formats/rules.ts';
import { defineLint, type Finding, quoted } from '../../scenarios/lint/lint.ts';
import { eachStep, type Step } from '../../scenarios/workflows/program.ts';
import type { LabContext } from './context.ts';

export const notAllowed = defineLint('WT2018', function* (context: LabContext): Generator<Finding> {
  const ofGateway = context.deployment?.gateway?.allow ?? null;
  const found: Finding[] = [];
  for (const workflow of context.workflows.values())
    eachStep(workflow.steps, step => found.push(...deniedUse(step, ofGateway, context)));
  yield* found;
});

function deniedUse(step: Step, ofGateway: AllowRule | null, { plan }: LabContext): Finding[] {
  if (step.verb === 'llm') {
    const { model, at, rules } = step;
    const allow = [rules.allow, ofGateway].find(each =>
      modelDenial(each, model, modelIdOf(model), plan.models),
    );
    if (allow === undefined) return [];
    return [
      {
        path: at,
        message: `"${model}" is not among the models that may be used: every call of "${step.name}" is denied`,
        hint: `allow has: ${quoted(allow?.models ?? [])}`,
      },
    ];
  }
  if (step.verb !== 'tool') return [];
  const denial = toolDenial(step.rules, ofGateway);
  return denial === null ? [] : [{ path: step.at, ...wordsOf(denial, step.rules) }];

  function modelIdOf(name: string): string {
    return plan.models.get(name)?.modelId ?? name;
  }
}

/** What a tool is denied, and the key of `allow` that would grant it. */
const DENIED: Readonly<Record<ToolDenial, { what: string; grant: (rules: ToolRules) => string }>> = {
  denied_tool: { what: 'is not among the tools', grant: ({ tool }) => `tools: [${tool}]` },
  denied_host: { what: 'needs hosts that are not granted', grant: ({ needs }) => `hosts: [${needs.hosts}]` },
  denied_file: { what: 'needs files that are not granted', grant: ({ needs }) => `files: [${needs.files}]` },
  denied_subprocess: { what: 'starts subprocesses, and none may', grant: () => 'subprocesses: true' },
};

const wordsOf = (denial: ToolDenial, rules: ToolRules) => ({
  message: `the tool "${rules.tool}" ${DENIED[denial].what}: every run of it is denied`,
  hint: `add \`${DENIED[denial].grant(rules)}\` to \`allow\`, or take the tool out`,
});
