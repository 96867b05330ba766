// What a run was made of, small enough to simulate in a moment.
import type { StoredInputs } from '../../scenarios/formats/stored-inputs.ts';

export const SCENARIO = {
  windtunnel: 1,
  name: 'chats',
  params: { words: 20 },
  models: { main: { model: 'ministral-3-14b' } },
  workflows: {
    chat: {
      model: 'main',
      steps: [
        { llm: 'answer', adds: 200, out: '=words' },
        { llm: 'more', adds: 50, out: 10 },
      ],
    },
  },
  traffic: [{ workflow: 'chat', sessions: 30, arrival: { poisson: { rate: '10/s' } } }],
};

/** 8 ms a step, 250 us a prompt token, one replica. */
export const DEPLOYMENT = {
  windtunnel: 1,
  deployment: 'small',
  pools: {
    main: {
      model: 'ministral-3-14b',
      replicas: 1,
      limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 512, max_num_seqs: 64 },
      step: { model: 'affine', base: '8ms', per_token: '250us' },
    },
  },
  routing: 'round-robin',
};

interface Changes {
  scenario?: unknown;
  deployment?: unknown;
  seed?: number | string;
  routing?: string | null;
  problem?: string | null;
}

export const theInputs = ({
  scenario = SCENARIO,
  deployment = DEPLOYMENT,
  seed = 1,
  routing = null,
  problem = null,
}: Changes = {}): StoredInputs => ({
  schemaVersion: 1,
  kind: 'inputs',
  scenario: {
    name: (scenario as { name?: string }).name ?? 'chats',
    sha256: 'a'.repeat(64),
    kind: problem === null ? 'scenario' : 'plan',
    value: problem === null ? scenario : null,
    problem,
    input: 'chats.yaml',
  },
  deployment: { name: 'small', sha256: 'b'.repeat(64), value: deployment, models: [], input: 'small.yaml' },
  seed,
  routing,
});

/** The deployment with a pool changed. */
export const withPool = (change: Record<string, unknown>) => ({
  ...DEPLOYMENT,
  pools: { main: { ...DEPLOYMENT.pools.main, ...change } },
});
