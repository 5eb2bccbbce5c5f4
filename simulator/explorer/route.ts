/** The route of the model as a stepper would read it, and as a trace shows it. */
import type { ObservedRoute } from '../../steppers/stepper.ts';
import { NOW_MS, type Route, UNIT_MS } from './parts.ts';

export function observedRoute(route: Route): ObservedRoute {
  return {
    canaryWeight: route.weight,
    primaryWeight: 100 - route.weight,
    stamp: { epoch: route.epoch, run: route.run, end: route.end },
    resourceVersion: 'now',
    isIntact: true,
    writtenAt: NOW_MS - route.age * UNIT_MS,
  };
}

export const say = (route: Route): string => `${route.weight} % ${route.epoch}/${route.run}/${route.end}`;
