// One workflow as a waterfall: a bar per step, its phases inside, the critical path drawn through it.
import type { Exemplar, ExemplarBar, RunResult } from '../../scenarios/formats/result.ts';
import { mostTelling } from '../exemplars.ts';
import { showMs, showRatio } from '../numbers.ts';
import { largestPart, PART_NAMES } from '../verdict.ts';
import {
  BAND,
  type Chart,
  chartSpec,
  INK,
  LABEL_SIDE,
  msAxis,
  msLabel,
  PHASE_COLOURS,
  topLegend,
} from './chart.ts';

/** Rows of one waterfall: about two screens. */
const BARS_MAX = 60;

const EXEMPLAR_NAMES: Record<Exemplar['label'], string> = {
  p50: 'median',
  p95: 'p95',
  max: 'longest',
  sample: 'other',
};

/** The colour's meaning: the phase of an LLM call, or the kind of any other step. */
const phaseName = (bar: ExemplarBar, phase: ExemplarBar['phases'][number]['phase']) =>
  phase === 'run' ? (bar.kind === 'llm' ? 'other' : bar.kind) : phase;

export const waterfall: Chart<RunResult> = {
  id: 'waterfall',
  howToRead:
    'A row is a step, from when the workflow wanted it to its end. Full colours and the dark line are the critical ' +
    'path: the chain of steps that set the total time. Pale bars ran beside it; making them faster changes nothing ' +
    'until they become the longest. Gaps on the line are time outside any step.',

  title({ exemplars }) {
    const exemplar = exemplars.find(({ label }) => label === 'p95') ?? exemplars.at(-1);
    const largest = exemplar === undefined ? null : largestPart(exemplar.criticalPath);
    if (exemplar === undefined || largest === null) return 'One workflow, step by step';
    const which = EXEMPLAR_NAMES[exemplar.label];
    return `The ${which} workflow takes ${showMs(exemplar.makespanMs)}, ${showRatio(largest.share)} of it ${PART_NAMES[largest.part]}`;
  },

  spec({ exemplars }) {
    if (exemplars.length === 0)
      return { absent: 'no workflow completed, so there is none to show from start to end' };
    const names = exemplars.map(({ label }) => EXEMPLAR_NAMES[label]);
    const rows = exemplars.flatMap(exemplar =>
      mostTelling(exemplar.bars, BARS_MAX).map((bar, row) => ({
        exemplar: EXEMPLAR_NAMES[exemplar.label],
        row,
        bar,
      })),
    );
    const bars = rows.map(({ exemplar, row, bar }) => ({
      exemplar,
      row,
      call: bar.call,
      startMs: bar.startMs,
      endMs: bar.endMs,
    }));
    const phases = rows.flatMap(({ exemplar, row, bar }) =>
      bar.phases.map(({ phase, startMs, endMs }) => ({
        exemplar,
        row,
        call: bar.call,
        phase: phaseName(bar, phase),
        startMs,
        endMs,
        critical: bar.onCriticalPath ? 'on it' : 'beside it',
        status: bar.status,
        tokens:
          bar.promptTokens === null
            ? '–'
            : `${bar.promptTokens} in (${bar.cachedTokens ?? '?'} cached), ${bar.outputTokens ?? '?'} out`,
      })),
    );
    const criticalSteps = (name: string) =>
      rows.filter(({ exemplar, bar }) => exemplar === name && bar.onCriticalPath).length;
    const path = rows
      .filter(({ bar }) => bar.onCriticalPath)
      .flatMap(({ exemplar, row, bar }) => [
        { exemplar, row, call: bar.call, atMs: bar.startMs, steps: criticalSteps(exemplar) },
        { exemplar, row, call: bar.call, atMs: bar.endMs, steps: criticalSteps(exemplar) },
      ]);
    const present = [...new Set(phases.map(({ phase }) => phase))];
    const domain = (Object.keys(PHASE_COLOURS) as (keyof typeof PHASE_COLOURS)[]).filter(name =>
      present.includes(name),
    );
    const shown = names.includes('p95') ? 'p95' : names[0];
    const onlyShown = { filter: 'datum.exemplar === shown' };
    const x = {
      field: 'startMs',
      type: 'quantitative',
      title: null,
      axis: msAxis({ tickCount: 6, orient: 'top' }),
    };
    const y = {
      field: 'row',
      type: 'ordinal',
      title: null,
      sort: { field: 'row', op: 'min' },
      scale: { paddingInner: 0.28, paddingOuter: 0.2 },
      axis: null,
    };
    const tooltip = [
      { field: 'call', title: 'step' },
      { field: 'phase', title: 'phase' },
      { field: 'took', title: 'took' },
      { field: 'from', title: 'from' },
      { field: 'critical', title: 'critical path' },
      { field: 'tokens', title: 'tokens' },
      { field: 'status', title: 'status' },
    ];
    return chartSpec(
      { bars, phases, path },
      {
        height: { step: 19 },
        params: [
          ...(names.length > 1
            ? [{ name: 'shown', value: shown, bind: { input: 'radio', options: names, name: 'workflow' } }]
            : [{ name: 'shown', value: shown }]),
        ],
        layer: [
          {
            data: { name: 'bars' },
            transform: [onlyShown],
            mark: { type: 'bar', color: BAND, cornerRadius: 2 },
            encoding: { x, x2: { field: 'endMs' }, y },
          },
          {
            data: { name: 'phases' },
            transform: [
              onlyShown,
              { calculate: msLabel('(datum.endMs - datum.startMs)'), as: 'took' },
              { calculate: msLabel('datum.startMs'), as: 'from' },
            ],
            mark: { type: 'bar', cornerRadius: 1 },
            encoding: {
              x,
              x2: { field: 'endMs' },
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
            data: { name: 'path' },
            transform: [onlyShown],
            mark: { type: 'line', color: INK, strokeWidth: 1.5, interpolate: 'linear' },
            encoding: {
              x: { ...x, field: 'atMs' },
              y,
              order: { field: 'atMs', type: 'quantitative' },
              // A path of one step is its bar.
              opacity: { condition: { test: 'datum.steps > 1', value: 0.75 }, value: 0 },
            },
          },
          {
            data: { name: 'bars' },
            transform: [
              onlyShown,
              { joinaggregate: [{ op: 'max', field: 'endMs', as: 'lastMs' }] },
              { calculate: LABEL_SIDE, as: 'side' },
              { calculate: "datum.side === 'before' ? datum.startMs : datum.endMs", as: 'labelMs' },
            ],
            mark: {
              type: 'text',
              fontSize: 10.5,
              color: { expr: "datum.side === 'inside' ? 'white' : ink" },
              baseline: 'middle',
              align: { expr: "datum.side === 'after' ? 'left' : 'right'" },
              dx: { expr: "datum.side === 'after' ? 6 : -6" },
              limit: { expr: 'width * 0.5' },
            },
            encoding: { x: { ...x, field: 'labelMs' }, y, text: { field: 'call' } },
          },
        ],
      },
    );
  },

  table({ exemplars }) {
    return {
      columns: [
        'workflow',
        'session',
        'step',
        'kind',
        'status',
        'start (ms)',
        'end (ms)',
        'queue (ms)',
        'prefill (ms)',
        'decode (ms)',
        'on critical path',
        'prompt tokens',
        'cached tokens',
        'output tokens',
      ],
      rows: exemplars.flatMap(({ label, session, bars }) =>
        bars.map(bar => {
          const lengthMs = (name: string) =>
            bar.phases
              .filter(({ phase }) => phase === name)
              .reduce((sum, phase) => sum + phase.endMs - phase.startMs, 0);
          return [
            EXEMPLAR_NAMES[label],
            session,
            bar.call,
            bar.kind,
            bar.status,
            bar.startMs,
            bar.endMs,
            ...['queue', 'prefill', 'decode'].map(name => (bar.kind === 'llm' ? lengthMs(name) : null)),
            bar.onCriticalPath ? 'yes' : 'no',
            bar.promptTokens,
            bar.cachedTokens,
            bar.outputTokens,
          ];
        }),
      ),
    };
  },
};
