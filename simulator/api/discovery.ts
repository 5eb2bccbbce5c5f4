/** Answers the discovery paths (`/version`, `/api`, `/apis`, one group, one version) from the served kinds. Pure. */
import type { Json } from './json.ts';
import type { Kind } from './kinds.ts';

const version = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.0-serin-simulator',
  platform: 'simulator/memory',
};

const reviews: Record<string, [string, string][]> = {
  'authentication.k8s.io': [['tokenreviews', 'TokenReview']],
  'authorization.k8s.io': [
    ['selfsubjectaccessreviews', 'SelfSubjectAccessReview'],
    ['subjectaccessreviews', 'SubjectAccessReview'],
  ],
};

function resourcesOf(kinds: Kind[]): Json[] {
  return kinds.flatMap(kind => [
    {
      name: kind.plural,
      singularName: kind.singular,
      namespaced: kind.namespaced,
      kind: kind.kind,
      verbs: [...kind.verbs].sort(),
      ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
      ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
    },
    ...kind.subresources.map(name => ({
      name: `${kind.plural}/${name}`,
      singularName: '',
      namespaced: kind.namespaced,
      ...(name === 'scale' ? { group: 'autoscaling', version: 'v1' } : {}),
      kind: name === 'scale' ? 'Scale' : name === 'binding' ? 'Binding' : kind.kind,
      verbs: name === 'binding' ? ['create'] : ['get', 'patch', 'update'],
    })),
  ]);
}

function groupsOf(kinds: Kind[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const kind of kinds) {
    const versions = groups.get(kind.group) ?? [];
    if (!versions.includes(kind.version)) versions.push(kind.version);
    groups.set(kind.group, versions);
  }
  for (const group of Object.keys(reviews)) groups.set(group, ['v1']);
  groups.delete('');
  return groups;
}

function groupEntry(name: string, versions: string[]): Json {
  const list = versions.map(version => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: list, preferredVersion: list[0] };
}

/** The answer to a GET of `path`, or undefined when it is no discovery path that is served. */
export function discover(kinds: Kind[], path: string): Json {
  const groups = groupsOf(kinds);
  const [prefix, group = '', groupVersion, ...rest] = path.split('/').filter(part => part !== '');
  if (rest.length > 0) return undefined;
  if (prefix === 'version' && group === '') return version;
  if (prefix === 'api') {
    if (group === '') return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
    if (group !== 'v1' || groupVersion !== undefined) return undefined;
    const core = kinds.filter(kind => kind.group === '');
    return { kind: 'APIResourceList', groupVersion: 'v1', resources: resourcesOf(core) };
  }
  if (prefix !== 'apis') return undefined;
  if (group === '') {
    const list = [...groups].map(([name, versions]) => groupEntry(name, versions));
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: list };
  }
  const versions = groups.get(group);
  if (!versions) return undefined;
  if (groupVersion === undefined)
    return { kind: 'APIGroup', apiVersion: 'v1', ...groupEntry(group, versions) };
  if (!versions.includes(groupVersion)) return undefined;
  const served = kinds.filter(kind => kind.group === group && kind.version === groupVersion);
  const resources = (reviews[group] ?? []).map(([name, kind]) => ({
    name,
    singularName: kind.toLowerCase(),
    namespaced: false,
    kind,
    verbs: ['create'],
  }));
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: `${group}/${groupVersion}`,
    resources: [...resourcesOf(served), ...resources],
  };
}
