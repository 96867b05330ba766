// What tools may reach, which models a step may use, and how many sub-agents a session has.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AgentLimits } from '../../../gateway/trust/agents.ts';
import { modelDenial, toolDenial } from '../../../gateway/trust/allow.ts';
import { type AllowRule, noToolRules } from '../../../scenarios/formats/rules.ts';

const allow = (some: Partial<AllowRule> = {}): AllowRule => ({
  tools: null,
  models: null,
  hosts: null,
  files: null,
  subprocesses: null,
  ...some,
});
const needing = (
  needs: { hosts?: string[]; files?: string[]; subprocesses?: boolean },
  own: AllowRule | null = null,
) => ({
  ...noToolRules('fetch'),
  allow: own,
  needs: { hosts: [], files: [], subprocesses: false, ...needs },
});

describe('tools', () => {
  test('without any rule all may run, whatever they need', () => {
    expect(toolDenial(needing({ hosts: ['a.com'], files: ['/etc'], subprocesses: true }), null)).toBeNull();
  });

  test('a list of tools leaves out all others, in the rule of the step or of the workflow', () => {
    expect(toolDenial(needing({}), allow({ tools: ['lookup', 'fetch'] }))).toBeNull();
    expect(toolDenial(needing({}), allow({ tools: ['lookup'] }))).toBe('denied_tool');
    expect(toolDenial(needing({}, allow({ tools: [] })), null)).toBe('denied_tool');
    expect(toolDenial(needing({}, allow({ tools: ['fetch'] })), allow({ tools: ['lookup'] }))).toBe(
      'denied_tool',
    );
  });

  test('where a rule stands, what a tool needs is denied unless it is granted', () => {
    const silent = allow({ tools: ['fetch'] });
    expect(toolDenial(needing({}), silent)).toBeNull();
    expect(toolDenial(needing({ hosts: ['a.com'] }), silent)).toBe('denied_host');
    expect(toolDenial(needing({ files: ['/data/x'] }), silent)).toBe('denied_file');
    expect(toolDenial(needing({ subprocesses: true }), silent)).toBe('denied_subprocess');
    const granting = allow({ hosts: ['a.com'], files: ['/data'], subprocesses: true });
    expect(
      toolDenial(needing({ hosts: ['a.com'], files: ['/data/x'], subprocesses: true }), granting),
    ).toBeNull();
    expect(toolDenial(needing({ hosts: ['a.com', 'b.com'] }), granting)).toBe('denied_host');
  });

  test('what one rule grants the other may refuse, and one that says nothing of it does not', () => {
    const needs = { hosts: ['a.com'], subprocesses: true };
    const grants = allow({ hosts: ['a.com'], subprocesses: true });
    expect(toolDenial(needing(needs, grants), allow({ tools: ['fetch'] }))).toBeNull();
    expect(toolDenial(needing(needs, grants), allow({ hosts: [] }))).toBe('denied_host');
    expect(toolDenial(needing(needs, grants), allow({ subprocesses: false }))).toBe('denied_subprocess');
  });

  test('a host is granted by its name or a domain above it, in any case, and by nothing that only looks alike', () => {
    const reaches = (host: string, ...hosts: string[]) =>
      toolDenial(needing({ hosts: [host] }), allow({ hosts })) === null;
    expect(reaches('API.example.com', 'api.Example.com')).toBe(true);
    expect(reaches('api.example.com', '*.example.com')).toBe(true);
    expect(reaches('anything', '*')).toBe(true);
    expect(reaches('example.com', '*.example.com')).toBe(false);
    expect(reaches('api.badexample.com', '*.example.com')).toBe(false);
    expect(reaches('api.example.com.evil.org', '*.example.com')).toBe(false);
    expect(reaches('example.com', 'example.co')).toBe(false);
  });

  test('a folder grants what is in it, and no way out of it', () => {
    const touches = (file: string, ...files: string[]) =>
      toolDenial(needing({ files: [file] }), allow({ files })) === null;
    expect(touches('/data/a/b.txt', '/data')).toBe(true);
    expect(touches('/data/a', '/data/')).toBe(true);
    expect(touches('/data', '/data')).toBe(true);
    expect(touches('/database', '/data')).toBe(false);
    expect(touches('/data/../etc/passwd', '/data')).toBe(false);
    expect(touches('/data', '/data/a')).toBe(false);
  });

  test('law: a further need, or a further refusal, never turns a denial into a permission', () => {
    const hosts = fc.subarray(['a.com', 'b.com', 'c.com']);
    const rule = fc.option(fc.record({ hosts: fc.option(hosts), subprocesses: fc.option(fc.boolean()) }));
    fc.assert(
      fc.property(hosts, fc.boolean(), rule, rule, (needed, subprocesses, own, workflow) => {
        const [a, b] = [own === null ? null : allow(own), workflow === null ? null : allow(workflow)];
        const denial = toolDenial(needing({ hosts: needed, subprocesses }, a), b);
        if (denial !== null) {
          expect(
            toolDenial(needing({ hosts: [...needed, 'd.com'], subprocesses: true }, a), b),
          ).not.toBeNull();
          expect(
            toolDenial(needing({ hosts: needed, subprocesses }, a), b === null ? allow() : b),
          ).not.toBeNull();
        } else if (a !== null || b !== null) {
          // All that it needs stands in a list, and in every list.
          const lists = [a?.hosts, b?.hosts].filter(list => list !== null && list !== undefined);
          for (const host of needed) {
            expect(lists.length).toBeGreaterThan(0);
            for (const list of lists) expect(list).toContain(host);
          }
          if (subprocesses) expect([a?.subprocesses, b?.subprocesses]).toContain(true);
        }
      }),
    );
  });
});

describe('models', () => {
  test('a list names targets, models or aliases; without one any may be used', () => {
    const aliases = new Map([['big', { modelId: 'm' }]]);
    expect(modelDenial(null, 'local')).toBeNull();
    expect(modelDenial(allow(), 'local')).toBeNull();
    expect(modelDenial(allow({ models: ['local'] }), 'local')).toBeNull();
    expect(modelDenial(allow({ models: ['m'] }), 'local', 'm')).toBeNull();
    expect(modelDenial(allow({ models: ['big'] }), 'local', 'm', aliases)).toBeNull();
    expect(modelDenial(allow({ models: ['big'] }), 'local', 'other', aliases)).toBe('denied_model');
    expect(modelDenial(allow({ models: [] }), 'local')).toBe('denied_model');
  });
});

describe('sub-agents', () => {
  test('are so many in all, and so deep; who is refused is not counted', () => {
    const limits = new AgentLimits({ max: 2, depth: 3 });
    expect(limits.refuses('s', 4)).toBe('denied_depth');
    expect(limits.refuses('s', 1)).toBeNull();
    expect(limits.refuses('s', 3)).toBeNull();
    expect(limits.refuses('s', 1)).toBe('denied_agents');
    expect(limits.refuses('t', 1)).toBeNull();
  });

  test('without limits all may start, and nothing is remembered', () => {
    const limits = new AgentLimits({ max: null, depth: null });
    for (let depth = 1; depth < 50; depth++) expect(limits.refuses('s', depth)).toBeNull();
    expect(limits.size).toBe(0);
  });

  test('a session that is over is forgotten', () => {
    const limits = new AgentLimits({ max: 1, depth: null });
    for (let i = 0; i < 1000; i++) {
      limits.refuses(`s${i}`, 1);
      limits.sessionEnded(`s${i}`);
    }
    expect(limits.size).toBe(0);
    expect(limits.refuses('s0', 1)).toBeNull();
  });
});
