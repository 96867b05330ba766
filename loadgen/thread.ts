// A thread of the load generator: a sender behind messages.
import { parentPort, workerData } from 'node:worker_threads';
import { Sender } from './sender.ts';
import type { FromThread, ThreadData, ToThread } from './threads.ts';

const { setup, tokens } = workerData as ThreadData;
const port = parentPort!;
const tell = (message: FromThread): void => port.postMessage(message);

const sender = new Sender(setup, {
  firstToken: (ticket, atMs) => tell({ kind: 'first_token', ticket, atMs }),
  ended: (ticket, result) => tell({ kind: 'ended', ticket, result }),
});

port.on('message', async (message: ToThread) => {
  switch (message.kind) {
    case 'warm_up':
      await sender.warmUp(message.how);
      tell({ kind: 'warm' });
      return;
    case 'send': {
      const { job, slot } = message;
      sender.send(job, count => {
        tokens[slot] = count;
      });
      return;
    }
    case 'abort':
      sender.abort(message.ticket);
      return;
    case 'forget':
      sender.forget(message.session);
      return;
    case 'report':
      tell({ kind: 'report', reports: await sender.report() });
      return;
    case 'close':
      await sender.close();
      tell({ kind: 'closed' });
  }
});
