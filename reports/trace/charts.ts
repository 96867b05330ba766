// Every chart of a trace, in order of its page. A new one is a file beside this one and a line here.
import type { TraceProfile } from '../../scenarios/formats/trace-profile.ts';
import type { Chart } from '../charts/chart.ts';
import { arrivals } from './arrivals.ts';
import { context } from './context.ts';
import { fanOut } from './fan-out.ts';
import { gaps } from './gaps.ts';
import { lengths } from './lengths.ts';
import { promptHits } from './prompt-hits.ts';
import { reuse } from './reuse.ts';

export const TRACE_CHARTS: readonly Chart<TraceProfile>[] = [
  lengths,
  reuse,
  promptHits,
  context,
  gaps,
  fanOut,
  arrivals,
];
