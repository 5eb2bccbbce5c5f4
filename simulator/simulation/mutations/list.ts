/**
 * Deliberately broken engines: each is a small edit of the engine's own source, made when it is loaded, so that nothing
 * is copied and nothing in the engine knows of it. Each must be noticed by a checker; one that is not is a hole.
 */
export interface Edit {
  /** Path from the root of the repository. */
  file: string;
  /** Stands there exactly once. */
  find: string;
  replace: string;
}

export interface Mutation {
  name: string;
  /** What the broken engine does wrong. */
  says: string;
  edits: readonly Edit[];
}

const core = (file: string, find: string, replace: string): Edit => ({
  file: `engine/core/${file}`,
  find,
  replace,
});
const shell = (file: string, find: string, replace: string): Edit => ({
  file: `engine/${file}`,
  find,
  replace,
});

const fences: readonly Mutation[] = [
  {
    name: 'act-before-intent',
    says: 'gives the canary more before the status says so',
    edits: [
      core(
        'write.ts',
        `      { kind: 'status', status },
      { kind: 'route', mode: 'raise', split, stamp },`,
        `      { kind: 'route', mode: 'raise', split, stamp },
      { kind: 'status', status },`,
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
        'progress.ts',
        `judgement?.arm === 'canary' && judgement.runId === run.id && judgement.epoch === f.routeEpoch;`,
        `judgement?.arm === 'canary' && judgement.runId === run.id;`,
      ),
    ],
  },
];

const judging: readonly Mutation[] = [
  {
    name: 'hold-read-as-pass',
    says: 'takes a check without a value as passed',
    edits: [
      core(
        'verdict.ts',
        `  if (!held) return { kind: 'pass' };`,
        `  return { kind: 'pass' };\n  if (!held) return { kind: 'pass' };`,
      ),
    ],
  },
  {
    name: 'bounds-the-wrong-way',
    says: 'lets a value pass that is above the highest',
    edits: [
      core(
        'verdict.ts',
        `(metric.max !== undefined && value > metric.max)`,
        `(metric.max !== undefined && value > metric.max * 20)`,
      ),
    ],
  },
  {
    name: 'no-data-read-as-failure',
    says: 'counts a missing value as a failed check',
    edits: [
      core(
        'verdict.ts',
        `check.outcome === 'fail' || policyOf(check) === 'fail'`,
        `check.outcome === 'fail' || check.outcome === 'noData'`,
      ),
    ],
  },
  {
    name: 'threshold-one-too-many',
    says: 'rolls back one failed check later than asked',
    edits: [core('progress.ts', `  if (failedChecks >= threshold) {`, `  if (failedChecks > threshold) {`)],
  },
  {
    name: 'threshold-one-too-few',
    says: 'rolls back one failed check earlier than asked',
    edits: [
      core('progress.ts', `  if (failedChecks >= threshold) {`, `  if (failedChecks >= threshold - 1) {`),
    ],
  },
  {
    name: 'interval-ignored',
    says: 'judges and steps at every tick',
    edits: [
      core(
        'progress.ts',
        `  if (now < dueAt && !isForThis)`,
        `  if (now < dueAt - settings.intervalMs && !isForThis)`,
      ),
    ],
  },
  {
    name: 'failures-counted-twice',
    says: 'counts each failed check twice',
    edits: [
      core(
        'progress.ts',
        `  const failedChecks = (f.status.failedChecks ?? 0) + 1;`,
        `  const failedChecks = (f.status.failedChecks ?? 0) + 2;`,
      ),
    ],
  },
  {
    name: 'last-step-skipped',
    says: 'promotes before the last step',
    edits: [
      core(
        'progress.ts',
        `  if (weight === undefined)
    return startPromotion(`,
        `  if (weight === undefined || f.routeWeight > 0)
    return startPromotion(`,
      ),
    ],
  },
];

const readinessMutations: readonly Mutation[] = [
  {
    name: 'weight-to-unready',
    says: 'raises a canary whose pods are not ready',
    edits: [
      core(
        'progress.ts',
        `  if (!mayCarry(f.o, run.revision, weight))`,
        `  if (!mayCarry(f.o, run.revision, weight) && weight > 100)`,
      ),
      core(
        'progress.ts',
        `  if (!isAllReady(target, run.revision) || f.o.endpoints.canary === 0) {`,
        `  if (target.pods.length === 0) {`,
      ),
    ],
  },
  {
    name: 'lower-to-dead-primary',
    says: 'takes traffic from the canary although the primary has no ready endpoint',
    edits: [
      core(
        'write.ts',
        `  if (f.routeWeight > 0 && !primaryHasEndpoint(f.o)) {`,
        `  if (f.routeWeight > 100 && !primaryHasEndpoint(f.o)) {`,
      ),
    ],
  },
  {
    name: 'rollback-gated-by-threshold',
    says: 'rolls back only to a primary that is ready enough to be raised',
    edits: [
      core(
        'write.ts',
        `  if (f.routeWeight > 0 && !primaryHasEndpoint(f.o)) {`,
        `  if (f.routeWeight > 0 && (f.o.primary?.pods.reduce((sum, one) => sum + one.available, 0) ?? 0) <= (f.o.primary?.replicas ?? 1)) {`,
      ),
    ],
  },
  {
    name: 'no-pin',
    says: 'never pauses the target',
    edits: [
      core(
        'progress.ts',
        `  const { replicas } = target;
  return act([`,
        `  const { replicas } = target;
  if (replicas > 0) return undefined;
  return act([`,
      ),
      core('readiness.ts', `o.target.pausedBy === 'engine' && runsOnly`, `runsOnly`),
    ],
  },
  {
    name: 'pin-not-checked',
    says: 'raises a target that somebody else has resumed or edited',
    edits: [
      core(
        'readiness.ts',
        `  if (!target || !canaryHasEndpoint(o) || !isPinned(o, revision)) return false;`,
        `  if (!target || !canaryHasEndpoint(o)) return false;`,
      ),
      core(
        'progress.ts',
        `  if (isPinned(f.o, run.revision)) return undefined;`,
        `  if (isPinned(f.o, run.revision) || f.routeWeight > 0) return undefined;`,
      ),
      core(
        'takeAway.ts',
        `  if (f.routeWeight === 0 || !f.run || !target || !primary || isPinned(f.o, f.run.revision)) return undefined;`,
        `  return undefined;`,
      ),
    ],
  },
  {
    name: 'scale-down-before-drain',
    says: 'lets the canary go as soon as its weight is 0',
    edits: [
      core(
        'facts.ts',
        `isDrained: routeWeight === 0 && o.now >= drainedAt,`,
        `isDrained: routeWeight === 0,`,
      ),
    ],
  },
  {
    name: 'lost-canary-ignored',
    says: 'leaves the traffic on a canary without a ready endpoint',
    edits: [core('decide.ts', `  { name: 'unready', isUrgent: true, apply: unready },\n`, ``)],
  },
  {
    name: 'revert-ignored',
    says: 'goes on with a revision that its user has taken back',
    edits: [
      core('decide.ts', `  { name: 'revert', isUrgent: true, apply: revert },\n`, ``),
      core(
        'decide.ts',
        `  { name: 'supersede', isUrgent: true, apply: supersede },`,
        `  { name: 'supersede', isUrgent: true, apply: f => (f.o.target?.revision === f.goodRevision ? undefined : supersede(f)) },`,
      ),
    ],
  },
  {
    name: 'new-revision-ignored',
    says: 'goes on with the old revision when a newer one comes',
    edits: [core('decide.ts', `  { name: 'supersede', isUrgent: true, apply: supersede },\n`, ``)],
  },
  {
    name: 'new-run-inherits-the-weight',
    says: 'starts a newer revision at the weight of the one before',
    edits: [
      core(
        'takeAway.ts',
        `  return lower(f, 0, 'superseded', patch, [say('Restarted', 'info', message)]);`,
        `  return { actions: [{ kind: 'status', status: { ...f.status, ...patch, canaryWeight: f.routeWeight, epoch: f.nextEpoch } as never }, { kind: 'route', mode: 'raise', split: { canaryWeight: Math.min(100, f.routeWeight + 1), primaryWeight: Math.max(0, 99 - f.routeWeight) }, stamp: { epoch: f.nextEpoch, run: run.id, end: '' } }], transitions: [], nextTickMs: 0 };`,
      ),
    ],
  },
];

const promoting: readonly Mutation[] = [
  {
    name: 'target-read-again',
    says: 'promotes what the target has now, not what was judged',
    edits: [
      shell(
        'controller/act.ts',
        `  const desired = primaryOf({`,
        `  if (primary && target) stored.data = { ...stored.data, template: target.spec.template };
  const desired = primaryOf({`,
      ),
    ],
  },
  {
    name: 'undo-without-stored-template',
    says: 'goes back to what the target has, because it has not kept the last good template',
    edits: [
      core(
        'promote.ts',
        `    return act([{ kind: 'primary', revision: good, surge: true, epoch: f.nextEpoch }]);
  }
  if (isAllReady(primary, good)`,
        `    return act([{ kind: 'primary', revision: f.o.target?.revision ?? good, surge: true, epoch: f.nextEpoch }]);
  }
  if (isAllReady(primary, good)`,
      ),
    ],
  },
  {
    name: 'no-surge',
    says: "rolls the primary by the target's own strategy, which may take the only pod away",
    edits: [
      shell(
        'workloads/deployment.ts',
        `  if (input.surge && strategy.type !== 'Recreate') {`,
        `  if (input.surge && strategy.type === 'Recreate') {`,
      ),
    ],
  },
  {
    name: 'promoted-before-it-is-ready',
    says: 'returns traffic to a primary that is still rolling',
    edits: [
      core(
        'promote.ts',
        `  if (isAllReady(primary, run.revision) && primaryHasEndpoint(f.o)) {
    // The move`,
        `  if (primary.revision === run.revision) {
    // The move`,
      ),
      core(
        'promote.ts',
        `  if (!isAllReady(f.o.primary, run.revision) || !primaryHasEndpoint(f.o)) {
    return toBack(f, \`The primary lost pods of revision \${run.revision} while traffic`,
        `  if (f.o.primary?.revision !== run.revision) {
    return toBack(f, \`The primary lost pods of revision \${run.revision} while traffic`,
      ),
      core(
        'promote.ts',
        `  if (!isAllReady(f.o.primary, good.hash) || !primaryHasEndpoint(f.o)) {`,
        `  if (f.o.primary?.revision !== good.hash) {`,
      ),
    ],
  },
  {
    name: 'last-good-too-early',
    says: 'forgets the last good revision before the new primary has been watched',
    edits: [core('promote.ts', `  if (f.o.now < bakedAt) return act([], until(f, bakedAt));\n`, ``)],
  },
  {
    name: 'last-good-forgotten',
    says: 'deletes the stored template of the last good revision',
    edits: [
      core('idle.ts', `    status.lastGood?.hash,\n`, ``),
      core('idle.ts', `    status.promoted?.hash,\n`, ``),
      core('idle.ts', `    f.o.primary?.revision,\n`, ``),
      core('idle.ts', `    ...promotedBefore.map(one => one.revision),\n`, ``),
    ],
  },
  {
    name: 'rejected-starts-again',
    says: 'starts a revision that was rolled back without being asked',
    edits: [
      core(
        'idle.ts',
        `  if (!isRetry && (isPromoted || isSeen)) return undefined;
  if (f.run && !isRetry && !isNewerThan(f.o, f.run)) return undefined;`,
        `  if (!isRetry && isPromoted) return undefined;`,
      ),
    ],
  },
];

const people: readonly Mutation[] = [
  {
    name: 'command-of-any-revision',
    says: 'obeys a command that names another revision',
    edits: [
      core('commands.ts', `  if (revision !== bound)`, `  if (revision === 'never')`),
      core(
        'progress.ts',
        `command?.verb === 'promote' && command.revision === run.revision`,
        `command?.verb === 'promote'`,
      ),
    ],
  },
  {
    name: 'pause-ignored',
    says: 'raises a paused run',
    edits: [
      core(
        'progress.ts',
        `  const weight = nextStep(settings.steps, f.routeWeight);
  if (isPaused) {`,
        `  const weight = nextStep(settings.steps, f.routeWeight);
  if (isPaused && weight === undefined) {`,
      ),
    ],
  },
  {
    name: 'abort-ignored',
    says: 'leaves the traffic on an aborted canary',
    edits: [core('decide.ts', `  { name: 'abort', isUrgent: true, apply: abort },\n`, ``)],
  },
  {
    name: 'let-go-before-it-serves',
    says: 'gives the workload back although the target does not serve yet',
    edits: [
      core(
        'adopt.ts',
        `  if ((servesItself(target) && canaryHasEndpoint(f.o)) || onlyTarget) return handOver(f, target);`,
        `  return handOver(f, target);`,
      ),
    ],
  },
  {
    name: 'apex-before-primary',
    says: 'points the apex Service at a primary that is not ready',
    edits: [
      core(
        'adopt.ts',
        `  if (!isAllReady(primary, primary.revision) || !primaryHasEndpoint(f.o)) {
    return`,
        `  if (primary.replicas < 0) {
    return`,
      ),
    ],
  },
];

const shellMutations: readonly Mutation[] = [
  {
    name: 'status-lost-on-crash',
    says: 'keeps what it knows in memory, and writes the status only when a run has ended',
    edits: [
      shell(
        'controller/act.ts',
        `async function writeStatus(world: World, sighting: Sighting, status: object): Promise<void> {`,
        `async function writeStatus(world: World, sighting: Sighting, status: object): Promise<void> {
  if ((status as { phase?: string }).phase === 'Progressing' && sighting.object.status?.phase === 'Progressing') {
    const kept = { ...sighting.object, status };
    world.stores.canaries.absorb({ ...kept, metadata: { ...kept.metadata, resourceVersion: \`\${sighting.object.metadata.resourceVersion}1\` } });
    sighting.object = kept;
    return;
  }`,
      ),
    ],
  },
  {
    name: 'no-resync',
    says: 'never looks again when a wake was lost',
    edits: [
      shell('engine.ts', `      await controller.resync().catch(`, `      await Promise.resolve().catch(`),
    ],
  },
  {
    name: 'urgent-waits-for-metrics',
    says: 'makes urgent decisions only in ticks, behind their queries',
    edits: [
      shell(
        'controller/controller.ts',
        `    urgent(key);
    if (parts.isActive()) scheduler.wake(key);`,
        `    void urgent;
    if (parts.isActive()) scheduler.wake(key);`,
      ),
      shell(
        'controller/controller.ts',
        `    let judgement: Judgement | undefined;
    for (let count`,
        `    const first = look(key);
    let judgement: Judgement | undefined = first && (await parts.measure(first, 'canary', signal));
    await clock.sleep(8_000, signal);
    for (let count`,
      ),
    ],
  },
  {
    name: 'rollback-after-notification',
    says: 'tells a receiver that hangs before it takes the traffic away',
    edits: [
      shell(
        'controller/act.ts',
        `async function lowerRoute(world: World, sighting: Sighting, action: RouteAction): Promise<Stamp | undefined> {`,
        `async function lowerRoute(world: World, sighting: Sighting, action: RouteAction): Promise<Stamp | undefined> {
  await world.clock.sleep(30_000);`,
      ),
    ],
  },
  {
    name: 'stale-cache-raises',
    says: 'raises on caches that have been silent for minutes',
    edits: [
      shell(
        'controller/observe.ts',
        `    .filter(store => store.liveAt() < oldest)`,
        `    .filter(store => store.liveAt() < oldest - 1e12)`,
      ),
      shell('kubernetes/watch.ts', `const IDLE_MS = 80_000;`, `const IDLE_MS = 8_000_000;`),
    ],
  },
  {
    name: 'own-writes-not-read',
    says: 'does not take the answers of its writes into its caches',
    edits: [
      shell(
        'kubernetes/store.ts',
        `    if (tombstones.has(uid)) return;
    const key`,
        `    if (tombstones.has(uid) || uid !== undefined) return;
    const key`,
      ),
    ],
  },
  {
    name: 'older-events-win',
    says: 'lets an older watch event overwrite a newer object',
    edits: [
      shell('kubernetes/store.ts', `    if (isNewer(incoming, entry.object)) {`, `    if (version !== '') {`),
    ],
  },
  {
    name: 'deleted-target-not-noticed',
    says: 'keeps deleted objects in its caches',
    edits: [
      shell(
        'kubernetes/store.ts',
        `    remove(key);
    return [{ object: transformed(incoming), deleted: true }];`,
        `    return [{ object: transformed(incoming), deleted: true }];`,
      ),
    ],
  },
  {
    name: 'gone-watch-not-listed',
    says: 'resumes a watch that the server has forgotten for ever',
    edits: [
      shell(
        'kubernetes/watch.ts',
        `      if (error.kind === 'gone') {
        version = undefined;`,
        `      if (error.kind === 'gone') {`,
      ),
    ],
  },
];

export const MUTATIONS: readonly Mutation[] = [
  ...fences,
  ...judging,
  ...readinessMutations,
  ...promoting,
  ...people,
  ...shellMutations,
];

export function mutationOf(name: string): Mutation {
  const found = MUTATIONS.find(one => one.name === name);
  if (!found) throw new Error(`no mutation is called ${name}`);
  return found;
}
