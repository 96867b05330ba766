// Several senders, each in a thread of its own. A session's calls all go through one of them, which is what knows its
// answers; plans and gateway stay here, so that they decide as with one.
import { Worker } from 'node:worker_threads';
import { learnWordings } from './prompts/ask.ts';
import {
  Sender,
  type SenderEvents,
  type SenderReport,
  type SenderSetup,
  type Senders,
  type SendJob,
  type SentResult,
  type WarmUp,
} from './sender.ts';

/** What a thread is told, and what it tells. */
export type ToThread =
  | { kind: 'warm_up'; how: WarmUp }
  | { kind: 'send'; job: SendJob; slot: number }
  | { kind: 'abort'; ticket: number }
  | { kind: 'forget'; session: string }
  | { kind: 'report' }
  | { kind: 'close' };
export type FromThread =
  | { kind: 'warm' }
  | { kind: 'first_token'; ticket: number; atMs: number }
  | { kind: 'ended'; ticket: number; result: SentResult }
  | { kind: 'report'; reports: SenderReport[] }
  | { kind: 'closed' };

/** A thread's start: `tokens` holds the output tokens of each call in flight, by its slot. */
export interface ThreadData {
  readonly setup: SenderSetup;
  readonly tokens: Int32Array<SharedArrayBuffer>;
}

const SLOTS = 65_536;

interface LiveCall {
  readonly worker: Worker;
  readonly slot: number;
}

export class ThreadedSenders implements Senders {
  private readonly setup: SenderSetup;
  private readonly workers: readonly Worker[];
  private readonly tokens = new Int32Array(new SharedArrayBuffer(4 * SLOTS));
  private readonly free: number[] = Array.from({ length: SLOTS }, (_, slot) => slot);
  private readonly live = new Map<number, LiveCall>();
  private readonly owners = new Map<string, Worker>();
  private readonly gone = new Set<Worker>();
  private sessions = 0;
  private isClosing = false;

  /** `broken` is told when a thread ends that should not. */
  constructor(threads: number, setup: SenderSetup, events: SenderEvents, broken: (error: Error) => void) {
    this.setup = setup;
    const workerData: ThreadData = { setup, tokens: this.tokens };
    this.workers = Array.from({ length: threads }, () => {
      const worker = new Worker(new URL('./thread.ts', import.meta.url), { workerData });
      worker.on('error', broken);
      worker.on('exit', code => {
        this.gone.add(worker);
        if (!this.isClosing) broken(new Error(`a thread of the load generator ended with ${code}`));
      });
      worker.on('message', (message: FromThread) => this.heard(message, events));
      return worker;
    });
  }

  /** All threads write the same: the servers are asked once. */
  async warmUp({ wordings, sockets, ...how }: WarmUp = {}): Promise<void> {
    const each = sockets === undefined ? {} : { sockets: Math.ceil(sockets / this.workers.length) };
    const learnt = wordings ?? (await learnWordings(this.setup));
    await this.ask({ kind: 'warm_up', how: { ...how, ...each, wordings: learnt } }, 'warm');
  }

  send(job: SendJob): void {
    const worker = this.ownerOf(job.session);
    const slot = this.free.pop();
    if (slot === undefined) throw new Error(`more than ${SLOTS} calls in flight`);
    this.tokens[slot] = 0;
    this.live.set(job.ticket, { worker, slot });
    tell(worker, { kind: 'send', job, slot });
  }

  abort(ticket: number): void {
    const call = this.live.get(ticket);
    if (call !== undefined) tell(call.worker, { kind: 'abort', ticket });
  }

  tokensOf(ticket: number): number {
    const call = this.live.get(ticket);
    return call === undefined ? 0 : this.tokens[call.slot]!;
  }

  forget(session: string): void {
    const owner = this.owners.get(session);
    if (owner === undefined) return;
    this.owners.delete(session);
    tell(owner, { kind: 'forget', session });
  }

  async report(): Promise<SenderReport[]> {
    const answers = await this.ask({ kind: 'report' }, 'report');
    return answers.flatMap(({ reports }) => reports);
  }

  async close(): Promise<void> {
    this.isClosing = true;
    await this.ask({ kind: 'close' }, 'closed');
    await Promise.all(this.workers.map(worker => worker.terminate()));
  }

  /** Sessions in turn. */
  private ownerOf(session: string): Worker {
    const known = this.owners.get(session);
    if (known !== undefined) return known;
    const owner = this.workers[this.sessions++ % this.workers.length]!;
    this.owners.set(session, owner);
    return owner;
  }

  private heard(message: FromThread, events: SenderEvents): void {
    if (message.kind === 'first_token') events.firstToken(message.ticket, message.atMs);
    if (message.kind !== 'ended') return;
    const call = this.live.get(message.ticket);
    if (call !== undefined) this.free.push(call.slot);
    this.live.delete(message.ticket);
    events.ended(message.ticket, message.result);
  }

  /** All of them, and waits for the answer of each; one that has died, or dies meanwhile, gives none. */
  private async ask<K extends FromThread['kind']>(question: ToThread, answer: K): Promise<Answer<K>[]> {
    const asked = this.workers.filter(worker => !this.gone.has(worker));
    const answers = await Promise.all(asked.map(worker => answerOf(worker, question, answer)));
    return answers.filter(each => each !== null);
  }
}

type Answer<K extends FromThread['kind']> = Extract<FromThread, { kind: K }>;

function answerOf<K extends FromThread['kind']>(
  worker: Worker,
  question: ToThread,
  kind: K,
): Promise<Answer<K> | null> {
  return new Promise(resolve => {
    const settle = (answer: Answer<K> | null): void => {
      worker.off('message', listen);
      worker.off('exit', exited);
      resolve(answer);
    };
    const listen = (message: FromThread): void => {
      if (message.kind === kind) settle(message as Answer<K>);
    };
    const exited = (): void => settle(null);
    worker.on('message', listen);
    worker.on('exit', exited);
    tell(worker, question);
  });
}

/** In this thread, or in several; `broken` is told of one that ends and should not. */
export const openSenders = (
  workers: number,
  setup: SenderSetup,
  events: SenderEvents,
  broken: (error: Error) => void,
): Senders =>
  workers <= 1 ? new Sender(setup, events) : new ThreadedSenders(workers, setup, events, broken);

const tell = (worker: Worker, message: ToThread): void => worker.postMessage(message);
