// A command line as its words, and words as they can be typed into a POSIX shell: single quotes where one needs them.

/** A word as it can be typed. */
export const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, `'\\''`)}'`;

/** The words of a line that `quoted` wrote. */
export const shellWords = (line: string): string[] =>
  [...line.matchAll(/(?:[^\s'\\]|\\.|'[^']*')+/g)].map(([word]) =>
    word.replace(/'([^']*)'|\\(.)/g, (_, inside: string | undefined, escaped: string | undefined) =>
      inside === undefined ? (escaped ?? '') : inside,
    ),
  );
