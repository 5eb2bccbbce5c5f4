/**
 * Who may do what: bearer tokens and rules are a table that tests fill. A user without an entry in `rules` may do
 * everything; an entry, even an empty one, is all that this user may do. Answers the review APIs and guards requests.
 */
import type { Json } from './json.ts';
import type { RequestInfo } from './routes.ts';

/** One permission; `*` stands for anything. `resources` names subresources as `deployments/scale`. */
export interface AccessRule {
  verbs: string[];
  groups: string[];
  resources: string[];
  /** All namespaces when left out. */
  namespaces?: string[];
}

export interface Access {
  /** Bearer token to user name. */
  tokens: Map<string, string>;
  rules: Map<string, AccessRule[]>;
}

interface Attributes {
  verb: string;
  group: string;
  resource: string;
  subresource: string;
  namespace: string;
}

function has(list: string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}

export function isAllowed(access: Access, user: string, wanted: Attributes): boolean {
  const rules = access.rules.get(user);
  if (!rules) return true;
  const resource = wanted.subresource ? `${wanted.resource}/${wanted.subresource}` : wanted.resource;
  return rules.some(
    rule =>
      has(rule.verbs, wanted.verb) &&
      has(rule.groups, wanted.group) &&
      has(rule.resources, resource) &&
      (rule.namespaces === undefined || has(rule.namespaces, wanted.namespace)),
  );
}

/** The sentence with which RBAC refuses. */
export function refusal(info: RequestInfo): string {
  const resource = info.subresource ? `${info.resource}/${info.subresource}` : info.resource;
  const where = info.namespace ? `in the namespace "${info.namespace}"` : 'at the cluster scope';
  return `User "${info.user}" cannot ${info.verb} resource "${resource}" in API group "${info.group}" ${where}`;
}

function attributesOf(spec: Json): Attributes {
  const wanted = spec?.resourceAttributes ?? {};
  return {
    verb: wanted.verb ?? '',
    group: wanted.group ?? '',
    resource: wanted.resource ?? '',
    subresource: wanted.subresource ?? '',
    namespace: wanted.namespace ?? '',
  };
}

/** Answers a POST of a review, or undefined when the resource is none. */
export function review(access: Access, info: RequestInfo, body: Json): Json {
  const answer = (kind: string, status: Json) => ({
    kind,
    apiVersion: `${info.group}/${info.version}`,
    metadata: {},
    spec: body?.spec ?? {},
    status,
  });
  if (info.verb !== 'create' || info.version !== 'v1') return undefined;
  if (info.group === 'authentication.k8s.io' && info.resource === 'tokenreviews') {
    const user = access.tokens.get(body?.spec?.token ?? '');
    if (user === undefined)
      return answer('TokenReview', { user: {}, error: '[invalid bearer token, token lookup failed]' });
    return answer('TokenReview', {
      authenticated: true,
      user: { username: user, uid: user, groups: ['system:authenticated'] },
      audiences: body?.spec?.audiences ?? ['https://kubernetes.default.svc'],
    });
  }
  if (info.group !== 'authorization.k8s.io') return undefined;
  if (info.resource === 'subjectaccessreviews')
    return answer('SubjectAccessReview', {
      allowed: isAllowed(access, body?.spec?.user ?? '', attributesOf(body?.spec)),
    });
  if (info.resource === 'selfsubjectaccessreviews')
    return answer('SelfSubjectAccessReview', {
      allowed: isAllowed(access, info.user, attributesOf(body?.spec)),
    });
  return undefined;
}
