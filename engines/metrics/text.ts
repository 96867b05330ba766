// Prometheus' text format and OpenMetrics, as far as a reader of servers needs them: names, labels, values, types. Pure.
// Exemplars and timestamps are passed over. Rule: nothing that a server writes makes it throw; a line that is none of
// the format is left out.

export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  /** May be NaN or infinite. */
  readonly value: number;
}

export interface MetricsText {
  /** By the name on the line, such as `http_seconds_bucket`. */
  readonly samples: ReadonlyMap<string, readonly MetricSample[]>;
  /** What `# TYPE` lines declare: families that have no sample yet are named here only. */
  readonly types: ReadonlyMap<string, string>;
}

const RETURN = 13;
const SPACE = 32;
const TAB = 9;
const QUOTE = 34;
const HASH = 35;
const COMMA = 44;
const EQUALS = 61;
const BACKSLASH = 92;
const OPEN = 123;
const CLOSE = 125;

const NO_LABELS: Readonly<Record<string, string>> = {};

/** Reads the samples whose names `wants` (all without it); the others cost no more than a look at their name. */
export function parseMetrics(text: string, wants?: (name: string) => boolean): MetricsText {
  const samples = new Map<string, MetricSample[]>();
  const types = new Map<string, string>();
  // A family's lines follow one another: most names are those of the line before.
  let lastName = '';
  let lastList: MetricSample[] | null = null;
  const listOf = (name: string): MetricSample[] | null => {
    if (name === lastName) return lastList;
    lastName = name;
    lastList = null;
    if (wants === undefined || wants(name)) {
      lastList = samples.get(name) ?? [];
      if (lastList.length === 0) samples.set(name, lastList);
    }
    return lastList;
  };

  const line = new Line(text);
  while (line.next()) {
    line.skipSpace();
    if (line.isDone) continue;
    if (line.is(HASH)) readType(line, types);
    else readSample(line, lastName, listOf);
  }
  for (const [name, list] of samples) if (list.length === 0) samples.delete(name);
  return { samples, types };
}

/** The lines of these metrics alone: found by search, which costs a tenth of reading the others to pass them over. */
export function linesOf(text: string, names: Iterable<string>): string {
  let lines = '';
  for (const name of names) {
    for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + name.length)) {
      const next = text.charCodeAt(at + name.length);
      const isName = next === OPEN || next === SPACE || next === TAB;
      if (!isName || (at > 0 && text[at - 1] !== '\n')) continue;
      const end = text.indexOf('\n', at);
      lines += `${text.slice(at, end < 0 ? text.length : end)}\n`;
    }
  }
  return lines;
}

/** A place in one line of the text: one object goes through all of them. */
class Line {
  readonly text: string;
  at = 0;
  end = 0;
  private nextAt = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** To the start of the next line; false at the end of the text. */
  next(): boolean {
    if (this.nextAt >= this.text.length) return false;
    this.at = this.nextAt;
    const end = this.text.indexOf('\n', this.at);
    this.end = end < 0 ? this.text.length : end;
    this.nextAt = this.end + 1;
    if (this.end > this.at && this.text.charCodeAt(this.end - 1) === RETURN) this.end--;
    return true;
  }

  get isDone(): boolean {
    return this.at >= this.end;
  }

  is(code: number): boolean {
    return this.at < this.end && this.text.charCodeAt(this.at) === code;
  }

  skipSpace(): void {
    while (this.at < this.end) {
      const code = this.text.charCodeAt(this.at);
      if (code !== SPACE && code !== TAB) return;
      this.at++;
    }
  }

  /** Up to a space or the end. */
  word(): string {
    const from = this.at;
    while (this.at < this.end) {
      const code = this.text.charCodeAt(this.at);
      if (code === SPACE || code === TAB) break;
      this.at++;
    }
    return this.text.slice(from, this.at);
  }

  /** Up to a space, a brace, a comma, an equals sign or the end. */
  name(): string {
    const from = this.at;
    while (this.at < this.end) {
      const code = this.text.charCodeAt(this.at);
      if (code === SPACE || code === TAB || code === OPEN) break;
      if (code === CLOSE || code === COMMA || code === EQUALS) break;
      this.at++;
    }
    return this.text.slice(from, this.at);
  }

  /** A quoted string that begins here; null when it does not end on this line. */
  quoted(): string | null {
    const from = this.at + 1;
    let hasEscape = false;
    for (let i = from; i < this.end; i++) {
      const code = this.text.charCodeAt(i);
      if (code === BACKSLASH) {
        hasEscape = true;
        i++;
      } else if (code === QUOTE) {
        this.at = i + 1;
        const raw = this.text.slice(from, i);
        return hasEscape ? raw.replace(/\\([\\"n])/g, (_, c: string) => (c === 'n' ? '\n' : c)) : raw;
      }
    }
    return null;
  }
}

/** `# TYPE name kind`; other comments say nothing here. */
function readType(line: Line, types: Map<string, string>): void {
  if (!line.text.startsWith('# TYPE ', line.at)) return;
  line.at += '# TYPE '.length;
  line.skipSpace();
  const name = line.is(QUOTE) ? line.quoted() : line.word();
  line.skipSpace();
  const type = line.word();
  if (name !== null && name !== '' && type !== '') types.set(name, type);
}

function readSample(line: Line, lastName: string, listOf: (name: string) => MetricSample[] | null): void {
  const { text } = line;
  let name = '';
  if (!line.is(OPEN)) {
    const next = lastName === '' ? 0 : text.charCodeAt(line.at + lastName.length);
    if ((next === OPEN || next === SPACE) && text.startsWith(lastName, line.at)) {
      name = lastName;
      line.at += lastName.length;
    } else name = line.name();
    if (name === '') return;
    if (listOf(name) === null) return;
  }
  line.skipSpace();
  let labels = NO_LABELS;
  if (line.is(OPEN)) {
    const read = readLabels(line);
    if (read === null) return;
    labels = read.labels;
    // A name beyond the old alphabet stands among the labels, in quotes.
    if (name === '') name = read.name;
  }
  if (name === '') return;
  line.skipSpace();
  const value = numberOf(line.word());
  if (value !== null) listOf(name)?.push({ labels, value });
}

/** `{a="1",b="2"}`, with a comma at the end or not; null when it is not that. */
function readLabels(line: Line): { name: string; labels: Record<string, string> } | null {
  line.at++;
  const labels: Record<string, string> = {};
  let name = '';
  for (;;) {
    line.skipSpace();
    if (line.is(CLOSE)) {
      line.at++;
      return { name, labels };
    }
    const isQuoted = line.is(QUOTE);
    const key = isQuoted ? line.quoted() : line.name();
    if (key === null || key === '') return null;
    line.skipSpace();
    if (line.is(EQUALS)) {
      line.at++;
      line.skipSpace();
      const value = line.is(QUOTE) ? line.quoted() : null;
      if (value === null) return null;
      labels[key] = value;
    } else if (isQuoted && name === '') name = key;
    else return null;
    line.skipSpace();
    if (line.is(COMMA)) line.at++;
    else if (!line.is(CLOSE)) return null;
  }
}

/** As Go writes numbers; null: it is none. */
function numberOf(word: string): number | null {
  if (word === '') return null;
  const value = Number(word);
  if (!Number.isNaN(value)) return value;
  switch (word.toLowerCase()) {
    case 'nan':
      return value;
    case 'inf':
    case '+inf':
    case '+infinity':
      return Number.POSITIVE_INFINITY;
    case '-inf':
      return Number.NEGATIVE_INFINITY;
    default:
      return null;
  }
}
