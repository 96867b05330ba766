// GPUs by what node labels call them: NVIDIA's GPU feature discovery, AMD's node labeller, and the clouds' own.
// A card that shares its label with another size (A100 40 GB) is not taken for it.
import { allGpus, findGpu } from '../catalog.ts';

export const PRODUCT_LABEL = 'nvidia.com/gpu.product';

/** Catalogue id to the product name of GPU feature discovery: the driver's, with dashes for spaces. */
const PRODUCTS: Readonly<Record<string, string>> = {
  'a100-80gb-sxm': 'NVIDIA-A100-SXM4-80GB',
  'h100-80gb-sxm': 'NVIDIA-H100-80GB-HBM3',
  'h100-80gb-pcie': 'NVIDIA-H100-PCIe',
  'h200-141gb-sxm': 'NVIDIA-H200',
  'b200-sxm': 'NVIDIA-B200',
  'gb200-nvl72': 'NVIDIA-GB200',
  'b300-sxm': 'NVIDIA-B300-SXM6-AC',
  'gb300-nvl72': 'NVIDIA-GB300',
  l40s: 'NVIDIA-L40S',
  'rtx-pro-6000-server': 'NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition',
  'rtx-4090': 'NVIDIA-GeForce-RTX-4090',
  l4: 'NVIDIA-L4',
  a10g: 'NVIDIA-A10G',
};

/** Values of any label, product names first; a suffix such as -SHARED is time slicing. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/^nvidia-a100-sxm4-80gb$|^nvidia-a100-80gb$|^p4de\./, 'a100-80gb-sxm'],
  [/^nvidia-h100-pcie$/, 'h100-80gb-pcie'],
  [/^nvidia-h100-(80gb-hbm3|80gb|mega-80gb|sxm5-80gb)$|^p5\.|_h100_v5$/, 'h100-80gb-sxm'],
  [/^nvidia-h200(-141gb|-sxm)?$|^p5en?\.|_h200_v5$/, 'h200-141gb-sxm'],
  [/^nvidia-b200(-sxm)?$|^p6-b200\./, 'b200-sxm'],
  [/^nvidia-gb200$|^p6e-gb200\./, 'gb200-nvl72'],
  [/^nvidia-b300(-sxm6-ac)?$|^p6-b300\./, 'b300-sxm'],
  [/^nvidia-gb300$/, 'gb300-nvl72'],
  [/^nvidia-l40s$|^g6e\./, 'l40s'],
  [/^nvidia-rtx-pro-6000(-blackwell-server-edition)?$/, 'rtx-pro-6000-server'],
  [/^nvidia-geforce-rtx-4090$/, 'rtx-4090'],
  [/^nvidia-l4$|^g6\./, 'l4'],
  [/^nvidia-a10g$|^g5\./, 'a10g'],
  [/^amd[-_]instinct[-_]mi300x|mi300x/, 'mi300x'],
  [/^amd[-_]instinct[-_]mi355x|mi355x/, 'mi355x'],
];

/** The product label of a card; null where it is not known. */
export const productOf = (gpuId: string): string | null => PRODUCTS[gpuId] ?? null;

/** The card that a node label names; null: it names none. */
export function gpuOfLabel(value: string): string | null {
  const word = value.toLowerCase();
  const known = findGpu(word)?.id;
  return known ?? PATTERNS.find(([pattern]) => pattern.test(word))?.[1] ?? null;
}

/** What pods ask for. */
export const resourceOf = (gpuId: string): string =>
  findGpu(gpuId)?.vendor === 'AMD' ? 'amd.com/gpu' : 'nvidia.com/gpu';

export const gpuIds = (): string[] => allGpus().map(({ id }) => id);
