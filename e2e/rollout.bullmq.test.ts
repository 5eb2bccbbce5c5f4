/** Rollouts on the real control plane, driven by the BullMQ scheduler; the scenarios are the same for each. */
import { describeRollouts } from './scenarios/rollouts.ts';

describeRollouts('BullMQ');
