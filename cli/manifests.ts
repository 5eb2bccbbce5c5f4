/**
 * The Canaries in a file of manifests, YAML or JSON, several documents or a List, as the engine would decode them. What
 * is no Canary is passed over; what is one and cannot be used is a sentence with the file, the name and the field.
 */
import { parseAllDocuments } from 'yaml';
import { type Canary, decodeCanary, formatProblem } from '../engine/api/decode.ts';
import type { Console } from './console.ts';

export interface Manifests {
  canaries: Canary[];
  /** Whole sentences; empty when all could be read. */
  problems: string[];
}

/** More would be a listing of a cluster, not what somebody plans. */
const CANARIES_MAX = 100;
/** kubectl reads YAML 1.1, in which `off` is false and `<<` merges: the same file must mean the same here. */
const AS_KUBECTL = { version: '1.1' } as const;
const GROUPS = ['serin.dev', 'flagger.app'];

/** Of the file that a verb was given. One that cannot be read is a problem like any other. */
export async function readManifests(file: string, console: Pick<Console, 'read'>): Promise<Manifests> {
  let text: string;
  try {
    text = await console.read(file);
  } catch (error) {
    return { canaries: [], problems: [(error as Error).message] };
  }
  return manifestsIn(text, file === '-' ? 'standard input' : file);
}

/** @param source how the file is called in the sentences */
function manifestsIn(text: string, source: string): Manifests {
  const { objects, problems } = objectsIn(text, source);
  const found = objects.filter(object => object['kind'] === 'Canary');
  if (found.length > CANARIES_MAX)
    return { canaries: [], problems: [`${source}: has more than ${CANARIES_MAX} Canaries`] };
  if (found.length === 0 && problems.length === 0) problems.push(`${source}: there is no Canary in it`);
  const canaries: Canary[] = [];
  for (const object of found) {
    const read = canaryOf(object);
    if ('canary' in read) canaries.push(read.canary);
    else problems.push(...read.problems.map(problem => `${source}: ${nameOf(object)}: ${problem}`));
  }
  return { canaries, problems };
}

type Json = Record<string, unknown>;

function objectsIn(text: string, source: string): { objects: Json[]; problems: string[] } {
  const problems: string[] = [];
  const objects: Json[] = [];
  for (const [index, document] of parseAllDocuments(text, AS_KUBECTL).entries()) {
    const where = `${source}: document ${index + 1}`;
    const [error] = document.errors;
    if (error) {
      problems.push(`${where} is neither YAML nor JSON: ${error.message.split('\n')[0]}`);
      continue;
    }
    const value = asJson(document);
    if (value === null) continue;
    if (isObject(value)) objects.push(...itemsOf(value));
    else problems.push(`${where} is not an object with apiVersion and kind`);
  }
  return { objects, problems };
}

/** Throws on an alias that stands for too much; whoever writes such a thing gets the same sentence as for bad YAML. */
function asJson(document: { toJS(): unknown }): unknown {
  try {
    return document.toJS();
  } catch {
    return undefined;
  }
}

function itemsOf(value: Json): Json[] {
  const { items } = value;
  return Array.isArray(items) && String(value['kind']).endsWith('List') ? items.filter(isObject) : [value];
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function canaryOf(object: Json): { canary: Canary } | { problems: string[] } {
  const group = String(object['apiVersion']).split('/')[0] ?? '';
  if (!GROUPS.includes(group))
    return { problems: [`apiVersion must be of the group ${GROUPS.join(' or ')}`] };
  // As kubectl: a manifest without a namespace is of the one that is used.
  const metadata = isObject(object['metadata']) ? object['metadata'] : {};
  const decoded = decodeCanary({ ...object, metadata: { namespace: 'default', ...metadata } });
  return decoded.ok ? { canary: decoded.canary } : { problems: decoded.problems.map(formatProblem) };
}

function nameOf({ metadata }: Json): string {
  const name = isObject(metadata) ? metadata['name'] : undefined;
  return typeof name === 'string' ? `Canary ${name}` : 'a Canary without a name';
}
