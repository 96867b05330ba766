// A live regression is replayed once more before it fails a build: other work on a server looks like one.

import { publish } from '../../reports/publish.ts';
import type { CommonOptions } from '../../scenarios/cli/terminal.ts';
import type { FreshOptions } from '../compare/fresh.ts';
import { readyOn, replayed } from '../compare/fresh.ts';
import { type Side, sideOfRun, withFiles } from '../compare/side.ts';

/** The same inputs on the same endpoints, with content of its own, into `folder`; null: nobody kept what it was made of. */
export async function replayAgain(
  side: Side,
  options: FreshOptions & CommonOptions,
  folder: string,
): Promise<Side | null> {
  const { inputs } = side;
  if (inputs === null || inputs.scenario.problem !== null) return null;
  return withFiles([inputs], async ([files]) => {
    const again = { ...options, seed: String(inputs.seed), set: [], salt: new Date().toISOString() };
    const ready = readyOn(files!.deployment, files!.scenario, again, true);
    await publish(await replayed(ready, again, folder), { out: folder });
    return sideOfRun(folder);
  });
}
