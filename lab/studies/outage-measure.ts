// What the study of outages reads off a run: agents over time by when they started, what each target was asked, waste, USD.
import { mostAtOnce } from '../../scenarios/base/statistics.ts';
