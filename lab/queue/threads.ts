// The threads that a worker runs cases on, so that its own thread is free to keep what it has taken.
import { Worker } from 'node:worker_threads';
import { EXIT } from '../../scenarios/base/errors.ts';
import type { GridCase } from '../grid/case.ts';
import type { CaseJob, CaseReport } from './message.ts';
import type { Answer, Ask } from './thread.ts';

interface Asked {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** One thread, for one job at a time. A thread that breaks fails its case; the next case gets a new one. */
export class CaseThread {
  private worker: Worker | null = null;
  private asked: Asked | null = null;

  async run(of: GridCase): Promise<Omit<CaseReport, 'index'>> {
    const { ms, outcome } = (await this.ask({ kind: 'run', of }).catch(
      ({ message }: Error): Extract<Answer, { kind: 'ran' }> => ({
        kind: 'ran',
        ms: 0,
        outcome: {
          ok: false,
          failure: {
            message: `the thread broke: ${message}`,
            hint: 'out of memory? fewer --jobs of the worker need less',
            exitCode: EXIT.internal,
          },
        },
      }),
    )) as Extract<Answer, { kind: 'ran' }>;
    return { ms, outcome };
  }

  /** What differs between our plan and the coordinator's; null: nothing. */
  async check(check: NonNullable<CaseJob['check']>): Promise<string | null> {
    const { problem } = (await this.ask({ kind: 'check', check })) as Extract<Answer, { kind: 'checked' }>;
    return problem;
  }

  /** Loads what a case needs before the first one comes. */
  warm(): void {
    this.worker ??= this.started();
  }

  /** Ends it, whatever it is doing. */
  end(): void {
    void this.worker?.terminate();
    this.worker = null;
  }

  private ask(ask: Ask): Promise<Answer> {
    this.worker ??= this.started();
    const { worker } = this;
    return new Promise((resolve, reject) => {
      this.asked = { resolve, reject };
      worker.postMessage(ask);
    });
  }

  private started(): Worker {
    const worker = new Worker(new URL('./thread.ts', import.meta.url));
    const broken = (error: Error): void => {
      if (this.worker === worker) this.worker = null;
      this.asked?.reject(error);
      this.asked = null;
    };
    worker.on('message', (answer: Answer) => {
      this.asked?.resolve(answer);
      this.asked = null;
    });
    worker.on('error', error => broken(error as Error));
    worker.on('exit', code => broken(new Error(`it ended with ${code}`)));
    return worker;
  }
}
