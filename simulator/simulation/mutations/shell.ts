/** The shell: crashes, watches, caches, receivers. */
import { core, shell, type Mutation } from './mutation.ts';

export const shellMutations: readonly Mutation[] = [
  {
    name: 'status-lost-on-crash',
    says: 'keeps what it knows in memory, and writes the status only when a run has ended',
    edits: [
      shell(
        'controller/act.ts',
        `async function writeStatus(world: World, sighting: Sighting, given: CanaryStatus): Promise<void> {
  const status = withinBounds(given);`,
        `async function writeStatus(world: World, sighting: Sighting, given: CanaryStatus): Promise<void> {
  const status = withinBounds(given);
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
        `    .filter(store => store.liveAt(namespace) < oldest)`,
        `    .filter(store => store.liveAt(namespace) < oldest - 1e12)`,
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
        `    entries.remove(key);
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
  {
    name: 'older-target-recorded',
    says: 'writes what an old cache shows of the target over what the status has seen, and acts on it',
    edits: [
      core(
        'facts.ts',
        `target.generation < (seen?.generation ?? 0);`,
        `target.generation < -(seen?.generation ?? 0);`,
      ),
    ],
  },
];
