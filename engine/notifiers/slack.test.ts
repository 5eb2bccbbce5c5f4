/** Slack: the contract, the exact message, escapes, and what a bot is answered. */
import { expect, test } from 'vitest';
import { describeNotifierContract, sampleNotification } from './contract.ts';
import { slack } from './slack.ts';

const receiver = { type: 'slack', address: 'https://hooks.slack.test/services/T0' };
describeNotifierContract(slack, receiver);

test('the message, as Slack gets it', () => {
  const { url, headers, body } = slack.request(sampleNotification({ cluster: 'west-1' }), {
    ...receiver,
    channel: 'releases',
  });
  expect(url).toBe('https://hooks.slack.test/services/T0');
  expect(headers).toEqual({ 'content-type': 'application/json; charset=utf-8' });
  expect(JSON.parse(body)).toEqual({
    channel: 'releases',
    username: 'serin',
    attachments: [
      {
        color: 'danger',
        fallback: 'shop/cart: Rolled back: request-success-rate is 93.2 %, below 99 %.',
        author_name: 'cart.shop',
        text: 'Rolled back: request-success-rate is 93.2 %, below 99 %.',
        mrkdwn_in: [],
        fields: [
          { title: 'Reason', value: 'RolledBack', short: true },
          { title: 'Phase', value: 'Failed', short: true },
          { title: 'Revision', value: '5d9f7c6b54', short: true },
          { title: 'Canary weight', value: '0 %', short: true },
          { title: 'Query', value: 'sum(rate(x{a="b"}[1m])) &gt; 0', short: true },
          { title: 'Cluster', value: 'west-1', short: true },
        ],
        ts: 1893553445,
      },
    ],
  });
});

test('a bot sends its token as a header', () => {
  const { headers } = slack.request(sampleNotification(), { ...receiver, token: 'xoxb-1' });
  expect(headers['authorization']).toBe('Bearer xoxb-1');
});

test('text of others cannot mention anybody or make links', () => {
  const message = '<!channel> & <https://evil.test|click>';
  const { body } = slack.request(sampleNotification({ message }), receiver);
  expect(JSON.parse(body).attachments[0].text).toBe('&lt;!channel&gt; &amp; &lt;https://evil.test|click&gt;');
});

test.each([
  ['{"ok":true}', 'delivered'],
  ['{"ok":false,"error":"channel_not_found"}', 'refused'],
  ['{"ok":false,"error":"ratelimited"}', 'retry'],
  ['{"ok":false}', 'refused'],
  ['ok', 'delivered'],
  ['', 'delivered'],
])('a bot is answered %s: %s', (body, verdict) => {
  expect(slack.accepted(200, body)).toBe(verdict);
});
