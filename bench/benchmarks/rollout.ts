/** What a whole rollout of five steps asks of the API server, counted in the API server's own audit log. */
import type { AuditEntry } from '../../e2e/harness/controlplane.ts';
import { atMost, type Figure, greatest, noted } from '../figures.ts';
import { until } from '../timeline.ts';
import { BUILT_IN_METRICS, isEvent, isLease, isRead, isWatch, startWorld } from '../world.ts';

const STEPS = [10, 20, 30, 40, 50];
const ANALYSIS = { interval: '2s', stepWeights: STEPS, threshold: 2, metrics: BUILT_IN_METRICS };
const DEADLINE_MS = 120_000;
const WRITES_MAX = 25;
const WRITES_A_STEP_MAX = 2;

export async function rollout(): Promise<Figure[]> {
  const world = await startWorld();
  try {
    await world.startEngine({ flags: ['--drain-seconds', '1'] });
    const keys = await world.addApps(1, { analysis: ANALYSIS });
    await world.adopted(keys);
    await world.quiet();
    const before = (await world.plane.auditEvents('engine')).length;
    await world.release(keys, 'v2');
    await until(
      'the rollout succeeds',
      () => world.timeline.phases().get(keys[0] ?? '') === 'Succeeded' || undefined,
      DEADLINE_MS,
    );
    await world.quiet();
    const asked = (await world.plane.auditEvents('engine')).slice(before);
    return figuresOf(asked.filter(entry => !isWatch(entry) && !isLease(entry)));
  } finally {
    await world.stop();
  }
}

function figuresOf(asked: readonly AuditEntry[]): Figure[] {
  const events = asked.filter(isEvent);
  const reads = asked.filter(entry => isRead(entry) && !isEvent(entry));
  const writes = asked.filter(entry => !isRead(entry) && !isEvent(entry));
  const kind = (entry: AuditEntry) =>
    `${entry.verb} ${entry.resource}${entry.subresource ? `/${entry.subresource}` : ''}`;
  const kinds = [...new Set(writes.map(kind))].map(
    one => `${writes.filter(entry => kind(entry) === one).length} ${one}`,
  );
  return [
    atMost('rollout', 'a rollout of 5 steps: reads', reads.length, 0),
    atMost('rollout', 'a rollout of 5 steps: writes', writes.length, WRITES_MAX),
    atMost(
      'rollout',
      'writes between two steps, most',
      greatest(writesBetweenSteps(writes)),
      WRITES_A_STEP_MAX,
    ),
    atMost('rollout', 'a rollout of 5 steps: events', events.length, undefined),
    noted('rollout', 'conflicts among the writes', String(writes.filter(entry => entry.code === 409).length)),
    noted('rollout', 'the writes', kinds.join(', ')),
  ];
}

/** From one raise of the route to the next: whatever was written after the one, up to and with the other. */
function writesBetweenSteps(writes: readonly AuditEntry[]): number[] {
  const raises = writes.flatMap((entry, index) =>
    entry.resource === 'trafficsplits' && entry.code === 200 ? [index] : [],
  );
  const first = raises.slice(0, STEPS.length);
  return first.slice(1).map((index, step) => index - (first[step] ?? 0));
}
