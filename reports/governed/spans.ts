// spans.otlp.json: one trace for each workflow, of a sample of them. Simulated runs begin at 2026-01-01T00:00:00Z; live
// ones when they began. Ids are the same for the same seed, in both worlds.
import { extendText, keyText, seedKey } from '../../scenarios/base/key.ts';
import type { WorkflowRecord } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { utcMicros } from '../../scenarios/importers/parts/clock.ts';
import { keyValues, spanJson } from './otlp.ts';
import { type Priced, type SessionStory, sessionSpans } from './session-spans.ts';

const SIM_EPOCH = '2026-01-01T00:00:00Z';
const SESSIONS_MAX = 1000;
/** About 60 MB of text. */
const STEPS_MAX = 50_000;

export interface SpanOptions {
  /** Sessions in the file, at most; default 1,000. */
  readonly sessions?: number;
}

/** The sample: sessions in the order of a hash, as many as fit; then in order of their start. */
function sampled({ header, workflows, nodes }: RunOutput, most: number): WorkflowRecord[] {
  const steps = new Map<string, number>();
  for (const { session } of nodes) steps.set(session, (steps.get(session) ?? 0) + 1);
  const key = extendText(seedKey(header.seed), 'spans');
  const drawn = workflows
    .map(workflow => ({ workflow, place: keyText(extendText(key, workflow.session)) }))
    .sort((a, b) => (a.place < b.place ? -1 : 1))
    .slice(0, most);
  let left = STEPS_MAX;
  const kept: WorkflowRecord[] = [];
  for (const { workflow } of drawn) {
    left -= steps.get(workflow.session) ?? 0;
    if (left < 0 && kept.length > 0) break;
    kept.push(workflow);
  }
  return kept.sort((a, b) => a.plannedMs - b.plannedMs || (a.session < b.session ? -1 : 1));
}

/** Records by session, of the sessions in the sample; each with its amount of the ledger. */
function bySession<Record extends { readonly session: string }>(
  records: readonly Record[],
  sample: ReadonlySet<string>,
  nanos: Float64Array | null,
): Map<string, Priced<Record>[]> {
  const found = new Map<string, Priced<Record>[]>();
  for (const [i, record] of records.entries()) {
    if (!sample.has(record.session)) continue;
    const priced = { record, nanos: nanos === null ? null : (nanos[i] ?? null) };
    const list = found.get(record.session);
    if (list === undefined) found.set(record.session, [priced]);
    else list.push(priced);
  }
  return found;
}

function* stories(output: RunOutput, sample: readonly WorkflowRecord[]): Generator<SessionStory> {
  const { calls, nodes, governed, ledger } = output;
  const sessions = new Set(sample.map(({ session }) => session));
  const spent = ledger?.attemptNanos ?? null;
  const plain = <Record extends { readonly session: string }>(records: readonly Record[] = []) => {
    const found = bySession(records, sessions, null);
    return (session: string) => (found.get(session) ?? []).map(({ record }) => record);
  };
  const callsOf = bySession(calls, sessions, governed === undefined ? spent : null);
  const attemptsOf = bySession(governed?.attempts ?? [], sessions, spent);
  const toolsOf = bySession(governed?.tools ?? [], sessions, ledger?.toolNanos ?? null);
  const nodesOf = plain(nodes);
  const decisionsOf = plain(governed?.decisions);
  const cancelsOf = plain(governed?.cancels);
  for (const workflow of sample) {
    const { session } = workflow;
    yield {
      workflow,
      calls: (callsOf.get(session) ?? []).sort((a, b) => a.record.plannedMs - b.record.plannedMs),
      nodes: nodesOf(session),
      attempts: attemptsOf.get(session) ?? [],
      tools: toolsOf.get(session) ?? [],
      decisions: decisionsOf(session),
      cancels: cancelsOf(session),
    };
  }
}

/** The file in pieces, a span a line. */
export function* spansJson(output: RunOutput, options: SpanOptions = {}): Generator<string> {
  const { header, workflows, durationMs } = output;
  const sample = sampled(output, options.sessions ?? SESSIONS_MAX);
  const epoch = header.startedAt ?? SIM_EPOCH;
  const zeroNanos = BigInt(utcMicros(epoch) ?? 0) * 1000n;
  const resource = keyValues({
    'service.name': 'windtunnel',
    'service.version': header.tool.version,
    'windtunnel.world': header.world,
    'windtunnel.seed': String(header.seed),
    'windtunnel.scenario': header.scenario.name,
    'windtunnel.deployment': header.deployment.name,
    'windtunnel.epoch': epoch,
    'windtunnel.sessions': workflows.length,
    'windtunnel.sessions_in_file': sample.length,
  });
  const scope = { name: header.tool.name, version: header.tool.version };
  yield `{"resourceSpans":[{"resource":${JSON.stringify({ attributes: resource })},"scopeSpans":[{"scope":${JSON.stringify(scope)},"spans":[\n`;
  const runKey = seedKey(header.seed);
  let isFirst = true;
  for (const story of stories(output, sample)) {
    const lines = sessionSpans(runKey, story, durationMs).map(span => spanJson(span, zeroNanos));
    yield `${isFirst ? '' : ',\n'}${lines.join(',\n')}`;
    isFirst = false;
  }
  yield '\n]}]}]}\n';
}
