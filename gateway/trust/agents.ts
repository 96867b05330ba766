// How many sub-agents a session may start in all, and how deep inside of one another: what keeps an agent that spawns
// agents from growing without end.
import type { GatewaySpec } from '../../scenarios/formats/rules.ts';

export class AgentLimits {
  private readonly limits: GatewaySpec['agents'];
  /** Sub-agents that each session has started; one that has none is not here. */
  private readonly started = new Map<string, number>();

  constructor(limits: GatewaySpec['agents']) {
    this.limits = limits;
  }

  /** Why a sub-agent may not start, so many inside of one another (1: in none); null: it may, and is counted. */
  refuses(session: string, depth: number): 'denied_depth' | 'denied_agents' | null {
    const { max, depth: deepest } = this.limits;
    if (deepest !== null && depth > deepest) return 'denied_depth';
    if (max === null) return null;
    const started = this.started.get(session) ?? 0;
    if (started >= max) return 'denied_agents';
    this.started.set(session, started + 1);
    return null;
  }

  sessionEnded(session: string): void {
    this.started.delete(session);
  }

  /** Sessions that are remembered. */
  get size(): number {
    return this.started.size;
  }
}
