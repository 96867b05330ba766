// One deployment among those that are weighed: overrides of a deployment file, and what it costs.

export interface Candidate {
  /** As in tables: `4 x h200-141gb-sxm, TP 2, session-affinity`. */
  readonly name: string;
  /** The same without the number of replicas: those of a group differ in it alone. */
  readonly group: string;
  /** Replicas of the pool that is sized; of several pools, of all. */
  readonly replicas: number;
  /** By dimension (gpu, tp, shape, routing…), for tables and charts. */
  readonly choices: Readonly<Record<string, string | number>>;
  readonly deployment: { readonly input: string; readonly set: readonly string[] };
  readonly gpus: number;
  /** Of its GPUs as the file has them; null: the run says (autoscaled, bought by the token). */
  readonly usdPerHour: number | null;
}
