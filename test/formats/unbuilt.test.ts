// What no run obeys yet is named where the traffic needs it, and only there.
import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../scenarios/formats/scenario.ts';
import { parseSource } from '../../scenarios/formats/source.ts';
import { unbuiltParts } from '../../scenarios/formats/unbuilt.ts';

function partsOf(text: string): string[] {
  const { file, issues } = parseScenario(parseSource(text, 'test.yaml'));
  expect(issues).toEqual([]);
  if (file === null) throw new Error('the scenario is wrong');
  return unbuiltParts(file).map(each => each.path.join('.'));
}

const scenario = (cohort: string, faults = ''): string => `
windtunnel: 1
models: { m: { model: ministral-3-14b, rate_limit: anthropic-start } }
tools: { fetch: { latency: 1s, timeout: 5s, warm_pool: 3 } }
workflows:
  governed:
    budget: { llm_calls: 5, wall: 60s }
    steps: [ fetch, { llm: a, out: 5, retry: openai, hints: { priority: 1 } } ]
traffic: [ { workflow: governed, arrival: { at_once: true }, sessions: 1, cancel: { hazard: 0.2%/s }, ${cohort} } ]
faults: [ ${faults} ]
`;

describe('unbuilt parts', () => {
  test('are few: what a gateway decides is obeyed', () => {
    expect(partsOf(scenario('start: 0s', '{ fault: provider_outage, at: 1m }'))).toEqual([]);
  });

  test('are named where they stand: hints of a cohort but their priority, and slow replicas', () => {
    const hints = 'hints: { priority: 2, session_affinity: true }';
    expect(partsOf(scenario(hints, '{ fault: slow_replica, factor: 3 }'))).toEqual([
      'traffic.0.hints.session_affinity',
      'faults.0.fault',
    ]);
    const step = scenario('start: 0s').replace('priority: 1', 'cache_ttl: 5m, session_affinity: true');
    expect(partsOf(step)).toEqual([]);
  });
});
