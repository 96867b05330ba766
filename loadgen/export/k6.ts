// k6: a TypeScript file that stock k6 runs, and the sessions beside it as JSON. The script is that of loadgen/k6, which is
// tried in the tests as it stands; here are its options, its settings, and what it leaves out.
import type { DeploymentSpec } from '../../engines/engine.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { textKey } from '../../scenarios/base/key.ts';
import type { PlannedSession } from '../../scenarios/formats/plan.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { idsOf, type RunRow, type Salt, type SessionRow, wordsOf } from '../k6/session.ts';
import type { Settings, TargetRow } from '../k6/settings.ts';
import type { KnownSession } from '../k6/tally.ts';
import { chainsOf, type Exported, type Exporter, type ExportInput } from './exporter.ts';
import { RuleRows, sessionRow } from './k6-plan.ts';
import { scriptOf } from './k6-script.ts';
import { targetsOf } from './k6-targets.ts';
import { MetRules } from './losses.ts';
import { SharedTexts } from './shared-texts.ts';
import { testRun } from './testrun.ts';
import { thresholdsOf } from './thresholds.ts';
import { leavesOf, type Piece, type Unrolled, unroll } from './unroll.ts';

/** A call is taken to last so long where only the number of users depends on it. */
const ASSUMED_CALL_MS = 30_000;
/** Each costs k6 some megabytes. */
const MANY_USERS = 1000;
const DAY_MS = 86_400_000;
/** Longest a call may take where nobody says. */
const TIMEOUT_MS = 900_000;

/** From k6's start to the plan's: for VUs to begin, and to spell the prompts of sessions that start at once. */
const LEAD_MS = 1000;
const LEAD_MS_PER_TOKEN = 0.01;
const LEAD_MS_MAX = 120_000;
const FIRST_MS = 2000;

const LOSERS = 'k6 cannot cancel a request: losers of a join that does not wait for all run to their end';
/** What k6 has no way for, in any script of ours. */
const ALWAYS_LOST = [
  'answers are not sent back: later prompts hold the planned text of the same length in their place, so what a server cached while it generated is not found',
  'percentiles of k6 are of one process; pods of a TestRun are not merged, and each judges thresholds alone',
  'content is the same every time: a second run on a server finds the first in its cache, unless WINDTUNNEL_SALT is set to another 16 digits',
  'times are those of Date.now(): whole milliseconds',
];
const BUFFERED =
  'k6/http buffers answers: no TTFT, TPOT or ITL (windtunnel_ttfb_ms is the first byte, which most servers send before the first token)';
const SERIAL =
  'k6/x/sse blocks its user while an answer comes: calls that the scenario makes at once are made one after the other';

export const k6: Exporter = {
  name: 'k6',
  doc: 'a script for stock k6 (1.x and 2.x) with the plan beside it; --sse for k6/x/sse, --testrun for the k6 operator',
  export: exportK6,
};

/** What the driver of k6 needs beside the files. */
export interface ExportedK6 extends Exported {
  readonly targets: readonly TargetRow[];
  /** By id. */
  readonly known: ReadonlyMap<string, KnownSession>;
}

/** Everything about the sessions that the script needs. */
interface Gathered {
  /** By cohort: JSON of each chain. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  readonly met: MetRules;
  readonly rules: RuleRows;
  readonly targets: readonly TargetRow[];
  readonly sessions: number;
  readonly calls: number;
  readonly usersMax: ReadonlyMap<string, number>;
  readonly lastMs: number;
  readonly leadMs: number;
  readonly shared: SharedTexts;
  readonly known: ReadonlyMap<string, KnownSession>;
  readonly lost: readonly string[];
}

/**
 *   plan ─▶ sessions unrolled ─▶ rows ─▶ plan.json
 *        └▶ assertions ─▶ thresholds ──▶ script.ts, testrun.yaml
 */
export function exportK6(input: ExportInput): ExportedK6 {
  const { plan, deployment, options } = input;
  const { sse = false, testrun = null, timeoutMs = TIMEOUT_MS, vocabTokens = 32_000 } = options;
  const salt = saltOf(options.salt ?? `${plan.name} ${plan.seed}`);
  const gathered = gather(input);
  const { thresholds, codes, slos, lost: unjudged } = thresholdsOf(plan.assertions, sse);
  const ruled = gathered.met.lost(plan, deployment);
  const lost = [
    sse ? SERIAL : BUFFERED,
    ...ALWAYS_LOST,
    ...gathered.lost,
    ...(ruled === null ? [] : [ruled]),
    ...unjudged,
  ];
  const names = scenarioNames([...gathered.chains.keys()]);
  const scenarios = scenariosOf(gathered, names, options);
  const users = Object.values(scenarios).reduce((sum, { vus }) => sum + vus, 0);
  const settings: Settings = {
    targets: gathered.targets,
    rules: gathered.rules.rows,
    codes,
    slos,
    cohorts: Object.fromEntries([...names].map(([cohort, name]) => [name, cohort])),
    timeoutMs,
    leadMs: gathered.leadMs,
    salt,
    vocabTokens,
  };
  const script = scriptOf({
    title: `${plan.name} on ${deployment.name}, seed ${plan.seed}: ${gathered.sessions} sessions, ${gathered.calls} calls`,
    lost,
    options: {
      scenarios,
      thresholds,
      summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max', 'count'],
      systemTags: ['status', 'name', 'scenario', 'error_code', 'expected_response'],
    },
    settings,
    sse,
  });
  const planText = planPieces(gathered.chains, names);
  const isIds = gathered.targets.every(({ api }) => api === 'tokens');
  const texts = gathered.shared.lines(run =>
    isIds ? idsOf(run, salt, vocabTokens).join(',') : wordsOf(run, salt),
  );
  const files = [
    { name: 'script.ts', text: [script] },
    { name: 'plan.json', text: planText },
    { name: 'shared.txt', text: texts.map((line, row) => (row === 0 ? line : `\n${line}`)) },
  ];
  if (testrun !== null) {
    const bytes = files.flatMap(({ text }) => text).reduce((sum, piece) => sum + piece.length, 0);
    const keys = gathered.targets.flatMap(({ key, headersEnv }) => [
      ...(key === null ? [] : [key.env]),
      ...Object.values(headersEnv),
    ]);
    const yaml = testRun({ name: plan.name, pods: testrun, bytes, keys: [...new Set(keys)], sse });
    files.push({ name: 'testrun.yaml', text: [yaml] });
  }
  return {
    files,
    sessions: gathered.sessions,
    calls: gathered.calls,
    lost:
      users > MANY_USERS ? [...lost, `${users} virtual users: some GB of memory; --vus sets fewer`] : lost,
    command: 'k6 run script.ts',
    targets: gathered.targets,
    known: gathered.known,
  };
}

/** A k6 scenario for each cohort: an iteration is a session, or an agent of a closed cohort. */
function scenariosOf(
  { chains, usersMax, lastMs, leadMs }: Gathered,
  names: ReadonlyMap<string, string>,
  { vus = null, testrun = null }: ExportInput['options'],
): Record<string, { vus: number; [option: string]: unknown }> {
  const scenarios: Record<string, { vus: number; [option: string]: unknown }> = {};
  for (const [cohort, { length: iterations }] of chains) {
    const name = names.get(cohort) as string;
    if (testrun !== null && iterations < testrun)
      throw new UserError(`k6 scenario "${name}" has ${iterations} sessions for ${testrun} pods`, {
        hint: `--testrun ${iterations}, or more sessions`,
      });
    scenarios[name] = {
      executor: 'shared-iterations',
      exec: 'run',
      vus: Math.max(Math.min(iterations, vus ?? usersMax.get(cohort) ?? 1), testrun ?? 1),
      iterations,
      maxDuration: `${Math.ceil((lastMs + leadMs + DAY_MS) / 1000)}s`,
      gracefulStop: '30s',
    };
  }
  return scenarios;
}

function gather(input: ExportInput): Gathered {
  const { deployment, poolOf } = input;
  const isCalled = calledPools(input);
  const { targets, rowsOf } = targetsOf(deployment, name => isCalled.has(name));
  const met = new MetRules();
  const rules = new RuleRows();
  const chains = new Map<string, string[]>();
  const spans = new Map<string, { startMs: number; endMs: number }[]>();
  let sessions = 0;
  let calls = 0;
  let lastMs = 0;
  let hasLosers = false;
  const first: RunRow[] = [];
  const shared = new SharedTexts();
  const known = new Map<string, KnownSession>();
  for (const chain of chainsOf(input)) {
    const rows: SessionRow[] = [];
    let readyMs = 0;
    const startMs = chain.sessions[0]?.atMs ?? 0;
    for (const { planned, atMs } of chain.sessions) {
      const unrolled = unroll(planned);
      meet(unrolled.root, planned, met);
      hasLosers ||= losesBranches(unrolled.root);
      const ordinal = sessions++;
      rows.push(
        sessionRow(planned, unrolled, atMs, {
          // A session stays with one of a pool's servers.
          target: ({ model }) => {
            const all = rowsOf.get(poolOf(model)) as readonly number[];
            return all[ordinal % all.length] as number;
          },
          rule: call => ruleOf(call, deployment, rules),
          retryMax: rule => rules.rows[rule]?.retry?.max ?? 0,
          fields: call => prioritised(call, planned, deployment, poolOf),
        }),
      );
      known.set(planned.id, knownSession(planned, unrolled, rows.at(-1) as SessionRow));
      calls += unrolled.calls.length;
      readyMs += atMs + walk(planned, () => ASSUMED_CALL_MS).makespanMs;
    }
    lastMs = Math.max(lastMs, readyMs);
    for (const { runs } of rows) shared.add(runs);
    if (startMs < FIRST_MS) first.push(...(rows[0]?.runs ?? []));
    listOf(chains, chain.cohort).push(JSON.stringify(rows));
    listOf(spans, chain.cohort).push({ startMs, endMs: readyMs });
  }
  if (sessions === 0) throw new UserError('the plan has no sessions', { hint: 'see `windtunnel check`' });
  const usersMax = new Map([...spans].map(([cohort, each]) => [cohort, atOnce(each)]));
  const leadMs = Math.round(Math.min(LEAD_MS_MAX, LEAD_MS + shared.ownTokens(first) * LEAD_MS_PER_TOKEN));
  const lost = [...(hasLosers ? [LOSERS] : []), ...targetLosses(input, rowsOf)];
  return { chains, met, rules, targets, sessions, calls, usersMax, lastMs, leadMs, shared, known, lost };
}

/** Without prompts, of which a script's rows say enough. */
function knownSession(planned: PlannedSession, { root }: Unrolled, row: SessionRow): KnownSession {
  const calls = new Map<string, Pick<Call, 'parts' | 'iteration' | 'loop'>>();
  for (const leaf of leavesOf(root)) {
    if (leaf.kind !== 'call') continue;
    const { parts, iteration, loop } = leaf.call;
    calls.set(leaf.path, { parts, iteration, loop });
  }
  const leaves = [...leavesOf(root, false)].map(leaf =>
    leaf.kind === 'call'
      ? { path: leaf.path, step: leaf.call.step, kind: 'llm' as const, role: leaf.call.role }
      : { path: leaf.path, step: leaf.step, kind: leaf.of, role: null },
  );
  return { planned, row: { ...row, runs: [], root: { list: [] } }, calls, leaves };
}

/** Pools and models of providers that calls of the plan go to. */
function calledPools({ plan, poolOf }: ExportInput): ReadonlySet<string> {
  return new Set(plan.modelsUsed.map(poolOf));
}

function ruleOf({ rules: own }: Call, { gateway }: DeploymentSpec, rules: RuleRows): number {
  return rules.rowOf(own?.retry ?? gateway?.retry ?? null, own?.timeout ?? gateway?.timeout ?? null);
}

/** A server that is told how urgent a call is: lower goes first (vLLM). */
function prioritised(
  { model, priority }: Call,
  session: PlannedSession,
  { pools }: DeploymentSpec,
  poolOf: (model: string) => string,
): { priority: number } | null {
  const pool = poolOf(model);
  const hints = pools.find(({ name }) => name === pool)?.endpoints[0]?.hints ?? [];
  const urgency = priority ?? session.priority;
  return hints.includes('priority') && urgency !== 0 ? { priority: -urgency } : null;
}

function meet(root: Piece, { program }: PlannedSession, met: MetRules): void {
  met.workflow(program.rules);
  for (const leaf of leavesOf(root)) {
    if (leaf.kind === 'call') met.step(leaf.call.rules, true);
    else if (leaf.rules !== null) met.tool(leaf.rules);
  }
}

/** Whether a join ends before all of its branches have. */
function losesBranches(piece: Piece): boolean {
  switch (piece.kind) {
    case 'list':
      return piece.pieces.some(losesBranches);
    case 'try':
      return losesBranches(piece.body) || (piece.otherwise !== null && losesBranches(piece.otherwise));
    case 'fan-out':
      return piece.need < piece.branches.length || piece.branches.some(losesBranches);
    case 'call':
    case 'wait':
    case 'graph':
      return false;
  }
}

function targetLosses({ deployment }: ExportInput, rowsOf: ReadonlyMap<string, readonly number[]>): string[] {
  const lost: string[] = [];
  if ([...rowsOf.values()].some(rows => rows.length > 1))
    lost.push(
      `routing (${deployment.routing.policy}): the sessions of a pool take its endpoints in turns, and stay`,
    );
  const all = deployment.pools.flatMap(({ endpoints }) => endpoints);
  if (all.some(({ tls, proxy }) => tls !== null || proxy !== null))
    lost.push(
      'certificates and proxies of endpoints: k6 has `tlsAuth`, `insecureSkipTLSVerify` and HTTPS_PROXY',
    );
  const hints = deployment.pools.flatMap(({ endpoints }) => endpoints.flatMap(endpoint => endpoint.hints));
  const untold = [...new Set(hints)].filter(hint => hint !== 'session' && hint !== 'priority');
  if (untold.length > 0) lost.push(`hints that servers are not told: ${untold.join(', ')}`);
  return lost;
}

/** Most spans open at one time. */
function atOnce(spans: readonly { startMs: number; endMs: number }[]): number {
  const changes = spans
    .flatMap(({ startMs, endMs }) => [
      { atMs: startMs, by: 1 },
      { atMs: endMs, by: -1 },
    ])
    .sort((a, b) => a.atMs - b.atMs || a.by - b.by);
  let most = 1;
  let open = 0;
  for (const { by } of changes) {
    open += by;
    most = Math.max(most, open);
  }
  return most;
}

/** k6 takes letters, digits, dashes and underscores. */
function scenarioNames(cohorts: readonly string[]): Map<string, string> {
  const taken = new Set<string>();
  return new Map(
    cohorts.map((cohort, row) => {
      const plain = cohort.replace(/[^\w-]+/g, '_');
      const name = plain === '' || taken.has(plain) ? `${plain}_${row}` : plain;
      taken.add(name);
      return [cohort, name];
    }),
  );
}

/** Mixed into all content; null: nothing is. */
function saltOf(text: string): Salt {
  if (text === '') return null;
  const { hi, lo } = textKey(text);
  return [hi >>> 0, lo >>> 0];
}

function planPieces(
  chains: ReadonlyMap<string, readonly string[]>,
  names: ReadonlyMap<string, string>,
): string[] {
  const pieces = ['{'];
  for (const [cohort, rows] of chains) {
    pieces.push(`${pieces.length === 1 ? '' : ','}\n${JSON.stringify(names.get(cohort))}: [\n`);
    for (const [row, json] of rows.entries()) pieces.push(`${row === 0 ? '' : ',\n'}${json}`);
    pieces.push('\n]');
  }
  pieces.push('\n}\n');
  return pieces;
}

function listOf<V>(lists: Map<string, V[]>, key: string): V[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}
