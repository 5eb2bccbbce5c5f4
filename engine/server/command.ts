/**
 * Turns a request into the two command annotations on a Canary, in one merge patch that lands only on the object that
 * was looked at. It carries nothing out: the engine does, when it reads the annotations.
 */
import { randomUUID } from 'node:crypto';
import {
  COMMAND_ANNOTATION,
  COMMAND_BY_ANNOTATION,
  formatCommand,
  parseCommand,
  refusal,
  type Verb,
} from '../core/commands.ts';
import { type ApiClient, ApiError, type KubernetesObject, type Store } from '../kubernetes/types.ts';
import { boundRevision, commandFactsOf } from './view.ts';

export interface Wish {
  namespace: string;
  name: string;
  verb: Verb;
  /** Undefined: the one that the verb applies to now. */
  revision: string | undefined;
  reason: string;
  /** Name of the user, as the API server reviewed it. */
  by: string;
}

export type CommandOutcome =
  | { kind: 'accepted'; id: string }
  | { kind: 'notFound' }
  | { kind: 'refused'; message: string };

/** The engine writes status all the time; what conflicts twice is left to the caller. */
const TRIES_MAX = 2;

export async function writeCommand(client: ApiClient, canaries: Store, wish: Wish): Promise<CommandOutcome> {
  const { namespace, name } = wish;
  const id = randomUUID();
  let object = canaries.get(namespace, name);
  for (let tryNumber = 1; ; tryNumber++) {
    if (!object || object.metadata.deletionTimestamp) return { kind: 'notFound' };
    const patch = patchOf(object, wish, id);
    if ('refused' in patch) return { kind: 'refused', message: patch.refused };
    try {
      canaries.absorb(await client.mergePatch(canaries.type, namespace, name, patch));
      return { kind: 'accepted', id };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.kind === 'notFound') return { kind: 'notFound' };
      if (error.kind !== 'conflict') throw error;
      if (tryNumber === TRIES_MAX)
        return {
          kind: 'refused',
          message: 'The canary changed twice while the command was written; try again.',
        };
      object = await client.get(canaries.type, namespace, name);
    }
  }
}

function patchOf(
  object: KubernetesObject,
  wish: Wish,
  id: string,
): { refused: string } | { metadata: object } {
  const facts = commandFactsOf(object);
  const revision = wish.revision ?? boundRevision(wish.verb, facts) ?? 'none';
  const why = refusal(wish.verb, revision, facts) ?? pending(object, wish.verb);
  if (why) return { refused: why };
  const reason = wish.reason.replace(/[\s\p{Cc}]+/gu, ' ').trim();
  const { uid, resourceVersion } = object.metadata;
  return {
    metadata: {
      ...(uid ? { uid } : {}),
      ...(resourceVersion ? { resourceVersion } : {}),
      annotations: {
        [COMMAND_ANNOTATION]: formatCommand({ verb: wish.verb, revision, id, reason }),
        [COMMAND_BY_ANNOTATION]: wish.by,
      },
    },
  };
}

/** There is room for one command: a second one would erase the first unseen. Only an abort may do that. */
function pending(object: KubernetesObject, verb: Verb): string | undefined {
  const parsed = parseCommand(object.metadata.annotations ?? {});
  if (verb === 'abort' || !parsed?.ok || parsed.command.id === object.status?.handledCommand)
    return undefined;
  return `${parsed.command.verb} of ${parsed.command.by} waits to be carried out; try again when it is.`;
}
