// Which runtime a tool runs on, and what all of them cost while nobody runs there.
import type { ToolRules, ToolRuntimeSpec } from '../../scenarios/formats/rules.ts';
import { type Claim, Runtime } from './runtime.ts';

const MS_PER_HOUR = 3_600_000;

/** `C`: what the user of the runtimes remembers of a run. */
export class RuntimeTable<C extends Claim> {
  /** Those of the deployment first, then those that tools brought. */
  readonly all: Runtime<C>[];
  private readonly ofTool = new Map<string, Runtime<C> | null>();

  constructor(specs: readonly ToolRuntimeSpec[]) {
    this.all = specs.map(spec => new Runtime<C>(spec));
  }

  /** The deployment's that names it, else its one for all others, else the tool's own; null: it runs anywhere. */
  of({ tool, runtime: own }: ToolRules): Runtime<C> | null {
    const known = this.ofTool.get(tool);
    if (known !== undefined) return known;
    let found =
      this.all.find(({ spec }) => spec.runs?.includes(tool)) ??
      this.all.find(({ spec }) => spec.runs === null) ??
      null;
    if (found === null && own !== null) {
      found = new Runtime<C>(ownSpec(tool, own));
      this.all.push(found);
    }
    this.ofTool.set(tool, found);
    return found;
  }

  /** USD of sandboxes that nobody ran on: warm pools, and those kept between the runs of a session. */
  idleUsd(nowMs: number): number {
    let usd = 0;
    for (const { spec, sandboxes } of this.all)
      usd += (sandboxes.idleMs(nowMs) / MS_PER_HOUR) * (spec.usdPerHour ?? 0);
    return usd;
  }
}

/** What a scenario says of a tool's runtime, where no deployment says more. */
const ownSpec = (
  tool: string,
  { concurrency, coldStart, warmPool }: NonNullable<ToolRules['runtime']>,
): ToolRuntimeSpec => ({
  name: tool,
  runs: [tool],
  place: null,
  start: coldStart,
  warmPool,
  keep: 'call',
  idleMs: 0,
  concurrency,
  queue: null,
  limits: { cpu: null, memoryBytes: null, timeMs: null },
  cpu: null,
  memoryBytes: null,
  failRatio: 0,
  usdPerHour: null,
});
