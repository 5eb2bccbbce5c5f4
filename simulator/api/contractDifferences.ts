/**
 * Where the in-memory API is known to differ from a real server. Each is data with a probe, so that a difference that
 * vanishes or grows is noticed on either side.
 */
import type { Answer, Calls } from './contractCalls.ts';
import { freshName } from './contractCalls.ts';
import { configMap, deployment, widget } from './contractWidgets.ts';

export interface DeclaredDifference {
  feature: string;
  memory: string;
  real: string;
  probe(calls: Calls): Promise<Answer>;
  observe(answer: Answer): string;
}

const statusOf = (answer: Answer) => String(answer.status);

export const declaredDifferences: readonly DeclaredDifference[] = [
  {
    feature: 'CEL rules of custom resources (x-kubernetes-validations)',
    memory: '201',
    real: '422',
    probe: calls =>
      calls.post(
        `${calls.path('contract.serin.dev/v1', 'widgets')}?dryRun=All`,
        widget(freshName('cel'), { mode: 'linear' }),
      ),
    observe: statusOf,
  },
  {
    feature: 'unknown fields of built-in kinds',
    memory: 'kept',
    real: 'dropped',
    probe: calls =>
      calls.post(
        `${calls.path('apps/v1', 'deployments')}?dryRun=All`,
        deployment(freshName('unknown'), { colour: 1 }),
      ),
    observe: answer => (answer.body.spec?.colour === undefined ? 'dropped' : 'kept'),
  },
  {
    feature: 'strategic merge patch',
    memory: '501',
    real: '404',
    probe: calls =>
      calls.send(
        'PATCH',
        calls.path('v1', 'configmaps', 'absent'),
        'application/strategic-merge-patch+json',
        '{}',
      ),
    observe: statusOf,
  },
  {
    feature: 'deletecollection',
    memory: '501',
    real: '200',
    probe: calls => calls.delete(`${calls.path('v1', 'configmaps')}?labelSelector=nobody%3Dhas`),
    observe: statusOf,
  },
  {
    feature: 'kinds that the engine never asks for',
    memory: '501',
    real: '200',
    probe: calls => calls.get(calls.path('batch/v1', 'jobs')),
    observe: statusOf,
  },
  {
    feature: 'types of fields in built-in kinds',
    memory: '201',
    real: '400',
    probe: calls =>
      calls.post(`${calls.path('v1', 'configmaps')}?dryRun=All`, {
        ...configMap(freshName('typed')),
        data: { a: 1 },
      }),
    observe: statusOf,
  },
];
