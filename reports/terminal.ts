// The summary a run ends with on a terminal: the answer first, at most 25 lines, then where to look.
import { styleText } from 'node:util';
import type { MetricName, RunResult } from '../scenarios/formats/result.ts';
import type { ValidationResult, ValidationRow } from '../scenarios/formats/validation.ts';
import { measuredLines } from './measured.ts';
import { METRIC_LABELS } from './metrics.ts';
import {
  plural,
  showCount,
  showMs,
  showNumber,
  showRatio,
  showSignedRatio,
  showTokens,
  showUsd,
  showValue,
} from './numbers.ts';
import { markOf } from './page/validation-sections.ts';
import { comeAndGo, costText, replicaText } from './replicas.ts';
import { suggestionText } from './suggestions.ts';
import { worldsOf } from './worlds.ts';

type Style = Parameters<typeof styleText>[0];
type Paint = (style: Style, text: string) => string;

export interface TerminalOptions {
  /** ANSI colour; by default only on a terminal and without NO_COLOR. */
  colour?: boolean;
  reportPath?: string;
  /** Assertion rows printed before the rest is counted. */
  assertionsMax?: number;
}

const LINES_MAX = 25;
const NOTES_MAX = 3;

const wantsColour = (): boolean => process.stdout.isTTY === true && !process.env.NO_COLOR;

const painter =
  (colour: boolean): Paint =>
  (style, text) =>
    colour ? styleText(style, text, { validateStream: false }) : text;

const VERDICTS: Record<RunResult['verdict']['status'], { text: string; style: Style }> = {
  pass: { text: '✓ PASSED', style: ['bold', 'green'] },
  fail: { text: '✗ FAILED', style: ['bold', 'red'] },
  done: { text: '● DONE', style: ['bold', 'cyan'] },
  invalid: { text: '! NOT VALID', style: ['bold', 'red'] },
  interrupted: { text: '■ INTERRUPTED', style: ['bold', 'yellow'] },
};

/** Cells in columns: the first to the left, the others to the right. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map(row => row[i]!.length)));
  return rows.map(row =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]! + 2))).join(''),
  );
}

const SHOWN: MetricName[] = ['ttft', 'itl', 'e2e', 'makespan', 'lag'];

function latencyLines({ metrics }: RunResult, paint: Paint): string[] {
  const present = SHOWN.filter(name => metrics[name] !== undefined);
  if (present.length === 0) return ['  no call came back whole: no latency to show'];
  const [head, ...rows] = columns([
    ['', 'mean', 'p50', 'p90', 'p95', 'p99', 'n'],
    ...present.map(name => {
      const metric = metrics[name]!;
      const times = [metric.mean, metric.p50, metric.p90, metric.p95].map(showMs);
      return [
        METRIC_LABELS[name],
        ...times,
        metric.p99 === null ? 'n < 100' : showMs(metric.p99),
        showCount(metric.n),
      ];
    }),
  ]);
  return [paint('dim', `  ${head}`), ...rows.map(row => `  ${row}`)];
}

function assertionLines({ assertions }: RunResult, paint: Paint, max: number): string[] {
  const ordered = [...assertions].sort((a, b) => Number(a.pass ?? true) - Number(b.pass ?? true));
  const lines = ordered.slice(0, max).map(({ text, value, unit, pass }) => {
    const mark = pass === null ? paint('yellow', '?') : pass ? paint('green', '✓') : paint('red', '✗');
    return `  ${mark} ${text}   ${value === null ? 'nothing to judge' : paint('bold', showValue(value, unit))}`;
  });
  const left = ordered.length - lines.length;
  return left > 0 ? [...lines, `    and ${left} more, in the report`] : lines;
}

function countLines({ counts, tokens, cacheBySegment, throughput }: RunResult): string[] {
  const { workflows, calls } = counts;
  const ended = (parts: [number, string][]) =>
    parts
      .filter(([count]) => count > 0)
      .map(([count, how]) => `, ${showCount(count)} ${how}`)
      .join('');
  const lost: [number, string][] = [
    [workflows.failed, 'failed'],
    [workflows.cancelled, 'cancelled'],
    [workflows.unfinished, 'unfinished'],
  ];
  const hit =
    cacheBySegment.length === 0 || tokens.prompt === 0
      ? 'not reported'
      : showRatio(tokens.cached / tokens.prompt);
  return [
    `  ${showCount(workflows.completed)}/${plural(workflows.planned, 'workflow')}${ended(lost)}; ${showCount(calls.ok)}/${plural(calls.planned, 'call')}${ended(
      [
        [calls.error, 'failed'],
        [calls.cancelled, 'cancelled'],
        [calls.unfinished, 'unfinished'],
      ],
    )}; ${plural(counts.toolCalls, 'tool call')}`,
    `  tokens ${showTokens(tokens.prompt)} in, ${showTokens(tokens.output)} out (${showNumber(throughput.outputTokensPerSec)}/s); cache hits ${hit}`,
  ];
}

/** Pools named on the one line about them. */
const REPLICA_POOLS_MAX = 2;

/** Where replicas come and go: how many there were, and what they cost. */
function replicaLines({ replicas = [] }: RunResult): string[] {
  const moving = replicas.filter(comeAndGo);
  if (moving.length === 0) return [];
  const named = moving.slice(0, REPLICA_POOLS_MAX).map(replicaText);
  const left = moving.length - named.length;
  if (left > 0) named.push(`${plural(left, 'more pool')} in the report`);
  return [`  ${named.join('; ')}; ${costText(replicas)}`];
}

/** What it cost, and what a gateway made of it; one line. */
function governedLines({ cost, governed }: RunResult): string[] {
  const parts: string[] = [];
  if (cost !== undefined && cost.totalUsd > 0) {
    const wasted = cost.waste.reduce((sum, { usd }) => sum + usd, 0);
    const shares = [
      [cost.byComponent.gpu_idle, 'idle GPUs'],
      [wasted, 'in vain'],
    ] as const;
    const shown = shares
      .filter(([usd]) => usd > 0)
      .map(([usd, of]) => `${showRatio(usd / cost.totalUsd)} ${of}`);
    const whole =
      cost.usdPer1000Workflows === null
        ? `${showUsd(cost.totalUsd)} in all`
        : `${showUsd(cost.usdPer1000Workflows)} per 1,000 workflows`;
    parts.push(`cost ${whole}${shown.length === 0 ? '' : ` (${shown.join(', ')})`}`);
  }
  if (governed !== undefined) {
    const { byKind, cancels } = governed;
    const counts = [
      [byKind.retry, 'retries'],
      [byKind.hedge, 'hedges'],
      [byKind.fallback, 'fallbacks'],
      [byKind.escalation, 'escalations'],
      [cancels.sessions, 'sessions ended early'],
    ] as const;
    const shown = counts.filter(([count]) => count > 0).map(([count, of]) => `${showCount(count)} ${of}`);
    parts.push([plural(governed.attempts, 'attempt'), ...shown].join(', '));
  }
  return parts.length === 0 ? [] : [`  ${parts.join('; ')}`];
}

/** What the step times of a simulation rest on; the rest of the evidence is on the page. */
const stepEvidence = ({ world, evidence }: RunResult['header'], paint: Paint): string[] =>
  world === 'live'
    ? []
    : evidence
        .filter(line => line.includes('step time: '))
        .slice(0, 2)
        .map(line => `  ${paint('bold', 'evidence:')} ${line}`);

/** What to try next; its command on a line of its own, to be copied. */
function tryLines({ verdict, suggestions = [] }: RunResult, paint: Paint): string[] {
  const [first] = suggestions;
  if (first?.command == null || verdict.next !== suggestionText(first))
    return [`  ${paint('bold', 'try:')} ${verdict.next}`];
  return [`  ${paint('bold', 'try:')} ${first.text}`, `       ${paint('cyan', first.command)}`];
}

/** The summary of one run. */
export function terminalSummary(result: RunResult, options: TerminalOptions = {}): string {
  const paint = painter(options.colour ?? wantsColour());
  const { verdict, header } = result;
  const { text, style } = VERDICTS[verdict.status];
  const world = header.world === 'sim' ? 'simulated' : 'live';
  const report =
    options.reportPath === undefined ? [] : [`report: ${paint('underline', options.reportPath)}`];
  const answer = [
    `${paint(style, text)}  ${header.scenario.name} @ ${header.deployment.name}  ${paint('dim', `(${world}, seed ${header.seed}, ${showMs(result.durationMs)} of traffic)`)}`,
    `  ${verdict.headline}`,
    ...assertionLines(result, paint, options.assertionsMax ?? 6),
    ...latencyLines(result, paint),
    ...countLines(result),
    ...replicaLines(result),
    ...governedLines(result),
    ...measuredLines(result).map(line => `  ${line}`),
    `  ${paint('bold', 'why:')} ${verdict.why}`,
    ...tryLines(result, paint),
  ];
  // What it rests on has the lines that are left; all of it is on the page.
  const notes = header.warnings
    .slice(0, NOTES_MAX)
    .map(warning => `  ${paint('yellow', 'note:')} ${warning}`);
  const room = Math.max(0, LINES_MAX - answer.length - report.length);
  return [...answer, ...[...stepEvidence(header, paint), ...notes].slice(0, room), ...report].join('\n');
}

const VALIDATION_ROWS_MAX = 18;
const REASONS_MAX = 6;

/** What is judged, as columns; noise where it was measured. */
function rowLines(rows: readonly ValidationRow[], worlds: readonly string[], paint: Paint): string[] {
  if (rows.length === 0) return [];
  const isNoisy = rows.some(({ noiseRatio }) => noiseRatio !== null);
  const [head, ...lines] = columns([
    ['', ...worlds, 'error', ...(isNoisy ? ['repeats'] : []), 'may be off by'],
    ...rows
      .slice(0, VALIDATION_ROWS_MAX)
      .map(row => [
        `${row.pass ? '✓' : '✗'} ${row.metric}`,
        showValue(row.predicted, row.unit),
        showValue(row.measured, row.unit),
        showSignedRatio(row.errorRatio),
        ...(isNoisy ? [row.noiseRatio === null ? '' : showRatio(row.noiseRatio)] : []),
        `± ${showRatio(row.limitRatio)}`,
      ]),
  ]);
  const left = rows.length - lines.length;
  return [
    paint('dim', `  ${head}`),
    ...lines.map((line, i) => `  ${rows[i]!.pass ? line : paint('red', line)}`),
    ...(left > 0 ? [`    and ${left} more, in the report`] : []),
  ];
}

/** The summary of a validation: what it is good for, each judged figure in both worlds, why, and what to try. */
export function validationSummary(validation: ValidationResult, options: TerminalOptions = {}): string {
  const paint = painter(options.colour ?? wantsColour());
  const { comparisons, verdict, warnings, sim } = validation;
  const { text, style } = markOf(validation);
  const colour: Style = style === 'pass' ? 'green' : 'red';
  return [
    `${paint(['bold', colour], text.toUpperCase())}  ${sim.header.scenario.name} @ ${sim.header.deployment.name}`,
    `  ${verdict.headline}`,
    ...rowLines(comparisons[0]?.rows ?? [], worldsOf(validation), paint),
    ...verdict.reasons.slice(0, REASONS_MAX).map(reason => `  ${paint('bold', 'why:')} ${reason}`),
    ...stepEvidence(sim.header, paint),
    ...warnings.slice(0, 3).map(warning => `  ${paint('yellow', 'note:')} ${warning}`),
    ...(options.reportPath === undefined ? [] : [`report: ${paint('underline', options.reportPath)}`]),
  ].join('\n');
}
