/**
 * The one way back from a promotion (design, "Promotion"): the last good template returns to the primary, and the canary
 * keeps its share until that is ready. It writes no other template.
 */
import type { Run } from '../api/status.ts';
import { type Facts, isNewerThan, isReverted, parseTime } from './facts.ts';
import { isAllReady, mayCarry, primaryHasEndpoint } from './readiness.ts';
import { fenced, hold, lower, raise, recorded, say, stage, type Unnamed, until, write } from './write.ts';

export function toBack(f: Facts, message: string): Unnamed {
  return write(f, stage(f, 'back'), [say('GoingBack', 'error', message)]);
}

/** The one way back, (a) to (c). The canary keeps its share until the last good primary is ready. */
export function goBack(f: Facts, run: Run): Unnamed {
  const { primary, settings, target } = f.o;
  const good = f.goodRevision;
  if (!good || !primary)
    return hold(f, 'PrimaryNotReady', 'There is no last good revision to return to.', undefined);
  const isFailing = !isAllReady(primary, primary.revision) || !primaryHasEndpoint(f.o);
  const peak = run.peakWeight ?? 0;
  if (primary.revision !== good && isFailing && mayReturn(f, run, peak))
    return bridge(f, run, peak, 'The promoted primary failed.');
  // Written even where the template is the good one already: an older decision may still be about to promote, and its
  // write must meet a newer version. The temporary strategy shows that this has been done.
  if (primary.revision !== good || !primary.isSurging)
    return fenced(f, { kind: 'primary', revision: good, surge: true, epoch: f.nextEpoch });
  if (isAllReady(primary, good) && primaryHasEndpoint(f.o)) {
    const message = `Revision ${run.revision} was not promoted; the last good revision ${good} serves all traffic.`;
    return lower(
      f,
      0,
      'failed',
      {
        phase: 'Failed',
        stage: undefined,
        stageSince: undefined,
        history: recorded(f, 'Failed', 'RolledBack', message),
      },
      [say('RolledBack', 'error', message)],
    );
  }
  if (f.routeWeight === 0 && f.isDrained && target?.pausedBy === 'engine') {
    // Another engine may be about to return traffic to it: the stamp voids that write, and the status says that there is
    // no way back to the canary any more, before its pods may change.
    if ((run.peakWeight ?? 0) > 0 || f.statusWeight > 0)
      return lower(f, 0, '', { run: { ...run, peakWeight: 0 } }, []);
    return fenced(f, { kind: 'target', paused: false, epoch: f.nextEpoch });
  }
  const deadline = parseTime(f.status.stageSince) + settings.progressDeadlineMs;
  const queued = isNewerThan(f.o, run) && !isReverted(f, run);
  if (f.o.now < deadline) {
    const message = queued
      ? `Revision ${f.o.target?.revision} waits until the last good revision is back.`
      : `The primary returns to revision ${good}.`;
    return hold(f, queued ? 'RevisionQueued' : 'GoingBack', message, until(f, deadline));
  }
  const message = `The last good revision ${good} does not become ready on the primary; the canary keeps its traffic.`;
  return hold(f, queued ? 'Stalled' : 'PrimaryNotReady', message, undefined);
}

/** (a): the traffic has left a canary that is still pinned and ready, and no cache is too old to say so. */
export function mayReturn(f: Facts, run: Run, peak: number): boolean {
  return peak > 0 && f.routeWeight === 0 && f.o.staleCaches.length === 0 && mayCarry(f.o, run.revision, peak);
}

/** Back to the last split, on the way back. */
export function bridge(f: Facts, run: Run, peak: number, why: string): Unnamed {
  const patch = f.status.stage === 'back' ? {} : stage(f, 'back');
  const text = `${why} The canary gets its last share of ${peak} % again while the last good revision comes back.`;
  const returned = { ...run, cause: 'return' as const, causeDetail: 'the promoted primary failed' };
  return raise(f, peak, returned, patch, [say('Returned', 'error', text)], 0);
}
