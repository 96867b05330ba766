// A deployment file: pools of replicas and hosted APIs that serve models, where they stand, where tools run, and the
// policies in front of them. The schema is the one declaration; formats/deployment/unbuilt.ts says what of it no run
// obeys yet.
import { z } from 'zod';
import { type InputPath, type Issue, issue } from '../../base/issue.ts';
import { duration } from '../drawn.ts';
import { checkSchema, type Source } from '../source.ts';
import { didYouMean } from '../suggest.ts';
import { allowHosts } from './endpoint.ts';
import { gateway } from './gateway.ts';
import { place, placeLink } from './places.ts';
import { HALVES, halfOf, type MachineFile, type PoolFile, pool } from './pool.ts';
import { provider } from './provider.ts';
import { store } from './store.ts';
import { toolRuntime } from './tool-runtime.ts';
import { unbuiltOfDeployment } from './unbuilt.ts';

const name = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'a name has letters, digits, ".", "_" and "-" only');
const named = (what: string) =>
  z
    .string()
    .regex(
      /^[A-Za-z][A-Za-z0-9_-]*$/,
      `a ${what} name starts with a letter and has letters, digits, "_" and "-" only`,
    );

const routing = z
  .union([z.string().min(1), z.looseObject({ policy: z.string().min(1).describe('name of the policy') })])
  .describe('which replica of a pool takes a call: name of a policy, or { policy: name, … its options }');

const signals = z
  .strictObject({
    scrape: duration(
      "between two scrapes of the engines' metrics; 0s: at every decision (default 50ms)",
    ).optional(),
    delay: duration('from a scrape until the router has it (default 5ms)').optional(),
    kv_events: z
      .union([duration('from a change of a KV cache until the router knows (default 5ms)'), z.literal('off')])
      .describe('how late a router learns of KV caches; off: it has to remember what it sent')
      .optional(),
  })
  .describe('how old what the gateway sees of its replicas is; what it counts itself is exact');

/** The whole file; its JSON Schema comes from here. */
export const deploymentSchema = z
  .strictObject({
    windtunnel: z.literal(1).describe('version of the file format'),
    extends: z
      .union([z.string(), z.array(z.string()).min(1)])
      .describe(
        'files or library deployments to start from; mappings merge, lists and values replace, null removes',
      )
      .optional(),
    deployment: name.describe('name of the deployment'),
    description: z.string().describe('one line, for lists').optional(),
    places: z.record(named('place'), place).describe('places by name').optional(),
    links: z.record(named('link'), placeLink).describe('links between places, by name').optional(),
    pools: z.record(named('pool'), pool).describe('pools by name').optional(),
    providers: z.record(named('provider'), provider).describe('hosted APIs by name').optional(),
    tools: z.record(named('runtime'), toolRuntime).describe('where tools run, by name').optional(),
    stores: z.record(named('store'), store).describe('what agents keep their state in, by name').optional(),
    agents: z
      .strictObject({
        place: z
          .string()
          .describe('a name under `places` (default: the client, where there is one; else with the gateway)'),
      })
      .describe('where the loops of agents run, and their users are')
      .optional(),
    gateway: gateway.optional(),
    routing: routing.optional(),
    signals: signals.optional(),
    allow_hosts: allowHosts.optional(),
  })
  .describe('what serves the models of a scenario');

export type DeploymentFile = z.output<typeof deploymentSchema>;

/** A file read: null when it has errors. `unbuilt`: errors for a run, warnings for a check. */
export interface ParsedDeployment {
  file: DeploymentFile | null;
  issues: Issue[];
  unbuilt: Issue[];
}

// ---- what a schema cannot say ---------------------------------------------------------------------------------

/** Something must serve; and what serves must say what it is. */
function servingIssues(file: DeploymentFile): Issue[] {
  if (Object.keys({ ...file.pools, ...file.providers }).length === 0) {
    const at = file.pools === undefined ? [] : ['pools'];
    return [issue(at, 'WT1004', 'expected at least one pool or provider', 'nothing would serve a call')];
  }
  return Object.entries(file.pools ?? {}).flatMap(([id, each]) => {
    const path = ['pools', id];
    const split = each.prefill ?? each.decode ?? each.link;
    return split === undefined ? gpuIssues(each, path) : disaggregationIssues(each, path);
  });
}

/** A pool without a GPU must say everything that would follow from one. */
function gpuIssues(machine: MachineFile, path: InputPath): Issue[] {
  const told = machine.limits?.kv_blocks !== undefined && machine.limits.max_model_len !== undefined;
  const standsAlone = machine.step?.model === 'affine' || machine.step?.model === 'profile';
  if (machine.gpu !== undefined || (standsAlone && told)) return [];
  const hint =
    'without a GPU, give `step: { model: affine, … }` or a profile, `limits.kv_blocks` and `limits.max_model_len`';
  return [issue([...path, 'gpu'], 'WT1004', 'missing key "gpu"', hint)];
}

/** Prefill and decode come together, with a link between them, and count their replicas themselves. */
function disaggregationIssues(each: PoolFile, path: InputPath): Issue[] {
  const hint = 'a disaggregated pool has `prefill`, `decode` and the `link` between them';
  const missing = (['prefill', 'decode', 'link'] as const).filter(key => each[key] === undefined);
  if (missing.length > 0)
    return missing.map(key => issue([...path, key], 'WT1004', `missing key "${key}"`, hint));
  const own = (['replicas', 'autoscaler'] as const).filter(key => each[key] !== undefined);
  return [
    ...own.map(key =>
      issue(
        [...path, key],
        'WT1005',
        `\`${key}\` of a disaggregated pool stands in \`prefill\` and in \`decode\``,
        null,
        { atKey: true },
      ),
    ),
    ...HALVES.flatMap(half => gpuIssues(halfOf(each, half), [...path, half])),
  ];
}

/** Names inside the file lead somewhere. */
function referenceIssues(file: DeploymentFile): Issue[] {
  const issues: Issue[] = [];
  const places = Object.keys(file.places ?? {});
  const refer = (name: string | undefined, known: readonly string[], what: string, path: InputPath): void => {
    if (name === undefined || known.includes(name)) return;
    const list = known.length === 0 ? `the file has no ${what}` : `known: ${known.join(', ')}`;
    issues.push(issue(path, 'WT1102', `unknown ${what} "${name}"`, didYouMean(name, known) ?? list));
  };
  for (const key of ['pools', 'providers', 'tools', 'stores'] as const) {
    for (const [id, each] of Object.entries(file[key] ?? {}))
      refer(each.place, places, 'place', [key, id, 'place']);
  }
  refer(file.gateway?.place, places, 'place', ['gateway', 'place']);
  refer(file.agents?.place, places, 'place', ['agents', 'place']);
  for (const [id, { between }] of Object.entries(file.links ?? {})) {
    const path = ['links', id, 'between'];
    for (const [end, each] of between.entries()) refer(each, places, 'place', [...path, end]);
    if (between[0] === between[1])
      issues.push(issue(path, 'WT1005', `a link joins two places, not "${between[0]}" with itself`));
  }
  issues.push(...targetIssues(file, refer));
  return issues;
}

type Refer = (name: string | undefined, known: readonly string[], what: string, path: InputPath) => void;

/** Pools and the models of providers are one namespace: what calls, rules and fallbacks may name. */
function targetIssues(file: DeploymentFile, refer: Refer): Issue[] {
  const issues: Issue[] = [];
  const owners = new Map(Object.keys(file.pools ?? {}).map(pool => [pool, `pool "${pool}"`]));
  for (const [id, { models }] of Object.entries(file.providers ?? {})) {
    for (const model of Object.keys(models)) {
      const taken = owners.get(model);
      if (taken === undefined) owners.set(model, `a model of provider "${id}"`);
      else {
        const hint = 'give it a name of its own, and its id in `model`';
        const path = ['providers', id, 'models', model];
        issues.push(issue(path, 'WT1103', `"${model}" is already ${taken}`, hint, { atKey: true }));
      }
    }
  }
  const targets = [...owners.keys()];
  const what = 'pool or model of a provider';
  const {
    choose = [],
    fallback = {},
    destinations = {},
    rate_limits: limits = [],
    quality = {},
  } = file.gateway ?? {};
  for (const [index, { use, escalate }] of choose.entries()) {
    const path = ['gateway', 'choose', index];
    if (typeof use === 'string') refer(use, targets, what, [...path, 'use']);
    else for (const each of Object.keys(use)) refer(each, targets, what, [...path, 'use', each]);
    refer(escalate?.to, targets, what, [...path, 'escalate', 'to']);
  }
  for (const [from, list] of Object.entries(fallback)) {
    const path = ['gateway', 'fallback', from];
    refer(from, targets, what, path);
    const lists = Array.isArray(list) ? { '': list } : list;
    for (const [key, names] of Object.entries(lists))
      for (const [index, each] of (names ?? []).entries())
        refer(each, targets, what, [...path, ...(key === '' ? [] : [key]), index]);
  }
  for (const target of Object.keys(quality)) refer(target, targets, what, ['gateway', 'quality', target]);
  const wide = [...targets, ...Object.keys(file.providers ?? {})];
  for (const [label, list] of Object.entries(destinations)) {
    for (const [index, each] of list.entries())
      refer(each, wide, 'pool, provider or model of one', ['gateway', 'destinations', label, index]);
  }
  for (const [index, { model }] of limits.entries())
    refer(model, targets, what, ['gateway', 'rate_limits', index, 'model']);
  return issues;
}

// ---- hints ----------------------------------------------------------------------------------------------------

/** Keys that people look for here and that stand elsewhere. */
const ELSEWHERE: Record<string, string> = {
  faults: 'faults stand in the scenario',
  autoscaler: 'an autoscaler stands in its pool',
  prices: '`price` stands in a pool (USD per GPU-hour) or in a model of a provider (USD per million tokens)',
  models: 'models stand in `pools` and under `providers`',
  traffic: 'this looks like a scenario: name it before -d, not behind it',
  workflows: 'this looks like a scenario: name it before -d, not behind it',
  name: 'the name of a deployment stands behind `deployment:`',
};

/** Keys that would hold a secret; the file names the variable instead. */
const SECRET_KEYS = new Set(['key', 'api_key', 'apikey', 'token', 'password', 'authorization']);
const NO_SECRETS = 'keys never stand in a file: name the environment variable in `key_env`';

function withHint(found: Issue): Issue {
  if (found.code !== 'WT1003') return found;
  const key = String(found.path.at(-1));
  const atWire = found.path.includes('endpoints') || found.path[0] === 'providers';
  if (atWire && SECRET_KEYS.has(key.toLowerCase())) return { ...found, hint: NO_SECRETS };
  const elsewhere = found.path.length === 1 ? ELSEWHERE[key] : undefined;
  return elsewhere === undefined ? found : { ...found, hint: elsewhere };
}

/** Checks a deployment file: all issues at once. */
export function parseDeployment(source: Source): ParsedDeployment {
  const refused = (issues: Issue[]): ParsedDeployment => ({ file: null, issues, unbuilt: [] });
  if (source.issues.length > 0) return refused([...source.issues]);
  const { value } = source;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return refused([issue([], 'WT1005', 'expected a deployment: a mapping with `deployment` and `pools`')]);
  const { value: file, issues } = checkSchema(deploymentSchema, value, []);
  if (file === null) return refused(issues.map(withHint));
  const found = [...servingIssues(file), ...referenceIssues(file)];
  return found.length > 0 ? refused(found) : { file, issues: [], unbuilt: unbuiltOfDeployment(file) };
}
