/**
 * Stored objects as JSON text. An object is frozen and shared, so its text is made once, however many watchers and
 * lists it goes to.
 */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { Json } from './json.ts';
import { apiVersionOf } from './kinds.ts';
import type { Kind } from './kinds.ts';

const texts = new WeakMap<object, string>();
const itemTexts = new WeakMap<object, string>();

function remembered(cache: WeakMap<object, string>, object: object, make: () => string): string {
  let text = cache.get(object);
  if (text === undefined) {
    text = make();
    if (Object.isFrozen(object)) cache.set(object, text);
  }
  return text;
}

/** The object in the version that was asked for (custom kinds convert by changing nothing but the version). */
export function inVersion(kind: Kind, object: KubernetesObject): KubernetesObject {
  const wanted = apiVersionOf(kind);
  return object.apiVersion === wanted || object.kind !== kind.kind
    ? object
    : { ...object, apiVersion: wanted };
}

export function objectText(kind: Kind, object: KubernetesObject): string {
  return remembered(texts, inVersion(kind, object), () => JSON.stringify(inVersion(kind, object)));
}

/** In lists the built-in kinds come without `apiVersion` and `kind`, as the real server sends them. */
function itemText(kind: Kind, object: KubernetesObject): string {
  if (!kind.isBuiltin) return objectText(kind, object);
  return remembered(itemTexts, object, () => {
    const { apiVersion: _version, kind: _kind, ...rest } = object;
    return JSON.stringify(rest);
  });
}

export function listText(kind: Kind, items: KubernetesObject[], metadata: Json): string {
  const head = JSON.stringify({ kind: kind.listKind, apiVersion: apiVersionOf(kind), metadata });
  return `${head.slice(0, -1)},"items":[${items.map(item => itemText(kind, item)).join(',')}]}`;
}

export function eventLine(type: string, objectJson: string): string {
  return `{"type":"${type}","object":${objectJson}}\n`;
}
