// ServeGen (Alibaba): not a trace but a generator, fitted to clients of a production service. Each client is a cohort:
// arrivals by 10-minute windows, and lengths drawn from what six hours of its requests measured.
import { UserError } from '../../base/errors.ts';
import type { ScenarioFile } from '../../formats/scenario.ts';
import type { CohortFile } from '../../formats/traffic.ts';
import {
  cvOf,
  type NamedText,
  type Pmf,
  readDatasets,
  readWindows,
  type ServegenDataset,
  type ServegenWindow,
} from './rows.ts';

/** A format that gives cohorts for a scenario instead of recorded sessions. */
export interface CohortImporter {
  readonly name: string;
  readonly doc: string;
  /** Whether a file of this name is the format's. */
  detect(name: string): boolean;
  read(files: readonly NamedText[], options: Partial<CohortOptions>): CohortImport;
}

export interface CohortOptions {
  /** Part of the data, ms from its start. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Catalogue id of the model that serves the requests: the data names none. */
  readonly model: string;
  /** Of the scenario. */
  readonly name: string;
}

export interface CohortImport {
  readonly scenario: ScenarioFile;
  readonly report: CohortReport;
}

/** What a scenario from cohorts offers. */
export interface CohortReport {
  readonly format: string;
  readonly clients: number;
  readonly windows: number;
  /** Of these, windows with requests. */
  readonly busyWindows: number;
  readonly spanMs: number;
  readonly expectedRequests: number;
  readonly meanPerSec: number;
  /** Of all clients together, in one window. */
  readonly peakPerSec: number;
  /** Of inter-arrival times inside the windows, weighted by requests: as measured, and as fitted and used. */
  readonly measuredCv: number;
  readonly fittedCv: number;
  readonly meanInputTokens: number;
  /** Reasoning included. */
  readonly meanOutputTokens: number;
  /** Share of the output; null where the data has none. */
  readonly reasoningRatio: number | null;
  readonly notes: string[];
}

export interface ServegenClient {
  readonly id: string;
  readonly windows: readonly ServegenWindow[];
  readonly datasets: readonly ServegenDataset[];
}

const FILE = /(?:^|[\\/.])chunk-(\d+)-(trace\.csv|dataset\.json)$/;
const DEFAULTS: CohortOptions = {
  fromMs: 0,
  toMs: Number.POSITIVE_INFINITY,
  model: 'mistral-small-4',
  name: 'servegen',
};

export const servegen: CohortImporter = {
  name: 'servegen',
  doc: 'ServeGen clients: pairs of chunk-K-trace.csv and chunk-K-dataset.json, a cohort per client and six hours.',
  detect: name => FILE.test(name),
  read(files, options) {
    const settled = { ...DEFAULTS, ...options };
    return servegenScenario(clientsOf(files), settled);
  },
};

/** The other file of a client. */
export const partnerOf = (file: string): string =>
  file.endsWith('-trace.csv')
    ? file.replace(/trace\.csv$/, 'dataset.json')
    : file.replace(/dataset\.json$/, 'trace.csv');

function clientsOf(files: readonly NamedText[]): ServegenClient[] {
  const byFile = new Map(files.map(each => [each.file, each]));
  const lone = files.find(({ file }) => !byFile.has(partnerOf(file)));
  if (lone !== undefined)
    throw new UserError(`no ${partnerOf(lone.file)} beside ${lone.file}`, {
      hint: 'a ServeGen client has both files',
    });
  const traces = files.filter(({ file }) => file.endsWith('-trace.csv'));
  const numbers = traces.map(({ file }) => (FILE.exec(file) as RegExpExecArray)[1] as string);
  return traces
    .map((trace, row) => {
      const number = numbers[row] as string;
      // Folders of several models number their clients alike.
      const folder = /([^\\/]+)[\\/][^\\/]+$/.exec(trace.file)?.[1] ?? '';
      const isUnique = numbers.indexOf(number) === numbers.lastIndexOf(number);
      return {
        id: isUnique ? number : `${folder.replace(/[^\w-]/g, '-')}-${number}`,
        windows: readWindows(trace),
        datasets: readDatasets(byFile.get(partnerOf(trace.file)) as NamedText),
      };
    })
    .toSorted((a, b) => Number(a.id) - Number(b.id) || (a.id < b.id ? -1 : 1));
}

/** A cohort on its way: the windows of a client that draw from one dataset. */
interface Share {
  readonly name: string;
  readonly tenant: string;
  readonly windows: readonly ServegenWindow[];
  readonly dataset: ServegenDataset;
}

/**
 *   clients ──▶ windows in [from, to) ──▶ by the dataset they draw from ──▶ a cohort and a workflow each ──▶ scenario
 */
export function servegenScenario(clients: readonly ServegenClient[], options: CohortOptions): CohortImport {
  const shares = clients.flatMap(client => sharesOf(client, options));
  const busy = shares.filter(({ windows }) => windows.some(({ perSec }) => perSec > 0));
  if (busy.length === 0)
    throw new UserError('the ServeGen data has no requests in that time', {
      hint: 'choose another --from and --to, or another client',
    });
  const workflows = Object.fromEntries(busy.map(({ name, dataset }) => [name, workflowOf(dataset)]));
  const scenario: ScenarioFile = {
    windtunnel: 1,
    name: options.name,
    description:
      'Requests drawn from ServeGen (Alibaba, arXiv:2505.09999, Apache-2.0): a cohort per client and six hours.',
    models: { served: { model: options.model } },
    workflows,
    traffic: busy.map(share => cohortOf(share, options.fromMs)),
  };
  return { scenario, report: reportOf(clients, shares, options) };
}

/** The windows of a client inside the time asked for, by the dataset that they draw from. */
function sharesOf({ id, windows, datasets }: ServegenClient, { fromMs, toMs }: CohortOptions): Share[] {
  const usable = datasets.filter(({ input, output }) => input.values.length > 0 && output.values.length > 0);
  const inTime = windows
    .map(window => {
      const start = Math.max(window.fromMs, fromMs);
      return { ...window, fromMs: start, forMs: Math.min(window.fromMs + window.forMs, toMs) - start };
    })
    .filter(({ forMs }) => forMs > 0);
  // As ServeGen does: the last dataset with requests that starts before the window; it passes over empty ones.
  const datasetOf = (window: ServegenWindow): ServegenDataset | undefined =>
    usable.findLast(dataset => dataset.fromMs <= window.fromMs) ?? usable[0];
  const byDataset = Map.groupBy(inTime, datasetOf);
  return [...byDataset].flatMap(([dataset, own]) => {
    if (dataset === undefined) {
      if (own.every(({ perSec }) => perSec === 0)) return [];
      throw new UserError(`client ${id} of the ServeGen data has requests, but no lengths of any`, {
        hint: 'its dataset file is empty: leave that client out',
      });
    }
    const hours = dataset.fromMs / 3_600_000;
    const name = `client-${id}-${Number.isInteger(hours) ? `h${hours}` : `s${dataset.fromMs / 1000}`}`;
    return [{ name, tenant: `client-${id}`, windows: own, dataset }];
  });
}

function cohortOf({ name, tenant, windows }: Share, fromMs: number): CohortFile {
  const first = windows.findIndex(({ perSec }) => perSec > 0);
  const last = windows.findLastIndex(({ perSec }) => perSec > 0);
  const busy = windows.slice(first, last + 1);
  const startMs = busy[0]!.fromMs - fromMs;
  const end = busy.at(-1)!;
  return {
    name,
    workflow: name,
    tenant,
    ...(startMs === 0 ? {} : { start: span(startMs) }),
    for: span(end.fromMs + end.forMs - busy[0]!.fromMs),
    arrival: { poisson: true, phases: phasesOf(busy) },
  };
}

type PhaseFile = NonNullable<NonNullable<CohortFile['arrival']>['phases']>[number];

/** A phase per window; quiet ones in a row are one. */
function phasesOf(windows: readonly ServegenWindow[]): PhaseFile[] {
  const phases: PhaseFile[] = [];
  let quietMs = 0;
  for (const { forMs, perSec, fit } of windows) {
    if (fit === null) {
      if (quietMs > 0) phases.pop();
      quietMs += forMs;
      phases.push({ for: span(quietMs), rate: '0/s' });
      continue;
    }
    quietMs = 0;
    phases.push({ for: span(forMs), rate: `${perSec}/s`, cv: rounded(cvOf(fit)), process: fit.family });
  }
  return phases;
}

/** Exact in the largest unit that divides it. */
function span(ms: number): string {
  for (const [unit, size] of [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const)
    if (ms % size === 0) return `${ms / size}${unit}`;
  return `${ms}ms`;
}

const rounded = (value: number): number => Number(value.toPrecision(6));

/** One call. Of an output that is partly reasoning, the reasoning is drawn and the answer goes with it. */
function workflowOf({
  input,
  output,
  reasonRatio,
}: ServegenDataset): NonNullable<ScenarioFile['workflows']>[string] {
  const ratio = reasonRatio === null ? 0 : meanOf(reasonRatio);
  const reasons = ratio > 0 && ratio < 1;
  const step = {
    llm: 'answer',
    adds: empirical(input),
    ...(reasons
      ? {
          reasoning: empirical({ ...output, values: output.values.map(value => rounded(value * ratio)) }),
          out: `=${rounded((1 - ratio) / ratio)} * reasoning`,
        }
      : { out: empirical(output) }),
  };
  return { model: 'served', steps: [step] };
}

const empirical = ({ values, weights }: Pmf) => ({
  empirical: { values: [...values], weights: weights.map(rounded) },
});

function meanOf({ values, weights }: Pmf): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return total === 0 ? 0 : values.reduce((sum, value, row) => sum + value * weights[row]!, 0) / total;
}

function reportOf(
  clients: readonly ServegenClient[],
  shares: readonly Share[],
  options: CohortOptions,
): CohortReport {
  const rows = shares.flatMap(({ windows, dataset }) =>
    windows.map(window => ({ window, dataset, requests: (window.perSec * window.forMs) / 1000 })),
  );
  const expectedRequests = rows.reduce((sum, { requests }) => sum + requests, 0);
  const fromMs = rows.reduce((least, { window }) => Math.min(least, window.fromMs), Number.POSITIVE_INFINITY);
  const toMs = rows.reduce((most, { window }) => Math.max(most, window.fromMs + window.forMs), 0);
  const mean = (of: (row: (typeof rows)[number]) => number): number =>
    rows.reduce((sum, row) => sum + (row.requests === 0 ? 0 : row.requests * of(row)), 0) / expectedRequests;
  const starts = Map.groupBy(rows, ({ window }) => window.fromMs);
  const hasReasoning = shares.some(({ dataset }) => dataset.reasonRatio !== null);
  const ratioOf = ({ reasonRatio }: ServegenDataset): number =>
    reasonRatio === null ? 0 : meanOf(reasonRatio);
  const outputTokens = mean(({ dataset }) => meanOf(dataset.output));
  return {
    format: servegen.name,
    clients: clients.length,
    windows: rows.length,
    busyWindows: rows.filter(({ requests }) => requests > 0).length,
    spanMs: toMs - fromMs,
    expectedRequests,
    meanPerSec: (expectedRequests * 1000) / (toMs - fromMs),
    peakPerSec: [...starts.values()].reduce(
      (most, own) =>
        Math.max(
          most,
          own.reduce((sum, { window }) => sum + window.perSec, 0),
        ),
      0,
    ),
    measuredCv: mean(({ window }) => window.cv),
    fittedCv: mean(({ window }) => (window.fit === null ? 0 : cvOf(window.fit))),
    meanInputTokens: mean(({ dataset }) => meanOf(dataset.input)),
    meanOutputTokens: outputTokens,
    reasoningRatio: hasReasoning
      ? mean(({ dataset }) => meanOf(dataset.output) * ratioOf(dataset)) / outputTokens
      : null,
    notes: [
      'it is a generator: requests are drawn anew with each seed, in the rates and lengths that were measured',
      `the data names no model: ${options.model} serves all requests; --set models.served.model=… chooses another`,
      'prompts share nothing: ServeGen has no content',
      'inter-arrival times follow the fitted shape, as in ServeGen; for a Weibull its CV is not the measured one',
      ...(hasReasoning
        ? [
            'reasoning is the mean share of its six hours in every request: the spread of that share is not kept',
          ]
        : []),
    ],
  };
}
