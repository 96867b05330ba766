// What may be chosen: GPU, tensor parallelism, shape of the pool, router and whatever is varied beside them. A group has
// all of it but the number of replicas, in which cost rises and promises get easier.
import type { Candidate } from './candidate.ts';

/** Aggregated, or prefill and decode on replicas of their own. */
export const SHAPES = ['aggregated', 'split'] as const;
export type Shape = (typeof SHAPES)[number];

export interface Space {
  readonly pool: string;
  readonly gpus: readonly string[];
  /** Of a GPU-hour, where it is not the catalogue's: `2.50/h`. */
  readonly prices: ReadonlyMap<string, string>;
  readonly tensorParallels: readonly number[];
  readonly shapes: readonly Shape[];
  readonly routings: readonly string[];
  readonly replicas: { readonly min: number; readonly max: number };
  /** Overrides that are tried beside these, each named for tables. */
  readonly variants: readonly Variant[];
}

export interface Variant {
  readonly choices: Readonly<Record<string, string | number>>;
  readonly set: readonly string[];
}

export interface Group {
  readonly name: string;
  readonly pool: string;
  readonly gpu: string;
  /** Null: as the catalogue has it. */
  readonly price: string | null;
  readonly tensorParallel: number;
  readonly shape: Shape;
  readonly routing: string;
  readonly variant: Variant;
  readonly replicas: Space['replicas'];
}

export function groupsOf({
  pool,
  gpus,
  prices,
  tensorParallels,
  shapes,
  routings,
  variants,
  replicas,
}: Space): Group[] {
  return gpus.flatMap(gpu =>
    tensorParallels.flatMap(tensorParallel =>
      shapes.flatMap(shape =>
        routings.flatMap(routing =>
          variants.map(variant => ({
            name: [
              gpu,
              ...(tensorParallel === 1 ? [] : [`TP ${tensorParallel}`]),
              ...(shapes.length > 1 || shape === 'split' ? [shape] : []),
              ...(routings.length > 1 ? [routing] : []),
              ...Object.entries(variant.choices).map(([name, value]) => `${name} ${value}`),
            ].join(', '),
            pool,
            gpu,
            price: prices.get(gpu) ?? null,
            tensorParallel,
            shape,
            routing,
            variant,
            replicas: shape === 'split' ? { ...replicas, min: Math.max(2, replicas.min) } : replicas,
          })),
        ),
      ),
    ),
  );
}

/** How many candidates a space holds. */
export const candidatesOf = (groups: readonly Group[]): number =>
  groups.reduce((sum, { replicas: { min, max } }) => sum + Math.max(0, max - min + 1), 0);

/** What is known of a group before any run: the price of a replica's GPU-hours, and how its work divides. */
export interface GroupFacts {
  readonly usdPerGpuHour: number | null;
  /** Of the work, that of prompts: by it a split pool divides its replicas. */
  readonly prefillRatio: number;
}

/** Of `replicas`, those that compute prompts. */
export const prefillReplicas = (replicas: number, prefillRatio: number): number =>
  Math.min(replicas - 1, Math.max(1, Math.round(replicas * prefillRatio)));

/** A 400 Gb/s NIC for each replica, as NVIDIA's aiconfigurator assumes: where the base has no link. */
export const DEFAULT_LINK = '{ bandwidth: 50GB/s, latency: 10us }';

export function overridesOf(group: Group, replicas: number, { prefillRatio }: GroupFacts): string[] {
  const { pool, gpu, price, tensorParallel, shape, routing, variant } = group;
  const at = `pools.${pool}`;
  const prefill = prefillReplicas(replicas, prefillRatio);
  return [
    `${at}.gpu=${gpu}`,
    ...(price === null ? [] : [`${at}.price=${price}`]),
    `${at}.tensor_parallel=${tensorParallel}`,
    ...(shape === 'aggregated'
      ? [`${at}.replicas=${replicas}`]
      : [
          `${at}.prefill={ replicas: ${prefill} }`,
          `${at}.decode={ replicas: ${replicas - prefill} }`,
          `${at}.link=${DEFAULT_LINK}`,
        ]),
    `routing=${routing}`,
    ...variant.set,
  ];
}

export function candidateOf(group: Group, replicas: number, facts: GroupFacts, input: string): Candidate {
  const gpus = replicas * group.tensorParallel;
  const { prefillRatio, usdPerGpuHour } = facts;
  const prefill = prefillReplicas(replicas, prefillRatio);
  const count = group.shape === 'split' ? `${prefill}+${replicas - prefill}` : String(replicas);
  return {
    name: `${count} x ${group.name}`,
    group: group.name,
    replicas,
    choices: {
      gpu: group.gpu,
      tp: group.tensorParallel,
      replicas,
      gpus,
      shape: group.shape,
      routing: group.routing,
      ...group.variant.choices,
    },
    deployment: { input, set: overridesOf(group, replicas, facts) },
    gpus,
    usdPerHour: usdPerGpuHour === null ? null : gpus * usdPerGpuHour,
  };
}
