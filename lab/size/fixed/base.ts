// The deployment whose pools share a fleet: that of a file without what is chosen, or one pool for each model that the
// scenario asks for.
import { allModels } from '../../../engines/catalog.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import type { CatalogModel } from '../../../scenarios/formats/catalog.ts';
import { didYouMean } from '../../../scenarios/formats/suggest.ts';
import type { LabContext } from '../../lint/context.ts';
import { type Base, baseOfDeployment, baseOfScenario } from '../base.ts';

export interface FleetBase extends Pick<Base, 'value' | 'models' | 'notes'> {
  /** Each with GPU and price that the file had. */
  readonly pools: readonly Pick<Base, 'pool' | 'own'>[];
}

type Mapping = Record<string, unknown>;

/** All pools of a file share the fleet; its providers stay. */
export function fleetBaseOfDeployment(value: unknown, models: readonly CatalogModel[]): FleetBase {
  const names = Object.keys(((value as { pools?: Mapping } | null)?.pools ?? {}) as Mapping);
  if (names.length === 0)
    throw new UserError('the deployment has no pool, so there is nothing to use GPUs for', {
      hint: 'leave -d out for a pool of each model that the scenario names, or give its pools',
    });
  let stripped = value;
  const bases = names.map(name => {
    const base = baseOfDeployment(stripped, models, name);
    stripped = base.value;
    return base;
  });
  return {
    value: bases.at(-1)!.value,
    models,
    notes: bases.flatMap(({ notes }) => notes),
    pools: bases.map(({ pool, own }) => ({ pool, own })),
  };
}

/** Letters, digits and dashes: a name that `--set pools.NAME.gpu=…` can say. */
const poolName = (alias: string): string => alias.replace(/[^\w-]+/g, '-');

/** Several aliases of one model share its pool. `model`: it serves all of them. */
export function fleetBaseOfScenario(context: LabContext, model: string | undefined): FleetBase {
  const { plan } = context;
  const aliases = new Map<string, string>();
  for (const alias of plan.modelsUsed) {
    const id = plan.models.get(alias)?.modelId ?? alias;
    if (!aliases.has(id)) aliases.set(id, alias);
  }
  if (model !== undefined || aliases.size <= 1) {
    const { value, models, pool, own, notes } = baseOfScenario(context, model);
    return { value, models, notes, pools: [{ pool, own }] };
  }
  const known = allModels().map(({ id }) => id);
  const unknown = [...aliases.keys()].find(id => !known.includes(id));
  if (unknown !== undefined)
    throw new UserError(`the catalogue has no open model "${unknown}", so no GPU of a fleet can serve it`, {
      hint:
        didYouMean(unknown, known) ??
        '-d DEPLOYMENT with a provider that sells it, or --model to serve all by one',
    });
  const made = [...aliases].map(([id, alias]) => {
    const { value, notes } = baseOfScenario(walksOf(context, id), id);
    const { main } = value.pools as { main: Mapping };
    return { name: poolName(alias), pool: main, notes: notes.map(note => `${alias} (${id}): ${note}`) };
  });
  return {
    value: {
      windtunnel: 1,
      deployment: `fleet-${[...aliases.keys()].join('-')}`,
      pools: Object.fromEntries(made.map(({ name, pool }) => [name, pool])),
    },
    models: [],
    notes: made.flatMap(({ notes }) => notes),
    pools: made.map(({ name }) => ({ pool: name, own: { gpu: null, price: null } })),
  };
}

/** The walked calls of one model alone: its window is as long as its own calls need. */
const walksOf = (context: LabContext, id: string): LabContext => ({
  ...context,
  walks: context.walks.map(walked => ({
    ...walked,
    calls: walked.calls.filter(({ model }) => (context.plan.models.get(model)?.modelId ?? model) === id),
  })),
});
