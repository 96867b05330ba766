// The GPU of a pool: the catalogue's row, with the figures that the file gives in place of what is not known, not
// published yet, or different on this machine.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { GpuFiguresFile, MachineFile } from '../scenarios/formats/deployment/pool.ts';
import { findGpu, type Gpu, unknownEntry } from './catalog.ts';

/** What a GPU outside the catalogue must say: without these nothing can be told of it. */
const NEEDED = ['memory', 'memory_bandwidth', 'bf16_tflops'] as const satisfies (keyof GpuFiguresFile)[];

/** A card of which nothing is known yet. */
const blank = (id: string): Gpu => ({
  id,
  name: id,
  vendor: 'as the file says',
  architecture: 'as the file says',
  status: 'as the file says',
  memoryType: 'HBM',
  memoryBytes: 0,
  memoryBandwidthBytesPerSec: 0,
  bf16DenseFlops: null,
  fp8DenseFlops: null,
  fp4DenseFlops: null,
  bf16AchievableFlops: null,
  fp8AchievableFlops: null,
  scaleUpBandwidthBytesPerSecPerDirection: null,
  scaleUpName: null,
  scaleUpDomainGpus: null,
  p2pLatencySec: null,
  prices: [],
  source: ['the file'],
});

/** A measured rate belongs to the catalogue's peak: a peak of the file stands without one. */
const rates = (figures: GpuFiguresFile): Partial<Gpu> => ({
  ...(figures.bf16_tflops === undefined
    ? {}
    : { bf16DenseFlops: figures.bf16_tflops * 1e12, bf16AchievableFlops: null }),
  ...(figures.fp8_tflops === undefined
    ? {}
    : { fp8DenseFlops: figures.fp8_tflops * 1e12, fp8AchievableFlops: null }),
  ...(figures.fp4_tflops === undefined ? {} : { fp4DenseFlops: figures.fp4_tflops * 1e12 }),
});

function withFigures(gpu: Gpu, figures: GpuFiguresFile): Gpu {
  const { memory, memory_bandwidth, link_bandwidth, link_latency, link_gpus } = figures;
  return {
    ...gpu,
    ...rates(figures),
    memoryBytes: memory ?? gpu.memoryBytes,
    memoryBandwidthBytesPerSec: memory_bandwidth ?? gpu.memoryBandwidthBytesPerSec,
    scaleUpBandwidthBytesPerSecPerDirection: link_bandwidth ?? gpu.scaleUpBandwidthBytesPerSecPerDirection,
    scaleUpName: link_bandwidth === undefined ? gpu.scaleUpName : (gpu.scaleUpName ?? 'the link of the file'),
    scaleUpDomainGpus: link_gpus ?? gpu.scaleUpDomainGpus,
    p2pLatencySec: link_latency === undefined ? gpu.p2pLatencySec : link_latency / 1000,
  };
}

export interface PlacedGpu {
  gpu: Gpu | null;
  evidence: string[];
  issues: Issue[];
}

/** The GPU of a pool or of its half; null where it has none. */
export function gpuOf(machine: MachineFile, path: InputPath): PlacedGpu {
  const { gpu: id, gpu_figures: figures = {} } = machine;
  if (id === undefined) return { gpu: null, evidence: [], issues: [] };
  const listed = findGpu(id);
  const given = Object.keys(figures);
  const refused = (found: Issue): PlacedGpu => ({ gpu: null, evidence: [], issues: [found] });
  if (listed === null) {
    if (given.length === 0) return refused(unknownEntry('GPU', id, [...path, 'gpu']));
    const missing = NEEDED.find(key => figures[key] === undefined);
    const hint = `a GPU outside the catalogue gives at least ${NEEDED.join(', ')}`;
    if (missing !== undefined)
      return refused(issue([...path, 'gpu_figures', missing], 'WT1004', `missing key "${missing}"`, hint));
  }
  const announced = listed?.status.startsWith('announced') ?? false;
  return {
    gpu: withFigures(listed ?? blank(id), figures),
    evidence: [
      ...(announced ? [`${id} is ${listed?.status}: figures of its vendor, nothing was measured on it`] : []),
      ...(given.length === 0 ? [] : [`${id}: ${given.join(', ')} as given in gpu_figures`]),
    ],
    issues: [],
  };
}
