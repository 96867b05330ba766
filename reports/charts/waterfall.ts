// One workflow as a waterfall: agents as lanes, a bar per step, its phases inside, the critical path drawn through it,
// and what each step of the path costs the workflow. One of many at a time.
import type { Exemplar, ExemplarBar, RunResult } from '../../scenarios/formats/result.ts';
import { mostTelling } from '../exemplars.ts';
import { laneAtDepth } from '../lanes.ts';
import { showMs, showRatio } from '../numbers.ts';
import { largestPart, PART_NAMES } from '../verdict.ts';
import {
  BAND,
  type Chart,
  type ChartChoice,
  type ChartSpec,
  chartSpec,
  FAINT,
  INK,
  msAxis,
  msLabel,
  PAPER,
  PHASE_COLOURS,
  topLegend,
} from './chart.ts';

/** Rows of one waterfall: about two screens. */
const ROWS_MAX = 60;
/** Up to so many bars each has a row, and its name beside it. */
const OWN_ROWS_MAX = 40;
const LANES_MAX = 24;
/** Bars that say what they cost. */
const SAVERS_MAX = 3;
/** Less is not worth saying. */
const SAVED_RATIO_MIN = 0.01;

const EXEMPLAR_NAMES: Record<Exemplar['label'], string> = {
  p50: 'median',
  p95: 'p95',
  max: 'longest',
  sample: 'sample',
  asked: 'asked for',
};

/** The colour's meaning: the phase of an LLM call, or the kind of any other step. */
const phaseName = (bar: ExemplarBar, phase: ExemplarBar['phases'][number]['phase']) =>
  phase === 'run' ? (bar.kind === 'llm' ? 'other' : bar.kind) : phase;

interface Laid {
  bar: ExemplarBar;
  row: number;
}

interface Layout {
  laid: Laid[];
  /** Name of the lane that starts in this row; empty elsewhere. */
  lanes: string[];
  laneOf: (bar: ExemplarBar) => string;
  hasOwnRows: boolean;
}

/** The first of the rows of a lane that is free when a bar starts. */
function freeRow(endsMs: number[], bar: ExemplarBar): number {
  const free = endsMs.findIndex(endMs => endMs <= bar.startMs);
  return free < 0 ? endsMs.length : free;
}

/** The lane that a bar is drawn in; deep ones are drawn as one where there are too many. */
function laneNamer(bars: readonly ExemplarBar[]): (bar: ExemplarBar) => string {
  const depths = bars.map(({ lane = '' }) => (lane === '' ? 0 : lane.split('/').length));
  let depth = Math.max(1, ...depths);
  const laneOf = ({ lane = '' }: ExemplarBar): string => laneAtDepth(lane, depth);
  while (depth > 1 && new Set(bars.map(laneOf)).size > LANES_MAX) depth--;
  return laneOf;
}

function laidOut(bars: readonly ExemplarBar[]): Layout {
  const hasOwnRows = bars.length <= OWN_ROWS_MAX;
  const laid: Laid[] = [];
  const lanes: string[] = [];
  const laneOf = laneNamer(bars);
  // In order of their first start.
  const byLane = Map.groupBy(bars, laneOf);
  for (const [lane, own] of byLane) {
    const firstRow = lanes.length;
    const endsMs: number[] = [];
    for (const bar of own) {
      const row = hasOwnRows ? endsMs.length : freeRow(endsMs, bar);
      endsMs[row] = bar.endMs;
      laid.push({ bar, row: firstRow + row });
    }
    lanes.push(...endsMs.map((_, i) => (i > 0 || byLane.size === 1 ? '' : lane === '' ? 'workflow' : lane)));
  }
  return { laid, lanes, laneOf, hasOwnRows };
}

/** `classify[7]/label` of `companies[3]/classify[7]/label` in lane `companies[3]`. */
const withoutLane = (call: string, lane: string): string =>
  lane !== '' && call.startsWith(`${lane}/`) ? call.slice(lane.length + 1) : call;

/** The layout of as many bars as fit. */
function fitted(bars: readonly ExemplarBar[]): Layout {
  let limit = bars.length;
  for (;;) {
    const layout = laidOut(mostTelling(bars, limit));
    if (layout.lanes.length <= ROWS_MAX) return layout;
    limit = Math.min(limit - 1, Math.floor((limit * ROWS_MAX) / layout.lanes.length));
  }
}

/** Steps that cost the workflow most, if they took no time. */
const saversOf = ({ bars, makespanMs }: Exemplar): ExemplarBar[] =>
  bars
    .filter(({ savesMs = 0 }) => savesMs > makespanMs * SAVED_RATIO_MIN)
    .sort((a, b) => b.savesMs! - a.savesMs! || (a.call < b.call ? -1 : 1))
    .slice(0, SAVERS_MAX);

/** Where its name has room: after the bar, before it, or on it. */
function sideOf({ startMs, endMs }: ExemplarBar, lastMs: number): 'after' | 'before' | 'inside' {
  if (Math.max(startMs, lastMs - endMs) < 0.15 * lastMs) return 'inside';
  return startMs > lastMs - endMs ? 'before' : 'after';
}

function datasetsOf(exemplar: Exemplar): ChartSpec['datasets'] {
  const { laid, lanes, laneOf, hasOwnRows } = fitted(exemplar.bars);
  const savers = saversOf(exemplar);
  const lastMs = Math.max(1, ...laid.map(({ bar }) => bar.endMs));
  // The row's name sorts by its number and ends in the lane's name.
  const rowName = (row: number): string => `${String(row).padStart(3, '0')}${lanes[row]}`;
  return {
    bars: laid.map(({ bar, row }) => {
      const tokens =
        bar.promptTokens === null
          ? '–'
          : `${bar.promptTokens} in (${bar.cachedTokens ?? '?'} cached), ${bar.outputTokens ?? '?'} out`;
      const name = hasOwnRows ? withoutLane(bar.call, laneOf(bar)) : bar.step;
      return {
        row: rowName(row),
        call: bar.call,
        name: savers.includes(bar) ? `${name} (−${showMs(bar.savesMs)})` : name,
        side: hasOwnRows ? sideOf(bar, lastMs) : 'fit',
        startMs: bar.startMs,
        endMs: bar.endMs,
        critical: bar.onCriticalPath ? 'on it' : 'beside it',
        saves: bar.savesMs === undefined ? 'nothing' : showMs(bar.savesMs),
        tokens,
        status: bar.status,
        phase: bar.phases.map(({ phase }) => phaseName(bar, phase)),
        fromMs: bar.phases.map(({ startMs }) => startMs),
        untilMs: bar.phases.map(({ endMs }) => endMs),
      };
    }),
    lanes: lanes.flatMap((lane, row) => (lane === '' || row === 0 ? [] : [{ row: rowName(row) }])),
  };
}

function titleOf(exemplar: Exemplar): string {
  const { label, session, status, makespanMs, criticalPath } = exemplar;
  const largest = largestPart(criticalPath);
  const which =
    status !== undefined || label === 'sample' || label === 'asked'
      ? `Workflow ${session}`
      : `The ${EXEMPLAR_NAMES[label]} workflow`;
  const took =
    status === undefined ? `takes ${showMs(makespanMs)}` : `is ${status} after ${showMs(makespanMs)}`;
  const part = largest === null ? '' : `, ${showRatio(largest.share)} of it ${PART_NAMES[largest.part]}`;
  const [saver] = saversOf(exemplar);
  const saved =
    saver === undefined ? '' : `; without ${saver.call} it would take ${showMs(saver.savesMs)} less`;
  return `${which} ${took}${part}${saved}`;
}

const COLUMNS = [
  'workflow',
  'session',
  'lane',
  'step',
  'kind',
  'status',
  'start (ms)',
  'end (ms)',
  'queue (ms)',
  'prefill (ms)',
  'decode (ms)',
  'on critical path',
  'saves (ms)',
  'prompt tokens',
  'cached tokens',
  'output tokens',
];

const rowsOf = ({ label, session, bars }: Exemplar) =>
  bars.map(bar => {
    const lengthMs = (name: string) =>
      bar.phases
        .filter(({ phase }) => phase === name)
        .reduce((sum, phase) => sum + phase.endMs - phase.startMs, 0);
    return [
      EXEMPLAR_NAMES[label],
      session,
      bar.lane ?? null,
      bar.call,
      bar.kind,
      bar.status,
      bar.startMs,
      bar.endMs,
      ...['queue', 'prefill', 'decode'].map(name => (bar.kind === 'llm' ? lengthMs(name) : null)),
      bar.onCriticalPath ? 'yes' : 'no',
      bar.savesMs ?? null,
      bar.promptTokens,
      bar.cachedTokens,
      bar.outputTokens,
    ];
  });

const choiceOf = (exemplar: Exemplar): ChartChoice => ({
  id: exemplar.session,
  label: [
    exemplar.status ?? EXEMPLAR_NAMES[exemplar.label],
    showMs(exemplar.makespanMs),
    ...(exemplar.session.includes(exemplar.workflow) ? [] : [exemplar.workflow]),
    exemplar.session,
  ].join(' · '),
  title: titleOf(exemplar),
  datasets: datasetsOf(exemplar),
  rows: rowsOf(exemplar),
});

/** The one that is shown first: the p95, or what there is. */
const shownFirst = (exemplars: readonly Exemplar[]): Exemplar | undefined =>
  exemplars.find(({ label }) => label === 'asked') ??
  exemplars.find(({ label }) => label === 'p95') ??
  exemplars.find(({ label }) => label === 'max') ??
  exemplars[0];

export const waterfall: Chart<RunResult> = {
  id: 'waterfall',
  howToRead:
    'A row is a step, from when the workflow wanted it to its end; rows of one agent stand together, and wide workflows ' +
    'put the steps of an agent one after the other. Full colours and the dark line are the critical path: the chain of ' +
    'steps that set the total time. A step with a time in brackets would shorten the workflow by it if it took no time ' +
    'at all; from there on another path is the longest. Pale bars ran beside the path: making them faster changes ' +
    'nothing. Gaps on the line are time outside any step.',

  title({ exemplars }) {
    const exemplar = shownFirst(exemplars);
    return exemplar === undefined ? 'One workflow, step by step' : titleOf(exemplar);
  },

  spec({ exemplars }) {
    const exemplar = shownFirst(exemplars);
    if (exemplar === undefined) return { absent: 'no workflow started, so there is none to show' };
    const present = new Set(
      exemplars.flatMap(({ bars }) =>
        bars.flatMap(bar => bar.phases.map(({ phase }) => phaseName(bar, phase) as string)),
      ),
    );
    const domain = (Object.keys(PHASE_COLOURS) as (keyof typeof PHASE_COLOURS)[]).filter(name =>
      present.has(name),
    );
    const x = {
      field: 'startMs',
      type: 'quantitative',
      title: null,
      axis: msAxis({ tickCount: { expr: 'ceil(width / 110)' }, orient: 'top' }),
    };
    const y = {
      field: 'row',
      type: 'ordinal',
      title: null,
      scale: { paddingInner: 0.28, paddingOuter: 0.2 },
      axis: {
        labelExpr: 'slice(datum.value, 3)',
        labelLimit: { expr: 'width < 420 ? 74 : 150' },
        ticks: false,
        domain: false,
      },
    };
    const tooltip = [
      { field: 'call', title: 'step' },
      { field: 'phase', title: 'phase' },
      { field: 'took', title: 'took' },
      { field: 'from', title: 'from' },
      { field: 'critical', title: 'critical path' },
      { field: 'saves', title: 'saves' },
      { field: 'tokens', title: 'tokens' },
      { field: 'status', title: 'status' },
    ];
    const widthPx = "scale('x', datum.endMs) - scale('x', datum.startMs)";
    const label = {
      fontSize: 10.5,
      baseline: 'middle',
      align: { expr: "datum.side === 'after' || datum.side === 'fit' ? 'left' : 'right'" },
      dx: { expr: "datum.side === 'after' || datum.side === 'fit' ? 5 : -5" },
      limit: { expr: `datum.side === 'fit' ? max(1, ${widthPx} - 8) : width * 0.5` },
    };
    const labelled = {
      data: { name: 'bars' },
      transform: [
        {
          calculate: "datum.side === 'before' || datum.side === 'fit' ? datum.startMs : datum.endMs",
          as: 'labelMs',
        },
      ],
      encoding: {
        x: { ...x, field: 'labelMs' },
        y,
        text: { field: 'name' },
        opacity: { condition: { test: `datum.side !== 'fit' || ${widthPx} > 24`, value: 1 }, value: 0 },
      },
    };
    return chartSpec(datasetsOf(exemplar), {
      height: { step: 19 },
      layer: [
        {
          data: { name: 'bars' },
          mark: { type: 'bar', color: BAND, cornerRadius: 2 },
          encoding: { x, x2: { field: 'endMs' }, y },
        },
        {
          data: { name: 'lanes' },
          mark: { type: 'rule', color: FAINT, opacity: 0.35 },
          encoding: { y: { ...y, bandPosition: -0.14 } },
        },
        {
          data: { name: 'bars' },
          transform: [
            { flatten: ['phase', 'fromMs', 'untilMs'] },
            { calculate: msLabel('(datum.untilMs - datum.fromMs)'), as: 'took' },
            { calculate: msLabel('datum.fromMs'), as: 'from' },
          ],
          mark: { type: 'bar', cornerRadius: 1 },
          encoding: {
            x: { ...x, field: 'fromMs' },
            x2: { field: 'untilMs' },
            y,
            color: {
              field: 'phase',
              type: 'nominal',
              scale: { domain, range: domain.map(name => PHASE_COLOURS[name]) },
              legend: topLegend(),
            },
            opacity: { condition: { test: "datum.critical === 'on it'", value: 1 }, value: 0.38 },
            tooltip,
          },
        },
        {
          data: { name: 'bars' },
          transform: [
            { filter: "datum.critical === 'on it'" },
            { fold: ['startMs', 'endMs'], as: ['end', 'atMs'] },
          ],
          mark: { type: 'line', color: INK, strokeWidth: 1.5, opacity: 0.75 },
          encoding: {
            x: { ...x, field: 'atMs' },
            y,
            order: { field: 'atMs', type: 'quantitative' },
          },
        },
        // Names are read on any colour: ink with a rim of paper.
        {
          ...labelled,
          mark: {
            type: 'text',
            ...label,
            color: PAPER,
            stroke: PAPER,
            strokeWidth: 3,
            strokeOpacity: 0.8,
          },
        },
        { ...labelled, mark: { type: 'text', ...label, color: INK } },
      ],
    });
  },

  table({ exemplars }) {
    const exemplar = shownFirst(exemplars);
    return { columns: COLUMNS, rows: exemplar === undefined ? [] : rowsOf(exemplar) };
  },

  choices({ exemplars }) {
    const first = shownFirst(exemplars);
    if (first === undefined) return [];
    const others = exemplars.filter(exemplar => exemplar !== first);
    return [first, ...others].map(choiceOf);
  },
};
