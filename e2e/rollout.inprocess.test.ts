/** Rollouts on the real control plane, driven by the in-process scheduler; the scenarios are the same for each. */
import { describeRollouts } from './scenarios/rollouts.ts';

describeRollouts('in-process');
