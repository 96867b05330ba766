// What a policy bench prints: the answer, the table at the knee, and how to read it.
import type { PolicyBenchResult } from '../../scenarios/formats/policy-bench.ts';
import { BENCH_COLUMNS, benchHeadline, benchNotes } from './words.ts';

/** Cells in columns: the first to the left, the others to the right. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map(row => row[i]!.length)));
  return rows.map(row =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]! + 2)))
      .join('')
      .trimEnd(),
  );
}

export function benchSummary(bench: PolicyBenchResult, { reportPath }: { reportPath: string }): string {
  const { policyKind, header, curves, leftOut } = bench;
  const rows = [
    BENCH_COLUMNS.map(({ name }) => name),
    ...curves.map(curve => BENCH_COLUMNS.map(({ cell }) => cell(curve, bench))),
  ];
  return [
    `${policyKind} policies on ${header.scenario.name} @ ${header.deployment.name}`,
    `  ${benchHeadline(bench)}`,
    ...columns(rows).map(line => `  ${line}`),
    ...benchNotes(bench).map(note => `  ${note}`),
    ...leftOut.map(({ policy, reason }) => `  not run: ${policy}: ${reason.split('\n')[0]}`),
    ...header.warnings.slice(0, 3).map(warning => `  note: ${warning}`),
    `report: ${reportPath}`,
  ].join('\n');
}
