// A table as HTML.
import { type Html, html } from '../html.ts';

/** Longer than any number with its unit and its interval. */
const PROSE_CHARS = 44;
/** Names that need more room than a word. */
const NAME_CHARS = 20;

/** Scrolls by itself on a phone; the first column is text, and so is one with a sentence in it; the others are numbers. */
export function table(
  columns: readonly (string | Html)[],
  rows: readonly (readonly (string | Html)[])[],
): Html {
  const isProse = columns.map((_, i) =>
    rows.some(row => i > 0 && typeof row[i] === 'string' && row[i].length > PROSE_CHARS),
  );
  const isNamed = rows.some(([first]) => typeof first === 'string' && first.length > NAME_CHARS);
  const named = (first: string | Html | undefined): Html =>
    isNamed ? html`<th scope="row" class="named">${first}</th>` : html`<th scope="row">${first}</th>`;
  const cell = (text: string | Html, i: number): Html =>
    isProse[i] === true ? html`<td class="prose">${text}</td>` : html`<td>${text}</td>`;
  return html`<div class="scroll" role="group" aria-label="Table"><table>
    <thead><tr>${columns.map((name, i) => (isProse[i] === true ? html`<th scope="col" class="prose">${name}</th>` : html`<th scope="col">${name}</th>`))}</tr></thead>
    <tbody>${rows.map(
      ([first, ...rest]) => html`<tr>${named(first)}${rest.map((text, i) => cell(text, i + 1))}</tr>`,
    )}</tbody>
  </table></div>`;
}
