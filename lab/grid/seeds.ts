// Seeds of repeated runs: all that is compared meets the same agents.

/** So many seeds, the scenario's own first. */
export const seedsFrom = (first: number | string, count: number): (number | string)[] =>
  Array.from({ length: count }, (_, i) =>
    typeof first === 'number' ? first + i : i === 0 ? first : `${first}/${i}`,
  );
