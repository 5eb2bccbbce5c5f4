/** The generic webhook: the contract, the exact body, and how it proves who it is. */
import { expect, test } from 'vitest';
import { describeNotifierContract, sampleNotification } from './contract.ts';
import { webhook } from './webhook.ts';

const receiver = { type: 'webhook', address: 'https://receiver.test/events' };
describeNotifierContract(webhook, receiver);

test('the body, with the fields that receivers of Flagger know', () => {
  const { url, headers, body } = webhook.request(sampleNotification(), receiver);
  expect(url).toBe('https://receiver.test/events');
  expect(headers).toEqual({ 'content-type': 'application/json', 'idempotency-key': '6f1c0b9e/12' });
  expect(JSON.parse(body)).toEqual({
    name: 'cart',
    namespace: 'shop',
    phase: 'Failed',
    checksum: '5d9f7c6b54',
    canaryWeight: 0,
    metadata: {
      eventMessage: 'Rolled back: request-success-rate is 93.2 %, below 99 %.',
      eventType: 'Warning',
      timestamp: '1893553445000',
    },
    id: '6f1c0b9e/12',
    severity: 'error',
    reason: 'RolledBack',
    message: 'Rolled back: request-success-rate is 93.2 %, below 99 %.',
    target: 'cart',
    revision: '5d9f7c6b54',
    fields: [{ title: 'Query', value: 'sum(rate(x{a="b"}[1m])) > 0' }],
    checks: [{ metric: 'errors', outcome: 'fail', value: 3, max: 0, query: 'sum(rate(x{a="b"}[1m])) > 0' }],
    time: '2030-01-02T03:04:05.000Z',
  });
});

test('a token is a bearer; a user in the address becomes basic authentication', () => {
  const withToken = webhook.request(sampleNotification(), { ...receiver, token: 't' });
  expect(withToken.headers['authorization']).toBe('Bearer t');
  const withUser = webhook.request(sampleNotification(), {
    type: 'webhook',
    address: 'https://me:p%40ss@receiver.test/events',
  });
  expect(withUser.url).toBe('https://receiver.test/events');
  expect(withUser.headers['authorization']).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`);
});
