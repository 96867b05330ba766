// What `check` prints of files that are good: the shape of the work, a block a workflow, numbers first.
import { paint } from '../scenarios/cli/terminal.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import { wrap } from '../scenarios/formats/wrap.ts';
import { percent, plural, shortCount } from '../scenarios/lint/lint.ts';
import { type PoolLoad, shortRate } from './lint/offered-load.ts';
import type { WorkflowShape } from './shape.ts';

/** Columns of the labels. */
const LABEL = 13;

/** A label and what belongs to it, broken at the width of the terminal. */
function entry(label: string, text: string, width: number): string[] {
  const [first = '', ...more] = wrap(text, width - LABEL - 2);
  const indent = ' '.repeat(LABEL + 2);
  return [`  ${label.padEnd(LABEL)}${first}`, ...more.map(line => indent + line)];
}

const usd = (value: number): string => `$${value < 0.01 ? value.toFixed(5) : value.toFixed(3)}`;

const count = (value: number): string =>
  Math.abs(value - Math.round(value)) < 0.05 ? String(Math.round(value)) : value.toFixed(1);

const counted = (value: number, word: string): string =>
  `${count(value)} ${word}${count(value) === '1' ? '' : 's'}`;

export interface ShapeWords {
  readonly plan: Plan;
  readonly shapes: readonly WorkflowShape[];
  /** Load of the pools of a deployment; null without one. */
  readonly deployment: { readonly name: string; readonly loads: readonly PoolLoad[] } | null;
  /** Pools that stand in for other models. */
  readonly standIns: readonly string[];
  /** Keys of the file that are notes: nothing acts on them. */
  readonly labels: readonly string[];
  /** Columns of the terminal; Infinity where it is none. */
  readonly width: number;
}

/** One block a workflow: numbers first, what they mean beside them. */
export function shapeText({ plan, shapes, deployment, labels, standIns, width }: ShapeWords): string {
  const sessions =
    plan.sessionCount === null ? 'sessions until time is up' : plural(plan.sessionCount, 'session');
  const fits = deployment === null ? '' : `, fits ${deployment.name}`;
  const head = `${plural(plan.cohorts.length, 'cohort')}, ${sessions}, seed ${plan.seed}${fits}`;
  const lines = [`${paint('green', '✓')} ${paint('bold', plan.name)}: ${head}`];
  for (const shape of shapes) {
    lines.push('', paint('bold', shape.workflow));
    for (const [label, text] of workflowEntries(shape)) lines.push(...entry(label, text, width));
  }
  if (deployment !== null && deployment.loads.length > 0) {
    lines.push('', paint('bold', 'offered load'));
    for (const load of deployment.loads) lines.push(...entry(load.pool, loadWords(load), width));
    const apart = plan.cohorts.filter(each => each.kind === 'closed' || each.arrival.kind !== 'renewal');
    if (apart.length > 0) {
      const names = apart.map(({ name }) => name).join(', ');
      lines.push(
        ...entry('not in it', `${names}: bursts, recorded arrivals and closed agents have no rate`, width),
      );
    }
  }
  if (standIns.length > 0) lines.push('', ...standIns.flatMap(text => wrap(`note: ${text}`, width)));
  if (labels.length > 0)
    lines.push(
      '',
      ...wrap(`labels that no rule of a gateway reads here: ${labels.join(', ')}`, width).map(line =>
        paint('dim', line),
      ),
    );
  return lines.join('\n');
}

function loadWords({ utilizationRatio, sessionsPerSec, kvRatio, batch, boundBy }: PoolLoad): string {
  const full = boundBy === 'kv' ? `${batch} sequences, all that its KV cache holds` : `${batch} sequences`;
  return (
    `${percent(utilizationRatio)} of what it can do with a full batch (${full}), at the peak of ` +
    `${shortRate(sessionsPerSec)} sessions; KV cache ${percent(kvRatio)}`
  );
}

function workflowEntries(shape: WorkflowShape): [label: string, text: string][] {
  const many = shape.sessionsSampled > 1;
  const sampled = many ? `the first ${shape.sessionsSampled} sessions` : 'the first session';
  const expected =
    shape.callsExpected === null
      ? counted(shape.callsMean, 'call')
      : `${counted(shape.callsExpected, 'call')} expected`;
  const drawn =
    shape.callsMin === shape.callsMax
      ? `exactly ${shape.callsMin} in ${many ? 'each of ' : ''}${sampled}`
      : `${shape.callsMin} to ${shape.callsMax} in ${sampled}, mean ${count(shape.callsMean)}`;
  const reasoning =
    shape.reasoningTokensMean > 0 ? ` (${shortCount(shape.reasoningTokensMean)} of it reasoning)` : '';
  const chain = `at the median a chain of ${counted(shape.chainCalls, 'call')} and ${(shape.chainToolMs / 1000).toFixed(1)} s of tools and people`;
  return [
    ['calls', `${expected} (${drawn}), ${counted(shape.toolCallsMean, 'tool call')}`],
    ['width', `up to ${counted(shape.widthMax, 'call')} at once; ${chain}`],
    [
      'tokens',
      `${shortCount(shape.promptTokensMean)} in, ${shortCount(shape.outputTokensMean)} out${reasoning} a session; longest prompt ${shortCount(shape.promptTokensMax)}`,
    ],
    [
      'cacheable',
      `${(shape.cacheableRatio * 100).toFixed(1)} % of the prompt tokens, with a cache that never evicts`,
    ],
    [
      'list price',
      shape.usdCached === null || shape.usdUncached === null
        ? 'not known: give `price` under `models`'
        : `${usd(shape.usdCached)} a session with that cache, ${usd(shape.usdUncached)} without`,
    ],
  ];
}
