// The shards of a live run put together. Pure. Law: however the sessions of a run are dealt out, the merged run is the same.
import type { ClientReport, Measured, ShardReport, Spread } from '../scenarios/formats/measured.ts';
import type { CallRecord, GovernedRecords } from '../scenarios/formats/record.ts';
import type { RunHeader, RunOutput } from '../scenarios/formats/run.ts';
import { clientReport, mergedCounts } from './client-report.ts';
import { mergedReports, promptEvidence, promptWarnings } from './prompts/tally.ts';

/** What one shard has delivered. */
export interface ShardPart {
  /** `shard 1 of 3`. */
  readonly name: string;
  /** Its header has what is known of this shard alone. */
  readonly output: RunOutput;
  /** Why it did not come to its end; null: it did, or was stopped with all others. */
  readonly lost: string | null;
}

/** `header`: of the run as a whole; what the shards say of themselves is added to it. */
export function mergedRun(parts: readonly ShardPart[], header: RunHeader, shards: ShardReport[]): RunOutput {
  const outputs = parts.map(({ output }) => output);
  const all = <Row>(rows: (output: RunOutput) => readonly Row[]): Row[] => outputs.flatMap(rows);
  const calls = all(output => output.calls).sort(byTime(call => call.plannedMs));
  const workflows = all(output => output.workflows).sort(byTime(workflow => workflow.plannedMs));
  const governed = governedOf(outputs);
  const witness = longest(outputs);
  const measured = measuredOf(outputs, { calls, workflows }, shards);
  const lost = parts.filter(part => part.lost !== null);
  const unsure = parts.filter(({ output }) => !output.valid);
  return {
    header: mergedHeader(parts, header, measured),
    calls,
    nodes: all(output => output.nodes).sort(byTime(node => node.startMs)),
    workflows,
    // Each shard has looked at the same servers.
    timeline: witness?.timeline ?? [],
    ...(governed === null ? {} : { governed }),
    ...(measured === null ? {} : { measured }),
    itlMs: mergedCounts(outputs.map(({ itlMs }) => itlMs)),
    assertions: [...(outputs[0]?.assertions ?? [])],
    durationMs: Math.max(0, ...outputs.map(({ durationMs }) => durationMs)),
    interrupted: parts.some(({ output, lost: why }) => why === null && output.interrupted),
    valid: lost.length === 0 && unsure.length === 0,
    ...(lost.length === 0 ? {} : { isPartial: true }),
    invalidReason:
      lost.length > 0
        ? lost.map(({ name, lost: why }) => `${name} ${why}`).join('; ')
        : unsure.length === 0
          ? null
          : unsure.map(({ name, output }) => named(parts, name, output.invalidReason ?? '')).join('; '),
  };
}

interface OfSession {
  readonly session: string;
}

/** Ties by session; records of one session, which are of one shard, stay in their order. */
const byTime =
  <Row extends OfSession>(timeOf: (row: Row) => number) =>
  (a: Row, b: Row): number =>
    timeOf(a) - timeOf(b) || (a.session < b.session ? -1 : a.session > b.session ? 1 : 0);

/** Null: nothing governed any of them. */
function governedOf(outputs: readonly RunOutput[]): GovernedRecords | null {
  const parts = outputs.flatMap(({ governed }) => governed ?? []);
  if (parts.length === 0) return null;
  const sum = (usd: (part: GovernedRecords) => number): number =>
    parts.reduce((total, part) => total + usd(part), 0);
  return {
    attempts: parts.flatMap(({ attempts }) => attempts).sort(byTime(({ wantedMs }) => wantedMs)),
    tools: parts.flatMap(({ tools }) => tools).sort(byTime(({ askedMs }) => askedMs)),
    decisions: parts.flatMap(({ decisions }) => decisions).sort(byTime(({ atMs }) => atMs)),
    cancels: parts.flatMap(({ cancels }) => cancels).sort(byTime(({ atMs }) => atMs)),
    anomalies: parts.flatMap(({ anomalies }) => anomalies).sort(byTime(() => 0)),
    classifierUsd: sum(({ classifierUsd }) => classifierUsd),
    idleToolsUsd: sum(({ idleToolsUsd }) => idleToolsUsd),
  };
}

/** The one that watched the servers longest, the first of several. */
const longest = (outputs: readonly RunOutput[]): RunOutput | undefined =>
  outputs.reduce<RunOutput | undefined>(
    (best, each) =>
      best === undefined || (each.timeline.at(-1)?.atMs ?? -1) > (best.timeline.at(-1)?.atMs ?? -1)
        ? each
        : best,
    undefined,
  );

function measuredOf(
  outputs: readonly RunOutput[],
  { calls, workflows }: Pick<RunOutput, 'calls' | 'workflows'>,
  shards: ShardReport[],
): Measured | null {
  const known = outputs.flatMap(({ measured, timeline }) =>
    measured === undefined ? [] : { measured, timeline },
  );
  if (known.length === 0) return null;
  const clients = known.map(({ measured }) => measured.client);
  const sum = (count: (client: ClientReport) => number): number =>
    clients.reduce((total, client) => total + count(client), 0);
  const serversSaw = clients.flatMap(({ serverInFlightMax }) => serverInFlightMax ?? []);
  // Differences of counters that count the calls of all shards: those of the longest watch are nearest to the run's.
  const watch = known.reduce((best, each) =>
    (each.timeline.at(-1)?.atMs ?? -1) > (best.timeline.at(-1)?.atMs ?? -1) ? each : best,
  ).measured;
  const prompts = mergedReports(known.flatMap(({ measured }) => measured.prompts ?? []));
  return {
    client: {
      // Lags and rates are those of the whole.
      ...clientReport(calls, workflows, [], { wallMs: 0, cpuUs: { user: 0, system: 0 }, inFlightMax: 0 }),
      workers: sum(({ workers }) => workers),
      loopDelayMs: worst(clients.map(({ loopDelayMs }) => loopDelayMs)),
      cpuCores: sum(({ cpuCores }) => cpuCores),
      chunks: sum(({ chunks }) => chunks),
      chunkGapMs: mergedCounts(clients.map(({ chunkGapMs }) => chunkGapMs)),
      inFlightMax: Math.max(inFlightAtOnce(calls), ...clients.map(({ inFlightMax }) => inFlightMax)),
      serverInFlightMax: serversSaw.length === 0 ? null : Math.max(...serversSaw),
      socketsOpened: sum(({ socketsOpened }) => socketsOpened),
      ...(shards.length === 0 ? {} : { shards }),
    },
    prompts,
    servers: watch.servers,
    gpus: watch.gpus,
  };
}

const worst = (spreads: readonly Spread[]): Spread =>
  spreads.reduce((highest, each) => (each.p99 > highest.p99 ? each : highest));

/** Most calls between their sending and their end. */
function inFlightAtOnce(calls: readonly CallRecord[]): number {
  const edges = calls.flatMap(({ sentMs, endMs }): [number, number][] =>
    sentMs === null || endMs === null
      ? []
      : [
          [sentMs, 1],
          [endMs, -1],
        ],
  );
  // At one instant ends come first.
  edges.sort(([a, up], [b, down]) => a - b || up - down);
  let now = 0;
  let most = 0;
  for (const [, change] of edges) {
    now += change;
    most = Math.max(most, now);
  }
  return most;
}

/** What all shards say is said once, what some say under their names, what follows from prompts of the whole. */
function mergedHeader(parts: readonly ShardPart[], header: RunHeader, measured: Measured | null): RunHeader {
  const prompts = measured?.prompts ?? [];
  const told = (lines: (output: RunOutput) => readonly string[]): string[] => {
    // One that was cut off has said nothing.
    const said = parts.filter(({ output }) => output.measured !== undefined);
    const all = said.map(({ name, output }) => ({ name, lines: lines(output) }));
    const isCommon = (line: string): boolean => all.every(each => each.lines.includes(line));
    return [
      ...new Set(
        all.flatMap(({ name, lines: own }) =>
          own.map(line => (isCommon(line) ? line : named(parts, name, line))),
        ),
      ),
    ];
  };
  const without = (lines: readonly string[], left: readonly string[]): string[] =>
    lines.filter(line => !left.includes(line));
  const ofPrompts = ({ measured: own }: RunOutput) => own?.prompts ?? [];
  const evidence = told(output => without(output.header.evidence, promptEvidence(ofPrompts(output))));
  const warnings = told(output => without(output.header.warnings, promptWarnings(ofPrompts(output))));
  return {
    ...header,
    evidence: [...header.evidence, ...evidence, ...promptEvidence(prompts)],
    warnings: [...header.warnings, ...warnings, ...promptWarnings(prompts)],
  };
}

const named = (parts: readonly ShardPart[], name: string, line: string): string =>
  parts.length === 1 ? line : `${name}: ${line}`;
