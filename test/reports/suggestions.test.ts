// What to try next: the suggestion that fits the cause, and commands that can be typed.
import { describe, expect, test } from 'vitest';
import yargs from 'yargs';
import { loadDeployment } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { checkCommand } from '../../lab/check.ts';
import { benchPoliciesCommand } from '../../lab/policy-bench/command.ts';
import { reportCommand } from '../../reports/command.ts';
import { again, folderOf, rerunOf } from '../../reports/rerun.ts';
import { type Facts, suggestionsOf, suggestionText } from '../../reports/suggestions.ts';
import { quoted, shellWords } from '../../scenarios/base/shell-words.ts';
import { deploymentSet } from '../../scenarios/cli/run-options.ts';
import { type CriticalPath, noTime } from '../../scenarios/formats/record.ts';
import type { ReplicaRow } from '../../scenarios/formats/result.ts';
import { simulateCommand } from '../../sim/command.ts';
import { aCall, aHeader } from '../builders/records.ts';

const row = (fields: Partial<ReplicaRow> = {}): ReplicaRow => ({
  pool: 'main',
  name: 'main',
  readyMin: 2,
  readyMax: 2,
  readyMean: 2,
  coldStarts: 0,
  coldStartMsMean: null,
  lost: 0,
  gpuHours: 1,
  usd: null,
  points: [],
  ...fields,
});
const MOVING = row({
  readyMin: 1,
  readyMax: 8,
  readyMean: 4.2,
  coldStarts: 7,
  points: [{ atMs: 0, ready: 1, starting: 0, inFlightCalls: 0 }],
});

/** A run whose only step is called `answer`, most of its time for one cause. */
function factsOf(cause: keyof CriticalPath, fields: Partial<Facts> = {}): Facts {
  return {
    header: aHeader({
      command: 'windtunnel simulate job-scanner -d workstation-ministral-14b --seed 7 --out x',
    }),
    counts: {
      workflows: { planned: 1, completed: 1, failed: 0, cancelled: 0, unfinished: 0 },
      calls: { planned: 1, ok: 1, error: 0, cancelled: 0, unfinished: 0 },
      toolCalls: 0,
      preemptions: 0,
      errors: {},
    },
    tokens: { prompt: 1000, cached: 900, computed: 100, output: 10, reasoning: 0 },
    criticalPath: { ...noTime(), [cause]: 1000 },
    assertions: [],
    byStep: [
      {
        group: 'answer',
        calls: 1,
        promptTokens: 1000,
        cachedTokens: 0,
        computedTokens: 1000,
        outputTokens: 10,
        ttftMsMean: null,
        e2eMsMean: null,
      },
    ],
    exemplars: [],
    durationMs: 10_000,
    bottleneck: {
      causes: [{ cause, ms: 1000, share: 1 }],
      bySteps: [{ step: 'answer', cause, ms: 1000 }],
      saturation: [],
      saturatedRatio: 0,
      preemptions: 0,
      stragglers: [],
    },
    replicas: [row()],
    calls: [aCall()],
    stepOf: ({ step }) => step,
    hasLoad: true,
    ...fields,
  };
}

const CAUSES = Object.keys(noTime()) as (keyof CriticalPath)[];
const kvFull = {
  ...factsOf('queueMs').bottleneck,
  saturation: [{ pool: 'main', startMs: 0, endMs: 5000, cause: 'kv' }],
} as const;
/** Decodes at 5 ms a token alone, and at 20 ms in batches. */
const crowd = [5, 20, 20, 20].map((stepMs, i) =>
  aCall({ session: `s${i}`, firstTokenMs: 100, outputTokens: 101, endMs: 100 + 100 * stepMs }),
);
const SITUATIONS: Facts[] = [
  ...CAUSES.map(cause => factsOf(cause)),
  ...CAUSES.map(cause => factsOf(cause, { replicas: [MOVING] })),
  ...CAUSES.map(cause =>
    factsOf(cause, { tokens: { prompt: 10, cached: 1, computed: 9, output: 1, reasoning: 0 } }),
  ),
  factsOf('decodeMs', { calls: crowd }),
  factsOf('queueMs', { bottleneck: { ...kvFull, saturation: [...kvFull.saturation] } }),
];

const notRun = async () => Promise.reject(new Error('nothing runs here'));

/** As the command line would read them, nothing run. */
async function parsed(command: string): Promise<Record<string, unknown>> {
  const [program, name, ...args] = shellWords(command);
  expect(program).toBe('windtunnel');
  const commands = {
    simulate: {
      usage: 'simulate <scenario>',
      of: simulateCommand(notRun, notRun, notRun),
    },
    check: { usage: 'check <scenario>', of: checkCommand },
    'bench-policies': { usage: 'bench-policies <scenario>', of: benchPoliciesCommand },
    report: { usage: 'report <run..>', of: reportCommand(async output => output) },
  } as const;
  const { usage, of } = commands[name as keyof typeof commands];
  return yargs([name!, ...args])
    .command(
      usage,
      '',
      inner => (of.builder as (inner: unknown) => typeof inner)(inner) as typeof inner,
      () => {},
    )
    .parserConfiguration({ 'camel-case-expansion': false, 'greedy-arrays': false })
    .strict()
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new Error(`${command}: ${message}`);
    })
    .parseAsync();
}

describe('every command', () => {
  const commands = [
    ...new Set(SITUATIONS.flatMap(facts => suggestionsOf(facts).flatMap(({ command }) => command ?? []))),
  ];

  test('can be parsed, and names the scenario, the deployment and the seed of the run', async () => {
    expect(commands.length).toBeGreaterThan(5);
    for (const command of commands) {
      const options = await parsed(command);
      expect(options).toMatchObject({
        scenario: 'job-scanner',
        deployment: 'workstation-ministral-14b',
        seed: '7',
      });
    }
  });

  test('that shows a workflow names the folder of the run and the session', async () => {
    const exemplar = {
      label: 'p95',
      session: 'users/3 of it',
      workflow: 'chat',
      makespanMs: 1,
      criticalPath: noTime(),
      bars: [],
      barsLeftOut: 0,
    } as const;
    const command = suggestionsOf(factsOf('toolMs', { exemplars: [{ ...exemplar, bars: [] }] })).at(-1)!
      .command!;
    expect(command).toBe("windtunnel report x --workflow 'users/3 of it'");
    expect(await parsed(command)).toMatchObject({ run: ['x'], workflow: 'users/3 of it' });
  });

  test('that sets a key of the deployment sets one that is there', async () => {
    const sets = commands.filter(command => command.includes('--set'));
    expect(sets.some(command => command.includes('autoscaler.min'))).toBe(true);
    for (const command of sets) {
      const { set } = (await parsed(command)) as { set: string[] };
      const entry = set[0]!.includes('autoscaler') ? 'autoscaled-llama-3.1-70b' : 'workstation-ministral-14b';
      expect(loadDeployment(entry, routingPolicies, deploymentSet(set)).issues).toEqual([]);
    }
    const split = suggestionsOf(
      factsOf('queueMs', { replicas: [row({ name: 'main/decode' }), row({ name: 'main/prefill' })] }),
    );
    expect(split[0]!.command).toContain('--set pools.main.prefill.replicas=3');
    const set = ['pools.main.prefill.replicas=3'];
    expect(loadDeployment('disaggregated-llama-3.1-70b', routingPolicies, set).issues).toEqual([]);
  });

  test('that varies the load is not named where all sessions start at once', () => {
    const kinds = (facts: Facts) =>
      suggestionsOf(facts).filter(({ command }) => command?.includes('bench-policies'));
    expect(kinds(factsOf('queueMs'))).not.toEqual([]);
    expect(kinds(factsOf('queueMs', { hasLoad: false }))).toEqual([]);
  });
});

describe('the first suggestion', () => {
  const first = (facts: Facts): string => suggestionText(suggestionsOf(facts)[0]!);

  test('fits the cause', () => {
    expect(first(factsOf('queueMs'))).toMatch(
      /^3 replicas of main in place of 2, since .*: windtunnel simulate .*replicas=3/,
    );
    expect(first(factsOf('toolMs'))).toBe(
      'faster tools of answer, or more of them at once; more GPUs would not help',
    );
    expect(first(factsOf('coldMs', { replicas: [MOVING] }))).toMatch(
      /^at least 4 replicas of main in place of 1/,
    );
    expect(first(factsOf('prefillMs'))).toContain('windtunnel check job-scanner');
  });

  test('for decoding is more replicas only where batches slow it, and never for what a provider decodes', () => {
    expect(first(factsOf('decodeMs'))).toContain('shorter outputs of answer');
    expect(first(factsOf('decodeMs', { calls: crowd }))).toContain('3 replicas of main in place of 2');
    const sold = crowd.map(call => ({ ...call, pool: 'frontier' }));
    expect(first(factsOf('decodeMs', { calls: sold }))).toContain('shorter outputs of answer');
  });

  test('goes to the KV cache where that is full', () => {
    const full = { ...kvFull, saturation: [...kvFull.saturation] };
    expect(first(factsOf('decodeMs', { bottleneck: full }))).toContain('its KV cache is full');
  });

  test('is about the failures where many workflows failed', () => {
    const { counts } = factsOf('decodeMs');
    const failing = (failed: number, error: string) =>
      factsOf('decodeMs', {
        counts: {
          ...counts,
          workflows: { ...counts.workflows, planned: 100, completed: 100 - failed, failed },
          errors: { [error]: failed },
        },
      });
    expect(first(failing(40, 'http_429'))).toMatch(/^a higher rate limit.*40 calls ended with http_429$/);
    expect(first(failing(40, 'http_500'))).toMatch(/^find out why 40 calls ended with http_500/);
    expect(first(failing(2, 'http_429'))).toContain('shorter outputs');
  });

  test('of a run that no command can make again has no command', () => {
    const facts = factsOf('queueMs', { header: aHeader({ command: 'windtunnel study outage' }) });
    for (const { command } of suggestionsOf(facts)) expect(command).toBeNull();
  });

  test('is there whatever happened, and never more than four', () => {
    const nothing = { ...factsOf('queueMs').bottleneck, causes: [], bySteps: [] };
    expect(suggestionsOf(factsOf('queueMs', { bottleneck: nothing }))).not.toEqual([]);
    for (const facts of SITUATIONS) expect(suggestionsOf(facts).length).toBeLessThanOrEqual(4);
  });
});

describe('the command of a run', () => {
  const rerun = (command: string) => rerunOf({ command });

  test('is read without where it went, how it was shown and how live load was sent', () => {
    expect(
      rerun("windtunnel replay s.yaml --json -d d.yaml --workers 4 --set 'a.b=c d' --seed=-3 --warm"),
    ).toEqual({
      scenario: 's.yaml',
      deployment: 'd.yaml',
      options: ['--set', 'a.b=c d', '--seed', '-3', '--warm'],
    });
    expect(rerun('windtunnel traces/ -d d --out x')).toMatchObject({ scenario: 'traces/' });
    expect(rerun('windtunnel simulate s --brandnew -d d')).toMatchObject({ deployment: 'd' });
    expect(rerun('windtunnel demo')).toBeNull();
    expect(rerun('windtunnel check s')).toBeNull();
  });

  test('comes back as it was, word by word', () => {
    const words = ['plain', "it's", 'a b', '--set=x', 'é', '"q"', '$HOME', ''];
    expect(shellWords(words.map(quoted).join(' '))).toEqual(words);
    const made = rerun("windtunnel simulate 'my scenario.yaml' -d d")!;
    expect(again(made, 'simulate', '--set', 'a=b c')).toBe(
      "windtunnel simulate 'my scenario.yaml' -d d --set 'a=b c'",
    );
  });

  test('says in which folder the run is', () => {
    expect(folderOf(aHeader({ command: 'windtunnel simulate s -d d --out here/it' }))).toBe('here/it');
    expect(folderOf(aHeader({ command: 'windtunnel simulate s -d d' }))).toBe(
      'windtunnel-runs/chat-one-gpu-sim',
    );
  });
});
