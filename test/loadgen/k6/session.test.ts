// The script that k6 runs, without k6: what it does with an exported session is what the interpreter does with the plan.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tokenIdOf, wordsOfRuns } from '../../../engines/words.ts';
import {
  idsOf,
  messagesOf,
  promptRuns,
  readStream,
  type SessionRow,
  Spelled,
  wordsOf,
} from '../../../loadgen/k6/session.ts';
import { PromptWriter } from '../../../loadgen/prompts.ts';
import { extend, textKey } from '../../../scenarios/base/key.ts';
import { runTokens } from '../../../scenarios/formats/prompt.ts';
import { walk } from '../../../scenarios/workflows/walk.ts';
import { firstSession, planOf, randomSteps, workflowText } from '../../builders/scenarios.ts';
import { exported, idealRun } from './ideal.ts';

const RUN = { key: textKey('some content'), from: 5, tokens: 40 };
const ROW = [RUN.key.hi, RUN.key.lo, RUN.from, RUN.tokens, 1] as const;
const firstOf = (text: string): { session: SessionRow; script: ReturnType<typeof exported> } => {
  const script = exported(planOf(text));
  return { session: script.plan.main![0]![0]!, script };
};

describe('what is said', () => {
  test('its words are ours, salted or not', () => {
    expect(wordsOf(ROW, null)).toBe(wordsOfRuns([RUN]));
    const salt = textKey('a salt');
    const salted = { ...RUN, key: extend(RUN.key, salt.hi, salt.lo) };
    expect(wordsOf(ROW, [salt.hi, salt.lo])).toBe(wordsOfRuns([salted]));
  });

  test('its token ids are ours', () => {
    const ids = Array.from({ length: 40 }, (_, i) => tokenIdOf(RUN.key, 5 + i, 4096));
    expect(idsOf(ROW, null, 4096)).toEqual(ids);
  });

  test('messages are those of the replay, with planned words where answers would be', () => {
    const text = workflowText(
      '[ { llm: a, prefix: [system, mine], adds: 20, out: 10 }, { tool: fetch }, { llm: b, adds: =tokens(fetch), out: 5 }, { repeat: r, times: 2, steps: [ { llm: c, adds: 3, out: 4 } ] } ]',
    );
    const { session } = firstOf(text);
    const { calls } = walk(firstSession(planOf(text)));
    const writer = new PromptWriter({ api: 'chat' });
    const spelled = new Spelled(run => wordsOf(run, null), 1e6);
    expect(calls.length).toBe(4);
    for (const [at, call] of calls.entries()) {
      const messages = messagesOf(promptRuns(session, session.calls[at]!), spelled);
      expect(writer.write(call.prompt, call.parts)).toEqual({ api: 'chat', messages });
      const outputText = wordsOfRuns(call.output);
      writer.registerOutput(call.output, 0, { outputText, reasoningText: '', tokenIds: null });
    }
  });
});

describe('how a session is walked', () => {
  test('any workflow makes the calls of the plan, at their instants, with their prompts', async () => {
    await fc.assert(
      fc.asyncProperty(randomSteps, async steps => {
        const text = workflowText(steps);
        // A branch that loses a join is exported as it is where it wins: whether it compacts may differ.
        if (/join: (any|\d)/.test(text) && text.includes('compact_at')) return;
        const plan = planOf(text);
        const planned = walk(firstSession(plan));
        if (planned.calls.length === 0) return;
        const { session } = firstOf(text);
        const run = await idealRun(session);
        const ended = new Map(planned.nodes.map(node => [node.call, node]));
        const started = planned.nodes.filter(node => node.kind === 'llm' && node.status !== 'skipped');
        expect(run.sent.map(({ path }) => path).sort()).toEqual(started.map(node => node.call).sort());
        for (const { path, atMs, prompt, call } of run.sent) {
          expect(atMs, path).toBeCloseTo(ended.get(path)!.startMs, 6);
          expect(prompt.reduce((sum, row) => sum + row[3], 0)).toBe(call.promptTokens);
        }
        expect(run.error === null ? 'completed' : 'failed').toBe(planned.status);
        expect(run.endMs).toBeCloseTo(
          planned.nodes.reduce((last, node) => Math.max(last, node.status === 'skipped' ? 0 : node.endMs), 0),
          6,
        );
        // Every prompt has the plan's tokens, and the plan's content in its order.
        const wanted = planned.calls
          .map(call => `${call.step} ${runTokens(call.prompt)} ${call.outputTokens}`)
          .sort();
        expect(
          run.sent.map(({ call }) => `${call.step} ${call.promptTokens} ${call.outputTokens}`).sort(),
        ).toEqual(wanted);
      }),
      { numRuns: 150 },
    );
  });
});

const ERROR = { error: 'http_500', outputTokens: 0 };

describe('what fails while it runs', () => {
  test('a retry rule is obeyed: so often, after its pauses, and for its reasons only', async () => {
    const retry = '{ max: 2, errors: [5xx], backoff: 200ms..8s, factor: 2, jitter: none }';
    const { session, script } = firstOf(workflowText(`[ { llm: a, adds: 5, out: 3, retry: ${retry} } ]`));
    const { rules } = script.settings;
    const recovered = await idealRun(session, rules, (_path, attempt) => (attempt < 2 ? ERROR : null));
    expect(recovered.error).toBeNull();
    expect(recovered.sent.map(({ atMs }) => atMs)).toEqual([0, 1200, 2600]);
    expect(recovered.leaves[0]).toMatchObject({ attempts: 3, outcome: 'ok', plannedMs: 0, endMs: 3600 });
    const failed = await idealRun(session, rules, () => ERROR);
    expect(failed).toMatchObject({ error: 'http_500', endMs: 3600 });
    const refused = await idealRun(session, rules, () => ({ ...ERROR, error: 'http_400' }));
    expect(refused.sent).toHaveLength(1);
  });

  test('a server that says when to come back is waited for', async () => {
    const retry = '{ max: 1, errors: [429], backoff: 100ms..1s, jitter: none }';
    const { session, script } = firstOf(workflowText(`[ { llm: a, adds: 5, out: 3, retry: ${retry} } ]`));
    const answer = (_path: string, attempt: number) =>
      attempt === 0 ? { ...ERROR, error: 'http_429', retryAfterMs: 700 } : null;
    const run = await idealRun(session, script.settings.rules, answer);
    expect(run.sent.map(({ atMs }) => atMs)).toEqual([0, 1700]);
  });

  test('its list ends, and a try around it goes on with its other steps', async () => {
    const steps =
      '[ { try: t, steps: [ { llm: a, adds: 5, out: 3 }, { llm: b, adds: 5, out: 3 } ], on_error: [ { llm: c, adds: 5, out: 3 } ] }, { llm: d, adds: 5, out: 3 } ]';
    const { session } = firstOf(workflowText(steps));
    const paths = async (fails: string) =>
      (await idealRun(session, [], path => (path === fails ? ERROR : null))).sent.map(({ path }) => path);
    expect(await paths('')).toEqual(['t/a', 't/b', 'd']);
    expect(await paths('t/a')).toEqual(['t/a', 't/on_error/c', 'd']);
    expect(await paths('t/b')).toEqual(['t/a', 't/b', 't/on_error/c', 'd']);
    const lost = await idealRun(session, [], () => ERROR);
    expect(lost).toMatchObject({ error: 'http_500', endMs: 2000 });
  });

  test('a join of one takes the first that ends well; pauses of the others are given up, their calls run on', async () => {
    const steps =
      '[ { parallel: p, join: any, branches: [ [ { llm: a, adds: 5, out: 3 } ], [ { llm: b, adds: 5, out: 3 }, { llm: late, adds: 5, out: 3 } ], [ { human: 1h } ] ] }, { llm: d, adds: 5, out: 3 } ]';
    const { session } = firstOf(workflowText(steps));
    const run = await idealRun(session, [], path => (path === 'p[0]/a' ? ERROR : null));
    expect(run.sent.map(({ path, atMs }) => [path, atMs])).toEqual([
      ['p[0]/a', 0],
      ['p[1]/b', 0],
      ['p[1]/late', 1000],
      ['d', 2000],
    ]);
    const { outcome, endMs } = run.leaves.find(({ kind }) => kind === 'human')!;
    expect([outcome, endMs]).toEqual(['cancelled', 2000]);
    const none = await idealRun(session, [], path => (path.startsWith('p') ? ERROR : null));
    expect(none.sent.map(({ path }) => path)).toEqual(['p[0]/a', 'p[1]/b', 'd']);
  });
});

describe('what a stream says', () => {
  const chunk = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
  const token = chunk({ choices: [{ delta: { content: 'a' }, finish_reason: null }] });
  const end = chunk({ choices: [{ delta: {}, finish_reason: 'length' }] });
  const usage = {
    prompt_tokens: 9,
    completion_tokens: 4,
    prompt_tokens_details: { cached_tokens: 8 },
    completion_tokens_details: { reasoning_tokens: 2 },
  };

  test('tokens are those of its usage, else counted', () => {
    const told = readStream(`${token}${end}${chunk({ choices: [], usage })}data: [DONE]\n\n`);
    expect(told).toEqual({
      error: null,
      promptTokens: 9,
      cachedTokens: 8,
      outputTokens: 4,
      reasoningTokens: 2,
    });
    expect(readStream(`${token}${token}${end}data: [DONE]\n\n`).outputTokens).toBe(2);
  });

  test('an error inside, a cut and a filter are failures', () => {
    expect(readStream(`${token}${chunk({ error: { message: 'no' } })}`).error).toBe('stream_error');
    expect(readStream(`${token}data: not json\n\n`).error).toBe('stream_error');
    expect(readStream(token).error).toBe('stream_cut');
    expect(readStream('data: [DONE]\n\n').error).toBe('bad_response');
    const filtered = chunk({ choices: [{ delta: {}, finish_reason: 'content_filter' }] });
    expect(readStream(`${token}${filtered}`).error).toBe('content_policy');
  });
});
