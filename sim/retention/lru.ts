// The least recently used block first: what vLLM does by itself, and the default.
import { refuseOptions } from '../../gateway/routing/options.ts';
import { defineRetentionPolicy } from './policy.ts';

export default defineRetentionPolicy({
  name: 'lru',
  doc: 'Reuses the least recently used block first, of one call its suffix before its root.',
  source: 'vLLM v1/core/kv_cache_utils.py (FreeKVCacheBlockQueue); SGLang `lru`',
  create(options) {
    refuseOptions('lru', options);
    return null;
  },
});
