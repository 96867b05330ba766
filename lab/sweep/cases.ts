// A point of a sweep and a seed as a case of a grid; and whether the paths that vary lead anywhere, before anything runs.
import { loadDeployment } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import type { Issue } from '../../scenarios/base/issue.ts';
import { type LoadOptions, loadScenario } from '../../scenarios/cli/load.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';
import { type Axis, assignment, fieldsOf } from '../../scenarios/formats/vary.ts';
import type { GridCase } from '../grid/case.ts';
import type { Point, Setting } from './design.ts';

/** What every run of a sweep has in common. */
export interface SweepBase {
  readonly scenario: { readonly input: string; readonly options: LoadOptions };
  readonly deployment: { readonly input: string; readonly set: readonly string[] };
  /** A router in place of the deployment's. */
  readonly routing: string | undefined;
  /** `path={}` of keys that a varied path goes through and the deployment does not have. */
  readonly opened: readonly string[];
}

/** Several seeds of one number: it and those after it. */
export const seedsOf = (first: number | string, count: number): (number | string)[] =>
  Array.from({ length: count }, (_, i) =>
    typeof first === 'number' ? first + i : i === 0 ? first : `${first}/${i}`,
  );

export function caseOf(base: SweepBase, point: Point, seed: number | string): GridCase {
  const settings = point.flatMap(place => place.settings);
  const of = (target: Setting['of']): Setting[] => settings.filter(each => each.of === target);
  const lines = (target: Setting['of']): string[] =>
    of(target).map(({ path, value }) => assignment(path, value));
  const { scenario, deployment, routing, opened } = base;
  return {
    scenario: {
      input: scenario.input,
      options: {
        ...scenario.options,
        seed: (of('seed')[0]?.value as number | string | undefined) ?? seed,
        set: [...(scenario.options.set ?? []), ...lines('scenario')],
      },
    },
    deployment: {
      input: deployment.input,
      set: [...deployment.set, ...opened, ...lines('deployment')],
      ...(routing === undefined ? {} : { change: { routing: { policy: routing, options: {} } } }),
    },
    loadFactor: (of('load')[0]?.value as number | undefined) ?? 1,
    isTallied: true,
  };
}

type Mapping = Record<string, unknown>;
const isContainer = (value: unknown): value is Mapping => typeof value === 'object' && value !== null;

/** Keys that are names of the user's own, which no override may invent. */
const NAMED = ['pools', 'providers', 'tools', 'stores', 'places', 'links'];

/**
 * What has to be opened on the way to the varied paths of a deployment. A path that leads nowhere in its file is a UserError
 * with the file's own keys; a key at its end that no file of the kind has, too.
 */
export function openedOf(axes: readonly Axis[], base: Omit<SweepBase, 'opened'>): string[] {
  const { scenario, deployment } = base;
  const loaded = loadScenario(scenario.input, scenario.options);
  const deployed = loadDeployment(deployment.input, routingPolicies, deployment.set);
  const opened = new Set<string>();
  for (const { path, of, values } of axes.flatMap(fieldsOf)) {
    if (of !== 'scenario' && of !== 'deployment') continue;
    const value = of === 'scenario' ? loaded.source.value : deployed.source.value;
    const missing = missingOn(path, value, of);
    for (const each of missing) opened.add(`${each}={}`);
    const set = [...missing.map(each => `${each}={}`), assignment(path, values[0])];
    refuseUnknownKeys(path, of, () =>
      of === 'scenario'
        ? loadScenario(scenario.input, {
            ...scenario.options,
            set: [...(scenario.options.set ?? []), ...set],
          }).issues
        : loadDeployment(deployment.input, routingPolicies, [...deployment.set, ...set]).issues,
    );
  }
  return [...opened];
}

/** The containers that a path goes through and that are not there. */
function missingOn(path: string, root: unknown, of: 'scenario' | 'deployment'): string[] {
  const keys = path.split('.');
  let at = root;
  for (const [depth, key] of keys.slice(0, -1).entries()) {
    const known = isContainer(at) ? Object.keys(at) : [];
    const inner = isContainer(at) && Object.hasOwn(at, key) ? at[key] : undefined;
    if (isContainer(inner)) {
      at = inner;
      continue;
    }
    const isName = depth === 1 && NAMED.includes(keys[0]!);
    if (of === 'deployment' && depth > 0 && inner === undefined && !isName && !Array.isArray(at))
      return keys.slice(depth, -1).map((_, i) => keys.slice(0, depth + i + 1).join('.'));
    if (inner !== undefined) {
      throw new UserError(`--vary ${path}: "${key}" has no keys`, {
        hint: `vary ${keys.slice(0, depth + 1).join('.')} itself`,
      });
    }
    throw new UserError(`--vary ${path}: the ${of} has nothing at "${key}"`, {
      hint: didYouMean(key, known) ?? `there: ${known.join(', ')}`,
    });
  }
  return [];
}

function refuseUnknownKeys(path: string, of: string, issues: () => readonly Issue[]): void {
  let found: readonly Issue[];
  try {
    found = issues();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.message.replace(/^--set [^:]*/, `--vary ${path}`), { hint: error.hint });
  }
  const unknown = found.find(
    ({ code, path: at }) =>
      code === 'WT1003' && path.startsWith(at.join('.')) && (of !== 'deployment' || at[0] !== 'routing'),
  );
  if (unknown !== undefined)
    throw new UserError(`--vary ${path}: ${unknown.message}`, { hint: unknown.hint });
}
