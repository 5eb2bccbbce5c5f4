/**
 * Judges rollouts by what the API server wrote down and has, and by what clients were answered; what an engine says of
 * itself is shown beside a wrong outcome, and decides nothing. A release is good when its users were served well.
 */
import type { Traffic } from '../../simulator/world/traffic.ts';
import type { Stage } from './stage.ts';
import { type Act, actsOf } from '../harness/acts.ts';
import { waitFor } from '../harness/programs.ts';

/** What becomes of a release that is given to users. `dead`: no pod of it is ever ready. */
export type Nature = 'good' | 'failing' | 'slow' | 'dead';

export interface Shop {
  namespace: string;
  nature: Nature;
  traffic: Traffic;
}

export interface Audit {
  /** One sentence for each thing that must not be; empty when all is well. */
  wrong: string[];
  /** Figures of the whole run. */
  summary: string;
}

/** Shops that are opened at once: each waits far more than it works. */
const AT_ONCE = 5;
const ADOPTION_MS = 120_000;
const V1 = 'example.com/web:v1';
const V2 = 'example.com/web:v2';

/** A shop for each nature, adopted and with users. */
export async function shopsIn(
  stage: Stage,
  natures: readonly Nature[],
  spec: object,
  requestsPerSecond: number,
): Promise<Shop[]> {
  const shops: Shop[] = [];
  const open = async (nature: Nature, index: number): Promise<Shop> => {
    const namespace = `shop-${index}`;
    await stage.rig.shop(namespace, { replicas: 1 });
    await stage.rig.declare(namespace, spec);
    const isAdopted = () => stage.recorder.canary(namespace)?.status?.phase === 'Initialized';
    await waitFor(`${namespace} is adopted`, isAdopted, ADOPTION_MS);
    return { namespace, nature, traffic: stage.rig.traffic(namespace, requestsPerSecond) };
  };
  for (let from = 0; from < natures.length; from += AT_ONCE) {
    const some = natures.slice(from, from + AT_ONCE);
    shops.push(...(await Promise.all(some.map((nature, index) => open(nature, from + index)))));
  }
  return shops;
}

/** Ends the traffic of every shop and judges what became of it. */
export async function auditOf(stage: Stage, shops: readonly Shop[]): Promise<Audit> {
  const counts = await Promise.all(shops.map(({ traffic }) => traffic.stop()));
  const acts = await actsOf(stage.rig.plane);
  const wrong: string[] = [];
  for (const shop of shops) {
    const own = acts.filter(act => act.namespace === shop.namespace && act.name.startsWith('web'));
    const found = await wrongOf(stage, shop, own);
    if (found.length > 0)
      wrong.push(`${shop.namespace} (${shop.nature}): ${found.join('; ')}\n${evidence(stage, shop, own)}`);
  }
  const sum = (of: (one: (typeof counts)[number]) => number) =>
    counts.reduce((total, one) => total + of(one), 0);
  const summary =
    `${shops.length} rollouts, ${sum(one => one.total)} requests, ${sum(one => one.failed)} failed, ` +
    `${sum(one => one.byVersion['v2']?.failed ?? 0)} of them answered by a bad release; ` +
    `${wrong.length} canaries with something wrong`;
  return { wrong, summary };
}

async function wrongOf(stage: Stage, shop: Shop, acts: readonly Act[]): Promise<string[]> {
  const { namespace, nature, traffic } = shop;
  const isGood = nature === 'good';
  const get = async (path: string) => (await stage.rig.api.request('GET', path)).body;
  const workload = await get(`/apis/apps/v1/namespaces/${namespace}/deployments/web-primary`);
  const route = await get(`/apis/split.smi-spec.io/v1alpha2/namespaces/${namespace}/trafficsplits/web`);
  const wrong: string[] = [];
  const image: string = workload.spec?.template.spec.containers[0].image;
  if (image !== (isGood ? V2 : V1)) wrong.push(`the primary is left with ${image}`);
  // A release that is bad must not even for a moment have been the primary.
  const given = acts.filter(act => act.name === 'web-primary' && act.image === V2);
  if (!isGood && given.length > 0) wrong.push(`the primary was given ${V2} ${given.length} times`);
  const weight = route.spec?.backends.find((one: any) => one.service === 'web-canary')?.weight;
  if (weight !== 0) wrong.push(`the canary is left with ${weight} %`);
  if (acts.some((act, index) => act.name === 'web' && act.replicas === 0 && weightBefore(acts, index) > 0))
    wrong.push('the canary was scaled down under its traffic');
  const foreign = traffic.failures.filter(
    failure => !(failure.cause === 'release' && failure.version === 'v2' && nature === 'failing'),
  );
  if (foreign.length > 0) wrong.push(`${foreign.length} failed requests, e.g. ${JSON.stringify(foreign[0])}`);
  const ofCanary = traffic.counts().byVersion['v2'];
  if (isGood && ofCanary === undefined) wrong.push('a good release was sent no request');
  if (nature === 'dead' && ofCanary !== undefined) wrong.push('a dead release was sent requests');
  return wrong;
}

/** The canary's share at the time of an act. */
function weightBefore(acts: readonly Act[], index: number): number {
  return acts.slice(0, index).findLast(act => act.weight !== undefined)?.weight ?? 0;
}

/** For whoever looks for the cause: every write that could move traffic, every hole in it, and what the status says. */
function evidence(stage: Stage, { namespace, traffic }: Shop, acts: readonly Act[]): string {
  const at = (ms: number) => new Date(ms).toISOString().slice(11, 23);
  const status = stage.recorder.canary(namespace)?.status;
  return [
    ...acts
      .map(({ atMs, name, weight, stamp, image, replicas, isPaused }) => ({
        begin: `  ${at(atMs)} ${name}`,
        what: JSON.stringify({ weight, stamp, image, replicas, isPaused }),
      }))
      .filter(({ what }) => what !== '{}')
      .map(({ begin, what }) => `${begin} ${what}`),
    `  ${status?.phase}/${status?.stage}, run ${status?.run?.id}`,
    ...(status?.transitions ?? []).map(
      (one: any) => `  ${one.at.slice(11, 23)} ${one.reason}: ${one.message}`,
    ),
    ...holesIn(traffic).map(
      ({ from, to, text, count }) => `  ${at(from)} to ${at(to)}: ${count} times ${text}`,
    ),
    `  ${JSON.stringify(traffic.counts())}`,
  ].join('\n');
}

/** Failures that followed one another with the same answer. */
function holesIn(traffic: Traffic): { from: number; to: number; text: string; count: number }[] {
  const holes: { from: number; to: number; text: string; count: number }[] = [];
  for (const { at, cause, status, version, splitError } of traffic.failures) {
    const text = [cause, status, version, splitError].join(' ');
    const last = holes.at(-1);
    if (last?.text === text) Object.assign(last, { to: at, count: last.count + 1 });
    else holes.push({ from: at, to: at, text, count: 1 });
  }
  return holes;
}
