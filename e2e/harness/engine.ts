/** An engine in the test's own process, against the rig, under the rights of the user `engine`. */
import { createPrometheusAnalyzer } from '../../analyzers/prometheus.ts';
import { createScrapeAnalyzer } from '../../analyzers/scrape.ts';
import { linkerdSource } from '../../analyzers/scrape/sources.ts';
import { systemClock } from '../../engine/clock.ts';
import { createFollow } from '../../engine/controller/follow.ts';
import { createJudging } from '../../engine/controller/judging.ts';
import { createMeasure, createServers } from '../../engine/controller/measure.ts';
import type { Scheduler } from '../../engine/controller/scheduler.ts';
import { createInProcessScheduler } from '../../engine/controller/schedulerInProcess.ts';
import { createEngine, type Engine } from '../../engine/engine.ts';
import { createApiClient } from '../../engine/kubernetes/client.ts';
import { loadKubeConfig } from '../../engine/kubernetes/kubeconfig.ts';
import { createTransport } from '../../engine/kubernetes/transport.ts';
import { autoscalerProblems, inspectPods, inspectTarget } from '../../engine/workloads/inspect.ts';
import { createSmiStepper } from '../../steppers/smi.ts';
import type { Rig } from './rig.ts';

export interface RunningEngine {
  engine: Engine;
  log: string[];
  stop(): Promise<void>;
}

/** @param metricsServer undefined: the pods are read themselves, as Linkerd's proxies */
export async function startEngine(
  rig: Rig,
  metricsServer: string | undefined,
  schedulerOf?: () => Scheduler,
  /** How long the judge looks at a primary without a history, milliseconds. */
  baselineMs?: number,
): Promise<RunningEngine> {
  const clock = systemClock;
  const kubeConfig = loadKubeConfig({ kubeconfig: rig.plane.kubeconfig('engine') });
  const { transport, close } = createTransport(kubeConfig, { clock, version: 'e2e' });
  const log: string[] = [];
  const line = (fields: object, message: string) => void log.push(`${message} ${JSON.stringify(fields)}`);
  const scrape = createScrapeAnalyzer({ clock, source: linkerdSource, port: 4191, path: '/metrics' });
  const analyzer =
    metricsServer === undefined ? scrape : createPrometheusAnalyzer({ address: metricsServer });
  const serverOf = createServers(analyzer, createPrometheusAnalyzer);
  const engine: Engine = createEngine({
    clock,
    client: createApiClient(transport, { clock }),
    random: Math.random,
    stepper: createSmiStepper('v1alpha2'),
    scheduler:
      schedulerOf?.() ?? createInProcessScheduler({ clock, log: { info: line, warn: line, error: line } }),
    apiGroup: 'serin.dev',
    namespaces: [],
    selectorLabels: ['app', 'name', 'app.kubernetes.io/name'],
    drainMs: 1_000,
    resyncMs: 30_000,
    isActive: () => true,
    measure: createMeasure({ world: () => engine.world, analyzer }),
    judging: createJudging({
      world: () => engine.world,
      countersOf: address => serverOf(address).counters,
      ...(baselineMs === undefined ? {} : { baselineMs }),
    }),
    follow: createFollow({ world: () => engine.world, analyzer, isActive: () => true }),
    inspect: inspectTarget,
    inspectAutoscalers: autoscalerProblems,
    inspectPods,
    log: { info: line, warn: line, error: line },
  });
  await engine.start();
  return {
    engine,
    log,
    async stop() {
      await engine.stop(5_000);
      scrape.close();
      await close();
    },
  };
}
