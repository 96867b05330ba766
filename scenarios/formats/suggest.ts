// "Did you mean": the known word nearest to a mistyped one, and how a message shows a wrong value.

/** Damerau-Levenshtein distance (insert, delete, replace, swap neighbours), in letters. */
function distance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, replace);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) best = Math.min(best, beforeLast[j - 2]! + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/** Letter case and separators are not what people mistype. */
const plain = (word: string): string => word.toLowerCase().replace(/[-_ .]/g, '');

/** Prefixes shorter than this say too little to guess from. */
const PREFIX_LETTERS = 4;

/** The candidate nearest to `word`: within a third of its letters, or one that begins with it; null for none. */
export function closest(word: string, candidates: readonly string[]): string | null {
  if (word.length > 100) return null;
  const wanted = plain(word);
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    const letters = distance(wanted, plain(candidate));
    if (letters < bestDistance && letters < plain(candidate).length) {
      best = candidate;
      bestDistance = letters;
    }
  }
  if (best !== null || wanted.length < PREFIX_LETTERS) return best;
  return candidates.find(candidate => plain(candidate).startsWith(wanted)) ?? null;
}

/** A hint such as `did you mean "model"?`; null when nothing is near. */
export function didYouMean(word: string, candidates: readonly string[]): string | null {
  const best = closest(word, candidates);
  return best === null ? null : `did you mean "${best}"?`;
}

/** A value as a message shows it: JSON, at most 60 characters. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'number') return String(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
