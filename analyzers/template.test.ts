/** Templates: every function, and every way to get one wrong. */
import { expect, test } from 'vitest';
import { prometheusDuration, renderQuery } from './template.ts';

const variables = {
  name: 'web',
  namespace: 'shop',
  target: 'web',
  service: 'web',
  ingress: '',
  route: '',
  interval: '1m',
  variables: { status: '5..' },
};

test('every function is replaced', () => {
  const rendered = renderQuery(
    '{{ name }}/{{namespace}}/{{ target }}/{{ service }}/{{ interval }}/{{ variables.status }}',
    variables,
  );
  expect(rendered).toEqual({ ok: true, query: 'web/shop/web/web/1m/5..' });
});

test.each([
  '{{ nope }}',
  '{{ constructor }}',
  '{{ variables.other }}',
  '{{ name | upper }}',
  '{{ name',
  '{{ }}',
])('%s is an error', template => {
  expect(renderQuery(template, variables).ok).toBe(false);
});

test('durations are whole units', () => {
  expect(prometheusDuration(90_000)).toBe('90s');
  expect(prometheusDuration(1_500)).toBe('1500ms');
});
