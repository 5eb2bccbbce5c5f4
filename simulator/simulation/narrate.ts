/** One change of an object in one line, as a reader of a failure needs it. Undefined for what only fills pages. */
import type { StoreChange } from '../api/inprocess.ts';
import type { Json } from '../api/json.ts';
import { equal } from '../api/json.ts';
import { behaviourOf } from './pods.ts';

export function narrate(change: StoreChange): string | undefined {
  const { object, previous, type } = change;
  const name = `${object.kind} ${object.metadata.namespace}/${object.metadata.name}`;
  const rv = `@${object.metadata.resourceVersion}`;
  if (type === 'DELETED' && object.kind !== 'Pod') return `${name} is gone ${rv}`;
  switch (object.kind) {
    case 'Canary':
      return `${name} ${rv} ${canaryChange(object, previous)}`;
    case 'TrafficSplit': {
      const shares = (object.spec?.backends ?? []).map((one: Json) => `${one.service}=${one.weight}`);
      return `${name} ${rv} ${shares.join(' ')} stamp ${object.metadata.annotations?.['serin.dev/stamp'] ?? 'none'}`;
    }
    case 'Deployment': {
      if (
        previous &&
        equal(previous.spec, object.spec) &&
        equal(previous.metadata.annotations, object.metadata.annotations)
      )
        return undefined;
      const { spec, metadata } = object;
      const held = spec.paused
        ? ` paused by ${metadata.annotations?.['serin.dev/paused'] ? 'engine' : 'user'}`
        : '';
      return `${name} ${rv} ${behaviourOf(spec.template).version} replicas ${spec.replicas}${held} generation ${metadata.generation}`;
    }
    case 'Service':
      return `${name} ${rv} selects ${JSON.stringify(object.spec?.selector ?? {})}`;
    case 'EndpointSlice': {
      const service = object.metadata.labels?.['kubernetes.io/service-name'];
      const ready = (object['endpoints'] ?? []).filter((one: Json) => one.conditions?.ready).length;
      return `endpoints of ${object.metadata.namespace}/${service}: ${ready} ready ${rv}`;
    }
    case 'ControllerRevision':
      return `${name} ${rv} holds ${behaviourOf(object['data']?.template).version}`;
    case 'Pod': {
      const ready = (one: Json) =>
        (one?.status?.conditions ?? []).some(
          (entry: Json) => entry.type === 'Ready' && entry.status === 'True',
        );
      if (
        type === 'MODIFIED' &&
        ready(object) === ready(previous) &&
        object.metadata.deletionTimestamp === previous?.metadata.deletionTimestamp
      )
        return undefined;
      const state =
        type === 'DELETED'
          ? 'gone'
          : object.metadata.deletionTimestamp
            ? 'leaving'
            : ready(object)
              ? 'ready'
              : 'not ready';
      return `${name} ${behaviourOf(object).version} ${state}`;
    }
    default:
      return undefined;
  }
}

function canaryChange(object: Json, previous: Json): string {
  if (!previous) return 'is declared';
  if (!equal(previous.spec, object.spec)) return `spec changes, generation ${object.metadata.generation}`;
  const { status } = object;
  if (!equal(previous.status, status)) {
    const {
      phase,
      stage,
      canaryWeight = 0,
      epoch,
      routeEpoch,
      failedChecks,
      run,
      conditions = [],
    } = status ?? {};
    const why = conditions.find((one: Json) => one.type === 'Progressing');
    return [
      `status ${phase}${stage ? `/${stage}` : ''} weight ${canaryWeight} epoch ${epoch}/${routeEpoch}`,
      `run ${run?.id ?? 'none'}${run?.cause ? ` (${run.cause})` : ''}`,
      failedChecks ? `failed ${failedChecks}` : '',
      why ? `${why.reason}: ${why.message}` : '',
    ]
      .filter(Boolean)
      .join(', ');
  }
  if (object.metadata.deletionTimestamp && !previous.metadata.deletionTimestamp) return 'is being deleted';
  const command = object.metadata.annotations?.['serin.dev/command'];
  if (command !== previous.metadata.annotations?.['serin.dev/command']) return `command ${command}`;
  return `metadata ${JSON.stringify(object.metadata.finalizers ?? [])}`;
}
