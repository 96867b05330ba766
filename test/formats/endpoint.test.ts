// Live addresses in a deployment file: what may stand there, and what never does.
import { describe, expect, test } from 'vitest';
import { resolveDeployment } from '../../engines/deploy.ts';
import { parseDeployment } from '../../scenarios/formats/deployment/deployment.ts';
import { parseSource } from '../../scenarios/formats/source.ts';

const text = (endpoint: string, more = '', engine = 'vllm'): string =>
  `
windtunnel: 1
deployment: live
${more}
pools:
  main:
    model: ministral-3-14b
    engine: ${engine}
    limits: { max_model_len: 4096, kv_blocks: 4096, scheduling_policy: priority }
    step: { model: affine, base: 4ms }
    endpoints: [ { url: ${endpoint.includes('url:') ? '' : 'http://127.0.0.1/v1'}, model: m, ${endpoint} } ]
`.replace('url: , model: m, url:', 'model: m, url:');

function issuesOf(source: string): string[] {
  const parsed = parseDeployment(parseSource(source, 'test'));
  const resolved =
    parsed.file === null
      ? []
      : resolveDeployment(parsed.file, '', { routingPolicies: ['least-outstanding'] }).issues;
  return [...parsed.issues, ...resolved].map(({ message, hint }) => `${message} ${hint ?? ''}`);
}

function endpointOf(source: string) {
  const { file } = parseDeployment(parseSource(source, 'test'));
  return resolveDeployment(file!, '', { routingPolicies: ['least-outstanding'] }).deployment!;
}

describe('an endpoint', () => {
  test('is filled in where the file says nothing', () => {
    const { pools, allowHosts } = endpointOf(text('', '', 'sglang'));
    expect(pools[0]!.endpoints[0]).toEqual({
      url: 'http://127.0.0.1/v1',
      model: 'm',
      keyEnv: null,
      headersEnv: {},
      api: 'chat',
      server: { kind: 'sglang', isGuess: true },
      takes: null,
      hints: ['session'],
      tls: null,
      proxy: null,
      http2: false,
    });
    expect(allowHosts).toEqual([]);
  });

  test('has all that the file says', () => {
    const said =
      'api: messages, key_env: KEY, headers_env: { X-Team: TEAM }, server: hosted, takes: [temperature], hints: [cache_control], tls: { ca_file: a.pem, cert_file: b.pem, key_file: c.pem }, proxy: env, http2: true';
    const { pools, allowHosts } = endpointOf(
      text(said, 'allow_hosts: [staging.example.com, "*.corp.net", 10.0.0.1]'),
    );
    expect(pools[0]!.endpoints[0]).toMatchObject({
      api: 'messages',
      headersEnv: { 'X-Team': 'TEAM' },
      server: { kind: 'hosted', isGuess: false },
      takes: ['temperature'],
      tls: { caFile: 'a.pem', certFile: 'b.pem', keyFile: 'c.pem', insecure: false },
      proxy: 'env',
      http2: true,
    });
    expect(allowHosts).toEqual(['staging.example.com', '*.corp.net', '10.0.0.1']);
  });

  test.each([
    ['a password in the address', 'url: "http://me:secret@127.0.0.1/v1"', 'no user and no password'],
    ['a password in the proxy', 'proxy: "http://me:secret@127.0.0.1:1"', 'proxy'],
    ['a key for the name of a variable', 'key_env: sk-4711-abc', 'the name of an environment variable'],
    [
      'a value in headers_env',
      'headers_env: { X-Team: "Bearer abc" }',
      'the name of an environment variable',
    ],
    ['a certificate without its key', 'tls: { cert_file: a.pem }', '`cert_file` and `key_file` together'],
    [
      'marks where there are no messages',
      'api: responses, hints: [cache_control]',
      'cache_control marks messages',
    ],
    [
      'a priority for a server that takes none',
      'server: tensorrt-llm, hints: [priority]',
      'takes none of vLLM',
    ],
  ])('%s is refused', (_, endpoint, message) => {
    expect(issuesOf(text(endpoint)).join('\n')).toContain(message);
  });

  test.each(['https://staging.example.com', 'staging.example.com:8000', 'staging.example.com/v1', '*'])(
    'allow_hosts: %s is no host',
    host => {
      expect(issuesOf(text('', `allow_hosts: ["${host}"]`)).join('\n')).toContain('expected a host');
    },
  );
});
