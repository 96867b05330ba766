// The threads that a worker runs cases on, so that its own thread is free to keep what it has taken.
import { Worker } from 'node:worker_threads';
import { EXIT } from '../../scenarios/base/errors.ts';
import type { GridCase, Outcome } from '../grid/case.ts';
import type { CaseJob } from './message.ts';
import type { Answer, Ask } from './thread.ts';

type Ran = Extract<Answer, { kind: 'ran' }>;

interface Asked {
  /** Told of each answer; true: nothing more is to come. */
  isLast(answer: Answer): boolean;
  resolve(): void;
  reject(error: Error): void;
}

/** One thread, for one job at a time. A thread that breaks fails its case; the next case gets a new one. */
export class CaseThread {
  private worker: Worker | null = null;
  private asked: Asked | null = null;
  private isEnded = false;

  /** Resolves when it has loaded what a case needs. */
  async ready(): Promise<void> {
    await this.ask({ kind: 'ready' }, () => true);
  }

  /** What differs between our plan and the coordinator's; null: nothing. */
  async check(check: NonNullable<CaseJob['check']>): Promise<string | null> {
    let problem: string | null = null;
    await this.ask({ kind: 'check', check }, answer => {
      problem = (answer as Extract<Answer, { kind: 'checked' }>).problem;
      return true;
    });
    return problem;
  }

  /** Tells of each case in order, as it ends; those that `end` cuts off are left out. */
  async run(cases: readonly GridCase[], onRan: (ms: number, outcome: Outcome) => void): Promise<void> {
    let done = 0;
    this.isEnded = false;
    while (done < cases.length && !this.isEnded) {
      const rest = cases.slice(done);
      try {
        await this.ask({ kind: 'run', cases: rest }, answer => {
          const { ms, outcome } = answer as Ran;
          done += 1;
          onRan(ms, outcome);
          return done === cases.length;
        });
      } catch (error) {
        if (this.isEnded) return;
        done += 1;
        onRan(0, brokenThread(error as Error));
      }
    }
  }

  /** Ends it, whatever it is doing. */
  end(): void {
    this.isEnded = true;
    void this.worker?.terminate();
    this.worker = null;
  }

  private ask(ask: Ask, isLast: (answer: Answer) => boolean): Promise<void> {
    this.worker ??= this.started();
    const { worker } = this;
    return new Promise((resolve, reject) => {
      this.asked = { isLast, resolve, reject };
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
      const { asked } = this;
      if (asked === null || !asked.isLast(answer)) return;
      this.asked = null;
      asked.resolve();
    });
    worker.on('error', error => broken(error as Error));
    worker.on('exit', code => broken(new Error(`it ended with ${code}`)));
    return worker;
  }
}

const brokenThread = ({ message }: Error): Outcome => ({
  ok: false,
  failure: {
    message: `the thread broke: ${message}`,
    hint: 'out of memory? fewer --jobs of the worker need less',
    exitCode: EXIT.internal,
  },
});
