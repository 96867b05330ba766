// Costs by who caused them, and waste by reason.
import {
  CLASSIFIER_GROUP,
  type CostDimension,
  IDLE_GROUP,
  IDLE_TOOLS_GROUP,
  type LedgerRow,
  NO_GROUP,
  type WasteRow,
} from '../../scenarios/formats/ledger.ts';
import { WASTES, type Waste } from '../../scenarios/formats/record.ts';

/** Whose cost it is. */
interface Cause {
  readonly workflow: string;
  readonly step: string;
  readonly role: string | null;
  readonly tenant: string | null;
}

interface Sum {
  nanos: number;
  wastedNanos: number;
}

type Groups = Map<string, Sum>;

export class Breakdown {
  private readonly severalWorkflows: boolean;
  private readonly groups: Record<CostDimension, Groups> = {
    workflow: new Map(),
    step: new Map(),
    role: new Map(),
    tenant: new Map(),
    user: new Map(),
    target: new Map(),
  };

  constructor(severalWorkflows: boolean) {
    this.severalWorkflows = severalWorkflows;
  }

  add(cause: Cause, user: string | null, target: string | null, nanos: number, wastedNanos: number): void {
    const { workflow, step, role, tenant } = cause;
    const { groups } = this;
    const by = (dimension: CostDimension, group: string | null) =>
      addTo(groups[dimension], group ?? NO_GROUP, nanos, wastedNanos);
    by('workflow', workflow);
    by('step', this.severalWorkflows ? `${workflow} / ${step}` : step);
    by('role', role);
    by('tenant', tenant);
    by('user', user === null ? null : tenant === null ? user : `${tenant}/${user}`);
    by('target', target);
  }

  /** What nobody in particular caused. */
  addShared(idleNanos: number, idleToolsNanos: number, classifierNanos: number): void {
    for (const groups of Object.values(this.groups)) {
      if (idleNanos > 0) addTo(groups, IDLE_GROUP, idleNanos, 0);
      if (idleToolsNanos > 0) addTo(groups, IDLE_TOOLS_GROUP, idleToolsNanos, 0);
      if (classifierNanos > 0) addTo(groups, CLASSIFIER_GROUP, classifierNanos, 0);
    }
  }

  /** The most expensive first. */
  rows(dimension: CostDimension): LedgerRow[] {
    return [...this.groups[dimension]]
      .map(([group, { nanos, wastedNanos }]) => ({ group, nanos, wastedNanos }))
      .sort((a, b) => b.nanos - a.nanos || (a.group < b.group ? -1 : 1));
  }
}

function addTo(groups: Groups, group: string, nanos: number, wastedNanos: number): void {
  const sum = groups.get(group);
  if (sum === undefined) {
    groups.set(group, { nanos, wastedNanos });
    return;
  }
  sum.nanos += nanos;
  sum.wastedNanos += wastedNanos;
}

export class Wastes {
  private readonly sums = new Map<Waste, { nanos: number; tokens: number; gpuSeconds: number }>();

  add(reason: Waste, nanos: number, tokens: number, gpuSeconds: number): void {
    const sum = this.sums.get(reason) ?? { nanos: 0, tokens: 0, gpuSeconds: 0 };
    this.sums.set(reason, sum);
    sum.nanos += nanos;
    sum.tokens += tokens;
    sum.gpuSeconds += gpuSeconds;
  }

  /** In the order of `WASTES`; reasons that did not occur are left out. */
  rows(): WasteRow[] {
    return WASTES.flatMap(reason => {
      const sum = this.sums.get(reason);
      return sum === undefined ? [] : [{ reason, ...sum }];
    });
  }
}
