/** The text of the built-in queries: whose pods they count, and that a name cannot change their meaning. */
import { expect, test } from 'vitest';
import { duration, successRate } from './linkerd.ts';

const scope = { namespace: 'shop', deployment: 'web', replicaSets: ['web-6d4f'], window: '60s' };

test('only the pods of the revision that is judged are counted', () => {
  for (const query of [successRate(scope), duration(scope)]) {
    expect(query).toContain(
      'namespace="shop",deployment="web",pod=~"(web-6d4f)-[a-z0-9]+",direction="inbound"',
    );
    expect(query).toContain('route_name!="probe"');
  }
});

test('several ReplicaSets, or none that is known', () => {
  expect(successRate({ ...scope, replicaSets: ['web.a-1', 'web.a-2'] })).toContain(
    'pod=~"(web[.]a-1|web[.]a-2)-[a-z0-9]+"',
  );
  expect(successRate({ ...scope, replicaSets: [] })).not.toContain('pod=~');
});
