/** Label and field selectors of list and watch requests: parsing and matching. Pure. */
import type { KubernetesObject } from '../../engine/kubernetes/types.ts';
import type { Json } from './json.ts';
import { badRequest } from './status.ts';

export type Matcher = (object: KubernetesObject) => boolean;

/** Splits at commas that are not inside parentheses. */
function clauses(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map(clause => clause.trim())
    .filter(clause => clause !== '');
}

type Labels = Record<string, string>;

function labelClause(clause: string): (labels: Labels) => boolean {
  const inSet = /^([^\s!=]+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(clause);
  if (inSet) {
    const [, key = '', operator, list = ''] = inSet;
    const values = new Set(list.split(',').map(value => value.trim()));
    if (operator === 'in') return labels => labels[key] !== undefined && values.has(labels[key]);
    return labels => labels[key] === undefined || !values.has(labels[key]);
  }
  const comparison = /^([^\s!=]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(clause);
  if (comparison) {
    const [, key = '', operator, value = ''] = comparison;
    return operator === '!=' ? labels => labels[key] !== value : labels => labels[key] === value;
  }
  const existence = /^(!?)([^\s!=(),]+)$/.exec(clause);
  if (!existence) throw badRequest(`unable to parse requirement: ${clause}`);
  const [, isNegated, key = ''] = existence;
  return labels => (labels[key] === undefined) === (isNegated === '!');
}

export function parseLabelSelector(text: string): Matcher {
  const checks = clauses(text).map(labelClause);
  return object => checks.every(check => check(object.metadata.labels ?? {}));
}

/** `matchLabels` and `matchExpressions` of an object, e.g. of a Deployment. */
export function matchesSelector(selector: Json, labels: Labels | undefined): boolean {
  const given = labels ?? {};
  for (const [key, value] of Object.entries(selector?.matchLabels ?? {}))
    if (given[key] !== value) return false;
  return (selector?.matchExpressions ?? []).every((expression: Json) => {
    const value = given[expression.key];
    switch (expression.operator) {
      case 'In':
        return value !== undefined && expression.values.includes(value);
      case 'NotIn':
        return value === undefined || !expression.values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
      default:
        return false;
    }
  });
}

const fieldsByKind: Record<string, Set<string>> = {
  Pod: new Set(['spec.nodeName', 'status.phase', 'status.podIP', 'spec.restartPolicy']),
  Event: new Set([
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'reason',
    'type',
  ]),
  ReplicaSet: new Set(['status.replicas']),
  Secret: new Set(['type']),
  Namespace: new Set(['status.phase']),
};

function fieldText(object: Json, path: string): string {
  let value: Json = object;
  for (const field of path.split('.')) value = value?.[field];
  return value === undefined || value === null ? '' : String(value);
}

export function parseFieldSelector(text: string, kind: string): Matcher {
  const checks = clauses(text).map(clause => {
    const match = /^([\w.]+)\s*(==|=|!=)\s*(.*)$/.exec(clause);
    if (!match) throw badRequest(`invalid selector: '${clause}'; can't understand '${clause}'`);
    const [, path = '', operator, value = ''] = match;
    const isKnown =
      path === 'metadata.name' || path === 'metadata.namespace' || fieldsByKind[kind]?.has(path);
    if (!isKnown) throw badRequest(`field label not supported: ${path}`);
    return (object: KubernetesObject) => (fieldText(object, path) === value) === (operator !== '!=');
  });
  return object => checks.every(check => check(object));
}
