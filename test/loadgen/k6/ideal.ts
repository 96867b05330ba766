// An exported session walked by the script's own code in an ideal world: a call takes a second, nothing waits.

import { prepare } from '../../../engines/prepare.ts';
import type { ExportOptions } from '../../../loadgen/export/exporter.ts';
import { exportK6 } from '../../../loadgen/export/k6.ts';
import {
  type CallRow,
  type LeafEnd,
  promptRuns,
  type Reply,
  type RuleRow,
  type RunRow,
  type SessionRow,
  walkSession,
} from '../../../loadgen/k6/session.ts';
import type { Settings } from '../../../loadgen/k6/settings.ts';
import type { Plan } from '../../../scenarios/formats/plan.ts';
import { deploymentOf } from '../../builders/worlds.ts';

export const LIVE_DEPLOYMENT = (url = 'http://127.0.0.1:8010/v1', endpoint = '', more = ''): string => `
windtunnel: 1
deployment: live
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 512, max_num_seqs: 64 }
    step: { model: affine, base: 4ms, per_token: 20us }
    endpoints: [ { url: ${url}, model: main ${endpoint} } ]
${more}`;

export interface Script {
  readonly text: string;
  readonly settings: Settings;
  readonly options: {
    scenarios: Record<string, Record<string, unknown>>;
    thresholds: Record<string, string[]>;
  };
  /** By k6 scenario: chains of sessions. */
  readonly plan: Record<string, SessionRow[][]>;
  readonly lost: readonly string[];
}

/** The files of an export, read back. */
export function exported(
  plan: Plan,
  options: ExportOptions = {},
  deploymentText = LIVE_DEPLOYMENT(),
  sessionsMax: number | null = null,
): Script {
  const deployment = deploymentOf(deploymentText);
  const { poolOf } = prepare(plan, deployment);
  const { files, lost } = exportK6({ plan, deployment, poolOf, sessionsMax, options });
  const textOf = (name: string): string => [...(files.find(file => file.name === name)?.text ?? [])].join('');
  const text = textOf('script.ts');
  return {
    text,
    settings: JSON.parse(/^const SETTINGS: Settings = (.+?^\});$/ms.exec(text)![1]!) as Settings,
    options: JSON.parse(/^export const options = (.+?^\});$/ms.exec(text)![1]!) as Script['options'],
    plan: JSON.parse(textOf('plan.json')) as Script['plan'],
    lost,
  };
}

export interface IdealRun {
  readonly sent: { path: string; atMs: number; prompt: RunRow[]; call: CallRow }[];
  readonly leaves: LeafEnd[];
  readonly error: string | null;
  readonly endMs: number;
}

export const ok = (sentMs: number, endMs: number): Reply => ({
  error: null,
  sentMs,
  endMs,
  firstTokenMs: null,
  retryAfterMs: null,
  promptTokens: null,
  cachedTokens: null,
  outputTokens: 1,
  reasoningTokens: 0,
});

/** `answer`: what comes of an attempt, by path and its number; null: it goes well, after a second. */
export async function idealRun(
  session: SessionRow,
  rules: readonly RuleRow[] = [],
  answer: (path: string, attempt: number) => Partial<Reply> | null = () => null,
): Promise<IdealRun> {
  const sent: IdealRun['sent'] = [];
  const leaves: LeafEnd[] = [];
  const due: { atMs: number; order: number; run: () => void }[] = [];
  const attempts = new Map<string, number>();
  let nowMs = 0;
  let order = 0;
  const at = (atMs: number, run: () => void) => {
    const entry = { atMs: Math.max(nowMs, atMs), order: order++, run };
    due.push(entry);
    return () => void (due.includes(entry) && due.splice(due.indexOf(entry), 1));
  };
  let isOver = false;
  const walking = walkSession(session, 0, {
    rules,
    timeoutMs: 60_000,
    nowMs: () => nowMs,
    at,
    send(_session, call) {
      const attempt = attempts.get(call.path) ?? 0;
      attempts.set(call.path, attempt + 1);
      sent.push({ path: call.path, atMs: nowMs, prompt: promptRuns(session, call), call });
      const sentMs = nowMs;
      return new Promise(resolve => {
        at(nowMs + 1000, () => resolve({ ...ok(sentMs, nowMs), ...answer(call.path, attempt) }));
      });
    },
    onSend() {},
    onEnd: leaf => leaves.push(leaf),
  }).finally(() => {
    isOver = true;
  });
  // Everything that an instant leads to comes before the next one.
  const settle = async () => {
    for (let turn = 0; turn < 200; turn++) await Promise.resolve();
  };
  await settle();
  while (!isOver || due.length > 0) {
    due.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
    const next = due.shift();
    if (next === undefined) throw new Error('the session waits for nothing');
    nowMs = next.atMs;
    next.run();
    await settle();
  }
  const { atMs, error } = await walking;
  return { sent, leaves, error, endMs: atMs };
}
