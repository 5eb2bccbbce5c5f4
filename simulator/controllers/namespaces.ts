/** The played namespace controller: a Namespace that is being deleted is emptied, and goes when nothing is left in it. */
import { draft } from '../api/inprocess.ts';
import { MANAGER, NAMESPACE } from './objects.ts';
import type { ControllerContext } from './objects.ts';
import { createKeyQueue } from './queue.ts';

export function startNamespaces(context: ControllerContext): () => void {
  const { store } = context;
  const queue = createKeyQueue(context.clock, context.latencyMs, name => empty(context, name));
  const stop = store.subscribe(({ type, object }) => {
    const { namespace, name, deletionTimestamp } = object.metadata;
    if (object.kind === 'Namespace' && deletionTimestamp !== undefined && type !== 'DELETED') queue.add(name);
    else if (namespace !== undefined && type === 'DELETED' && isLeaving(context, namespace))
      queue.add(namespace);
  });
  for (const namespace of store.list(NAMESPACE)) queue.add(namespace.metadata.name);
  return () => {
    stop();
    queue.stop();
  };
}

function isLeaving(context: ControllerContext, name: string): boolean {
  return context.store.get(NAMESPACE, undefined, name)?.metadata.deletionTimestamp !== undefined;
}

function empty(context: ControllerContext, name: string): void {
  const { store } = context;
  const namespace = store.get(NAMESPACE, undefined, name);
  if (namespace?.metadata.deletionTimestamp === undefined) return;
  const kinds = store.kinds().filter(kind => kind.namespaced);
  for (const kind of kinds)
    for (const object of store.list(kind, name))
      if (object.metadata.deletionTimestamp === undefined)
        store.delete(object, { propagation: 'Background' });
  if (kinds.some(kind => store.list(kind, name).length > 0)) return;
  const next = draft(namespace);
  next.spec = { ...next.spec, finalizers: [] };
  store.update(next, MANAGER, 'finalize');
}
