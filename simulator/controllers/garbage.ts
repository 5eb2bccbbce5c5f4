/**
 * The played garbage collector: deletes objects whose owners are all gone, and carries out foreground and orphan
 * deletion. It follows owners by uid, through every kind that is served.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import { draft } from '../api/inprocess.ts';
import { MANAGER } from './objects.ts';
import type { ControllerContext } from './objects.ts';
import { createKeyQueue } from './queue.ts';

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

/** All objects and their dependents, by uid. */
interface Graph {
  objects: Map<string, KubernetesObject>;
  dependents: Map<string, Set<string>>;
}

export function startGarbageCollector(context: ControllerContext): () => void {
  const graph: Graph = { objects: new Map(), dependents: new Map() };
  const queue = createKeyQueue(context.clock, context.latencyMs, uid => collect(context, graph, uid));

  function note(object: KubernetesObject): void {
    const uid = object.metadata.uid ?? '';
    forgetEdges(graph, uid);
    graph.objects.set(uid, object);
    for (const owner of object.metadata.ownerReferences ?? []) {
      const known = graph.dependents.get(owner.uid) ?? new Set();
      known.add(uid);
      graph.dependents.set(owner.uid, known);
    }
    const needsWork =
      object.metadata.finalizers?.some(name => name === FOREGROUND || name === ORPHAN) ||
      (object.metadata.ownerReferences ?? []).some(owner => isLeaving(graph, owner.uid));
    if (needsWork) queue.add(uid);
  }

  const stop = context.store.subscribe(({ type, object }) => {
    if (object.kind === 'Event') return;
    const uid = object.metadata.uid ?? '';
    if (type !== 'DELETED') return note(object);
    forgetEdges(graph, uid);
    graph.objects.delete(uid);
    for (const dependent of graph.dependents.get(uid) ?? []) queue.add(dependent);
    for (const owner of object.metadata.ownerReferences ?? []) queue.add(owner.uid);
  });
  const everything = context.store.kinds().flatMap(kind => context.store.list(kind));
  for (const object of everything) graph.objects.set(object.metadata.uid ?? '', object);
  for (const object of everything) note(object);
  return () => {
    stop();
    queue.stop();
  };
}

function forgetEdges(graph: Graph, uid: string): void {
  for (const owner of graph.objects.get(uid)?.metadata.ownerReferences ?? []) {
    const known = graph.dependents.get(owner.uid);
    known?.delete(uid);
    if (known?.size === 0) graph.dependents.delete(owner.uid);
  }
}

function isLeaving(graph: Graph, uid: string): boolean {
  const owner = graph.objects.get(uid);
  return (
    owner === undefined ||
    (owner.metadata.deletionTimestamp !== undefined && (owner.metadata.finalizers ?? []).includes(FOREGROUND))
  );
}

function collect(context: ControllerContext, graph: Graph, uid: string): void {
  const object = graph.objects.get(uid);
  if (!object) return;
  const finalizers = object.metadata.finalizers ?? [];
  if (object.metadata.deletionTimestamp !== undefined) {
    if (finalizers.includes(ORPHAN)) orphanDependents(context, graph, object);
    else if (finalizers.includes(FOREGROUND)) waitForDependents(context, graph, object);
    return;
  }
  const owners = object.metadata.ownerReferences ?? [];
  if (owners.length > 0 && owners.every(owner => isLeaving(graph, owner.uid))) {
    const isForeground = owners.some(owner => graph.objects.has(owner.uid));
    context.store.delete(
      object,
      isForeground ? { propagation: 'Foreground' } : { propagation: 'Background' },
    );
    return;
  }
  if (owners.some(owner => !graph.objects.has(owner.uid))) {
    const next = draft(object);
    next.metadata.ownerReferences = owners.filter(owner => graph.objects.has(owner.uid));
    context.store.update(next, MANAGER);
  }
}

function dependentsOf(graph: Graph, object: KubernetesObject): KubernetesObject[] {
  const uids = [...(graph.dependents.get(object.metadata.uid ?? '') ?? [])];
  return uids.map(uid => graph.objects.get(uid)).filter(found => found !== undefined);
}

function dropFinalizer(context: ControllerContext, object: KubernetesObject, name: string): void {
  const next = draft(object);
  next.metadata.finalizers = (next.metadata.finalizers ?? []).filter(finalizer => finalizer !== name);
  context.store.update(next, MANAGER);
}

function waitForDependents(context: ControllerContext, graph: Graph, object: KubernetesObject): void {
  for (const dependent of dependentsOf(graph, object))
    if (dependent.metadata.deletionTimestamp === undefined)
      collect(context, graph, dependent.metadata.uid ?? '');
  const blocking = dependentsOf(graph, object).filter(dependent =>
    dependent.metadata.ownerReferences?.some(
      owner => owner.uid === object.metadata.uid && owner.blockOwnerDeletion === true,
    ),
  );
  if (blocking.length === 0) dropFinalizer(context, object, FOREGROUND);
}

function orphanDependents(context: ControllerContext, graph: Graph, object: KubernetesObject): void {
  for (const dependent of dependentsOf(graph, object)) {
    const next = draft(dependent);
    next.metadata.ownerReferences = (next.metadata.ownerReferences ?? []).filter(
      owner => owner.uid !== object.metadata.uid,
    );
    context.store.update(next, MANAGER);
  }
  dropFinalizer(context, object, ORPHAN);
}
