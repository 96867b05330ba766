// How well the anomaly rules did, against what was injected: a session is right or wrong as a whole.
import type { AnomalyRecord } from './record.ts';

/** Of all sessions, or of those with one label. Null where there is nothing to divide by. */
export interface LabelScore {
  /** What was injected: `loop`, `prompt_attack`… */
  readonly label: string;
  readonly sessions: number;
  readonly found: number;
  readonly recall: number | null;
  readonly tokensSaved: number;
}

export interface AnomalyScore {
  /** Of the sessions that were flagged, the share with something injected. */
  readonly precision: number | null;
  /** Of the sessions with something injected, the share that was flagged. */
  readonly recall: number | null;
  /** Harmonic mean of the two. */
  readonly f1: number | null;
  /** Tokens that injected sessions would have used, and did not because somebody stopped them. */
  readonly tokensSaved: number;
  /** The same of sessions with nothing injected: work that was wanted. */
  readonly tokensLost: number;
  /** In order of the label. */
  readonly byLabel: readonly LabelScore[];
}

const ratio = (part: number, all: number): number | null => (all === 0 ? null : part / all);

const isFlagged = ({ flagged }: AnomalyRecord): boolean => flagged.length > 0;

const unspent = (records: readonly AnomalyRecord[]): number =>
  records.reduce((sum, { tokens, tokensUnstopped }) => sum + ((tokensUnstopped ?? tokens) - tokens), 0);

export function scoreAnomalies(records: readonly AnomalyRecord[]): AnomalyScore {
  const injected = records.filter(record => record.injected !== null);
  const clean = records.filter(record => record.injected === null);
  const found = injected.filter(isFlagged).length;
  const falseAlarms = clean.filter(isFlagged).length;
  const labels = [...new Set(injected.map(record => record.injected as string))].sort();
  return {
    precision: ratio(found, found + falseAlarms),
    recall: ratio(found, injected.length),
    f1: ratio(2 * found, found + falseAlarms + injected.length),
    tokensSaved: unspent(injected),
    tokensLost: unspent(clean),
    byLabel: labels.map(label => {
      const own = injected.filter(record => record.injected === label);
      const ownFound = own.filter(isFlagged).length;
      return {
        label,
        sessions: own.length,
        found: ownFound,
        recall: ratio(ownFound, own.length),
        tokensSaved: unspent(own),
      };
    }),
  };
}
