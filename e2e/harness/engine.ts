/** An engine in the test's own process, against the rig, under the rights of the user `engine`. */
import { systemClock } from '../../engine/clock.ts';
import { createInProcessScheduler } from '../../engine/controller/schedulerInProcess.ts';
import { createEngine, type Engine, type EngineOptions } from '../../engine/engine.ts';
import { createApiClient } from '../../engine/kubernetes/client.ts';
import { loadKubeConfig } from '../../engine/kubernetes/kubeconfig.ts';
import { createTransport } from '../../engine/kubernetes/transport.ts';
import { createSmiStepper } from '../../steppers/smi.ts';
import type { Rig } from './rig.ts';

export async function startEngine(rig: Rig, overrides: Partial<EngineOptions> = {}): Promise<{ engine: Engine; log: string[]; stop(): Promise<void> }> {
  const clock = systemClock;
  const kubeConfig = loadKubeConfig({ kubeconfig: rig.plane.kubeconfig('engine') });
  const { transport, close } = createTransport(kubeConfig, { clock, version: 'e2e' });
  const log: string[] = [];
  const line = (fields: object, message: string) => void log.push(`${message} ${JSON.stringify(fields)}`);
  const engine = createEngine({
    clock,
    client: createApiClient(transport, { clock }),
    random: Math.random,
    stepper: createSmiStepper('v1alpha2'),
    scheduler: createInProcessScheduler({ clock, onError: (key, error) => line({ key, error: String((error as Error).stack) }, 'tick failed') }),
    apiGroup: 'serin.dev',
    namespaces: [],
    selectorLabels: ['app', 'name', 'app.kubernetes.io/name'],
    drainMs: 1_000,
    resyncMs: 30_000,
    isActive: () => true,
    measure: async sighting => ({ runId: sighting.observation.status.run?.id ?? '', epoch: sighting.observation.route?.stamp.epoch ?? 0, arm: 'canary', checks: [], at: clock.now() }),
    inspect: async () => [],
    log: { info: line, warn: line, error: line },
    ...overrides,
  });
  await engine.start();
  return {
    engine,
    log,
    async stop() {
      await engine.stop(5_000);
      await close();
    },
  };
}
