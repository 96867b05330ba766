// A fixed time to live: what a call leaves is pinned for so long, whatever its step; when memory is short, pins give way
// one by one, the oldest first.
import { numberOptions } from '../../gateway/routing/options.ts';
import { defineRetentionPolicy, wholly } from './policy.ts';

/** `ephemeral` cache entries of the Anthropic API live 5 minutes from their last use, and so do Dynamo's pins. */
const DEFAULTS = { ttl: 300_000 };
export const PINNED = 1;

/** rank = 1 until `ttl` ms after the last use, 0 from then on. */
export default defineRetentionPolicy({
  name: 'ttl',
  doc: 'Keeps what a call leaves for a fixed time (`ttl`, default 5m), the oldest giving way first when memory is short.',
  source:
    'Anthropic prompt caching (`cache_control: ephemeral`); NVIDIA Dynamo prefix pins (nvext.cache_control)',
  create(options) {
    const { ttl } = numberOptions('ttl', options, DEFAULTS);
    return { letGo: ({ atMs }) => ({ worth: wholly(PINNED, atMs + ttl) }) };
  },
});
