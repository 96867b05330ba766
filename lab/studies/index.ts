// The registry: every study by its name. A new one is a file beside this and a line here.
import { UserError } from '../../scenarios/base/errors.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';
import apiBurst from './api-burst.ts';
import autoscaling from './autoscaling.ts';
import breakEven from './break-even.ts';
import cancellation from './cancellation.ts';
import contextMemory from './context-memory.ts';
import disaggregation from './disaggregation.ts';
import fanOut from './fan-out.ts';
import fromZero from './from-zero.ts';
import hybrid from './hybrid.ts';
import kvRouting from './kv-routing.ts';
import mixedFleet from './mixed-fleet.ts';
import modelSize from './model-size.ts';
import outage from './outage.ts';
import placement from './placement.ts';
import quotas from './quotas.ts';
import retention from './retention.ts';
import runaway from './runaway.ts';
import sandboxes from './sandboxes.ts';
import staleSignals from './stale-signals.ts';
import step11 from './step-11.ts';
import type { Study } from './study.ts';
import supportAgent from './support-agent.ts';
import thousand from './thousand.ts';

export const studies: Readonly<Record<string, Study>> = {
  [apiBurst.name]: apiBurst,
  [autoscaling.name]: autoscaling,
  [fromZero.name]: fromZero,
  [breakEven.name]: breakEven,
  [cancellation.name]: cancellation,
  [contextMemory.name]: contextMemory,
  [disaggregation.name]: disaggregation,
  [fanOut.name]: fanOut,
  [hybrid.name]: hybrid,
  [kvRouting.name]: kvRouting,
  [mixedFleet.name]: mixedFleet,
  [modelSize.name]: modelSize,
  [outage.name]: outage,
  [placement.name]: placement,
  [quotas.name]: quotas,
  [retention.name]: retention,
  [runaway.name]: runaway,
  [sandboxes.name]: sandboxes,
  [staleSignals.name]: staleSignals,
  [thousand.name]: thousand,
  [supportAgent.name]: supportAgent,
  [step11.name]: step11,
};

/** The study of this name; throws UserError with those there are. */
export function studyOf(name: string): Study {
  const found = Object.hasOwn(studies, name) ? studies[name] : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(studies);
  throw new UserError(`there is no study "${name}"`, {
    hint: didYouMean(name, names) ?? `there: ${names.join(', ')}`,
  });
}
