// What a calibration comes to: the engine profile, the deployment that names it, and what it could not tell. Pure.
import { showMs, showRatio } from '../../reports/numbers.ts';
import { mean, quantile } from '../../scenarios/base/statistics.ts';
import { type EngineProfile, engineProfileSchema } from '../../scenarios/formats/engine-profile.ts';
import { toYaml } from '../../scenarios/formats/source.ts';
import type { Kind, Limits } from './design.ts';
import type { Fit, Observation } from './fit.ts';
import { type SerialFront, serialFrontOf, specOf } from './front.ts';
import type { Origins } from './probes.ts';
import type { Burst, Join } from './run.ts';
import type { TargetOptions } from './target.ts';
import { countsOf, promptSteps, TERM_WORDS, TERMS, timeMs } from './terms.ts';

/** What was done and found, before it is put into words. */
export interface Found {
  name: string;
  target: Pick<TargetOptions, 'baseUrl' | 'model' | 'api'> & {
    keyEnv: string | null;
    /** Hosts that the user allowed. */
    allowHosts: readonly string[];
  };
  engine: string | null;
  hardware: string;
  /** 2026-11-20 */
  at: string;
  by: string;
  command: string;
  limits: Limits;
  origins: Origins;
  observations: readonly Observation[];
  joins: readonly Join[];
  bursts: readonly Burst[];
  fit: Fit;
  /** Experiments left out because the server had other work. */
  disturbed: number;
  rounds: number;
  /** Why it ended before its time; null: it did not. */
  cut: string | null;
  seconds: number;
  sentTokens: number;
}

export interface Scheduling {
  isAsync: boolean;
  origin: string;
}

export interface Calibration extends Found {
  kind: 'calibration';
  scheduling: Scheduling;
  /** Of the way to the engine, what is done for one request after the other, and how far bursts are then off. */
  front: SerialFront;
  profile: EngineProfile;
  warnings: string[];
}

export function calibrationOf(found: Found): Calibration {
  const scheduling = schedulingOf(found);
  const profile = profileOf(found);
  const warnings: string[] = [];
  const deployment = specOf(deploymentYaml({ ...found, scheduling, warnings }, profile));
  const front = serialFrontOf(deployment, found.bursts);
  return {
    kind: 'calibration',
    ...found,
    scheduling,
    front,
    profile: { ...profile, frontend: { ...profile.frontend!, serial_ms: digits(front.serialMs) } },
    warnings: warningsOf(found),
  };
}

const digits = (value: number): number => Number(value.toPrecision(6));

function profileOf({
  name,
  target,
  engine,
  hardware,
  at,
  by,
  fit,
  limits,
  observations,
  rounds,
}: Found): EngineProfile {
  const { costs } = fit;
  const us = (ms: number): number => digits(ms * 1000);
  const most = (of: (row: Observation) => number): number =>
    Math.max(1, ...observations.map(row => Math.round(of(row))));
  const errorOf = (...kinds: Kind[]): number | null => {
    const of = fit.kinds.filter(({ kind }) => kinds.includes(kind)).map(({ unseenRatio }) => unseenRatio);
    return of.length === 0 ? null : Number(mean(of).toPrecision(2));
  };
  const prefill = most(({ kind, counts }) => (kind === 'prefill' ? counts.frontend_token : 1));
  return engineProfileSchema.parse({
    windtunnel_profile: 1,
    name,
    measured: {
      engine: engine ?? 'unknown engine',
      model: target.model,
      gpu: hardware,
      at,
      by,
      note: `${observations.length} times of ${rounds} rounds, api ${target.api}`,
    },
    step: {
      base_ms: digits(costs.base),
      per_decode_us: us(costs.decode),
      per_context_token_us: us(costs.context_token),
      per_prefill_us: us(costs.prefill),
      per_prefill_token_us: us(costs.prefill_token),
      per_prefill_context_token_us: us(costs.prefill_context),
      per_pair_us: us(costs.pair),
    },
    frontend: { base_ms: digits(costs.frontend), per_prompt_token_us: us(costs.frontend_token) },
    range: {
      decodes: most(({ counts }) => counts.decode / Math.max(1, counts.base)),
      context_tokens: Math.max(
        prefill,
        most(({ counts }) => counts.context_token / Math.max(1, counts.decode)),
      ),
      prefill_tokens: Math.min(prefill, limits.maxBatchedTokens),
    },
    // No experiment is a whole request.
    expected_error: { ttft: errorOf('prefill', 'cached'), tpot: errorOf('decode', 'mixed'), e2e: null },
  });
}

/** Short prompts tell best how long a prompt waits for its step. */
const SHORT_TOKENS = 256;
/** Hiccups only lengthen a wait, so its distribution is read low: evenly spread over a step, that share waits so long. */
const SHORT_SHARE = 0.3;

/**
 * A prompt that joins a batch waits for the step under way, half of it on average, and where the next step is decided
 * ahead for that one too: half a step or one and a half.
 */
function schedulingOf({ joins, fit: { costs }, limits }: Found): Scheduling {
  const waits = joins
    .filter(({ promptTokens }) => promptTokens <= SHORT_TOKENS)
    .map(({ ttftMs, decodes, contextTokens, promptTokens }) => {
      const besideMs = decodes * costs.decode + contextTokens * costs.context_token;
      const steps = promptSteps({
        promptTokens,
        cachedTokens: 0,
        budgetTokens: limits.maxBatchedTokens,
        decodes,
      });
      const ownMs = timeMs(countsOf(steps, { calls: 1, promptTokens }), costs) + steps.length * besideMs;
      return (ttftMs - ownMs) / (costs.base + besideMs);
    });
  if (waits.length === 0) return { isAsync: true, origin: "assumed: vLLM's default" };
  const steps = quantile(waits, SHORT_SHARE);
  return {
    isAsync: steps > SHORT_SHARE + 0.5,
    origin: `found: ${showRatio(SHORT_SHARE)} of the prompts that join a batch wait for ${steps.toFixed(1)} steps or less`,
  };
}

/** Repeats that differ by more than this say little. */
const NOISE_MAX = 0.15;
/** An error to expect beyond this asks for a look at the residuals. */
const ERROR_MAX = 0.15;

function warningsOf({ fit, origins, disturbed, limits, rounds, cut }: Found): string[] {
  const warnings: string[] = [];
  if (cut !== null) warnings.push(`ended before its time: ${cut}`);
  for (const { kind, noiseRatio } of fit.kinds)
    if (noiseRatio !== null && noiseRatio > NOISE_MAX)
      warnings.push(
        `${kind}: repeats differ by ${showRatio(noiseRatio)}: the machine is busy or the server unsteady; --minutes averages it out`,
      );
  for (const { kind, unseenRatio } of fit.kinds)
    if (unseenRatio > ERROR_MAX)
      warnings.push(
        `${kind}: settings that the fit has not seen are ${showRatio(unseenRatio)} off; see the residuals`,
      );
  if (rounds < 2)
    warnings.push('there was time for one round only: intervals say little; give more --minutes');
  const dropped = TERMS.filter(term => fit.terms[term].dropped !== null && term !== 'frontend_token');
  if (dropped.length > 0)
    warnings.push(
      `not told from the other costs, so they count as nothing: ${dropped.map(term => TERM_WORDS[term]).join('; ')}`,
    );
  for (const name of Object.keys(origins) as (keyof Limits)[])
    if (origins[name].startsWith('assumed'))
      warnings.push(`${LIMIT_NAMES[name]} ${limits[name]} is ${origins[name]}; say it with --limits`);
  if (disturbed > 0)
    warnings.push(`${disturbed} experiments were left out: the server had other requests at the time`);
  return warnings;
}

/** As a deployment's `limits` name them. */
export const LIMIT_NAMES: Readonly<Record<keyof Limits, string>> = {
  maxModelTokens: 'max_model_len',
  maxBatchedTokens: 'max_num_batched_tokens',
  maxSequences: 'max_num_seqs',
  blockTokens: 'block_size',
  kvBlocks: 'kv_blocks',
  prefixCaching: 'enable_prefix_caching',
};

/** A pool of one replica that `simulate`, `replay` and `validate` take as it is. */
export function deploymentYaml(
  of: Found & Pick<Calibration, 'scheduling' | 'warnings'>,
  profile: string | EngineProfile,
): string {
  const { name, target, limits, scheduling, engine, warnings, at } = of;
  const named = Object.fromEntries(
    (Object.keys(LIMIT_NAMES) as (keyof Limits)[]).map(key => [LIMIT_NAMES[key], limits[key]]),
  );
  const endpoint = {
    url: target.baseUrl,
    model: target.model,
    api: target.api,
    ...(target.keyEnv === null ? {} : { key_env: target.keyEnv }),
  };
  const file = {
    windtunnel: 1,
    deployment: name,
    description: `${target.model} at ${target.baseUrl}, calibrated ${at}`,
    pools: {
      main: {
        model: target.model,
        engine: engine?.startsWith('sglang') === true ? 'sglang' : 'vllm',
        limits: { ...named, async_scheduling: scheduling.isAsync },
        step: { model: 'profile', file: profile },
        endpoints: [endpoint],
      },
    },
    routing: 'round-robin',
    ...(target.allowHosts.length === 0 ? {} : { allow_hosts: target.allowHosts }),
  };
  const notes = warnings.map(line => `# ${line}\n`).join('');
  return `# Written by windtunnel calibrate; its step time is ${name}.profile.json.\n${notes}${toYaml(file)}`;
}

/** What a cost is, as a person would say it. */
export const showCost = (ms: number): string =>
  ms !== 0 && ms < 1e-4 ? `${(ms * 1e6).toPrecision(3)} ns` : showMs(ms);
