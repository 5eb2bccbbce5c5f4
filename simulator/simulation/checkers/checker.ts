/**
 * What a checker is: one rule of the design, watched over by eyes that are not the engine's. It hears of every write as
 * it lands, with the hand that made it, and says once what is wrong. It never writes.
 */
import type { StoreChange } from '../../api/inprocess.ts';
import type { Accountant } from '../accountant.ts';
import type { Call } from '../calls.ts';
import type { Told } from '../counterSource.ts';
import type { Hand } from '../hands.ts';
import type { Answer } from '../metricsSource.ts';
import type { Behaviour, Plan } from '../plan.ts';
import type { Readings } from '../readings.ts';
import type { Verdicts } from '../verdicts.ts';
import type { CanaryView, Witness } from '../witness.ts';

export interface Violation {
  checker: string;
  atMs: number;
  canary: string;
  message: string;
}

/** What every checker may look at. */
export interface Scene {
  plan: Plan;
  /** The true time. */
  now(): number;
  startMs: number;
  witness: Witness;
  accountant: Accountant;
  verdicts: Verdicts;
  readings: Readings;
  /** How the pods of a version behave; undefined for one that nobody has released. */
  behaviourOf(canary: number, version: string): Behaviour | undefined;
  /** Since when nothing has struck and at least one engine has been awake; Infinity while something is amiss. */
  calmSinceMs(): number;
  /** Since when some engine has been awake, and nothing has struck it that what must not wait depends on. */
  unhamperedSinceMs(): number;
  /** Since when every canary has settled, after the restless time; Infinity before. */
  settledSinceMs(): number;
  /** How far the clocks of the engines may have been apart, from each other and from an earlier self, since that moment. */
  clockSpreadMs(fromMs: number): number;
}

export interface Checker {
  readonly name: string;
  /** A write landed. `views` are the canaries that it concerns, already up to date. */
  onChange?(change: StoreChange, views: readonly CanaryView[], hand: Hand): void;
  /** A metric query was answered. */
  onAnswer?(answer: Answer): void;
  /** Raw counters were read. */
  onCounters?(told: Told): void;
  /** A request of an engine arrived at the API server. */
  onArrival?(call: Call, hand: Hand): void;
  /** Called about once a second of simulated time. */
  onPulse?(): void;
}

export type Report = (view: CanaryView | undefined, message: string) => void;

/** `create` is called once for each simulation. */
export interface Rule {
  name: string;
  /** The rule in one sentence, for people. */
  says: string;
  create(scene: Scene, report: Report): Omit<Checker, 'name'>;
}
