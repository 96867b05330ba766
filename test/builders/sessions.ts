// One session of a test, driven by hand or by drawn choices.
import fc from 'fast-check';
import type { PlannedSession } from '../../scenarios/formats/plan.ts';
import type { NodeRecord } from '../../scenarios/formats/record.ts';
import {
  type Action,
  type LiveNode,
  type Observer,
  SessionProgress,
} from '../../scenarios/workflows/progress.ts';
import { firstSession, planOf, randomSteps, workflowText } from './scenarios.ts';

type DrivenSession = Pick<PlannedSession, 'id' | 'key' | 'program'>;

/** A session, what runs of it, and what it was asked and told. */
export class Driven {
  readonly progress: SessionProgress;
  readonly nodes: NodeRecord[] = [];
  readonly started: LiveNode[] = [];
  readonly aborted: LiveNode[] = [];
  readonly dones: Extract<Action, { kind: 'done' }>[] = [];
  readonly live: LiveNode[] = [];
  /** ms of each delay, by row. */
  readonly delays = new Map<number, number>();
  nowMs = 0;

  /** A session, or the first one of a scenario. */
  constructor(of: string | DrivenSession, observer: Partial<Observer> = {}) {
    const { id, key, program } = typeof of === 'string' ? firstSession(planOf(of)) : of;
    this.progress = new SessionProgress(id, key, program, {
      onNode: node => this.nodes.push(node),
      ...observer,
    });
  }

  start(): this {
    this.take(this.progress.start(0));
    return this;
  }

  take(actions: readonly Action[]): void {
    for (const action of actions) {
      if (action.kind === 'done') this.dones.push(action);
      else if (action.kind === 'abort') {
        this.aborted.push(action.node);
        this.live.splice(this.live.indexOf(action.node), 1);
      } else {
        this.live.push(action.node);
        this.started.push(action.node);
        if (action.kind === 'delay') this.delays.set(action.node.row, action.delayMs);
      }
    }
  }

  /** The live node of a path. */
  node(path: string): LiveNode {
    const found = this.live.find(each => each.path === path);
    if (found === undefined)
      throw new Error(`${path} is not live; ${this.live.map(each => each.path).join(', ')} are`);
    return found;
  }

  /** Ends a node 1 ms later; `end` as the driver tells it. */
  finish(
    path: string,
    error: string | null = null,
    end?: { isSkipped?: boolean; answerTokens?: number },
  ): void {
    const node = this.node(path);
    this.live.splice(this.live.indexOf(node), 1);
    const told = { isSkipped: end?.isSkipped ?? false, answerTokens: end?.answerTokens ?? null };
    this.take(this.progress.finish(node.row, error, ++this.nowMs, told));
  }

  /** The same of a tool or a pause; without `failure` as it was planned. */
  endDelay(path: string, failure?: string | null): void {
    const node = this.node(path);
    this.live.splice(this.live.indexOf(node), 1);
    this.take(this.progress.delayEnded(node.row, ++this.nowMs, failure));
  }

  restart(sinceMs: number | null): void {
    this.take(this.progress.restart(sinceMs, ++this.nowMs));
  }

  /** Prompt tokens by step, of the last call of each. */
  prompts(): Record<string, number> {
    return Object.fromEntries(
      this.started.flatMap(({ step, call }) => (call === null ? [] : [[step, call.promptTokens]])),
    );
  }

  /** Path and status of each node that has ended, in order. */
  ends(): [string, string][] {
    return this.nodes.map(({ call, status }) => [call, status]);
  }
}

/** A path without the number of a life. */
export const basePath = (path: string): string => path.replace(/~\d+$/, '');

/** Adds rules to the workflow `main` of a text. */
export const withRules = (text: string, rules: string): string =>
  text.replace('  main:\n', `  main:\n    ${rules}\n`);

export const CHECKPOINTS = 'checkpoint: { every: 1 }';

/** Random workflows, some of whose calls are final ones. */
export const randomTexts: fc.Arbitrary<string> = fc
  .tuple(randomSteps, fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }))
  .map(([steps, finals]) => {
    let count = 0;
    const some = steps.replace(/\{ llm: s\d+,/g, found =>
      finals[count++ % finals.length] === true ? `${found} role: final,` : found,
    );
    return workflowText(some);
  });
