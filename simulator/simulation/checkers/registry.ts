/** All rules that a simulation is watched by: one line each. */
import { binding } from './binding.ts';
import { caches } from './caches.ts';
import { cause } from './cause.ts';
import type { Checker, Rule, Scene, Violation } from './checker.ts';
import { cost } from './cost.ts';
import { counting } from './counting.ts';
import { drained } from './drained.ts';
import { ending } from './ending.ts';
import { fence } from './fence.ts';
import { holds } from './holds.ts';
import { lastGood } from './lastGood.ts';
import { looks } from './looks.ts';
import { memory } from './memory.ts';
import { overdue } from './overdue.ts';
import { pace } from './pace.ts';
import { pinned } from './pinned.ts';
import { promotion } from './promotion.ts';
import { reaction } from './reaction.ts';
import { readiness } from './readiness.ts';
import { revision } from './revision.ts';
import { shown } from './shown.ts';
import { size } from './size.ts';
import { storm } from './storm.ts';
import { unharmed } from './unharmed.ts';
import { users } from './users.ts';
import { weights } from './weights.ts';

export const RULES: readonly Rule[] = [
  weights,
  fence,
  readiness,
  cause,
  caches,
  pace,
  pinned,
  promotion,
  drained,
  lastGood,
  revision,
  binding,
  counting,
  ending,
  shown,
  looks,
  memory,
  unharmed,
  overdue,
  holds,
  users,
  reaction,
  cost,
  size,
  storm,
];

export function createCheckers(scene: Scene, onViolation: (violation: Violation) => void): Checker[] {
  return RULES.map(rule => ({
    name: rule.name,
    ...rule.create(scene, (view, message) =>
      onViolation({
        checker: rule.name,
        atMs: scene.now() - scene.startMs,
        canary: view ? `${view.plan.namespace}/${view.plan.name}` : '',
        message,
      }),
    ),
  }));
}
