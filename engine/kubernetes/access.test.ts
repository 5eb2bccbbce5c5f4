/** The role that the chart ships grants what the table says, line by line, and nothing else. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { createSmiStepper } from '../../steppers/smi.ts';
import { accessTable } from './access.ts';
import * as resources from './resources.ts';

const { routeType } = createSmiStepper('v1alpha2');
const table = accessTable('serin.dev', routeType);
const role = new URL('../../charts/serin/files/clusterrole.yaml', import.meta.url);

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

test('the role of the chart has exactly these lines', () => {
  const { rules } = parse(readFileSync(role, 'utf8')) as { rules: Rule[] };
  const granted = rules.map(({ apiGroups, resources: plurals, verbs }) => {
    expect([...apiGroups, ...plurals, ...verbs]).not.toContain('*');
    expect([apiGroups.length, plurals.length]).toEqual([1, 1]);
    return `${plurals[0]}.${apiGroups[0]}: ${verbs.join(', ')}`;
  });
  const wanted = table.map(({ type, subresource, verbs }) => {
    const plural = subresource ? `${type.plural}/${subresource}` : type.plural;
    return `${plural}.${type.group}: ${verbs.join(', ')}`;
  });
  expect(granted.sort()).toEqual(wanted.sort());
});

test('every resource type that the engine knows by name is in the table', () => {
  const known = Object.values(resources).filter(one => typeof one === 'object');
  const inTable = new Set(table.map(({ type }) => `${type.plural}.${type.group}`));
  // Only tests speak of namespaces, and ConfigMaps are not read yet.
  const unused = ['namespaces.', 'configmaps.'];
  const missing = known
    .map(type => `${type.plural}.${type.group}`)
    .filter(name => !inTable.has(name) && !unused.includes(name));
  expect(missing).toEqual([]);
});

test('in the group of Flagger it is the same but for the group', () => {
  const inGroup = accessTable('flagger.app', routeType);
  expect(inGroup.filter(one => one.type.group === 'serin.dev')).toEqual([]);
  expect(inGroup.map(one => one.type.plural)).toEqual(table.map(one => one.type.plural));
});
