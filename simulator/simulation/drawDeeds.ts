/** Draws what happens to the canaries: releases of every kind, people who change their minds, strangers who meddle. */
import type { Json } from '../api/json.ts';
import type { Chance } from './chance.ts';
import { GOOD_BEHAVIOUR } from './cluster.ts';
import { type Frame, moments, type Undated } from './generate.ts';
import { type Behaviour, type Deed, TRAFFIC_KINDS } from './plan.ts';
import { drawSpec } from './specs.ts';

/** Adoption takes some seconds; half of the simulations do not wait for it. */
const FIRST_DEED_MS = 6_000;
const RELEASES_PER_MINUTE = [0.15, 0.3, 0.5, 1];
const VERBS = ['promote', 'pause', 'resume', 'abort', 'retry', 'skip'] as const;

type Kind = Deed['kind'];
type Draw = (chance: Chance, canary: number, frame: Frame) => Deed;

/** What may be drawn besides releases: how often in a minute at most, and with what. */
const DEEDS: readonly { kind: Kind; perMinute: number; draw: Draw }[] = [
  { kind: 'revert', perMinute: 0.2, draw: (_chance, canary) => ({ kind: 'revert', canary }) },
  {
    kind: 'command',
    perMinute: 1,
    draw: (chance, canary) => ({
      kind: 'command',
      canary,
      verb: chance.pick(VERBS),
      isBound: chance.happens(0.85),
    }),
  },
  {
    kind: 'editSpec',
    perMinute: 0.2,
    draw: (chance, canary, frame) => ({ kind: 'editSpec', canary, spec: editedSpec(chance, canary, frame) }),
  },
  {
    kind: 'breakSpec',
    perMinute: 0.1,
    draw: (chance, canary) => ({ kind: 'breakSpec', canary, forMs: chance.spread(2_000, 120_000) }),
  },
  {
    kind: 'suspend',
    perMinute: 0.1,
    draw: (chance, canary) => ({ kind: 'suspend', canary, forMs: chance.spread(2_000, 120_000) }),
  },
  {
    kind: 'deleteCanary',
    perMinute: 0.08,
    draw: (chance, canary) => ({ kind: 'deleteCanary', canary, againAfterMs: chance.spread(1_000, 300_000) }),
  },
  {
    kind: 'pauseTarget',
    perMinute: 0.1,
    draw: (chance, canary) => ({ kind: 'pauseTarget', canary, forMs: chance.spread(2_000, 120_000) }),
  },
  { kind: 'resumeTarget', perMinute: 0.1, draw: (_chance, canary) => ({ kind: 'resumeTarget', canary }) },
  {
    kind: 'scaleTarget',
    perMinute: 0.1,
    draw: (chance, canary) => ({ kind: 'scaleTarget', canary, replicas: chance.whole(0, 4) }),
  },
  {
    kind: 'gitops',
    perMinute: 0.1,
    draw: (chance, canary) => ({
      kind: 'gitops',
      canary,
      what: chance.pick(['replicas', 'weights', 'selector']),
      everyMs: chance.spread(5_000, 60_000),
      times: chance.whole(1, 6),
    }),
  },
  {
    kind: 'editRoute',
    perMinute: 0.2,
    draw: (chance, canary) => ({
      kind: 'editRoute',
      canary,
      how: chance.pick(['weights', 'stamp', 'garbage', 'delete']),
    }),
  },
  {
    kind: 'editService',
    perMinute: 0.1,
    draw: (chance, canary) => ({
      kind: 'editService',
      canary,
      arm: chance.pick(['apex', 'primary', 'canary']),
      how: chance.pick(['delete', 'selector']),
    }),
  },
  {
    kind: 'editPrimary',
    perMinute: 0.1,
    draw: (chance, canary) => ({
      kind: 'editPrimary',
      canary,
      how: chance.pick(['delete', 'replicas']),
    }),
  },
  {
    kind: 'deleteTarget',
    perMinute: 0.05,
    draw: (chance, canary) => ({ kind: 'deleteTarget', canary, againAfterMs: chance.spread(1_000, 120_000) }),
  },
  {
    kind: 'disturb',
    perMinute: 0.5,
    draw: (chance, canary) => ({
      kind: 'disturb',
      canary,
      arm: chance.pick(['target', 'primary']),
      how: chance.pick(['unready', 'kill']),
      forMs: chance.spread(500, 60_000),
      share: chance.pick([0.3, 1]),
    }),
  },
  {
    kind: 'traffic',
    perMinute: 0.1,
    draw: (chance, canary) => ({ kind: 'traffic', canary, traffic: chance.pick(TRAFFIC_KINDS) }),
  },
];

export function drawDeeds(chance: Chance, frame: Frame): Undated[] {
  const drawn: Undated[] = [];
  let version = 1;
  frame.canaries.forEach((_canary, canary) => {
    const releases = chance.fork(`release/${canary}`);
    const often = releases.pick(RELEASES_PER_MINUTE);
    for (const atMs of moments(releases, often, FIRST_DEED_MS, frame.restlessMs))
      drawn.push({
        atMs,
        kind: 'release',
        canary,
        version: `v${++version}`,
        behaviour: drawBehaviour(releases),
      });
  });
  for (const { kind, perMinute, draw } of DEEDS) {
    const own = chance.fork(kind);
    if (!own.happens(0.4)) continue;
    const rate = perMinute * own.pick([0.3, 1, 2]);
    frame.canaries.forEach((_canary, canary) => {
      for (const atMs of moments(own, rate, FIRST_DEED_MS, frame.restlessMs))
        drawn.push({ atMs, ...draw(own, canary, frame) });
    });
  }
  return drawn;
}

/** The same canary with another analysis and other Services: who moves the target or the apex declares another canary. */
function editedSpec(chance: Chance, canary: number, frame: Frame): Json {
  const { spec, ...names } = frame.canaries[canary]!;
  const { analysis, service } = drawSpec(chance.fork(`edit/${chance.next()}`), names);
  return { ...spec, analysis, service };
}

export function drawBehaviour(chance: Chance): Behaviour {
  const good = { ...GOOD_BEHAVIOUR, readyAfterMs: chance.spread(500, 8_000) };
  switch (chance.whole(0, 13)) {
    case 0:
    case 1:
      return { ...good, errorPercent: chance.spread(4, 100) };
    case 2:
      return { ...good, latencyMs: chance.spread(800, 5_000) };
    case 3:
      return { ...good, neverReady: true };
    case 4:
      return { ...good, crashEveryMs: chance.spread(10_000, 90_000) };
    case 5:
      return { ...good, flapEveryMs: chance.spread(4_000, 60_000) };
    case 6:
      return { ...good, readyAfterMs: chance.spread(20_000, 120_000) };
    default:
      return good;
  }
}
