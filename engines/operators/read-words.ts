// Shell text as words: quotes, line continuations, comments, and variables that the text itself sets.

/** The words of one command, and the line it begins at (from 1). */
export interface Command {
  readonly words: readonly string[];
  readonly line: number;
}

/** Commands of a script. Ends of commands: newline, ; & && | || outside of quotes. */
export function commandsOf(text: string): Command[] {
  const commands: Command[] = [];
  const variables = new Map<string, string>();
  let words: string[] = [];
  let word: string | null = null;
  let line = 1;
  let startLine = 1;
  const value = (name: string, raw: string): string => variables.get(name) ?? raw;
  const endWord = (): void => {
    if (word === null) return;
    const assigned = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(word);
    if (assigned !== null && words.every(each => each === 'export'))
      variables.set(assigned[1] as string, assigned[2] as string);
    if (words.length === 0) startLine = line;
    words.push(word);
    word = null;
  };
  const endCommand = (): void => {
    endWord();
    if (words.length > 0) commands.push({ words, line: startLine });
    words = [];
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    if (c === '\\') {
      const next = text[++i] ?? '';
      if (next === '\r') i++;
      if (next === '\n' || next === '\r') {
        line++;
        endWord();
      } else word = (word ?? '') + next;
    } else if (c === "'") {
      const end = text.indexOf("'", i + 1);
      const inside = text.slice(i + 1, end < 0 ? undefined : end);
      word = (word ?? '') + inside;
      line += inside.split('\n').length - 1;
      i = end < 0 ? text.length : end;
    } else if (c === '"') {
      word ??= '';
      for (i++; i < text.length && text[i] !== '"'; i++) {
        if (text[i] === '\\' && /["\\$`]/.test(text[i + 1] ?? '')) word += text[++i];
        else if (text[i] === '$') {
          const [raw, name] = variableAt(text, i);
          word += name === null ? '$' : value(name, raw);
          i += raw.length - 1;
        } else {
          if (text[i] === '\n') line++;
          word += text[i];
        }
      }
    } else if (c === '$') {
      const [raw, name] = variableAt(text, i);
      word = (word ?? '') + (name === null ? '$' : value(name, raw));
      i += raw.length - 1;
    } else if (c === '#' && word === null) {
      const end = text.indexOf('\n', i);
      i = (end < 0 ? text.length : end) - 1;
    } else if (c === '\n' || c === ';' || c === '&' || c === '|') {
      endCommand();
      if (c === '\n') line++;
    } else if (/\s/.test(c)) endWord();
    else word = (word ?? '') + c;
  }
  endCommand();
  return commands;
}

/** `$NAME` or `${NAME}` at a place, as it stands there. */
function variableAt(text: string, at: number): [raw: string, name: string | null] {
  const [raw, braced, plain] = /^\$(?:\{(\w+)(?::-[^}]*)?\}|(\w+))/.exec(text.slice(at, at + 200)) ?? [];
  return raw === undefined ? ['$', null] : [raw, braced ?? plain ?? null];
}
