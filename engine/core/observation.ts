/**
 * One immutable snapshot of everything that a decision may look at, `now` included. The shell gathers it from the
 * watch caches; nothing in here is read again while a decision is made.
 */
import type { CanaryStatus, CheckResult, JudgeStatus } from '../api/status.ts';
import type { Settings } from './settings.ts';
import type { Command } from './commands.ts';
import type { ObservedRoute } from '../../steppers/stepper.ts';

/** Pods of a workload that belong to one revision, counted by their owner (the ReplicaSet), never by the template. */
export interface RevisionPods {
  revision: string;
  total: number;
  /** Ready for at least minReadySeconds. */
  available: number;
}

export interface Workload {
  uid: string;
  resourceVersion: string;
  generation: number;
  observedGeneration: number;
  /** Available pods as the workload's own status says: its controller has written everything that it had to. */
  reportedAvailable: number;
  /** spec.replicas. */
  replicas: number;
  /** Who paused it: the engine's pause carries an annotation written with it. */
  pausedBy: 'nobody' | 'engine' | 'user';
  /** Hash of the template that the spec holds now. */
  revision: string;
  /** One entry for each revision that has pods. */
  pods: RevisionPods[];
  /** spec.replicas is not what the engine wrote last: somebody else scaled it. */
  isScaledByOthers?: boolean;
  /** The engine's temporary `maxUnavailable: 0` is in force (primary only). */
  isSurging: boolean;
}

/**
 * What the judge says of a run, or the guard of its thresholds, from raw counters of both arms. `rollback`: now. `pass`:
 * enough is shown for the next step. `ready`: judging can begin with the first step. `preparing`: it cannot yet. `hold`:
 * neither. `stalled`: nothing will be shown any more by itself. `silent`, `error`: there was nothing new to judge.
 */
export interface Evidence {
  kind: 'rollback' | 'pass' | 'ready' | 'preparing' | 'hold' | 'stalled' | 'silent' | 'error';
  /** Of a judge that has come to its deadline: what its user wants then. */
  action?: 'hold' | 'rollback' | 'promote';
  /** A sentence for people. */
  message: string;
  /** What cannot work with this traffic, to be said once at the beginning. */
  warning?: string | undefined;
  /** After so long there can be something new, milliseconds. */
  nextMs: number;
}

/** What the metrics said. `epoch` is the route's epoch that was measured: a verdict of another epoch is void. */
export interface Judgement {
  runId: string;
  epoch: number;
  arm: 'canary' | 'primary';
  checks: CheckResult[];
  /** Nothing was checked: it holds evidence alone. */
  isEvidenceOnly?: boolean;
  /** Of a judge or a guard, where there is one; undefined: it has nothing to say. */
  evidence?: Evidence | undefined;
  /** When the queries were answered, milliseconds since the epoch. */
  at: number;
}

/** A reason why the canary is not accepted or cannot be adopted yet, with the field or object that it is about. */
export interface Problem {
  reason: string;
  field?: string;
  message: string;
  /** Nothing new starts, but a run that is under way goes on and is judged: a frozen canary would be worse. */
  sparesRun?: boolean;
}

/** Which of the engine's objects exist as they should. */
export interface OwnObjects {
  /** The Services of both arms are there, and select the pods of their arm. */
  hasServices: boolean;
  /**
   * Whether the engine's Services are otherwise what spec and apex ask for. `outdated`: that has changed since they were
   * written. `drifted`: somebody else has changed them. Absent: they are.
   */
  services?: 'asAsked' | 'outdated' | 'drifted';
  apexSelects: 'primary' | 'target' | 'nothing';
  /** Writes that were refused or met a conflict just now: whatever else there is to do comes first. */
  held?: readonly ('applyServices' | 'pointApex')[];
  /** Why the API server does not take one of them, in its own words. */
  refused?: Problem | undefined;
}

export interface Observation {
  now: number;
  canary: {
    namespace: string;
    name: string;
    uid: string;
    generation: number;
    isDeleting: boolean;
    deletingSince: number | undefined;
    hasFinalizer: boolean;
  };
  settings: Settings;
  status: CanaryStatus;
  /** Why the object as a whole is refused; the engine then only takes traffic away. */
  problems: Problem[];
  /** Why a rollout must wait although the object is fine (companions, owners, autoscalers, refused dry run). */
  obstacles: Problem[];
  /** Why pods do not become ready, in the API's own words; looked for only after a while. */
  troubles?: Problem[];
  target: Workload | undefined;
  primary: Workload | undefined;
  route: ObservedRoute | undefined;
  /** Ready endpoints behind the Service of each arm. */
  endpoints: { primary: number; canary: number };
  objects: OwnObjects;
  /** Hashes whose templates are stored. */
  stored: ReadonlySet<string>;
  /** Replicas of the primary when the last good revision was stored, for a primary that is gone. */
  goodReplicas?: number | undefined;
  /** The command on the Canary, when its id is not the one handled last. */
  command: Command | undefined;
  /** A command annotation that cannot be read, with an id of its own, when it has not been answered yet. */
  unreadCommand?: { id: string; message: string } | undefined;
  /** Caches that have not been live for 90 s. A raise needs that there are none. */
  staleCaches: string[];
  /** Number of the last transition of which no message is on its way; rides on the next status write. 0: none yet. */
  notified: number;
  /** What judge or guard know of the run by now; rides on the next status write of that run. */
  judge?: JudgeStatus | undefined;
  /** Results of queries that a former decision asked for. */
  judgement: Judgement | undefined;
}
