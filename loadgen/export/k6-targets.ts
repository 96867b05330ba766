// Where the calls of an exported script go: addresses, fixed fields of the body, and headers, as the dialect of each
// endpoint has them. Keys are named, never written.
import { takenBy } from '../../engines/endpoint.ts';
import type { DeploymentSpec, Endpoint } from '../../engines/engine.ts';
import { dialectOf } from '../../engines/wire/dialect.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import type { TargetRow } from '../k6/settings.ts';

type TextApi = TargetRow['api'];
const APIS: readonly string[] = ['chat', 'completions', 'tokens'] satisfies TextApi[];

/** Stands for the length of an answer until a call has one. */
const LENGTH = 987_654_321;

/** All endpoints of pools and of the provider's models that a plan calls. */
export function targetsOf(
  { pools, hosted }: DeploymentSpec,
  isCalled: (name: string) => boolean,
): { targets: TargetRow[]; rowsOf: ReadonlyMap<string, readonly number[]> } {
  const targets: TargetRow[] = [];
  const rowsOf = new Map<string, number[]>();
  const add = (name: string, endpoints: readonly Endpoint[], isOurs: boolean): void => {
    if (!isCalled(name)) return;
    if (endpoints.length === 0)
      throw new UserError(`"${name}" has no live endpoint`, {
        hint: 'add `endpoints: [{ url: http://127.0.0.1:8000/v1, model: NAME }]`, or pass --endpoint URL',
      });
    rowsOf.set(
      name,
      endpoints.map((endpoint, row) => targets.push(targetOf(name, endpoint, isOurs ? row : null)) - 1),
    );
  };
  for (const { name, endpoints } of pools) add(name, endpoints, true);
  for (const { name, endpoint } of hosted) add(name, endpoint === null ? [] : [endpoint], false);
  return { targets, rowsOf };
}

function targetOf(pool: string, endpoint: Endpoint, row: number | null): TargetRow {
  const { url, model, api, keyEnv, headersEnv, hints } = endpoint;
  if (!isTextApi(api))
    throw new UserError(`the endpoint ${url} speaks \`${api}\`, which is not exported to k6`, {
      hint: `exported: ${APIS.join(', ')}`,
    });
  const dialect = dialectOf(api);
  const prompt =
    api === 'chat'
      ? { api, messages: [] }
      : api === 'completions'
        ? { api, text: '' }
        : { api, tokenIds: [] };
  const text = dialect.body({
    model,
    prompt,
    outputTokens: LENGTH,
    reasoningTokens: 1,
    takes: takenBy(endpoint),
  });
  const {
    messages: _messages,
    prompt: _prompt,
    windtunnel,
    ...fields
  } = JSON.parse(text) as Record<string, unknown>;
  const lengthFields = Object.keys(fields).filter(name => fields[name] === LENGTH);
  for (const name of lengthFields) delete fields[name];
  // Usage once, at the end: nothing is timed by it.
  if (fields.stream_options !== undefined) fields.stream_options = { include_usage: true };
  return {
    pool,
    replica: row === null ? null : `${pool}/${row}`,
    url: `${url}${dialect.path}`,
    headers: dialect.headers,
    headersEnv,
    key: keyEnv === null ? null : { env: keyEnv, headers: dialect.keyHeader('{KEY}') },
    api,
    body: fields,
    lengthFields,
    takesReasoning: windtunnel !== undefined,
    sessionHeaders: hints.includes('session') ? ['x-session-id'] : [],
  };
}

const isTextApi = (api: string): api is TextApi => APIS.includes(api);
