// What a TypeScript scenario or a routing policy of one's own imports: `import { scenario } from 'agent-windtunnel'`.
import type { Scenario } from './scenarios/formats/scenario.ts';

export type {
  Router,
  RouterSetup,
  RoutingArrival,
  RoutingEvent,
  RoutingPolicy,
  RoutingView,
} from './gateway/routing/policy.ts';
export type { Scenario } from './scenarios/formats/scenario.ts';
export type { Step } from './scenarios/formats/steps.ts';

/** A scenario, as its YAML would say it, with completion and checks by the editor. `windtunnel check` checks the rest. */
export const scenario = (file: Scenario): Scenario => file;
