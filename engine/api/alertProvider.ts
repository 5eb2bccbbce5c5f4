/**
 * `spec` of an AlertProvider: who is told of rollouts. Names and meanings are Flagger's; `webhook`, a plain JSON POST,
 * is Serin's own.
 */
import { z } from 'zod';
import { objectName, text, webAddress, withRules } from './fields.ts';

export const ALERT_PROVIDERS = ['slack', 'msteams', 'discord', 'rocket', 'gchat', 'webhook'] as const;

export const alertProviderSpecSchema = withRules(
  z.object({
    type: z
      .enum(ALERT_PROVIDERS)
      .describe('Kind of the receiver: slack, msteams, discord, rocket, gchat or webhook (plain JSON POST).'),
    channel: text(256)
      .optional()
      .describe('Channel that is written to, where the receiver has some. Example: general.'),
    username: text(256).optional().describe('Name that the messages are signed with. Absent: serin.'),
    address: webAddress()
      .optional()
      .describe('Address that messages are posted to. Prefer secretRef, because such addresses are secrets.'),
    proxy: webAddress().optional().describe('HTTP proxy for this receiver. Example: http://proxy.corp:8080.'),
    secretRef: z
      .object({ name: objectName().describe('Name of the Secret, in the namespace of the AlertProvider.') })
      .optional()
      .describe('Secret with the key address and, for a Slack bot, the key token. Goes before address.'),
  }),
  [
    {
      cel: 'has(self.address) || has(self.secretRef)',
      message: 'must have address or secretRef',
      holds: spec => spec.address !== undefined || spec.secretRef !== undefined,
    },
  ],
).describe('A receiver of notifications.');

export type AlertProviderSpec = z.output<typeof alertProviderSpecSchema>;
