// The score as text: what a backtest prints, the answer first.
import type { Metric } from './experiment.ts';
import { type Cell, CORE, DIMENSIONS, type Score, type Versus } from './score.ts';

const METRIC_WORDS: Record<Metric, string> = {
  ttft_mean_ms: 'TTFT mean',
  ttft_p50_ms: 'TTFT p50',
  ttft_p90_ms: 'TTFT p90',
  ttft_p99_ms: 'TTFT p99',
  tpot_mean_ms: 'TPOT mean',
  e2e_mean_ms: 'E2E mean',
  e2e_p50_ms: 'E2E p50',
  e2e_p90_ms: 'E2E p90',
  e2e_p99_ms: 'E2E p99',
  throughput_out_tok_s: 'output tokens/s',
};

/** Percent: a tenth where that says something. */
const percent = (value: number | null): string => {
  if (value === null || Number.isNaN(value)) return '-';
  return Math.abs(value) >= 1000 ? value.toFixed(0) : value.toFixed(1);
};

const signed = (value: number): string => `${value > 0 ? '+' : ''}${percent(value)}`;

/** Cells in columns: the first `words` to the left, the others to the right. */
function columns(rows: readonly (readonly string[])[], words: number): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map(row => row[i]!.length)));
  return rows.map(row =>
    row
      .map((cell, i) => (i < words ? cell.padEnd(widths[i]! + 2) : cell.padStart(widths[i]! + 2)))
      .join('')
      .trimEnd(),
  );
}

function familyLines(score: Score): string[] {
  const head = ['family', 'metric', 'runs', 'error %', 'by run', 'median', 'bias'];
  const rows = score.families.map(each => [
    each.family,
    METRIC_WORDS[each.metric],
    String(each.runs),
    percent(each.byGroupPercent),
    percent(each.byRunPercent),
    percent(each.medianPercent),
    signed(each.biasPercent),
  ]);
  return columns([head, ...rows], 2);
}

/** A row for each hardware, model or workload of a family, with the errors of the core metrics. */
function breakdownLines(score: Score, dimension: (typeof DIMENSIONS)[number]): string[] {
  const cells = Map.groupBy(score.breakdown[dimension], each => `${each.family}\n${each.name}`);
  const rows = [...cells.values()].map(of => {
    const cell = (metric: Metric): Cell | undefined => of.find(each => each.metric === metric);
    const runs = Math.max(...of.map(each => each.runs));
    const errors = CORE.map(metric => percent(cell(metric)?.byGroupPercent ?? null));
    return [of[0]!.family, of[0]!.name, String(runs), ...errors];
  });
  const head = ['family', dimension, 'runs', ...CORE.map(metric => METRIC_WORDS[metric])];
  return columns([head, ...rows], 2);
}

/** Beside whom, on the runs that both predicted: mean and median over runs. */
function versusLines(versus: readonly Versus[]): string[] {
  const shown = versus.filter(
    ({ metric, paired }) => paired > 0 && (metric.includes('_mean_') || metric.includes('_p9')),
  );
  if (shown.length === 0) return [];
  const head = ['simulator', 'family', 'metric', 'runs', 'theirs', 'ours', 'median', 'ours', 'closer'];
  const rows = shown.map(each => [
    each.simulator,
    each.family,
    METRIC_WORDS[each.metric],
    each.paired === each.runs ? String(each.runs) : `${each.paired}/${each.runs}`,
    percent(each.theirsPercent),
    percent(each.oursPercent),
    percent(each.theirsMedianPercent),
    percent(each.oursMedianPercent),
    (each.oursPercent ?? 0) < (each.theirsPercent ?? 0) ? 'ours' : 'theirs',
  ]);
  return columns([head, ...rows], 3);
}

const WORST = 10;

function worstLines(score: Score): string[] {
  const head = ['run', 'metric', 'predicted', 'measured', 'error %'];
  const rows = score.scored
    .slice(0, WORST)
    .map(each => [
      each.runId,
      METRIC_WORDS[each.metric],
      each.predicted.toFixed(1),
      each.measured.toFixed(1),
      percent(each.errorPercent),
    ]);
  return columns([head, ...rows], 2);
}

/** The whole score, in sections. */
export function scoreText(score: Score): string {
  if (score.scored.length === 0) return 'nothing to score: no predicted run has a measured metric';
  const sections = [
    [
      `${score.predicted} of ${score.runs} runs predicted; mean error of TTFT, TPOT and E2E ${percent(score.overallPercent)} %`,
      'Errors are |predicted - measured| / measured. "error %" averages inside each (hardware, model, precision) first;',
      'overloaded, uncertain and unreliable runs are left out.',
    ],
    familyLines(score),
    ...DIMENSIONS.map(dimension => breakdownLines(score, dimension)),
    ['the largest errors', ...worstLines(score)],
    [
      'published simulators, on the runs that both predicted (mean and median over runs, %)',
      ...versusLines(score.versus),
    ],
  ];
  return sections
    .filter(lines => lines.length > 1)
    .map(lines => lines.join('\n'))
    .join('\n\n');
}
