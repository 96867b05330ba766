// Calls and ended calls for tests of scheduling: everything a test is not about has a default.
import type { ScheduledArrival, ServedCall } from '../../../gateway/scheduling/policy.ts';
import { textKey } from '../../../scenarios/base/key.ts';

export const arrival = (some: Partial<ScheduledArrival> = {}): ScheduledArrival => {
  const session = some.session ?? 's';
  return {
    id: 1,
    key: textKey(`call ${some.id ?? 1}`),
    session,
    sessionKey: textKey(session),
    workflow: 'w',
    tenant: null,
    step: 'step',
    priority: 0,
    prompt: [],
    promptTokens: 1000,
    maxOutputTokens: null,
    sessionStartMs: 0,
    deadlineMs: null,
    parents: [],
    ...some,
  };
};

export const served = (some: Partial<ServedCall> = {}): ServedCall => ({
  id: 1,
  session: 's',
  workflow: 'w',
  step: 'step',
  promptTokens: 1000,
  outputTokens: 100,
  waitedMs: 0,
  servedMs: 0,
  ...some,
});
