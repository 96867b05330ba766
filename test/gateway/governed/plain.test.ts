// A gateway that says nothing changes nothing.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PLAIN_GATEWAY } from '../../../scenarios/formats/rules.ts';
import { planOf, randomSteps, workflowText } from '../../builders/scenarios.ts';
import { DEPLOYMENT, deploymentOf, simulated } from '../../builders/worlds.ts';

describe('a gateway without rules', () => {
  test('gives the same calls, nodes and sessions as none', () => {
    fc.assert(
      fc.property(randomSteps, steps => {
        const plan = planOf(workflowText(steps, '', 3));
        const deployment = deploymentOf(DEPLOYMENT());
        const plain = simulated(plan, deployment);
        const governed = simulated(plan, { ...deployment, gateway: PLAIN_GATEWAY });
        expect(governed.calls).toEqual(plain.calls);
        expect(governed.nodes).toEqual(plain.nodes);
        expect(governed.workflows).toEqual(plain.workflows);
        expect(governed.durationMs).toBe(plain.durationMs);
        const attempts = governed.governed?.attempts ?? [];
        expect(attempts).toHaveLength(plain.calls.length);
        for (const { attempt, kind } of attempts) expect([attempt, kind]).toEqual([0, 'first']);
      }),
      { numRuns: 60 },
    );
  });
});
