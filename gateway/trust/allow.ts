// What a step may use: tools and models by list, and what a tool reaches (hosts, files, subprocesses) only where it is
// granted by name. Where a rule stands, all that it does not name is denied; where two stand, of the tool and of its
// workflow, neither may refuse.
import type { AllowRule, ToolRules } from '../../scenarios/formats/rules.ts';

export type ToolDenial = 'denied_tool' | 'denied_host' | 'denied_file' | 'denied_subprocess';

/** Granted: `api.example.com` itself; `*.example.com` all below it; `*` all. */
function grantsHost(grant: string, host: string): boolean {
  const [granted, asked] = [grant.toLowerCase(), host.toLowerCase()];
  if (granted === '*' || granted === asked) return true;
  return granted.startsWith('*.') && asked.endsWith(granted.slice(1));
}

/** Granted: the file itself, or a folder and all that is in it. A way back up is never followed. */
function grantsFile(grant: string, file: string): boolean {
  if (file.split('/').includes('..')) return false;
  return grant === file || file.startsWith(grant.endsWith('/') ? grant : `${grant}/`);
}

/** No list that is there lacks any of it, and at least one is there. */
function isGranted(
  needs: readonly string[],
  lists: readonly (readonly string[] | null | undefined)[],
  grants: (grant: string, need: string) => boolean,
): boolean {
  const spoken = lists.filter(list => list !== null && list !== undefined);
  return needs.every(
    need => spoken.length > 0 && spoken.every(list => list.some(grant => grants(grant, need))),
  );
}

/**
 * Why the tool may not run; null: it may. Without any rule all tools may. With one, a tool runs unless a list of tools
 * leaves it out; and what it needs is denied unless a list grants it: to say nothing of hosts is to grant none.
 */
export function toolDenial(
  { tool, needs, allow }: Pick<ToolRules, 'tool' | 'needs' | 'allow'>,
  workflow: AllowRule | null,
): ToolDenial | null {
  if (allow === null && workflow === null) return null;
  const isLeftOut = (rule: AllowRule | null): boolean =>
    rule !== null && rule.tools !== null && !rule.tools.includes(tool);
  if (isLeftOut(allow) || isLeftOut(workflow)) return 'denied_tool';
  if (!isGranted(needs.hosts, [allow?.hosts, workflow?.hosts], grantsHost)) return 'denied_host';
  if (!isGranted(needs.files, [allow?.files, workflow?.files], grantsFile)) return 'denied_file';
  const said = [allow?.subprocesses, workflow?.subprocesses];
  if (needs.subprocesses && (said.includes(false) || !said.includes(true))) return 'denied_subprocess';
  return null;
}

/** Models behind the aliases of a scenario. */
export type Aliases = ReadonlyMap<string, { readonly modelId: string }>;

const NO_ALIASES: Aliases = new Map();

/**
 * Why a call may not go to a target, model or alias; null: it may. `modelId`: the model that it serves or stands for. The
 * list names any of the three.
 */
export function modelDenial(
  allow: AllowRule | null,
  name: string,
  modelId: string = name,
  aliases: Aliases = NO_ALIASES,
): 'denied_model' | null {
  const models = allow?.models ?? null;
  if (models === null) return null;
  for (let i = 0; i < models.length; i++) {
    const allowed = models[i]!;
    if (allowed === name || allowed === modelId || aliases.get(allowed)?.modelId === modelId) return null;
  }
  return 'denied_model';
}
