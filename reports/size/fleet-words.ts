// The best use of a fleet in words, for the terminal and the page alike.
import type { FleetKind, FleetPool, FleetResult, FleetSplit } from '../../scenarios/formats/size-fleet.ts';
import { plural, showCount, showNumber, showRatio } from '../numbers.ts';
import { per1000, perHour, perMonth, promiseText } from './words.ts';

export const kindsText = (kinds: readonly FleetKind[]): string =>
  kinds.map(({ gpu, gpus }) => `${showCount(gpus)} ${gpu}`).join(' and ');

/** `12 x TP 2`, or `3+9 x TP 2, prefill and decode apart`. */
export const replicasOf = ({ replicasText, tensorParallel, shape }: FleetPool): string =>
  `${replicasText} x TP ${tensorParallel}${shape === 'split' ? ', prefill and decode apart' : ''}`;

/** `large: 12 x TP 2 on h200-141gb-sxm`. */
const poolText = (pool: FleetPool): string => `${pool.pool} ${replicasOf(pool)} on ${pool.gpu}`;

export const splitText = ({ pools, routing, choices }: FleetSplit): string =>
  [
    pools.map(poolText).join('; '),
    routing,
    ...Object.entries(choices).map(([name, value]) => `${name} ${value}`),
  ].join(', ');

const timesText = (ratio: number): string => `${showNumber(ratio)} times today's traffic`;

/** The answer in one sentence. */
export function fleetHeadline({ answer, fleet }: FleetResult): string {
  const all = kindsText(fleet);
  if (answer === null)
    return `No use of ${all} that was tried keeps every promise, at however little traffic`;
  if (answer.loadRatio === 0) return `${all} keep no promise for long, whatever the split`;
  const split = answer.pools.map(({ pool, gpus }) => `${pool} ${showCount(gpus)}`).join(', ');
  return answer.loadRatio < 1
    ? `${all} hold only ${showRatio(answer.loadRatio)} of today's traffic, at best with ${split} GPUs`
    : `${all} hold ${timesText(answer.loadRatio)} with every promise kept${answer.sized?.verdict === 'unsure' ? ' by the mean' : ''}: ${split} GPUs`;
}

/** What is held, and how sure that is. */
export function heldText({ loadRatio, loadCi95, seeds, sized, breaksFirst, drowns }: FleetSplit): string {
  const sure =
    loadCi95 === null
      ? 'one run, so nobody knows how sure'
      : `${showNumber(loadCi95[0])} to ${showNumber(loadCi95[1])} with 95 % confidence over ${plural(seeds, 'seed')}`;
  const traffic =
    sized === null
      ? ''
      : `, ${showCount(sized.workflowsPerHour)} workflows/h and ${showNumber(sized.callsPerSec)} calls/s`;
  const then =
    drowns !== null
      ? `; beyond, pool ${drowns} gets more work than it can do`
      : breaksFirst === null
        ? ''
        : `; then ${breaksFirst} breaks`;
  return `${timesText(loadRatio)} (${sure})${traffic}${then}`;
}

export function costText({ sized, gpus, loadRatio }: FleetSplit): string | null {
  if (sized === null) return null;
  if (sized.usdPerHour === null)
    return `no price of these ${plural(gpus, 'GPU')} is known; --price gives one`;
  return `${perHour(sized.usdPerHour)} for ${plural(gpus, 'GPU')}, ${perMonth(sized.usdPerHour)}; ${per1000(sized)} at ${timesText(loadRatio)}`;
}

export const promiseLines = ({ sized }: FleetSplit): string[] => sized?.promises.map(promiseText) ?? [];

export const tightestText = ({ tightest }: FleetResult): string | null =>
  tightest && `pool ${tightest.pool}: ${tightest.why}`;

export function runnerUpLine({ answer, runnerUp }: FleetResult): string | null {
  if (answer === null) return null;
  if (runnerUp === null) return 'no other combination of GPUs, TP, shapes and routers came near it';
  const less = answer.loadRatio === 0 ? 0 : 1 - runnerUp.loadRatio / answer.loadRatio;
  return `${splitText(runnerUp)}: ${timesText(runnerUp.loadRatio)}, ${less < 0.005 ? 'as much' : `${showRatio(less)} less`}`;
}

export function moreText({ more }: FleetResult): string | null {
  if (more === null) return null;
  const { kind, split, beforeRatio } = more;
  const gain = beforeRatio === 0 ? null : split.loadRatio / beforeRatio - 1;
  const gpus = split.pools.map(({ pool, gpus: own }) => `${pool} ${showCount(own)}`).join(', ');
  const brings =
    gain === null
      ? timesText(split.loadRatio)
      : gain < 0.015
        ? 'nothing that shows'
        : `${showRatio(gain)} more traffic (${showNumber(split.loadRatio)} times today's instead of ${showNumber(beforeRatio)}, in runs with ${plural(split.seeds, 'seed')}), as ${gpus} GPUs`;
  return `${kindsText([kind])} more would bring ${brings}`;
}

export function enoughLines({ answer, enough, idle }: FleetResult): string[] {
  const left = idle.map(({ gpu, gpus, why }) => `${showCount(gpus)} ${gpu} idle: ${why}`);
  if (enough === null || answer === null) return left;
  const { split, free } = enough;
  const spare = free.filter(({ gpus }) => gpus > 0);
  return [
    ...left,
    spare.length === 0
      ? `today's traffic needs no fewer in this shape (${splitText(split)}); \`windtunnel size\` without --fleet finds the fewest of any`
      : `today's traffic needs ${plural(split.gpus, 'GPU')} (${splitText(split)}): ${kindsText(spare)} could do other work`,
  ];
}

export const effortLine = ({ effort }: FleetResult): string =>
  `${plural(effort.combinations, 'combination')} that fit, ${plural(effort.splits, 'deployment')} simulated in ${plural(effort.runs, 'run')} of ${plural(effort.calls, 'call')}`;

/** Nothing holds any traffic: what comes closest. */
export function closestLines({ answer, closest }: FleetResult): string[] {
  if (answer !== null || closest === null) return [];
  return [
    `closest: ${closest.name}`,
    ...closest.promises.map(promiseText),
    'it takes faster GPUs, more of them a replica (--tp), shorter prompts, or another promise',
  ];
}

export const POOL_COLUMNS = [
  'pool',
  'model',
  'GPU',
  'TP',
  'replicas',
  'GPUs',
  'tightest of its promises',
  'KV',
  'batch',
];

export const poolRows = ({ pools }: FleetSplit): string[][] =>
  pools.map(({ pool, model, gpu, tensorParallel, replicasText, gpus, use }) => [
    pool,
    model,
    gpu,
    String(tensorParallel),
    replicasText,
    showCount(gpus),
    use?.promise == null ? '–' : `${showRatio(use.promiseRatio)} of ${use.promise}`,
    use === null ? '–' : showRatio(use.kvRatio),
    use === null ? '–' : showRatio(use.batchRatio),
  ]);
