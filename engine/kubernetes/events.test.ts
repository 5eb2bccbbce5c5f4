import { expect, test } from 'vitest';
import { createVirtualClock } from '../../simulator/clock.ts';
import { createApiClient } from './client.ts';
import { createEventRecorder, type EventInput } from './events.ts';
import {
  connectionReset,
  createScriptedTransport,
  deployment,
  failure,
  json,
  type ScriptedAnswer,
} from './scriptedTransport.ts';
import type { HttpRequest } from './types.ts';

const about = deployment('web', 7);

function setUp(
  answer: (request: HttpRequest, index: number) => ScriptedAnswer = () => json(201, {}),
  maxQueue?: number,
) {
  const clock = createVirtualClock(Date.parse('2026-01-02T03:04:05.678Z'));
  const { transport, requests } = createScriptedTransport(answer);
  const recorder = createEventRecorder(createApiClient(transport, { clock }), {
    clock,
    reportingComponent: 'serin',
    ...(maxQueue === undefined ? {} : { maxQueue }),
  });
  const record = (message: string, extra: Partial<EventInput> = {}) =>
    recorder.record({ object: about, type: 'Normal', reason: 'Started', message, ...extra });
  const sent = () => requests.map(request => ({ method: request.method, ...JSON.parse(request.body!) }));
  return { clock, recorder, record, requests, sent };
}

test('an event names its object, its times and who reports it', async () => {
  const { clock, record, sent, requests, recorder } = setUp();
  record('a sentence');
  await clock.advance(0);
  expect(requests[0]).toMatchObject({
    method: 'POST',
    path: '/api/v1/namespaces/shop/events?fieldManager=serin',
  });
  expect(sent()[0]).toMatchObject({
    kind: 'Event',
    metadata: { namespace: 'shop', name: expect.stringMatching(/^web\.[0-9a-f]+$/) },
    involvedObject: {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      namespace: 'shop',
      name: 'web',
      uid: 'uid-web',
    },
    type: 'Normal',
    reason: 'Started',
    message: 'a sentence',
    count: 1,
    firstTimestamp: '2026-01-02T03:04:05Z',
    lastTimestamp: '2026-01-02T03:04:05Z',
    reportingComponent: 'serin',
    source: { component: 'serin' },
  });
  expect(recorder.counts()).toEqual({ sent: 1, dropped: 0, failed: 0 });
});

test('an event about a cluster-scoped object lives in default', async () => {
  const { clock, recorder, requests } = setUp();
  const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', uid: 'n' } };
  recorder.record({ object, type: 'Warning', reason: 'R', message: 'm' });
  await clock.advance(0);
  expect(requests[0]!.path).toContain('/namespaces/default/events');
});

test('the same within 5 minutes renews the series; later, or with another message, it is a new event', async () => {
  const { clock, record, sent } = setUp();
  record('same');
  await clock.advance(4 * 60_000);
  record('same');
  await clock.advance(4 * 60_000);
  record('same');
  record('other');
  await clock.advance(6 * 60_000);
  record('same');
  await clock.advance(0);
  expect(sent().map(({ method, count, message }) => [method, count, message])).toEqual([
    ['POST', 1, 'same'],
    ['PATCH', 2, 'same'],
    ['PATCH', 3, 'same'],
    ['POST', 1, 'other'],
    ['POST', 1, 'same'],
  ]);
  expect(sent()[1].lastTimestamp).toBe('2026-01-02T03:08:05Z');
});

test('a key makes events with changing messages one series that shows the last message', async () => {
  const { clock, record, sent } = setUp();
  record('waited 1 s', { key: 'waiting' });
  await clock.advance(1_000);
  record('waited 2 s', { key: 'waiting' });
  await clock.advance(0);
  expect(sent().map(({ method, message }) => [method, message])).toEqual([
    ['POST', 'waited 1 s'],
    ['PATCH', 'waited 2 s'],
  ]);
});

test('a series whose event is gone begins anew', async () => {
  const { clock, record, sent } = setUp(request =>
    request.method === 'PATCH' ? failure(404, 'NotFound') : json(201, {}),
  );
  record('same');
  await clock.advance(1_000);
  record('same');
  await clock.advance(0);
  expect(sent().map(({ method }) => method)).toEqual(['POST', 'PATCH', 'POST']);
});

test('events that wait are sent in order, and the same ones are counted together', async () => {
  let isDown = true;
  const { clock, recorder, record, sent } = setUp(() => (isDown ? 'hang' : json(201, {})));
  record('first');
  record('second');
  record('third');
  record('second');
  expect(recorder.depth()).toBe(3);
  await clock.advance(0);
  isDown = false;
  await clock.advance(30_000);
  expect(sent().map(({ message, count }) => [message, count])).toEqual([
    ['first', 1],
    ['first', 1],
    ['second', 2],
    ['third', 1],
  ]);
  expect(recorder.depth()).toBe(0);
});

test('a full queue drops the oldest Normal first, and a Normal before any Warning', async () => {
  let isDown = true;
  const { clock, recorder, record, sent } = setUp(() => (isDown ? 'hang' : json(201, {})), 3);
  record('being sent');
  record('w1', { type: 'Warning' });
  record('n1');
  record('n2');
  record('w2', { type: 'Warning' });
  record('w3', { type: 'Warning' });
  record('n3');
  record('w4', { type: 'Warning' });
  record('n4');
  await clock.advance(0);
  isDown = false;
  await clock.advance(60_000);
  const [, ...after] = sent().map(({ message }) => message);
  expect(after).toEqual(['being sent', 'w2', 'w3', 'w4']);
  expect(recorder.counts()).toEqual({ sent: 4, dropped: 5, failed: 0 });
});

test('a failure is tried three times and then counted and dropped; a refusal is not tried again', async () => {
  const down = setUp(() => connectionReset());
  down.record('lost');
  await down.clock.advance(60_000);
  expect(down.requests).toHaveLength(3);
  expect(down.recorder.counts()).toEqual({ sent: 0, dropped: 0, failed: 1 });
  const refused = setUp(() => failure(403, 'Forbidden'));
  refused.record('refused');
  await refused.clock.advance(60_000);
  expect(refused.requests).toHaveLength(1);
  expect(refused.recorder.counts().failed).toBe(1);
});

test('a name that another process has taken is replaced', async () => {
  const { clock, record, sent, recorder } = setUp((_, index) =>
    index === 0 ? failure(409, 'AlreadyExists') : json(201, {}),
  );
  record('m');
  await clock.advance(1_000);
  const names = sent().map(({ metadata }) => metadata.name);
  expect(new Set(names).size).toBe(2);
  expect(recorder.counts().sent).toBe(1);
});

test('messages are cut at 1,024 characters, never within a character, and names stay legal', async () => {
  const { clock, recorder, record, sent } = setUp();
  record(`${'x'.repeat(1_022)}😀😀`);
  recorder.record({ object: deployment('n'.repeat(253), 1), type: 'Normal', reason: 'R', message: 'm' });
  await clock.advance(0);
  expect(sent()[0].message).toBe(`${'x'.repeat(1_022)}…`);
  expect(sent()[1].metadata.name.length).toBeLessThanOrEqual(253);
});

test('flush waits for the queue, and no longer than it is told', async () => {
  let isDown = true;
  const { clock, recorder, record } = setUp(() => (isDown ? 'hang' : json(201, {})));
  await recorder.flush();
  record('m');
  let flushed = 0;
  const first = recorder.flush(3_000).then(() => flushed++);
  await clock.advance(2_999);
  expect(flushed).toBe(0);
  await clock.advance(1);
  await first;
  expect(recorder.depth()).toBe(1);
  isDown = false;
  const second = recorder.flush(60_000);
  await clock.advance(20_000);
  await second;
  expect(recorder.depth()).toBe(0);
});

test('a flood of events goes out slowly, and at once when somebody waits for the end', async () => {
  const { clock, record, requests, recorder } = setUp();
  for (let number = 0; number < 400; number++) record(`event ${number}`);
  await clock.advance(1_000);
  expect(requests.length).toBeGreaterThan(100);
  expect(requests.length).toBeLessThan(200);
  const flushed = recorder.flush();
  await clock.advance(0);
  await flushed;
  expect(requests).toHaveLength(400);
});
