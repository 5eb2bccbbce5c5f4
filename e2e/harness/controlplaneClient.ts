/**
 * The tests' own hands on the control plane: plain requests, `apply` of YAML, and CRDs that are waited for. It shares no
 * code with the engine, so that a fault in the engine's client cannot hide here, and it never retries a request.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { Agent, request as send } from 'undici';
import { parseAllDocuments } from 'yaml';
import { waitFor } from './programs.ts';

const CONNECTIONS = 16;
/** An API server whose etcd is frozen answers only after its own 60 s; a test wants to go on before. */
const REQUEST_TIMEOUT_MS = 30_000;
/** A CRD is served within a second of its creation. */
const SERVED_DEADLINE_MS = 20_000;
const FIELD_MANAGER = 'e2e';
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface Answer {
  /** HTTP status, any. */
  status: number;
  /** The parsed JSON body, or the text when it is none. */
  body: any;
}

/** A body that is no string is sent as JSON; a PATCH is a merge patch unless `contentType` says otherwise. */
export type PlaneRequest = (
  user: string,
  method: Method,
  path: string,
  body?: unknown,
  contentType?: string,
) => Promise<Answer>;

export interface PlaneClient {
  request: PlaneRequest;
  /** Server-side apply of every document, forced, as `admin`; resolves with the objects as stored. */
  applyYaml: (text: string) => Promise<any[]>;
  /** Applies the CRDs in the YAML files (of a folder, or named) and waits until each is Established and served. */
  installCrds: (folderOrFiles: string | readonly string[]) => Promise<void>;
  close(): Promise<void>;
}

export interface PlaneClientOptions {
  server: string;
  /** PEM. */
  ca: string;
  /** Bearer tokens by user. */
  tokens: Readonly<Record<string, string>>;
}

export function createPlaneClient({ server, ca, tokens }: PlaneClientOptions): PlaneClient {
  const agent = new Agent({ connect: { ca }, connections: CONNECTIONS, allowH2: false });

  const request: PlaneRequest = async (user, method, path, body, contentType) => {
    const token = tokens[user];
    if (token === undefined) throw new Error(`the control plane has no user ${user}`);
    const type = contentType ?? (method === 'PATCH' ? 'application/merge-patch+json' : 'application/json');
    const answer = await send(server + path, {
      method,
      dispatcher: agent,
      headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': type }) },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    return { status: answer.statusCode, body: parsed(await answer.body.text()) };
  };

  async function apply(object: any): Promise<any> {
    const path = await waitFor(
      `${object.apiVersion} ${object.kind} is served`,
      () => pathOf(request, object),
      SERVED_DEADLINE_MS,
    );
    const query = `fieldManager=${FIELD_MANAGER}&force=true`;
    const answer = await request(
      'admin',
      'PATCH',
      `${path}?${query}`,
      object,
      'application/apply-patch+yaml',
    );
    if (answer.status !== 200 && answer.status !== 201) {
      throw new Error(
        `apply ${path}: ${answer.status} ${answer.body?.message ?? JSON.stringify(answer.body)}`,
      );
    }
    return answer.body;
  }

  async function applyYaml(text: string): Promise<any[]> {
    const applied: any[] = [];
    for (const object of objectsIn(text)) applied.push(await apply(object));
    return applied;
  }

  return {
    request,
    applyYaml,
    async installCrds(folderOrFiles) {
      for (const file of filesOf(folderOrFiles)) {
        for (const crd of await applyYaml(readFileSync(file, 'utf8'))) await isServed(request, crd);
      }
    },
    close: () => agent.destroy(),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Health endpoints answer plain text.
    return text;
  }
}

function objectsIn(text: string): any[] {
  return parseAllDocuments(text).flatMap(document => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const object: unknown = document.toJS();
    return object === null || object === undefined ? [] : [object];
  });
}

function filesOf(folderOrFiles: string | readonly string[]): readonly string[] {
  if (typeof folderOrFiles !== 'string') return folderOrFiles;
  if (!statSync(folderOrFiles).isDirectory()) return [folderOrFiles];
  const files = readdirSync(folderOrFiles).filter(file => ['.yaml', '.yml'].includes(extname(file)));
  if (files.length === 0) throw new Error(`${folderOrFiles} holds no YAML`);
  return files.sort().map(file => join(folderOrFiles, file));
}

/** The object's path, or undefined while its kind is not served. */
async function pathOf(request: PlaneRequest, object: any): Promise<string | undefined> {
  const { apiVersion, kind, metadata } = object;
  const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const { status, body } = await request('admin', 'GET', base);
  if (status !== 200) return undefined;
  const resource = body.resources.find((one: any) => one.kind === kind && !one.name.includes('/'));
  if (resource === undefined) return undefined;
  const scope = resource.namespaced ? `/namespaces/${metadata.namespace ?? 'default'}` : '';
  return `${base}${scope}/${resource.name}/${metadata.name}`;
}

async function isServed(request: PlaneRequest, crd: any): Promise<void> {
  const { group, names, versions } = crd.spec;
  const served = versions.filter((version: any) => version.served);
  await waitFor(
    `${crd.metadata.name} is served`,
    async () => {
      const { body } = await request('admin', 'GET', `${CRDS}/${crd.metadata.name}`);
      const conditions: any[] = body.status?.conditions ?? [];
      if (!conditions.some(one => one.type === 'Established' && one.status === 'True')) return false;
      const lists = await Promise.all(
        served.map((version: any) =>
          request('admin', 'GET', `/apis/${group}/${version.name}/${names.plural}`),
        ),
      );
      return lists.every(list => list.status === 200);
    },
    SERVED_DEADLINE_MS,
  );
}
