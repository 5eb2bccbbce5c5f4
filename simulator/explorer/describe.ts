/** A state in one line, for traces. It decides nothing. */
import type { Model } from './model.ts';
import type { Pods, Spec } from './parts.ts';
import { ageOf } from './reduce.ts';

function workload(spec: Spec, { pods }: Pods): string {
  const paused = spec.pausedBy === 'nobody' ? '' : ` paused by ${spec.pausedBy}`;
  const shown = pods.map(pod => `${pod.revision}${pod.isReady ? '' : '!'}`).join('+') || '-';
  return `${spec.template} x${spec.replicas}${paused}${spec.isObserved ? '' : '*'} pods ${shown}`;
}

export function describeState(model: Model, state: readonly number[]): string {
  const status = model.status(state);
  const route = model.route(state);
  const meta = model.meta(state);
  const ages = Object.entries({
    zero: status.zeroSince,
    stepped: status.run?.steppedAt,
    checked: status.run?.checkedAt,
    stage: status.stageSince,
  })
    .filter(([, time]) => time)
    .map(([name, time]) => `${name} ${ageOf(time ?? '')}`);
  const parts = [
    `status ${status.phase}${status.stage ? `/${status.stage}` : ''} ${status.canaryWeight} % ${status.run?.id ?? '-'} E${status.epoch} of ${status.routeEpoch}`,
    ages.length ? `(${ages.join(', ')})` : '',
    status.failedChecks ? `failed ${status.failedChecks}` : '',
    status.paused ? 'PAUSED' : '',
    `| route ${route.weight} % ${route.epoch}/${route.run}/${route.end}`,
    `| T ${workload(model.target(state), model.targetPods(state))}`,
    `| P ${workload(model.primary(state), model.primaryPods(state))}`,
    `| good ${status.lastGood?.hash}`,
    meta.command ? `| ${meta.command.verb} ${meta.command.revision}` : '',
    meta.deleting === 'no' ? '' : '| deleting',
  ];
  return parts.filter(Boolean).join(' ');
}
