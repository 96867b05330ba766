// What goes wrong in a scenario, at a time or at a rate: the schema, and what each kind is about.
import { z } from 'zod';
import { written } from './quantity.ts';

/** By kind: what its `target` names, whose default is any of them; and the keys that say how bad it is. */
export const FAULTS = {
  provider_outage: { target: 'provider', keys: ['for', 'share', 'factor'] },
  replica_crash: { target: 'pool', keys: [] },
  slow_replica: { target: 'pool', keys: ['for', 'factor'] },
  network_loss: { target: 'link', keys: ['for', 'share'] },
  tool_failure: { target: 'tool', keys: ['for', 'share', 'factor'] },
  degraded_model: { target: 'model', keys: ['for', 'share', 'factor'] },
  agent_crash: { target: 'workflow', keys: ['share'] },
  operator_cancel: { target: 'workflow', keys: ['share'] },
  runaway: { target: 'step', keys: ['share', 'factor', 'label'] },
} as const satisfies Record<string, { target: string; keys: readonly (typeof FAULT_KEYS)[number][] }>;
const FAULT_KEYS = ['for', 'factor', 'share', 'label'] as const;
export type FaultKind = keyof typeof FAULTS;

const KINDS = Object.keys(FAULTS) as [FaultKind, ...FaultKind[]];

export const fault = z
  .strictObject({
    fault: z.enum(KINDS).describe('what goes wrong'),
    target: z
      .string()
      .optional()
      .describe('the pool, provider, model, tool, link, workflow or step that it is about; default any'),
    at: written('ms').optional().describe('when it begins; default at once'),
    rate: written('perSec').optional().describe('instead of `at`: how often it begins'),
    for: written('ms').optional().describe('how long it lasts; default to the end'),
    factor: z
      .number()
      .positive()
      .optional()
      .describe('how much slower, default as fast; of a runaway how often its step repeats, default 10'),
    share: written('ratio')
      .optional()
      .describe('of calls, runs or sessions that it reaches; of a degraded model: of answers that are bad'),
    label: z
      .enum(['loop', 'prompt_attack', 'tool_cascade', 'context_blowup'])
      .optional()
      .describe('what a runaway stands for, which anomaly rules are scored against; default loop'),
  })
  .describe('what goes wrong, at a time or at a rate');
export type FaultFile = z.infer<typeof fault>;

/** Keys of a fault that mean nothing for its kind. */
export const idleKeys = (given: FaultFile): (typeof FAULT_KEYS)[number][] =>
  FAULT_KEYS.filter(
    key => given[key] !== undefined && !(FAULTS[given.fault].keys as readonly string[]).includes(key),
  );
