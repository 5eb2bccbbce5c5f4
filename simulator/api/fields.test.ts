/** Properties of the structured merge and of field sets, for any object of a keyed, a set and a free shape. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareFields, fieldsOf, mergeFields, removeFields } from './fields.ts';
import { difference, fromFieldsV1, intersection, isEmpty, sameSet, toFieldsV1, union } from './fieldset.ts';
import { equal } from './json.ts';
import { anyDeduced, atomic, stringSet } from './shape.ts';
import type { Shape } from './shape.ts';

const shape: Shape = {
  type: 'map',
  isStruct: false,
  rest: anyDeduced,
  fields: {
    list: {
      type: 'keyed',
      keys: ['name', 'protocol'],
      defaults: { protocol: 'TCP' },
      item: { type: 'map', isStruct: true, rest: anyDeduced, fields: {} },
    },
    tags: stringSet,
    whole: atomic,
  },
};

const item = fc.record(
  { name: fc.constantFrom('a', 'b', 'c'), protocol: fc.constantFrom('TCP', 'UDP'), value: fc.nat(3) },
  { requiredKeys: ['name'] },
);

const object = fc.record(
  {
    list: fc.uniqueArray(item, {
      selector: entry => `${entry.name}/${entry.protocol ?? 'TCP'}`,
      minLength: 1,
      maxLength: 4,
    }),
    tags: fc.uniqueArray(fc.constantFrom('x', 'y', 'z'), { minLength: 1 }),
    whole: fc.dictionary(fc.constantFrom('p', 'q'), fc.nat(3)),
    free: fc.dictionary(
      fc.constantFrom('k', 'l'),
      fc.oneof(fc.nat(3), fc.dictionary(fc.constant('m'), fc.nat(2))),
    ),
    count: fc.nat(3),
  },
  { requiredKeys: [] },
);

test('fieldsV1 keeps a set of fields as it is', () => {
  fc.assert(
    fc.property(object, value => {
      const set = fieldsOf(value, shape);
      expect(sameSet(fromFieldsV1(JSON.parse(JSON.stringify(toFieldsV1(set)))), set)).toBe(true);
    }),
  );
});

test('sets of fields obey the laws of sets', () => {
  fc.assert(
    fc.property(object, object, (left, right) => {
      const [a, b] = [fieldsOf(left, shape), fieldsOf(right, shape)];
      expect(isEmpty(intersection(difference(a, b), b))).toBe(true);
      expect(sameSet(union(difference(a, b), intersection(a, b)), a)).toBe(true);
      expect(sameSet(union(a, b), union(b, a))).toBe(true);
    }),
  );
});

test('a comparison finds a difference exactly where there is one', () => {
  fc.assert(
    fc.property(object, object, (left, right) => {
      const { added, modified, removed } = compareFields(left, right, shape);
      const isSame = isEmpty(added) && isEmpty(modified) && isEmpty(removed);
      if (equal(left, right)) expect(isSame).toBe(true);
      const back = compareFields(right, left, shape);
      expect(sameSet(added, back.removed)).toBe(true);
      expect(sameSet(modified, back.modified)).toBe(true);
    }),
  );
});

test('merging a configuration sets all that it says, twice changes nothing more, and inputs stay as they are', () => {
  fc.assert(
    fc.property(object, object, (live, config) => {
      const before = JSON.stringify([live, config]);
      const merged = mergeFields(live, config, shape);
      const change = compareFields(merged, mergeFields(merged, config, shape), shape);
      expect([change.added, change.modified, change.removed].every(isEmpty)).toBe(true);
      const owned = fieldsOf(config, shape);
      expect(isEmpty(difference(owned, fieldsOf(merged, shape)))).toBe(true);
      expect(isEmpty(intersection(compareFields(config, merged, shape).modified, owned))).toBe(true);
      expect(JSON.stringify([live, config])).toBe(before);
    }),
  );
});

test('what is removed is gone, and nothing else', () => {
  fc.assert(
    fc.property(object, object, (live, config) => {
      const set = intersection(fieldsOf(live, shape), fieldsOf(config, shape));
      const rest = removeFields(live, set, shape) ?? {};
      expect(isEmpty(intersection(fieldsOf(rest, shape), set))).toBe(true);
      expect(isEmpty(compareFields(live, rest, shape).added)).toBe(true);
    }),
  );
});
