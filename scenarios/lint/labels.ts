// Labels that the rules of a deployment may read, where none does: an author should not count on them.
import type { GatewaySpec } from '../formats/rules.ts';
import type { ScenarioFile } from '../formats/scenario.ts';

/** By label: whether a gateway acts on it. */
const READS = {
  sensitivity: ({ destinations, choose }: GatewaySpec) =>
    destinations !== null || choose.some(rule => rule.sensitivities !== null),
  complexity: ({ quality, choose }: GatewaySpec) =>
    quality.size > 0 || choose.some(rule => rule.complexities !== null),
} as const;
type Label = keyof typeof READS;

/** The labels that a file uses and that nothing acts on; `gateway`: null where none is known. */
export function idleLabels(file: ScenarioFile, gateway: GatewaySpec | null): Label[] {
  const used = new Set<string>();
  const look = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      if (Object.hasOwn(READS, key)) used.add(key);
      look(value);
    }
  };
  for (const section of [file.tools, file.workflows]) look(section);
  const labels = Object.keys(READS) as Label[];
  return labels.filter(label => used.has(label) && (gateway === null || !READS[label](gateway)));
}
