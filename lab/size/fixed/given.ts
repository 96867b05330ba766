// `--fleet h200:64,h100:32`: the GPUs that one has, by their catalogue ids or the beginnings of these.
import { allGpus } from '../../../engines/catalog.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import type { FleetKind } from '../../../scenarios/formats/size-fleet.ts';
import { didYouMean } from '../../../scenarios/formats/suggest.ts';

const EXAMPLE = 'e.g. --fleet h200:64, or --fleet h200:64,h100:32';
/** More are cells of their own (docs/scale-out.md). */
const GPUS_MAX = 4096;

function gpuOf(text: string): string {
  const ids = allGpus().map(({ id }) => id);
  const found = ids.includes(text) ? text : ids.find(id => id.startsWith(`${text}-`));
  if (found !== undefined) return found;
  throw new UserError(`--fleet ${text}: the catalogue has no such GPU`, {
    hint: didYouMean(text, ids) ?? 'windtunnel catalog gpus lists them',
  });
}

/** In the order in which they are given. */
export function fleetOf(text: string): FleetKind[] {
  const kinds = text
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== '')
    .map(each => {
      const [name = '', count, ...more] = each.split(':').map(part => part.trim());
      if (name === '' || count === undefined || more.length > 0)
        throw new UserError(`--fleet ${each}: expected GPU:COUNT`, { hint: EXAMPLE });
      const gpus = Number(count);
      if (!(Number.isInteger(gpus) && gpus > 0 && gpus <= GPUS_MAX))
        throw new UserError(
          `--fleet ${each}: ${count} GPUs, where a whole number from 1 to ${GPUS_MAX} is expected`,
          {
            hint: EXAMPLE,
          },
        );
      return { gpu: gpuOf(name), gpus };
    });
  if (kinds.length === 0) throw new UserError('--fleet: it names no GPU', { hint: EXAMPLE });
  const twice = kinds.find(({ gpu }, i) => kinds.findIndex(each => each.gpu === gpu) < i);
  if (twice !== undefined)
    throw new UserError(`--fleet ${text}: ${twice.gpu} is there twice`, { hint: 'give each kind once' });
  return kinds;
}

/** Each model gets one pool, on one kind of GPU. */
export function refuseTooManyKinds(fleet: readonly FleetKind[], pools: readonly string[]): void {
  if (fleet.length <= pools.length) return;
  const kinds = fleet.map(({ gpu }) => gpu).join(', ');
  throw new UserError(
    `${fleet.length} kinds of GPU (${kinds}) for ${pools.length === 1 ? 'one pool' : `${pools.length} pools`} (${pools.join(', ')}): a pool is of one kind, so one kind would stand idle`,
    { hint: 'ask for each kind by itself and compare, or give -d a deployment with a pool for each kind' },
  );
}
