// A finished run with its books: what it cost, and its decisions as an audit log.
import type { CostBasis } from '../../scenarios/formats/ledger.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { AuditLog, type Digest } from '../trust/audit.ts';
import { ledgerOf } from './ledger.ts';

/** `replicas`: those of the run, or where it knows none those that stood there. */
export function withBooks(
  output: RunOutput,
  basis: CostBasis,
  digest: Digest,
  replicas = output.replicas ?? [],
): RunOutput {
  const ledger = ledgerOf({ ...output, replicas }, basis);
  const decisions = output.governed?.decisions;
  const hosting = { pools: poolsOf(basis), offers: basis.offers ?? [] };
  return {
    ...output,
    ledger,
    hosting,
    ...(decisions === undefined ? {} : { audit: auditLines(decisions, digest) }),
  };
}

/** Halves of a disaggregated pool are one. */
const poolsOf = ({ rates }: CostBasis): string[] => [
  ...new Set([...rates.keys()].map(name => name.replace(/\/(prefill|decode)$/, ''))),
];

/** Sealed as they are read: a long run's lines are never held together. */
const auditLines = (
  decisions: NonNullable<RunOutput['governed']>['decisions'],
  digest: Digest,
): Iterable<string> => ({
  *[Symbol.iterator]() {
    const log = new AuditLog(digest);
    for (const decision of decisions) yield log.append(decision);
  },
});
