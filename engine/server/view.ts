/**
 * What REST shows and takes: the zod schemas from which requests are checked and the OpenAPI document is drawn, and how
 * a Canary becomes its view. It reads objects and never writes one.
 */
import { z } from '@hono/zod-openapi';
import { canaryStatusSchema } from '../api/status.ts';
import { type CommandFacts, refusal, VERBS, type Verb } from '../core/commands.ts';
import type { KubernetesObject } from '../kubernetes/types.ts';

/** RFC 1123: what the API server accepts as a name; nothing else reaches a path. */
const name = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, 'expected a Kubernetes name');

export const canaryParams = z.object({ namespace: name(63), name: name(253) });
export const commandParams = canaryParams.extend({ verb: z.enum(VERBS) });
export const listQuery = z.object({ namespace: name(63).optional().describe('Only this namespace.') });

export const commandBody = z.strictObject({
  revision: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, 'expected the hash of a revision')
    .optional()
    .describe(
      'Hash of the revision that the command is meant for. Default: the running one; for skip, the queued one.',
    ),
  reason: z.string().max(256).optional().describe('Why, in one line; it appears in events and logs.'),
});

export const errorSchema = z.object({ error: z.string().describe('A sentence for people.') });
export const acceptedSchema = z.object({
  id: z
    .string()
    .describe('Id of the command; status.handledCommand names it once it is carried out or refused.'),
});
export const canaryView = z.object({
  namespace: z.string(),
  name: z.string(),
  target: z.object({ kind: z.string(), name: z.string() }).describe('The workload that is released.'),
  isSuspended: z.boolean().describe('spec.suspend is set.'),
  commands: z.array(z.enum(VERBS)).describe('Commands that apply now.'),
  status: canaryStatusSchema,
});
export type CanaryView = z.infer<typeof canaryView>;
export const listView = z.object({ items: z.array(canaryView) });
export const historyView = z.object({
  rollouts: canaryStatusSchema.shape.history.unwrap().describe('Past rollouts, newest first.'),
  transitions: canaryStatusSchema.shape.transitions.unwrap().describe('The last transitions, oldest first.'),
});

export function viewOf(object: KubernetesObject): CanaryView {
  const facts = commandFactsOf(object);
  const target = object.spec?.targetRef;
  return {
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
    target: { kind: String(target?.kind ?? ''), name: String(target?.name ?? '') },
    isSuspended: object.spec?.suspend === true,
    commands: VERBS.filter(verb => refusal(verb, boundRevision(verb, facts) ?? '', facts) === undefined),
    status: shown(object.status ?? {}),
  };
}

/** Without what only an engine reads, and what is as long as all the rest. */
function shown(status: CanaryView['status']): CanaryView['status'] {
  if (!status.judge) return status;
  const { checkpoint: _checkpoint, ...judge } = status.judge;
  return { ...status, judge };
}

/**
 * What the rules of commands need to know, as far as the status tells. Whether the primary has a ready endpoint it does
 * not: there the engine, which looks again before it obeys, may still refuse a `skip`.
 */
export function commandFactsOf(object: KubernetesObject): CommandFacts {
  const status: CanaryView['status'] = object.status ?? {};
  const { phase, stage, run, target, lastGood } = status;
  const isGoingBack = phase === 'Promoting' && stage === 'back';
  const isQueued =
    isGoingBack &&
    run !== undefined &&
    target !== undefined &&
    target.hash !== run.revision &&
    target.generation > run.generation &&
    target.hash !== lastGood?.hash;
  return {
    phase,
    isSuspended: object.spec?.suspend === true,
    runRevision: run?.revision,
    isPaused: status.paused !== undefined,
    isWatched: phase === 'Promoting' && stage === 'bake',
    queuedRevision: isQueued ? target.hash : undefined,
  };
}

/** The revision that a command means when it names none. */
export function boundRevision(verb: Verb, facts: CommandFacts): string | undefined {
  return verb === 'skip' ? facts.queuedRevision : facts.runRevision;
}
