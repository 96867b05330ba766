// The questions that can be asked of a deployment, in the order of --help.
import type { Question } from '../question.ts';
import { breakEven } from './break-even.ts';
import { growth } from './growth.ts';
import { idle } from './idle.ts';
import { maxLoad } from './max-load.ts';
import { models } from './models.ts';
import { without } from './without.ts';

export const questions: readonly Question[] = [maxLoad, growth, breakEven, without, models, idle];
