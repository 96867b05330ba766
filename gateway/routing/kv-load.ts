// What a router that counts in tokens knows of its replicas' load: prompts it sent that are not computed yet, less what
// was cached, until their first token; whole prompts until their end (Dynamo's slot tracker, llm-d `inflight-load`).
import { IdTable } from '../../scenarios/base/id-table.ts';
import type { RoutingArrival, RoutingEvent } from './policy.ts';
import { type PromptEnd, PromptsInHand } from './prompts-in-hand.ts';

interface Sent {
  readonly replicaId: number;
  /** 0 from the first token on. */
  prefillTokens: number;
  readonly end: PromptEnd | null;
}

export class KvLoad {
  /** Null where only prefill counts. */
  readonly prompts: PromptsInHand | null;
  private readonly sent = new IdTable<Sent>();
  /** By replica. */
  private readonly prefill: number[] = [];

  constructor({ countsPrompts }: { countsPrompts: boolean }) {
    this.prompts = countsPrompts ? new PromptsInHand() : null;
  }

  /** Uncached tokens that were sent to the replica and have no first token yet. */
  prefillTokens(id: number): number {
    return this.prefill[id] ?? 0;
  }

  add({ id, prompt }: RoutingArrival, replicaId: number, prefillTokens: number): void {
    this.prefill[replicaId] = this.prefillTokens(replicaId) + prefillTokens;
    this.sent.set(id, { replicaId, prefillTokens, end: this.prompts?.add(prompt, replicaId) ?? null });
  }

  observe(event: RoutingEvent): void {
    if (event.kind === 'left') return;
    const sent = this.sent.get(event.id);
    if (sent === undefined) return;
    this.prefill[sent.replicaId]! -= sent.prefillTokens;
    sent.prefillTokens = 0;
    if (event.kind === 'first_token') return;
    this.sent.delete(event.id);
    if (sent.end !== null) this.prompts!.release(sent.end, sent.replicaId);
  }
}
