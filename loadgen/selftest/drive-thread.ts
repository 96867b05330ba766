// A thread that drives a share of a load.
import { parentPort, workerData } from 'node:worker_threads';
import { createDriver } from './drive.ts';
import type { Asked, ThreadStart } from './drivers.ts';

const { zero, baseUrl, name } = workerData as ThreadStart;
const driver = createDriver(zero, baseUrl, name);
parentPort!.on('message', async (asked: Asked) => {
  if (asked.kind === 'run') return parentPort!.postMessage(await driver.run(asked.load));
  await (asked.kind === 'connect' ? driver.connect(asked.sockets) : driver.close());
  parentPort!.postMessage(null);
});
