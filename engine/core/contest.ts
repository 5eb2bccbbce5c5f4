/**
 * Fields that another manager takes back (design, invariant 12): each time is noted in the status, and a field that is
 * taken back three times in ten minutes is contested. What is safe is then kept; nothing new is started over it.
 */
import { type CanaryStatus, TAKEN_BACK_MAX } from '../api/status.ts';
import { type Facts, formatTime, parseTime } from './facts.ts';

/** Every field that the engine writes and others may write too, as conditions name it. */
export type ContestedField =
  | 'Deployment spec.replicas'
  | 'Deployment spec.paused'
  | 'Service spec.selector'
  | 'Service spec.ports'
  | 'the weights of the route';

const CONTEST_WINDOW_MS = 10 * 60_000;
const CONTEST_TIMES = 3;

/**
 * The status notes a repair of a Deployment before it is written, and that write meets a conflict whenever its controller
 * writes too: what is noted again so soon is the same act of somebody.
 */
const ONE_TIME_MS = 2_000;

type TakenBack = CanaryStatus['takenBack'];

/** The status patch that notes one more time, with what is older than the window dropped. */
export function takenBackBy(f: Facts, field: ContestedField): Pick<CanaryStatus, 'takenBack'> {
  const lately = within(f.status.takenBack, f.o.now);
  const isNoted = lately.some(one => one.field === field && f.o.now - parseTime(one.at) < ONE_TIME_MS);
  if (isNoted && field.startsWith('Deployment')) return { takenBack: lately };
  return { takenBack: [...lately, { field, at: formatTime(f.o.now) }].slice(-TAKEN_BACK_MAX) };
}

function within(takenBack: TakenBack, now: number): NonNullable<TakenBack> {
  return (takenBack ?? []).filter(one => now - parseTime(one.at) < CONTEST_WINDOW_MS);
}

/** The first field that is contested now, or whether this one is. */
export function isContested(
  takenBack: TakenBack,
  now: number,
  field?: ContestedField,
): ContestedField | undefined {
  const lately = within(takenBack, now);
  const counts = new Map<string, number>();
  for (const one of lately) counts.set(one.field, (counts.get(one.field) ?? 0) + 1);
  const contested = [...counts].find(
    ([name, count]) => count >= CONTEST_TIMES && (field === undefined || name === field),
  );
  return contested?.[0] as ContestedField | undefined;
}

/** When the contest is over, if nothing is taken back until then; milliseconds since the epoch. */
export function contestEndsAt(f: Facts): number {
  const lately = within(f.status.takenBack, f.o.now);
  const first = lately[0];
  return first ? parseTime(first.at) + CONTEST_WINDOW_MS : f.o.now;
}
