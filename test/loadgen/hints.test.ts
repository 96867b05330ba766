// What a server is told, by the hints of its endpoint.
import { describe, expect, test } from 'vitest';
import { AnswerLengths, toldOf } from '../../loadgen/hints.ts';
import type { ServerHint } from '../../scenarios/formats/deployment/endpoint.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import type { SendRequest } from '../../scenarios/workflows/world.ts';
import { firstSession, planOf } from '../builders/scenarios.ts';

const plan = planOf(`
windtunnel: 1
seed: 11
models: { m: { model: ministral-3-14b } }
prefixes: { system: { tokens: 2000, scope: global } }
workflows:
  main:
    steps: [ { llm: a, prefix: [system], adds: 100, out: 5, hints: { priority: 3, output_tokens: true, cache_ttl: 1h } } ]
traffic: [ { workflow: main, arrival: { at_once: true }, sessions: 1 } ]
`);
const session = firstSession(plan);
const request = {
  call: walk(session).calls[0]!,
  session,
  facts: { workflow: 'main', step: 'a' },
} as unknown as SendRequest;
const told = (hints: ServerHint[], lengths = new AnswerLengths()) => toldOf({ hints }, request, lengths);

describe('hints of an endpoint', () => {
  test('by default the session, in the header that routers keep it together by', () => {
    expect(told(['session'])).toEqual({
      headers: { 'x-session-id': session.id },
      fields: {},
      breakpoints: [],
    });
    expect(told([])).toEqual({ headers: {}, fields: {}, breakpoints: [] });
  });

  test('a priority as vLLM counts it: lower goes first', () => {
    expect(told(['priority']).fields).toEqual({ priority: -3 });
  });

  test('Dynamo hears of the length of answers when one has come, and then their mean', () => {
    const lengths = new AnswerLengths();
    expect(told(['dynamo'], lengths).fields).toEqual({ nvext: { agent_hints: { priority: 3 } } });
    lengths.answered(request, 10);
    lengths.answered(request, 30);
    expect(told(['dynamo'], lengths)).toMatchObject({
      headers: { 'x-dynamo-session-id': session.id },
      fields: { nvext: { agent_hints: { priority: 3, osl: 20 } } },
    });
  });

  test('cache_ttl reaches the marks of the prompt', () => {
    const [first] = told(['cache_control']).breakpoints;
    expect(first).toMatchObject({ atToken: 2100, cache_control: { type: 'ephemeral', ttl: '1h' } });
  });
});
