// The live view as lines of text, made for a terminal's size: what runs, how far it is, four figures over time, the
// promises, the first errors. Pure.
import { styleText } from 'node:util';
import type { Lamp } from './lamps.ts';
import type { FirstError, LiveState, Series } from './live-window.ts';

/** What does not change while it runs. */
export interface LiveTitle {
  /** `mixed-fleet @ edge-and-central` */
  readonly name: string;
  readonly world: 'sim' | 'live';
  readonly seed: number | string;
  /** null: not known beforehand. */
  readonly sessions: number | null;
}

export interface Screen {
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
}

type Style = Parameters<typeof styleText>[0];
/** Of some text, as it is on the screen; style does not count. */
interface Piece {
  readonly text: string;
  readonly style?: Style;
}
type Line = readonly Piece[];

const BARS = '▁▂▃▄▅▆▇█';
const LABEL_COLUMNS = 10;
const VALUE_COLUMNS = 9;
const SPARK_COLUMNS_MIN = 8;
/** With fewer the bar is left out. */
const BAR_COLUMNS_MIN = 10;
const BAR_COLUMNS_MAX = 40;
/** Too early to say how long it will take. */
const ETA_RATIO_MIN = 0.02;

/** `1,204`, `12.3k`, `4.1M`. */
export function shortCount(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return value < 10 && !Number.isInteger(value) ? value.toFixed(1) : String(Math.round(value));
}

/** `340 ms`, `12.3 s`, `4 min 05 s`, `2 h 10 min`. */
export function shortTime(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 99_950) return `${(ms / 1000).toFixed(ms < 9995 ? 1 : 0)} s`;
  const seconds = Math.round(ms / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
}

/** One character a value, from 0 to the largest; of more than fit the latest. */
export function sparkline(values: readonly (number | null)[], columns: number): string {
  const shown = values.slice(-columns);
  const most = Math.max(0, ...shown.map(value => value ?? 0));
  return shown
    .map(value => {
      if (value === null) return ' ';
      return most === 0 ? BARS[0] : BARS[Math.min(7, Math.round((value / most) * 7))];
    })
    .join('');
}

const widthOf = (line: Line): number => line.reduce((sum, { text }) => sum + text.length, 0);

/** Names are free text: nothing in them moves the cursor. Cut at the edge, with a sign that it is. */
function fitted(unsafe: Line, columns: number): Line {
  const line = unsafe.map(piece => ({ ...piece, text: piece.text.replace(/\p{Cc}/gu, ' ') }));
  if (widthOf(line) <= columns) return line;
  const kept: Piece[] = [];
  let left = columns - 1;
  for (const piece of line) {
    if (left <= 0) break;
    kept.push({ ...piece, text: piece.text.slice(0, left) });
    left -= piece.text.length;
  }
  return columns > 0 ? [...kept, { text: '…' }] : [];
}

/** Left and right at the edges; what is right goes first where both do not fit. */
function spread(left: Line, right: string, columns: number): Line {
  const gap = columns - widthOf(left) - right.length;
  return gap < 2 ? left : [...left, { text: ' '.repeat(gap) }, { text: right, style: 'dim' }];
}

function header(title: LiveTitle, elapsedMs: number, ratio: number | null, columns: number): Line {
  const how = `${title.world === 'sim' ? 'simulated' : 'live'}, seed ${title.seed}`;
  const leftMs = ratio === null || ratio < ETA_RATIO_MIN ? 0 : (elapsedMs / ratio) * (1 - ratio);
  const left = leftMs < 1000 ? '' : `, about ${shortTime(leftMs)} left`;
  return spread(
    [
      { text: title.name, style: 'bold' },
      { text: `  ${how}`, style: 'dim' },
    ],
    `${shortTime(elapsedMs)}${left}`,
    columns,
  );
}

function progress(title: LiveTitle, state: LiveState, ratio: number | null, columns: number): Line {
  const { sessionsStarted, sessionsEnded, callsEnded, callsFailed, nowMs } = state;
  const of = title.sessions === null ? '' : ` of ${title.sessions}`;
  const failed = callsFailed === 0 ? '' : `, ${shortCount(callsFailed)} failed`;
  const simulated = title.world === 'sim' ? `, ${shortTime(nowMs)} simulated` : '';
  const counts =
    title.sessions === null
      ? `${sessionsStarted} sessions started, ${shortCount(callsEnded)} calls ended${failed}${simulated}`
      : `${sessionsEnded}${of} sessions, ${shortCount(callsEnded)} calls${failed}${simulated}`;
  if (ratio === null) return [{ text: counts }];
  const percent = `${String(Math.floor(100 * ratio)).padStart(3)} %`;
  const bar = Math.min(BAR_COLUMNS_MAX, columns - percent.length - counts.length - 4);
  if (bar < BAR_COLUMNS_MIN) return [{ text: `${percent.trimStart()}  ${counts}` }];
  const full = Math.round(bar * ratio);
  return [
    { text: '█'.repeat(full), style: 'green' },
    { text: '░'.repeat(bar - full), style: 'dim' },
    { text: ` ${percent}  ${counts}` },
  ];
}

function seriesLine({ name, unit, values, now }: Series, columns: number): Line {
  const value = now === null ? '–' : unit === 'ms' ? shortTime(now) : shortCount(now);
  const label = { text: name.padEnd(LABEL_COLUMNS), style: 'dim' } as const;
  const spark = columns - LABEL_COLUMNS - VALUE_COLUMNS - 2;
  if (spark < SPARK_COLUMNS_MIN) return [label, { text: value }];
  return [
    label,
    { text: value.padStart(VALUE_COLUMNS) },
    { text: `  ${sparkline(values, spark)}`, style: 'cyan' },
  ];
}

const LIGHTS: Record<Lamp['state'], Piece> = {
  kept: { text: '✓ ', style: 'green' },
  broken: { text: '✗ ', style: 'red' },
  open: { text: '○ ', style: 'dim' },
};

/** `0.8 %/5 %`: used of allowed. */
function burn({ used, allowed, unit, isLimit }: Lamp): string {
  if (used === null) return '';
  const show = (value: number): string => {
    if (unit === 'ms') return shortTime(value);
    if (unit === 'count') return shortCount(value);
    const percent = 100 * value;
    return `${Number(percent.toFixed(percent < 10 ? 1 : 0))} %`;
  };
  return isLimit ? `${show(used)}/${show(allowed)}` : `${show(used)}, wanted ${show(allowed)}`;
}

const lampLine = (lamp: Lamp, columns: number): Line => {
  const told = burn(lamp);
  const room = columns - 2 - (told === '' ? 0 : told.length + 2);
  const text = lamp.text.length > room ? `${lamp.text.slice(0, Math.max(0, room - 1))}…` : lamp.text;
  return [
    LIGHTS[lamp.state],
    { text },
    ...(told === '' ? [] : [{ text: `  ${told}`, style: 'dim' as const }]),
  ];
};

/** Broken promises first: they are what a short terminal must show. */
const RANKS: Record<Lamp['state'], number> = { broken: 0, kept: 1, open: 2 };

function lampLines(lamps: readonly Lamp[], rows: number, columns: number): Line[] {
  const ordered = [...lamps].sort((a, b) => RANKS[a.state] - RANKS[b.state]);
  if (ordered.length <= rows) return ordered.map(lamp => lampLine(lamp, columns));
  if (rows <= 0) return [];
  const shown = ordered.slice(0, rows - 1);
  return [
    ...shown.map(lamp => lampLine(lamp, columns)),
    [{ text: `  and ${ordered.length - shown.length} more`, style: 'dim' }],
  ];
}

const ERRORS_SHOWN = 3;

function errorLine(errors: readonly FirstError[]): Line[] {
  if (errors.length === 0) return [];
  const shown = errors
    .slice(0, ERRORS_SHOWN)
    .map(({ code, count, firstMs }) => `${code} × ${shortCount(count)} (first at ${shortTime(firstMs)})`);
  const more = errors.length > ERRORS_SHOWN ? `, ${errors.length - ERRORS_SHOWN} more kinds` : '';
  return [[{ text: 'errors  ', style: 'red' }, { text: shown.join(', ') + more }]];
}

/** The view's lines, none of them wider than the screen, and one fewer than it has rows. `elapsedMs`: since the start. */
export function liveLines(title: LiveTitle, state: LiveState, elapsedMs: number, screen: Screen): string[] {
  const columns = screen.columns - 1;
  const ratio =
    title.sessions === null || title.sessions === 0
      ? null
      : Math.min(1, state.sessionsEnded / title.sessions);
  const head = [header(title, elapsedMs, ratio, columns), progress(title, state, ratio, columns)];
  const series = state.series.map(each => seriesLine(each, columns));
  const errors = errorLine(state.errors);
  const rows = Math.max(1, screen.rows - 1);
  const lamps = lampLines(state.lamps, rows - head.length - series.length - errors.length, columns);
  return [...head, ...series, ...lamps, ...errors].slice(0, rows).map(line =>
    fitted(line, columns)
      .map(({ text, style }) =>
        style === undefined || !screen.colour ? text : styleText(style, text, { validateStream: false }),
      )
      .join(''),
  );
}
