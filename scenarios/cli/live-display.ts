// Draws the live view in place on a terminal, ten times a second at most; elsewhere it is a line in ten seconds. Rule: it
// may show nothing, but it never breaks what others print.
import { stripVTControlCharacters } from 'node:util';
import type { Assertion } from '../formats/assertion.ts';
import type { Plan } from '../formats/plan.ts';
import type { RunHeader, RunSoFar } from '../formats/run.ts';
import { type LiveTitle, liveLines } from './live-view.ts';
import { LiveWindow } from './live-window.ts';
import { type CommonOptions, hasColour, ProgressLine } from './terminal.ts';

/** A terminal as the display needs it. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

export interface Display {
  /** Asks for the run only when it is time to draw. */
  show(run: () => RunSoFar): void;
  /** Takes what is drawn away; the next `show` draws it anew. */
  clear(): void;
}

const INTERVAL_MS = 100;
/** Fewer columns or rows than this are no place for a view. */
const COLUMNS_MIN = 20;
const ROWS_MIN = 5;
const ESCAPE = '\u001b[';
const HIDE_CURSOR = `${ESCAPE}?25l`;
const SHOW_CURSOR = `${ESCAPE}?25h`;

const isPlace = ({ isTTY, columns = 0, rows = 0 }: Terminal): boolean =>
  isTTY === true && process.env.TERM !== 'dumb' && columns >= COLUMNS_MIN && rows >= ROWS_MIN;

class View implements Display {
  private readonly title: LiveTitle;
  private readonly window: LiveWindow;
  private readonly terminal: Terminal;
  private readonly startedMs = performance.now();
  private lastMs = Number.NEGATIVE_INFINITY;
  /** Widths of the lines on the screen. */
  private drawn: number[] = [];

  constructor(title: LiveTitle, assertions: readonly Assertion[], terminal: Terminal) {
    this.title = title;
    this.window = new LiveWindow(assertions);
    this.terminal = terminal;
  }

  show(run: () => RunSoFar): void {
    const nowMs = performance.now();
    if (nowMs - this.lastMs < INTERVAL_MS) return;
    this.lastMs = nowMs;
    this.window.look(run());
    const { columns = 0, rows = 0 } = this.terminal;
    const screen = { columns, rows, colour: hasColour(this.terminal) };
    const lines = liveLines(this.title, this.window.state(), nowMs - this.startedMs, screen);
    if (this.drawn.length === 0) process.once('exit', this.atExit);
    // One write, so that nothing flickers.
    this.terminal.write(`${HIDE_CURSOR}${this.erased()}${lines.join('\n')}\n`);
    this.drawn = lines.map(line => stripVTControlCharacters(line).length);
  }

  clear(): void {
    if (this.drawn.length === 0) return;
    this.terminal.write(`${this.erased()}${SHOW_CURSOR}`);
    this.drawn = [];
    process.off('exit', this.atExit);
  }

  /** Back to where the view began: a terminal that has become narrower has broken its lines. */
  private erased(): string {
    const { columns = 1 } = this.terminal;
    const rows = this.drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows === 0 ? '' : `${ESCAPE}${rows}A\r${ESCAPE}J`;
  }

  private readonly atExit = (): void => {
    this.terminal.write(SHOW_CURSOR);
  };
}

/** What a line says where there is no terminal. */
function plainLine({ world, sessions }: LiveTitle, run: RunSoFar): string {
  const of = sessions === null ? '' : ` of ${sessions}`;
  const counts = `${run.sessionsStarted}${of} sessions, ${run.calls.length} calls`;
  return world === 'sim'
    ? `simulated ${(run.nowMs / 1000).toFixed(0)} s: ${counts}`
    : `live: ${counts}, ${run.callsInFlight} in flight`;
}

export const titleOf = (header: RunHeader, plan: Pick<Plan, 'sessionCount'>): LiveTitle => ({
  name: `${header.scenario.name} @ ${header.deployment.name}`,
  world: header.world,
  seed: header.seed,
  sessions: plan.sessionCount,
});

/** The display of a run: a view where there is room for one, else a line. */
export function openDisplay(
  title: LiveTitle,
  assertions: readonly Assertion[],
  options: CommonOptions,
  terminal: Terminal = process.stderr,
): Display {
  if (options.quiet || !isPlace(terminal)) {
    const line = new ProgressLine(options);
    return { show: run => line.show(() => plainLine(title, run())), clear: () => line.clear() };
  }
  return new View(title, assertions, terminal);
}
