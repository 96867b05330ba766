// The script that stock k6 runs. `export k6` writes it with the texts of session.ts and ask.ts in place of the imports, and
// with `options` and `SETTINGS` in front. An iteration is one session, or the sessions of one agent after each other.
import { SharedArray } from 'k6/data';
import exec from 'k6/execution';
import { Counter, Rate, Trend } from 'k6/metrics';
import { ask } from './ask.ts';
import {
  type CallRow,
  type Io,
  idsOf,
  type LeafEnd,
  messagesOf,
  nameOf,
  promptRuns,
  type Reply,
  type RunRow,
  type Salt,
  type SessionRow,
  Spelled,
  walkSession,
  wordsOf,
} from './session.ts';
import type { Filter, Settings, TargetRow } from './settings.ts';

declare const SETTINGS: Settings;
declare const __ENV: Readonly<Record<string, string | undefined>>;
declare function open(path: string): string;

const { targets, rules, codes, slos, cohorts, timeoutMs, leadMs, vocabTokens } = SETTINGS;

/** Prompts are token ids, all of them; then the shared texts are. */
const hasIds = targets.every(({ api }) => api === 'tokens');

/** Text that a VU keeps. */
const KEPT_CHARS = 16_000_000;

/** A session is spelled so long before it is wanted, and longer by its tokens. */
const SPELLING_MS = 250;
const SPELLING_MS_PER_TOKEN = 0.03;

/** By k6 scenario, iteration by iteration; held once, whatever the number of VUs. */
const chains: Readonly<Record<string, SharedArray<readonly SessionRow[]>>> = Object.fromEntries(
  Object.keys(cohorts).map(name => [
    name,
    new SharedArray(
      `cohort ${name}`,
      () => (JSON.parse(open('./plan.json')) as Record<string, SessionRow[][]>)[name] ?? [],
    ),
  ]),
);
/** What is mixed into all content: 16 hexadecimal digits of the environment, else that of the export. */
const given = __ENV.WINDTUNNEL_SALT ?? '';
const salt: Salt =
  given === ''
    ? SETTINGS.salt
    : [Number.parseInt(given.slice(0, 8), 16), Number.parseInt(given.slice(8), 16)];
/** Content of many sessions is there already, spelled with the salt of the export. */
const shared = new Map(given === '' ? open('./shared.txt').split('\n').map(lineOf) : []);

function lineOf(line: string): [string, string] {
  const tab = line.indexOf('\t');
  return [line.slice(0, tab), line.slice(tab + 1)];
}

const lagMs = new Trend('windtunnel_lag_ms', true);
const callMs = new Trend('windtunnel_call_ms', true);
const ttfbMs = new Trend('windtunnel_ttfb_ms', true);
const ttftMs = new Trend('windtunnel_ttft_ms', true);
const gapMs = new Trend('windtunnel_chunk_gap_ms', true);
const workflowMs = new Trend('windtunnel_workflow_ms', true);
const callCount = new Counter('windtunnel_calls');
const toolCount = new Counter('windtunnel_tool_calls');
const workflowCount = new Counter('windtunnel_workflows');
const retryCount = new Counter('windtunnel_retries');
const promptCount = new Counter('windtunnel_prompt_tokens');
const cachedCount = new Counter('windtunnel_cached_tokens');
const outputCount = new Counter('windtunnel_output_tokens');
const callFailed = new Rate('windtunnel_call_failed');
const workflowFailed = new Rate('windtunnel_workflow_failed');
const sloKept = new Rate('windtunnel_slo');
const codeRates = codes.map(code => ({ code, rate: new Rate(`windtunnel_rate_${code}`) }));
const records = new Counter('windtunnel_records');
/** Set by `windtunnel replay --driver k6`, which reads every end of a call from k6's JSON output. */
const tellsRecords = __ENV.WINDTUNNEL_RECORDS === '1';

/** Of this VU. */
const texts = {
  words: new Spelled(run => (hasIds ? null : shared.get(nameOf(run))) ?? wordsOf(run, salt), KEPT_CHARS),
  ids: new Spelled(
    run => (hasIds ? shared.get(nameOf(run)) : null) ?? idsOf(run, salt, vocabTokens).join(','),
    KEPT_CHARS,
  ),
};
const textsOf = ({ api }: TargetRow): Spelled => (api === 'tokens' ? texts.ids : texts.words);

/** Never early: the clock is whole milliseconds, and behind by up to one. */
const timerMs = (ms: number): number => Math.max(0, Math.ceil(ms));
const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, timerMs(ms)));

export async function run(): Promise<void> {
  const { name, startTime, iterationInTest } = exec.scenario;
  const cohort = cohorts[name] as string;
  const zeroMs = startTime + leadMs;
  const nowMs = (): number => Date.now() - zeroMs;
  tell({ e: 'zero', unixMs: zeroMs });
  let readyMs = 0;
  for (const session of chains[name]?.[iterationInTest] ?? []) {
    const plannedMs = readyMs + session.atMs;
    // 1. What it will say, shortly before it is wanted.
    const tokens = session.runs.reduce((sum, run) => sum + (shared.has(nameOf(run)) ? 0 : run[3]), 0);
    await sleep(plannedMs - SPELLING_MS - tokens * SPELLING_MS_PER_TOKEN - nowMs());
    for (const call of session.calls)
      for (const row of call.runs) textsOf(targets[call.target] as TargetRow).of(session.runs[row] as RunRow);
    // 2. Its planned start.
    await sleep(plannedMs - nowMs());
    const startMs = Math.max(plannedMs, nowMs());
    tell({ e: 'start', session: session.id, plannedMs, startMs });
    // 3. Its calls.
    const tags = { workflow: session.workflow, cohort };
    const end = await walkSession(session, plannedMs, ioOf(session, { tags, nowMs }));
    endSession(end, plannedMs, tags);
    tell({ e: 'end', session: session.id, plannedMs, startMs, endMs: end.atMs, error: end.error });
    readyMs = end.atMs;
  }
}

interface Around {
  readonly tags: { readonly workflow: string; readonly cohort: string };
  readonly nowMs: () => number;
}

function ioOf(session: SessionRow, { tags, nowMs }: Around): Io {
  const tagsOf = (call: CallRow): Record<string, string> => ({
    ...tags,
    step: call.step,
    model: call.model,
    ...(call.role === null ? {} : { role: call.role }),
  });
  return {
    rules,
    timeoutMs,
    nowMs,
    at(atMs, then) {
      const timer = setTimeout(then, timerMs(atMs - nowMs()));
      return () => clearTimeout(timer);
    },
    send(_session, call, limitMs) {
      const target = targets[call.target] as TargetRow;
      const callTags = tagsOf(call);
      return ask({
        url: target.url,
        body: bodyOf(session, call, target, textsOf(target)),
        headers: headersOf(target, session.id),
        tags: { ...callTags, name: call.step },
        timeoutMs: limitMs,
        nowMs,
        onFirstByte: ms => ttfbMs.add(ms, callTags),
        onGap: ms => gapMs.add(ms, callTags),
      });
    },
    onSend(call, plannedMs) {
      tell({ e: 'sent', session: session.id, path: call.path, plannedMs, sentMs: nowMs() });
    },
    onEnd(leaf) {
      if (leaf.call !== null) endCall(leaf, leaf.call, tagsOf(leaf.call));
      else if (leaf.kind === 'tool') toolCount.add(1, tags);
      const { call: _call, ...rest } = leaf;
      tell({ e: 'leaf', session: session.id, ...rest });
    },
  };
}

function bodyOf(session: SessionRow, call: CallRow, target: TargetRow, spell: Spelled): string {
  const { api, body: fixed, lengthFields, takesReasoning } = target;
  const body: Record<string, unknown> = { ...fixed, ...call.fields };
  for (const field of lengthFields) body[field] = call.outputTokens;
  if (takesReasoning && call.reasoningTokens > 0)
    body.windtunnel = { reasoning_tokens: call.reasoningTokens };
  const runs = promptRuns(session, call);
  if (api === 'chat') return JSON.stringify({ ...body, messages: messagesOf(runs, spell) });
  const texts = runs.map(each => spell.of(each));
  if (api === 'completions') return JSON.stringify({ ...body, prompt: texts.join(' ') });
  return `${JSON.stringify(body).slice(0, -1)},"prompt":[${texts.join(',')}]}`;
}

function headersOf(
  { headers, headersEnv, key, sessionHeaders }: TargetRow,
  session: string,
): Record<string, string> {
  const all: Record<string, string> = { 'content-type': 'application/json', ...headers };
  for (const [name, variable] of Object.entries(headersEnv)) all[name] = __ENV[variable] ?? '';
  for (const name of sessionHeaders) all[name] = session;
  const secret = key === null ? '' : (__ENV[key.env] ?? '');
  if (key !== null && secret !== '')
    for (const [name, text] of Object.entries(key.headers)) all[name] = text.replace('{KEY}', secret);
  return all;
}

/** Latencies count from the planned time, and only of calls that ended well. */
function endCall(leaf: LeafEnd, call: CallRow, tags: Record<string, string>): void {
  const { plannedMs, endMs, outcome, error, attempts, firstSentMs } = leaf;
  const reply = leaf.reply as Reply;
  callCount.add(1, tags);
  lagMs.add(firstSentMs - plannedMs, tags);
  if (attempts > 1) retryCount.add(attempts - 1, tags);
  promptCount.add(reply.promptTokens ?? call.promptTokens, tags);
  cachedCount.add(reply.cachedTokens ?? 0, tags);
  outputCount.add(reply.outputTokens, tags);
  for (const { code, rate } of codeRates) rate.add(isOfCode(code, error, outcome), tags);
  if (outcome === 'cancelled') return;
  callFailed.add(outcome === 'error', tags);
  const firstMs = reply.firstTokenMs === null ? null : reply.firstTokenMs - plannedMs;
  if (outcome === 'ok') {
    callMs.add(endMs - plannedMs, tags);
    if (firstMs !== null) ttftMs.add(firstMs, tags);
  }
  for (const slo of slos) {
    if (slo.of !== 'calls' || !passes(slo.filter, tags)) continue;
    const isInTime = endMs - plannedMs <= (slo.e2eMs ?? Number.POSITIVE_INFINITY);
    const isSoon = slo.ttftMs === null || firstMs === null || firstMs <= slo.ttftMs;
    sloKept.add(outcome === 'ok' && isInTime && isSoon, { slo: slo.name });
  }
}

function endSession(
  { atMs, error }: { atMs: number; error: string | null },
  plannedMs: number,
  tags: Around['tags'],
): void {
  workflowCount.add(1, tags);
  workflowFailed.add(error !== null, tags);
  if (error === null) workflowMs.add(atMs - plannedMs, tags);
  for (const slo of slos) {
    if (slo.of !== 'sessions' || !passes(slo.filter, tags)) continue;
    sloKept.add(error === null && atMs - plannedMs <= (slo.e2eMs ?? Number.POSITIVE_INFINITY), {
      slo: slo.name,
    });
  }
}

const isOfCode = (code: string, error: string | null, outcome: string): boolean =>
  error === (/^\d+$/.test(code) ? `http_${code}` : code) ||
  outcome === code ||
  (code === 'error' && outcome === 'error');

const passes = (filter: Filter, tags: Readonly<Record<string, string>>): boolean =>
  Object.entries(filter).every(([name, wanted]) => tags[name] === wanted);

/** In the metadata of a sample, which makes no time series of its own. */
function tell(record: Record<string, unknown>): void {
  if (!tellsRecords) return;
  const { metadata } = exec.vu.metrics;
  metadata.record = JSON.stringify(record);
  records.add(1);
  delete metadata.record;
}
