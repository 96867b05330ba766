// vLLM's command lines: one for each pool, or each half of one, with every flag that the deployment fixes.
import { quoted } from '../../scenarios/base/shell-words.ts';
import type { DeploymentFile } from '../../scenarios/formats/deployment/deployment.ts';
import { heading, type OperatorFile } from './operator-file.ts';
import { draftName, outgoing, proxyNeed, type ServerSet, titleOf } from './servers.ts';
import type { Target } from './target.ts';
import { kvTransfer, vllmFlags } from './vllm-flags.ts';

export const vllm: Target = {
  name: 'vllm',
  doc: 'a `vllm serve` command line for each pool or half',
  files: (deployment: DeploymentFile): OperatorFile[] => {
    const out = outgoing(deployment);
    const lines = out.sets.map(commandLine);
    const unmapped = out.unmapped([], [[/\.autoscaler/, 'command lines do not scale: `export kubernetes`']]);
    const title = `${deployment.deployment}: written by \`windtunnel export vllm\`. A line for each server: run it on each replica.`;
    const text = `${[...heading(title, proxyNeed(out.sets), unmapped), ...lines].join('\n')}\n`;
    return [{ path: `${deployment.deployment}.vllm.sh`, text, unmapped }];
  },
};

/** The command of one replica, below what the replicas are; `init --from` reads both. */
function commandLine(set: ServerSet): string {
  const { machine, half, model, gpus, take } = set;
  const { replicas = 1, gpu } = machine;
  take(['replicas']);
  take(['gpu']);
  const flags = vllmFlags(machine, { nameOf: draftName }, take);
  if (half !== null) flags.push(kvTransfer(half));
  const on = gpu === undefined ? 'each without a GPU' : `each on ${gpus} x ${gpu}`;
  const words = [`vllm serve ${quoted(model)}`, ...flags.map(flag => flag.map(quoted).join(' '))];
  return `\n# ${titleOf(set)}: ${replicas} replica${replicas === 1 ? '' : 's'}, ${on}\n${words.join(' \\\n  ')}`;
}
