/** The fences: epochs, stamps, orders and preconditions. */
import { core, shell, type Mutation } from './mutation.ts';

export const fences: readonly Mutation[] = [
  {
    name: 'act-before-intent',
    says: 'gives the canary more before the status says so',
    edits: [
      core(
        'write.ts',
        `actions: [{ kind: 'status', status }, ...touchTarget(f), { kind: 'route', mode: 'raise', split, stamp }],`,
        `actions: [...touchTarget(f), { kind: 'route', mode: 'raise', split, stamp }, { kind: 'status', status }],`,
      ),
    ],
  },
  {
    name: 'target-not-touched',
    says: 'raises from 0 without a write that a late scale-down or un-pause would meet',
    edits: [
      core(
        'write.ts',
        `  return f.routeWeight === 0 ? [{ kind: 'target', epoch: f.nextEpoch }] : [];`,
        `  return f.routeWeight < 0 ? [{ kind: 'target', epoch: f.nextEpoch }] : [];`,
      ),
    ],
  },
  {
    name: 'status-before-route',
    says: 'records a take-away before the route is written',
    edits: [
      core(
        'write.ts',
        `actions: [route, { kind: 'status', status }], transitions`,
        `actions: [{ kind: 'status', status }, route], transitions`,
      ),
    ],
  },
  {
    name: 'route-without-version',
    says: 'writes the route without a precondition',
    edits: [
      shell(
        'controller/act.ts',
        `metadata: { ...object.metadata, resourceVersion, ...(uid ? { uid } : {}) }`,
        `metadata: { ...object.metadata }`,
      ),
    ],
  },
  {
    name: 'status-without-version',
    says: 'writes the status over whatever is there',
    edits: [
      shell(
        'controller/act.ts',
        `world.client.replaceStatus(world.types.canaries, { ...sighting.object, status });`,
        `world.client.replaceStatus(world.types.canaries, {
    ...sighting.object,
    metadata: { ...sighting.object.metadata, resourceVersion: undefined as unknown as string },
    status,
  });`,
      ),
    ],
  },
  {
    name: 'no-epoch-on-take-aways',
    says: 'takes traffic away under the epoch that the route has already',
    edits: [
      core(
        'write.ts',
        `const stamp: Stamp = { epoch: f.nextEpoch, run: f.routeRunId || (f.run?.id ?? ''), end };`,
        `const stamp: Stamp = { epoch: f.routeEpoch, run: f.routeRunId || (f.run?.id ?? ''), end };`,
      ),
    ],
  },
  {
    name: 'no-stamp-at-zero',
    says: 'ends a run at weight 0 in the status alone, so that an older raise may still land',
    edits: [
      core(
        'write.ts',
        `  if (!patch) return { actions: [route], transitions: [], nextTickMs: 0 };`,
        `  if (patch && f.routeWeight === 0 && weight === 0) {
    const ended = nextStatus(f, { canaryWeight: 0, ...patch }, said);
    return { actions: [{ kind: 'status', status: ended.status }], transitions: ended.transitions, nextTickMs: 0 };
  }
  if (!patch) return { actions: [route], transitions: [], nextTickMs: 0 };`,
      ),
    ],
  },
  {
    name: 'repair-raises',
    says: 'finishes a recorded raise whatever the readiness and the verdict are by now',
    edits: [
      core('progress.ts', `  if (f.routeWeight > 0 && !isFresh) return undefined;\n`, `  void isFresh;\n`),
      core(
        'progress.ts',
        `  const standsAgainst = obstacle(f, run, f.statusWeight);
  if (standsAgainst) return standsAgainst;
  const split`,
        `  const split`,
      ),
    ],
  },
  {
    name: 'raise-retried-with-a-fresh-copy',
    says: 'writes a raise again over the version that it finds after a conflict',
    edits: [
      shell(
        'controller/act.ts',
        `      return await writeRoute(world, sighting, action, sighting.observation.route?.resourceVersion, client);`,
        `      return await writeRoute(world, sighting, action, sighting.observation.route?.resourceVersion, client).catch(
        async () => {
          const fresh = await client.get(world.stepper.routeType, names.namespace, names.apex);
          await writeRoute(world, sighting, action, fresh?.metadata.resourceVersion, client);
        },
      );`,
      ),
    ],
  },
  {
    name: 'lowering-written-again-as-it-was',
    says: 'writes a partial lowering again over a route that gives the canary less',
    edits: [
      core(
        'fence.ts',
        `  if (stamp.end === '' && route.canaryWeight <= wanted.canaryWeight) return { kind: 'void' };\n`,
        ``,
      ),
    ],
  },
  {
    name: 'take-away-of-another-run',
    says: 'takes traffic from a run that it has not decided about',
    edits: [core('fence.ts', `  if (route.stamp.run !== stamp.run) return { kind: 'void' };\n`, ``)],
  },
  {
    name: 'route-never-followed',
    says: 'goes on as if a take-away that lost its status had not happened',
    edits: [
      core(
        'facts.ts',
        `  return f.routeEpoch > f.recordedRouteEpoch && !isSettled(f);`,
        `  return f.routeEpoch > f.recordedRouteEpoch && !isSettled(f) && f.routeWeight > f.statusWeight;`,
      ),
    ],
  },
  {
    name: 'verdict-of-another-step',
    says: 'takes a verdict of an earlier route for the present one',
    edits: [
      core(
        'facts.ts',
        `  return judgement.runId === run.id && judgement.epoch === f.routeEpoch;`,
        `  return judgement.runId === run.id;`,
      ),
    ],
  },
  {
    name: 'traffic-without-a-stamp-kept',
    says: 'leaves the canary the traffic of a route whose stamp somebody has removed',
    edits: [core('fence.ts', `  if (!carried) return disowned(f);`, `  if (!carried) return undefined;`)],
  },
];
