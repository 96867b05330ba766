// Sessions as an exported script walks them: calls, waits and fan-outs as JSON, with every draw already made.
import { extendText, uniform } from '../../scenarios/base/key.ts';
import type { PlannedSession } from '../../scenarios/formats/plan.ts';
import type { RetryRule, TimeoutRule } from '../../scenarios/formats/rules.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';
import type { CallRow, PieceRow, RuleRow, SessionRow } from '../k6/session.ts';
import { PromptRuns } from './prompt-runs.ts';
import { leavesOf, type Piece, type Unrolled } from './unroll.ts';

/** Pauses that are drawn beforehand; a rule with more retries takes the middle of what it may draw. */
const DRAWS_MAX = 20;

export interface RowsOf {
  /** Row of the target of a call. */
  target(call: Call): number;
  /** Row of its rules; -1: none. */
  rule(call: Call): number;
  fields(call: Call): Readonly<Record<string, unknown>> | null;
  retryMax(rule: number): number;
}

export function sessionRow(
  planned: PlannedSession,
  { root, calls: started }: Unrolled,
  atMs: number,
  rowsOf: RowsOf,
): SessionRow {
  const prompts = new PromptRuns();
  const calls: CallRow[] = [];
  const rowOfPath = new Map<string, number>();
  const add = (path: string, call: Call): void => {
    if (rowOfPath.has(path)) return;
    rowOfPath.set(path, calls.length);
    const rule = rowsOf.rule(call);
    const retries = Math.min(DRAWS_MAX, rowsOf.retryMax(rule));
    const key = extendText(planned.key, path);
    const draws = Array.from({ length: retries }, (_, n) => uniform(extendText(key, `pause ${n + 1} ${n}`)));
    const fields = rowsOf.fields(call);
    calls.push({
      path,
      step: call.step,
      role: call.role,
      model: call.model,
      target: rowsOf.target(call),
      rule,
      ...prompts.add(call),
      promptTokens: call.promptTokens,
      outputTokens: call.outputTokens,
      reasoningTokens: call.reasoningTokens,
      ...(draws.length === 0 ? {} : { draws }),
      ...(fields === null ? {} : { fields }),
    });
  };
  // In order of start, so that a prompt comes after those that it goes on from.
  for (const { path, call } of started) add(path, call);
  for (const leaf of leavesOf(root)) if (leaf.kind === 'call') add(leaf.path, leaf.call);
  return {
    id: planned.id,
    workflow: planned.program.workflow,
    tenant: planned.tenant,
    atMs,
    runs: prompts.runs,
    calls,
    root: pieceRow(root, rowOfPath),
  };
}

function pieceRow(piece: Piece, rowOfPath: ReadonlyMap<string, number>): PieceRow {
  const row = (each: Piece): PieceRow => pieceRow(each, rowOfPath);
  switch (piece.kind) {
    case 'call':
      return { call: rowOfPath.get(piece.path) as number };
    case 'wait': {
      const { path, step, of, delayMs, fails, stops } = piece;
      const failure = fails === null ? {} : { fails, stops };
      return { waitMs: delayMs, path, step, kind: of, ...failure };
    }
    case 'list':
      return { list: piece.pieces.map(row) };
    case 'fan-out':
      return { atOnce: piece.branches.map(row), need: piece.need, width: piece.width };
    case 'try': {
      const otherwise = piece.otherwise === null ? {} : { otherwise: row(piece.otherwise) };
      return { body: row(piece.body), ...otherwise };
    }
    case 'graph':
      return {
        graph: piece.rows.map(({ after, gap, call }) => ({
          after,
          piece: gap === null ? row(call) : { list: [row(gap), row(call)] },
        })),
      };
  }
}

/** Rules of calls as rows, each kind once. */
export class RuleRows {
  readonly rows: RuleRow[] = [];
  private readonly known = new Map<string, number>();

  rowOf(retry: RetryRule | null, timeout: TimeoutRule | null): number {
    const attemptMs = timeout?.attemptMs ?? null;
    const totalMs = timeout?.totalMs ?? null;
    if (retry === null && attemptMs === null && totalMs === null) return -1;
    const row: RuleRow = { attemptMs, totalMs, retry: retry === null ? null : retryRow(retry) };
    const name = JSON.stringify(row);
    const known = this.known.get(name);
    if (known !== undefined) return known;
    this.known.set(name, this.rows.length);
    return this.rows.push(row) - 1;
  }
}

/** Without what only a gateway counts: retries of many calls together. */
function retryRow(rule: RetryRule): NonNullable<RuleRow['retry']> {
  const { max, reasons, baseMs, capMs, factor, jitter, obeysRetryAfter, retryAfterMaxMs, isBlind } = rule;
  return { max, reasons, baseMs, capMs, factor, jitter, obeysRetryAfter, retryAfterMaxMs, isBlind };
}
