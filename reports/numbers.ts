// Numbers as people read them: three significant digits, a unit, no locale. For pages and terminals; files keep the
// full value.

const grouped = (digits: string): string => digits.replace(/\B(?=(\d{3})+(?!\d))/g, ',');

/** Three significant digits without an exponent: 0.042, 4.2, 41.9, 412, 41,873. */
export function showNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 100) return grouped(value.toFixed(0));
  const decimals = size >= 10 ? 1 : size >= 1 ? 2 : Math.min(6, 2 - Math.floor(Math.log10(size)));
  const text = value.toFixed(decimals);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** Money: to the cent, `1,204.50 USD`, or what is less than a dollar to three digits, `0.0042 USD`. */
export const showUsd = (usd: number): string =>
  `${Math.abs(usd) >= 1 ? grouped(usd.toFixed(2)) : showNumber(usd)} USD`;

/** Whole numbers with thousands separators. */
export const showCount = (value: number): string => grouped(Math.round(value).toFixed(0));

/** Milliseconds: `38 µs`, `41.9 ms`, `9.82 s`, `12 min 05 s`. */
export function showMs(valueMs: number | null | undefined): string {
  if (valueMs === null || valueMs === undefined || !Number.isFinite(valueMs)) return '–';
  const size = Math.abs(valueMs);
  if (size === 0) return '0 ms';
  if (size < 0.1) return `${showNumber(valueMs * 1000)} µs`;
  if (size < 999.5) return `${showNumber(valueMs)} ms`;
  if (size < 120_000) return `${showNumber(valueMs / 1000)} s`;
  const seconds = Math.round(valueMs / 1000);
  if (size < 7_200_000) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
  const minutes = Math.round(seconds / 60);
  return `${showCount(Math.floor(minutes / 60))} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** A ratio as a percentage: `61 %`, `0.4 %`. */
export function showRatio(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return '–';
  const percent = ratio * 100;
  const size = Math.abs(percent);
  return `${size >= 10 || Math.abs(size - Math.round(size)) < 1e-9 ? percent.toFixed(0) : percent.toFixed(1)} %`;
}

/** A signed percentage: `+4.2 %`, `−11 %`. */
export function showSignedRatio(ratio: number | null): string {
  if (ratio === null || !Number.isFinite(ratio)) return '–';
  return `${ratio > 0 ? '+' : ratio < 0 ? '−' : ''}${showRatio(Math.abs(ratio))}`;
}

/** Token counts: `812`, `41.9 k`, `1.2 M`. */
export function showTokens(tokens: number): string {
  if (tokens < 10_000) return showCount(tokens);
  if (tokens < 1e6) return `${showNumber(tokens / 1e3)} k`;
  return tokens < 1e9 ? `${showNumber(tokens / 1e6)} M` : `${showNumber(tokens / 1e9)} G`;
}

/** A value in its unit. */
export function showValue(
  value: number | null,
  unit: 'ms' | 'ratio' | 'count' | 'tokens' | 'perSec' | 'tokensPerSec',
): string {
  if (value === null) return '–';
  switch (unit) {
    case 'ms':
      return showMs(value);
    case 'ratio':
      return showRatio(value);
    case 'tokens':
      return `${showTokens(value)} tokens`;
    case 'perSec':
      return `${showNumber(value)} /s`;
    case 'tokensPerSec':
      return `${showNumber(value)} tokens/s`;
    case 'count':
      return showNumber(value);
  }
}

/** The same text with numbers kept on the line of their unit. */
export const unbroken = (text: string): string =>
  text.replace(/(\d) (%|µs|ms|s|min|h|k|M|G)(?![\p{L}\d])/gu, '$1\u00a0$2');

/** `1 workflow`, `1,204 workflows`. */
export const plural = (count: number, noun: string): string =>
  `${showCount(count)} ${noun}${count === 1 ? '' : 's'}`;
