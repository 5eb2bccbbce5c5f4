/**
 * Asks the API server which rights of the table this engine has, before anything is done with them. Every authenticated
 * user may ask for their own. It only asks; what a missing right means is not its business.
 */
import type { Access, Verb } from './access.ts';
import type { ApiClient } from './types.ts';

export interface MissingRight {
  access: Access;
  /** Undefined: in the whole cluster. */
  namespace: string | undefined;
  verbs: readonly Verb[];
}

export interface Scope {
  /** Those that are served; empty: the whole cluster. */
  namespaces: readonly string[];
  leaseNamespace: string;
}

/** Each asks for one verb of one resource; the server answers from memory, in about a millisecond. */
const REVIEWS_AT_ONCE = 16;
const PATH = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

interface Question {
  access: Access;
  namespace: string | undefined;
  verb: Verb;
}

/** One entry for each line of the table and namespace of which a verb is missing. Throws ApiError. */
export async function missingRights(
  client: ApiClient,
  table: readonly Access[],
  scope: Scope,
): Promise<MissingRight[]> {
  const questions = table.flatMap(access =>
    placesOf(access, scope).flatMap(namespace => access.verbs.map(verb => ({ access, namespace, verb }))),
  );
  const refused: Question[] = [];
  for (let from = 0; from < questions.length; from += REVIEWS_AT_ONCE) {
    const batch = questions.slice(from, from + REVIEWS_AT_ONCE);
    const answers = await Promise.all(batch.map(question => isAllowed(client, question)));
    refused.push(...batch.filter((_question, index) => !answers[index]));
  }
  return grouped(refused);
}

function placesOf({ where }: Access, { namespaces, leaseNamespace }: Scope): (string | undefined)[] {
  switch (where) {
    case 'served':
      return namespaces.length === 0 ? [undefined] : [...namespaces];
    case 'lease':
      return [leaseNamespace];
    case 'cluster':
      return [undefined];
  }
}

async function isAllowed(client: ApiClient, { access, namespace, verb }: Question): Promise<boolean> {
  const { type, subresource } = access;
  const answer = await client.request('POST', PATH, {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: {
      resourceAttributes: {
        group: type.group,
        resource: type.plural,
        verb,
        ...(subresource === undefined ? {} : { subresource }),
        ...(namespace === undefined ? {} : { namespace }),
      },
    },
  });
  return answer?.status?.allowed === true;
}

function grouped(questions: readonly Question[]): MissingRight[] {
  const rights: { access: Access; namespace: string | undefined; verbs: Verb[] }[] = [];
  for (const { access, namespace, verb } of questions) {
    const known = rights.find(right => right.access === access && right.namespace === namespace);
    if (known) known.verbs.push(verb);
    else rights.push({ access, namespace, verbs: [verb] });
  }
  return rights;
}

/** As `kubectl auth can-i` takes it: `list and watch canaries.serin.dev`. */
export function describeRight({ access, verbs }: MissingRight): string {
  const { type, subresource } = access;
  const resource = type.group === '' ? type.plural : `${type.plural}.${type.group}`;
  return `${verbs.join(', ')} ${subresource ? `${resource}/${subresource}` : resource}`;
}
