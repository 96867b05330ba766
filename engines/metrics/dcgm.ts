// GPUs as NVIDIA's DCGM exporter shows them. Pure. (dcgm-exporter, default-counters.csv; dcgm_fields.h for blanks)
import type { GpuSample } from '../../scenarios/formats/measured.ts';
import { type MetricSample, parseMetrics } from './text.ts';

const NAMES = {
  utilizationPercent: 'DCGM_FI_DEV_GPU_UTIL',
  /** 0 to 1; the only one that MIG slices have. */
  engineActive: 'DCGM_FI_PROF_GR_ENGINE_ACTIVE',
  memoryUsedMib: 'DCGM_FI_DEV_FB_USED',
  powerW: 'DCGM_FI_DEV_POWER_USAGE',
  smClockMhz: 'DCGM_FI_DEV_SM_CLOCK',
  temperatureC: 'DCGM_FI_DEV_GPU_TEMP',
} as const;
const WANTED: ReadonlySet<string> = new Set(Object.values(NAMES));

const MIB = 1_048_576;
/** Values from here on say that there is none: blanks of 32-bit fields, of doubles (2^47), and of 64-bit fields. */
const BLANK_INT32 = 2_147_483_632;
const isBlank = (value: number): boolean => !Number.isFinite(value) || value >= BLANK_INT32;

/** One sample of each GPU, in order of name; none when the text is not of a DCGM exporter. */
export function gpusOf(text: string, atMs: number): GpuSample[] {
  const { samples } = parseMetrics(text, name => WANTED.has(name));
  const figureOf = (key: keyof typeof NAMES, gpu: string): number | null => {
    const found = samples.get(NAMES[key])?.find(({ labels }) => gpuOf(labels) === gpu);
    return found === undefined || isBlank(found.value) ? null : found.value;
  };
  const gpus = new Set([...samples.values()].flat().map(({ labels }) => gpuOf(labels)));
  return [...gpus].sort().map(gpu => {
    const percent = figureOf('utilizationPercent', gpu);
    const mib = figureOf('memoryUsedMib', gpu);
    return {
      atMs,
      gpu,
      utilization: percent === null ? figureOf('engineActive', gpu) : percent / 100,
      memoryUsedBytes: mib === null ? null : mib * MIB,
      powerW: figureOf('powerW', gpu),
      smClockMhz: figureOf('smClockMhz', gpu),
      temperatureC: figureOf('temperatureC', gpu),
    };
  });
}

/** `node-1/0`, a MIG slice `node-1/0:3`. */
function gpuOf({ gpu, UUID, Hostname, GPU_I_ID }: MetricSample['labels']): string {
  const card = gpu ?? UUID ?? '?';
  const slice = GPU_I_ID === undefined || GPU_I_ID === '' ? card : `${card}:${GPU_I_ID}`;
  return Hostname === undefined || Hostname === '' ? slice : `${Hostname}/${slice}`;
}
