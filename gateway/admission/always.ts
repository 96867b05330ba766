// No admission: every call goes on at once, and waits in the engine if it must.
import { atOnce } from './at-once.ts';
import { readOptions } from './options.ts';
import { defineAdmissionPolicy } from './policy.ts';

export default defineAdmissionPolicy({
  name: 'always',
  doc: 'Lets every call in.',
  source: 'BLIS `always-admit`; every gateway without admission control',
  create(options) {
    readOptions('always', options, {});
    return atOnce(() => null);
  },
});
