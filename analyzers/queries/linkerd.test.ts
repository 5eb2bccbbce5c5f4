/** The text of the built-in queries: whose pods they count, and that a name cannot change their meaning. */
import { expect, test } from 'vitest';
import { counterHistory, counters, duration, successRate } from './linkerd.ts';

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

const arms = [
  { namespace: 'shop', deployment: 'web', replicaSets: ['web-6d4f'] },
  { namespace: 'shop', deployment: 'web-primary', replicaSets: [] },
];
/** That a Prometheus understands it, and answers what is meant, is tested end to end. */
const CANARY =
  '{namespace="shop",deployment="web",pod=~"(web-6d4f)-[a-z0-9]+",direction="inbound",route_name!="probe"}';
const PRIMARY = '{namespace="shop",deployment="web-primary",direction="inbound",route_name!="probe"}';

test('raw counters of both arms, golden', () => {
  const requests = `max without (job, instance) (response_total${CANARY} or response_total${PRIMARY})`;
  const buckets = `response_latency_ms_bucket${CANARY} or response_latency_ms_bucket${PRIMARY}`;
  const starts =
    'process_start_time_seconds{namespace="shop",deployment="web",pod=~"(web-6d4f)-[a-z0-9]+"} or process_start_time_seconds{namespace="shop",deployment="web-primary"}';
  const inbound = `response_total${CANARY} or response_total${PRIMARY}`;
  const timestamps = `timestamp(response_total${CANARY}) or timestamp(response_total${PRIMARY})`;
  expect(counters(arms).split(' or label_replace(')).toEqual([
    `label_replace(sum by (deployment, pod, classification, status_code) (${requests}), "kind", "requests", "", "")`,
    `sum by (deployment, pod, le) (max without (job, instance) (${buckets})), "kind", "durations", "", "")`,
    `count by (deployment, pod) (${requests}), "kind", "series", "", "")`,
    `max by (deployment, pod) ((${starts}) and on (job, instance, pod) (${inbound})), "kind", "startedAt", "", "")`,
    `max(${timestamps}), "kind", "sampledAt", "", "")`,
    'vector(time()), "kind", "time", "", "")',
  ]);
});

test('the history of one arm, by pod and at each minute; of some pods alone where there are many', () => {
  const [, primary] = arms;
  const text = counterHistory(primary!, []);
  expect(text).toMatch(/^\(label_replace\(.*\)\[30m:1m\]$/);
  expect(text).not.toContain('"web"');
  expect(text).not.toMatch(/timestamp|time\(\)/);
  const some = counterHistory(primary!, ['web-primary-a.1', 'web-primary-a-2']);
  const named =
    '"web-primary",direction="inbound",route_name!="probe",pod=~"web-primary-a[.]1|web-primary-a-2"}';
  expect(some.split(named)).toHaveLength(5);
  expect(some).toContain(
    'process_start_time_seconds{namespace="shop",deployment="web-primary",pod=~"web-primary-a[.]1|web-primary-a-2"}',
  );
});
