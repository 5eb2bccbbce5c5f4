/** What every notifier must keep, whatever it talks to. Called by the test file of each. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Notification, Notifier, Receiver, Severity } from './notifier.ts';
import { notifierOf } from './registry.ts';

export function sampleNotification(over: Partial<Notification> = {}): Notification {
  return {
    id: '6f1c0b9e/12',
    severity: 'error',
    reason: 'RolledBack',
    message: 'Rolled back: request-success-rate is 93.2 %, below 99 %.',
    canary: { namespace: 'shop', name: 'cart', target: 'cart' },
    phase: 'Failed',
    revision: '5d9f7c6b54',
    canaryWeight: 0,
    checks: [{ metric: 'errors', outcome: 'fail', value: 3, max: 0, query: 'sum(rate(x{a="b"}[1m])) > 0' }],
    fields: [{ title: 'Query', value: 'sum(rate(x{a="b"}[1m])) > 0' }],
    time: '2030-01-02T03:04:05.000Z',
    ...over,
  };
}

export function describeNotifierContract(notifier: Notifier, receiver: Receiver): void {
  describe(`the contract of notifier ${notifier.type}`, () => {
    const secrets = { ...receiver, token: 'tok-SECRET-1', address: `${receiver.address}/SECRET-2` };

    test('is registered under its type', () => {
      expect(notifierOf(notifier.type)).toBe(notifier);
    });

    test('posts JSON to the address, and asks for the same each time', () => {
      const request = notifier.request(sampleNotification(), receiver);
      expect(new URL(request.url).host).toBe(new URL(receiver.address).host);
      expect(request.headers['content-type']).toMatch(/^application\/json/);
      expect(JSON.parse(request.body)).toBeTypeOf('object');
      expect(notifier.request(sampleNotification(), receiver)).toEqual(request);
    });

    test('says what happened, to whom and why', () => {
      const { body } = notifier.request(sampleNotification(), receiver);
      for (const word of ['RolledBack', 'below 99 %', 'cart', 'shop', 'Failed', '5d9f7c6b54', 'sum(rate('])
        expect(body).toContain(word);
      const { body: named } = notifier.request(sampleNotification({ cluster: 'west-1' }), receiver);
      expect(named).toContain('west-1');
    });

    test('keeps secrets out of the body; a token is only ever a header', () => {
      const { url, body } = notifier.request(sampleNotification(), secrets);
      expect(body).not.toContain('SECRET');
      expect(url).not.toContain('SECRET-1');
    });

    test('makes valid requests of any text', () => {
      const severity = fc.constantFrom<Severity>('info', 'warn', 'error');
      fc.assert(
        fc.property(fc.string({ unit: 'binary', maxLength: 5_000 }), severity, (message, level) => {
          const given = sampleNotification({ message, severity: level });
          const { body } = notifier.request(given, receiver);
          expect(JSON.parse(body)).toBeTypeOf('object');
          expect(Buffer.byteLength(body)).toBeLessThan(128 * 1024);
        }),
      );
    });

    test.each([
      [200, 'delivered'],
      [204, 'delivered'],
      [301, 'refused'],
      [308, 'refused'],
      [400, 'refused'],
      [401, 'refused'],
      [404, 'refused'],
      [408, 'retry'],
      [429, 'retry'],
      [500, 'retry'],
      [503, 'retry'],
    ])('status %i: %s', (status, verdict) => {
      expect(notifier.accepted(status, 'ok')).toBe(verdict);
    });
  });
}
