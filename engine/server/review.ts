/**
 * Asks the API server who a bearer token belongs to (TokenReview) and what that user may do (SubjectAccessReview). It
 * decides nothing by itself, and it never keeps a token: the cache is keyed by a hash, and for 30 seconds at most.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { ApiClient, ResourceType } from '../kubernetes/types.ts';

export interface User {
  username: string;
  uid?: string;
  groups?: string[];
  extra?: Record<string, string[]>;
}

/** What somebody wants to do with canaries. Without `namespace`: in the whole cluster. */
export interface Attempt {
  verb: 'get' | 'list' | 'update';
  namespace?: string;
  name?: string;
  subresource?: string;
}

export interface Reviewer {
  /** Undefined when the API server does not know the token. Throws ApiError when it does not answer. */
  authenticate: (token: string) => Promise<User | undefined>;
  isAllowed: (user: User, attempt: Attempt) => Promise<boolean>;
}

/** A token that is revoked stays good for so long. */
const TOKEN_CACHE_MS = 30_000;
/** Each entry is a hash and a user, well below 1 KiB. */
const TOKENS_MAX = 1_024;

interface Known {
  user: Promise<User | undefined>;
  expiresAt: number;
}

export function createReviewer(options: {
  clock: Clock;
  client: ApiClient;
  canaryType: ResourceType;
}): Reviewer {
  const { clock, client, canaryType } = options;
  const known = new Map<string, Known>();

  async function reviewToken(token: string): Promise<User | undefined> {
    const answer = await client.request('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token },
    });
    const user = answer?.status?.user;
    if (answer?.status?.authenticated !== true || typeof user?.username !== 'string' || user.username === '')
      return undefined;
    const { username, uid, groups, extra } = user;
    return { username, ...(uid ? { uid } : {}), ...(groups ? { groups } : {}), ...(extra ? { extra } : {}) };
  }

  function makeRoom(): void {
    for (const [hash, entry] of known) if (entry.expiresAt <= clock.now()) known.delete(hash);
    for (const hash of known.keys()) {
      if (known.size < TOKENS_MAX) break;
      known.delete(hash);
    }
  }

  return {
    async authenticate(token) {
      const hash = createHash('sha256').update(token).digest('base64');
      const entry = known.get(hash);
      // A clock that was set back must not lengthen anything.
      if (entry && entry.expiresAt > clock.now() && entry.expiresAt <= clock.now() + TOKEN_CACHE_MS)
        return await entry.user;
      makeRoom();
      const user = reviewToken(token);
      known.set(hash, { user, expiresAt: clock.now() + TOKEN_CACHE_MS });
      const forget = () => {
        if (known.get(hash)?.user === user) known.delete(hash);
      };
      try {
        const answered = await user;
        // A token that is not good yet may be good in a second.
        if (!answered) forget();
        return answered;
      } catch (error) {
        forget();
        throw error;
      }
    },

    async isAllowed(user, { verb, namespace, name, subresource }) {
      const { username, uid, groups, extra } = user;
      const answer = await client.request('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          user: username,
          ...(uid ? { uid } : {}),
          ...(groups ? { groups } : {}),
          ...(extra ? { extra } : {}),
          resourceAttributes: {
            group: canaryType.group,
            version: canaryType.version,
            resource: canaryType.plural,
            verb,
            ...(namespace === undefined ? {} : { namespace }),
            ...(name === undefined ? {} : { name }),
            ...(subresource === undefined ? {} : { subresource }),
          },
        },
      });
      return answer?.status?.allowed === true;
    },
  };
}
