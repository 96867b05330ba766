// Options of live runs, shared by `replay` and `validate`: what they are, and what they mean once read.
import type { Argv } from 'yargs';
import { costBasis, standingReplicas } from '../engines/cost-basis.ts';
import { resolveEndpoint } from '../engines/endpoint.ts';
import type { DeploymentSpec } from '../engines/engine.ts';
import { reachableHosted } from '../engines/prepare.ts';
import { UserError } from '../scenarios/base/errors.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import { parseScalar } from '../scenarios/formats/quantity.ts';
import { refuseHosts } from './hosts.ts';
import { CACHE_BUSTS, type CacheBust } from './prompts.ts';
import { Spending } from './spending.ts';

/** How a live run is made: shared with `validate`. */
export interface LiveOptions {
  endpoint: string[];
  timeout: string;
  stall: string;
  vocab: number | undefined;
  salt: string | undefined;
  'cache-bust'?: CacheBust | undefined;
  driver?: string | undefined;
  workers?: number | undefined;
  'max-requests'?: number | undefined;
  'max-usd'?: number | undefined;
  'gpu-metrics'?: string[] | undefined;
}

export const withLive = <T>(yargs: Argv<T>) =>
  yargs
    .option('endpoint', {
      type: 'string',
      array: true,
      default: [] as string[],
      describe: 'base URL up to /v1, instead of those of the file (repeatable)',
    })
    .option('timeout', { type: 'string', default: '15m', describe: 'longest a call may take' })
    .option('stall', { type: 'string', default: '5m', describe: 'longest silence inside a call' })
    .option('vocab', {
      type: 'number',
      describe: 'vocabulary size, for token-id prompts [as the server has it]',
    })
    .option('salt', {
      type: 'string',
      describe: "mixed into all prompts, so that an earlier run's cache is not found [the time]",
    })
    .option('cache-bust', {
      choices: CACHE_BUSTS,
      default: 'run' as CacheBust,
      describe: 'whose prompts share no cache with others: nobody, each run, each session or each call',
    })
    .option('driver', {
      choices: ['windtunnel', 'k6'] as const,
      default: 'windtunnel',
      describe: 'who sends: k6 sees calls end, and not their tokens',
    })
    .option('workers', {
      type: 'number',
      default: 1,
      describe: 'threads that stream, each with whole sessions: one for every 20,000 chunks a second',
    })
    .option('gpu-metrics', {
      type: 'string',
      array: true,
      default: [] as string[],
      describe: 'a DCGM exporter to look at each second, such as http://node:9400/metrics (repeatable)',
    })
    .option('max-requests', {
      type: 'number',
      describe: 'the run stops before it sends one more [as many as there are]',
    })
    .option('max-usd', {
      type: 'number',
      describe: 'the run stops before a request that could make it dearer [whatever it costs]',
    })
    .group(
      [
        'endpoint',
        'timeout',
        'stall',
        'vocab',
        'salt',
        'cache-bust',
        'driver',
        'workers',
        'max-requests',
        'max-usd',
        'gpu-metrics',
      ],
      'Live:',
    );

/** A run that several machines make together. */
export interface ShardOptions {
  queue?: string | undefined;
  shards?: number | undefined;
  wait?: string | undefined;
}

const SHARDS_MAX = 256;

export const withShards = <T>(yargs: Argv<T>) =>
  yargs
    .option('queue', {
      type: 'string',
      describe: 'send from the workers of this Redis, redis://HOST:PORT; see docs/scale-out.md',
    })
    .option('shards', { type: 'number', describe: 'with --queue: workers that share the sessions' })
    .option('wait', { type: 'string', describe: 'with --queue: longest wait for as many workers [1m]' })
    .group(['queue', 'shards', 'wait'], 'Several machines:');

/** Null: this process makes the run by itself. */
export function shardsOf({
  queue,
  shards,
  wait,
  driver,
}: ShardOptions & Pick<LiveOptions, 'driver'>): { queue: string; shards: number; waitMs: number } | null {
  if (queue === undefined) {
    const alone = shards !== undefined ? 'shards' : wait !== undefined ? 'wait' : null;
    if (alone === null) return null;
    throw new UserError(`--${alone} is for a run on several machines`, {
      hint: 'name their Redis: --queue redis://HOST:PORT',
    });
  }
  if (driver === 'k6')
    throw new UserError('--queue: k6 sends from one machine here', {
      hint: 'leave --driver out; teams with a k6-operator run what `windtunnel export k6` writes',
    });
  if (shards === undefined)
    throw new UserError('--queue needs --shards: how many workers share the sessions', {
      hint: 'e.g. --shards 2, and `windtunnel worker --queue …` on two machines',
    });
  if (!(Number.isInteger(shards) && shards > 0 && shards <= SHARDS_MAX))
    throw new UserError(`--shards ${shards}: expected a whole number from 1 to ${SHARDS_MAX}`, {
      hint: 'e.g. --shards 2',
    });
  return { queue, shards, waitMs: durationOption('wait', wait ?? '1m') };
}

/** Endpoints named on the command line serve every pool. */
export function withEndpoints(deployment: DeploymentSpec, urls: readonly string[]): DeploymentSpec {
  if (urls.length === 0) return deployment;
  for (const each of urls) {
    const url = URL.parse(each);
    if (!/^https?:$/.test(url?.protocol ?? '')) {
      throw new UserError(`--endpoint ${each}: not an http address`, {
        hint: 'e.g. --endpoint http://127.0.0.1:8000/v1',
      });
    }
    // Not shown: it is a secret.
    if (url?.username !== '' || url.password !== '') {
      throw new UserError('--endpoint: an address here has no user and no password', {
        hint: 'name the variable that holds a key in the deployment: `key_env: NAME`',
      });
    }
  }
  const pools = deployment.pools.map(pool => {
    const like = pool.endpoints[0];
    return {
      ...pool,
      endpoints: urls.map(url => ({
        ...(like ?? resolveEndpoint({ url }, pool.modelId, pool.engine)),
        url: url.replace(/\/+$/, ''),
      })),
    };
  });
  return { ...deployment, pools };
}

export function durationOption(name: string, raw: string): number {
  const parsed = parseScalar(raw, 'ms');
  if ('value' in parsed) return parsed.value;
  throw new UserError(`--${name}: ${parsed.error}`, { hint: parsed.hint });
}

/** Threads that stream. */
export function workersOf({ workers = 1 }: LiveOptions): number {
  if (Number.isInteger(workers) && workers > 0 && workers <= 64) return workers;
  throw new UserError(`--workers ${workers}: expected a whole number from 1 to 64`, {
    hint: 'one thread streams some 20,000 chunks a second; `windtunnel selftest` says what this machine can',
  });
}

/** What keeps prompts from finding the cache of others. */
export function bustOf(
  { salt, driver, 'cache-bust': cacheBust = 'run' }: LiveOptions,
  startedAt: string,
): { salt: string; cacheBust: CacheBust } {
  if (cacheBust === 'none' && salt !== undefined)
    throw new UserError('--salt keeps runs apart, and --cache-bust none does not', {
      hint: 'leave one of them out; equal salts find each other too',
    });
  if (driver === 'k6' && (cacheBust === 'session' || cacheBust === 'call'))
    throw new UserError(`--cache-bust ${cacheBust}: k6 writes its prompts itself, and knows runs only`, {
      hint: 'leave it out, or take --driver windtunnel',
    });
  return { salt: cacheBust === 'none' ? '' : (salt ?? startedAt), cacheBust };
}

/** Of DCGM exporters; they are hosts that are asked, like any other. */
export function gpuUrlsOf(urls: readonly string[], { name, allowHosts }: DeploymentSpec): readonly string[] {
  const what = '--gpu-metrics';
  const wrong = urls.find(url => !/^https?:$/.test(URL.parse(url)?.protocol ?? ''));
  if (wrong !== undefined)
    throw new UserError(`${what} ${wrong}: not an http address`, { hint: 'e.g. http://node:9400/metrics' });
  refuseHosts(
    urls.map(url => ({ what, url })),
    allowHosts,
    name,
  );
  return urls;
}

/** What may be sent and spent, with all prices known that a limit in USD needs. `share`: of replicas that stand there. */
export function spendingOf(
  plan: Plan,
  deployment: DeploymentSpec,
  options: LiveOptions,
  share = 1,
): Spending | null {
  const { 'max-requests': maxRequests = null, 'max-usd': maxUsd = null } = options;
  if (maxRequests === null && maxUsd === null) return null;
  if (maxRequests !== null && !(Number.isInteger(maxRequests) && maxRequests > 0))
    throw new UserError(`--max-requests ${maxRequests}: expected a whole number above 0`, {
      hint: 'e.g. --max-requests 1000',
    });
  if (maxUsd !== null && !(maxUsd > 0))
    throw new UserError(`--max-usd ${maxUsd}: expected an amount above 0`, { hint: 'e.g. --max-usd 5' });
  const { price } = costBasis(deployment, plan);
  const unpriced = (what: string, hint: string): UserError =>
    new UserError(`--max-usd cannot be kept: ${what} has no known price`, { hint });
  for (const [{ name, provider }, asked] of maxUsd === null ? [] : reachableHosted(plan, deployment)) {
    if (price(name, asked ?? name) !== null) continue;
    const at = `providers.${provider}.models.${name}`;
    throw unpriced(`"${name}" of "${provider}"`, `give ${at} a \`price: { in: …, out: … }\``);
  }
  let usdPerHour = 0;
  for (const { pool, gpus, usdPerGpuHour } of maxUsd === null ? [] : standingReplicas(deployment)) {
    if (usdPerGpuHour === null)
      throw unpriced(`pool "${pool}"`, `give pools.${pool} a \`price\`, such as 3.39/h, or 0/h`);
    usdPerHour += gpus * usdPerGpuHour;
  }
  return new Spending({ maxRequests, maxUsd, price, usdPerHour: usdPerHour * share });
}
