// HTML as a tagged template: whatever is put in is escaped, unless it is HTML already. The only way text from a
// trace or a scenario gets into a page.

/** Finished HTML, safe to put into more. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, character => ENTITIES[character]!);

type Hole = Html | string | number | null | undefined | false | readonly Hole[];

function fill(hole: Hole): string {
  if (hole === null || hole === undefined || hole === false) return '';
  if (hole instanceof Html) return hole.text;
  if (typeof hole === 'string' || typeof hole === 'number') return escapeHtml(String(hole));
  return hole.map(fill).join('');
}

export function html(strings: TemplateStringsArray, ...holes: Hole[]): Html {
  return new Html(strings.reduce((text, piece, i) => text + fill(holes[i - 1]) + piece));
}

/** Text that is HTML, CSS or script of our own and goes in as it is. */
export const raw = (text: string): Html => new Html(text);

/** JSON that cannot end the script element it sits in, nor start a comment there. */
export const scriptJson = (value: unknown): Html =>
  new Html(
    JSON.stringify(value)
      .replace(/</g, '\\u003c')
      .replace(/>/g, '\\u003e')
      .replace(/\u2028/g, '\\u2028')
      .replace(/\u2029/g, '\\u2029'),
  );
