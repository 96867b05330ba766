// A live address in a deployment file: what is spoken there, how it is reached, and what it takes. Rule: secrets stand in
// environment variables, and the file has their names.
import { z } from 'zod';
import { SERVER_KINDS, WIRE_APIS, WIRE_FIELDS } from '../wire.ts';

/** How a server is spoken to. */
const wireApi = z
  .enum(WIRE_APIS)
  .describe(
    'chat completions, completions with text, completions with token ids, OpenAI responses, or Anthropic messages (default chat)',
  );

export const baseUrl = z
  .url({ protocol: /^https?$/, error: 'expected a base URL, such as http://127.0.0.1:8000/v1' })
  .refine(hasNoSecret, 'expected no user and no password: name a variable in `key_env` or `headers_env`')
  .describe('base URL up to and including /v1');

function hasNoSecret(text: string): boolean {
  const url = URL.parse(text);
  return url === null || (url.username === '' && url.password === '');
}

const variable = z
  .string()
  .refine(
    text => /^[A-Za-z_][A-Za-z0-9_]*$/.test(text),
    'expected the name of an environment variable, never the key itself',
  );

/** What a server is told beside the prompt; each in the words of who takes it. */
export const serverHints = z
  .array(z.enum(['session', 'priority', 'dynamo', 'cache_control']))
  .describe(
    'what the server is told of a call: `session` (header x-session-id), `priority` (of vLLM), `dynamo` (agent hints and session of NVIDIA Dynamo), `cache_control` (of Anthropic, in chats and messages); default [session]',
  );
export type ServerHint = z.output<typeof serverHints>[number];

const file = z.string().min(1);

const tls = z
  .strictObject({
    ca_file: file.describe('certificates to trust, in PEM, beside those of the system').optional(),
    insecure: z.literal(true).describe('any certificate is taken: for tests only').optional(),
    cert_file: file.describe("the client's own certificate, in PEM").optional(),
    key_file: file.describe('its key, in PEM').optional(),
  })
  .refine(
    each => (each.cert_file === undefined) === (each.key_file === undefined),
    'expected `cert_file` and `key_file` together',
  )
  .describe('how an https server is trusted; paths are from where the command runs');

const proxy = z
  .union([
    z.literal('env'),
    z
      .url({ protocol: /^https?$/, error: 'expected the address of a proxy, or env' })
      .refine(hasNoSecret, 'expected no user and no password: use `proxy: env` and HTTPS_PROXY'),
  ])
  .describe(
    'an HTTP proxy that connects (CONNECT), or env: as HTTPS_PROXY, HTTP_PROXY and NO_PROXY say (default none)',
  );

/** What the addresses of pools and providers share. */
export const endpointFields = {
  key_env: variable.describe('name of the environment variable that holds the key, never the key').optional(),
  headers_env: z
    .record(z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'expected the name of a header'), variable)
    .describe('further headers, each with the name of the environment variable that holds its value')
    .optional(),
  api: wireApi.optional(),
  server: z
    .enum(SERVER_KINDS)
    .describe(
      'whose server it is, for the fields that it takes (default: as it says of itself, else as the pool; `hosted` for providers)',
    )
    .optional(),
  takes: z
    .array(z.enum(WIRE_FIELDS))
    .describe('fields beyond the published API that it takes, instead of those of `server`')
    .optional(),
  hints: serverHints.optional(),
  tls: tls.optional(),
  proxy: proxy.optional(),
  http2: z
    .boolean()
    .describe('speak HTTP/2, over TLS, where the server offers it (default false)')
    .optional(),
};

/** Refines an endpoint. */
export const keepsInMessages = ({
  api = 'chat',
  hints,
}: {
  api?: z.output<typeof wireApi> | undefined;
  hints?: ServerHint[] | undefined;
}) => api === 'chat' || api === 'messages' || hints?.includes('cache_control') !== true;
export const KEEPS_IN_MESSAGES = 'expected `api: chat` or `api: messages`: cache_control marks messages';

const anEndpoint = z.strictObject(endpointFields);
/** Of a pool or a provider; without its address. */
export type EndpointFile = z.output<typeof anEndpoint>;

/** Hosts that live runs may go to beside loopback. */
export const allowHosts = z
  .array(
    z
      .string()
      .regex(
        /^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$|^[0-9a-fA-F:]+$/,
        'expected a host, such as staging.example.com or *.example.com, without scheme, port and path',
      ),
  )
  .describe(
    'hosts that live runs may load beside this machine: exact names, or *.suffix for all below one (default none)',
  );
