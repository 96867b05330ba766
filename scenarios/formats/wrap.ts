// Lines that fit a terminal.

/** Breaks a text between words into lines of at most `width` characters; later lines begin with `indent`. */
export function wrap(text: string, width: number, indent = ''): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent + word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** The part of a long line around a span, with … where it is cut, and where the span then begins. */
export function around(
  line: string,
  { start, end }: { start: number; end: number },
  width: number,
): { text: string; start: number; end: number } {
  if (line.length <= width) return { text: line, start, end };
  const room = Math.max(0, width - 2 - (end - start));
  // The last window ends with the line; it begins with … alone.
  const last = line.length - (width - 1);
  const from = Math.max(0, Math.min(start - Math.floor(room / 2), last));
  const head = from > 0 ? '…' : '';
  const tail = from < last ? '…' : '';
  const text = head + line.slice(from, from + width - head.length - tail.length) + tail;
  const at = start - from + head.length;
  return { text, start: at, end: Math.min(at + end - start, text.length) };
}
