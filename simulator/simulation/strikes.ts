/**
 * Which faults are due. Faults on calls and ticks wait, from their time on, for the first call or tick that they fit;
 * each strikes once (a refusal as often as it says). So do deeds that wait for a call. After the restless time nothing
 * strikes any more.
 */
import { type Call, type CallKind, isStruck } from './calls.ts';
import type { Deed, Fault, Item, Moment, OnCall, Plan } from './plan.ts';

export type CallFault = Extract<Fault, { effect: unknown }>;
export type TickFault = Extract<Fault, { kind: 'tick' }>;
export type WakeFault = Extract<Fault, { kind: 'wake' }>;

export type DeedOnCall = Item & Deed & { on: OnCall & { moment: Moment } };

export interface Strikes {
  /** @param after what the request before it in its chain was */
  onCall(engine: number, call: Call, after: CallKind | undefined): CallFault | undefined;
  /** What is done just before or after this call is carried out. */
  deedOn(engine: number, call: Call, after: CallKind | undefined): DeedOnCall | undefined;
  onTick(engine: number): TickFault | undefined;
  onWake(engine: number): WakeFault | undefined;
}

export interface StrikesOptions {
  plan: Plan;
  /** Milliseconds since the start. */
  now: () => number;
  /** Told of each fault as it strikes. */
  onStrike: (item: Item, about: string) => void;
}

/** A fault that found nothing to strike in this time is forgotten: it would strike long after its neighbours. */
const PATIENCE_MS = 120_000;

export function createStrikes(options: StrikesOptions): Strikes {
  const { plan, now, onStrike } = options;
  let waiting = plan.items.map(item => ({
    item,
    left: 'times' in item && item.kind === 'refuse' ? item.times : 1,
  }));

  function take<Kind extends Item>(about: string, fits: (item: Item) => item is Kind): Kind | undefined {
    const atMs = now();
    if (atMs >= plan.restlessMs) return undefined;
    for (const entry of waiting) {
      const { item } = entry;
      if (item.atMs > atMs) return undefined;
      if (!fits(item) || atMs - item.atMs > PATIENCE_MS) continue;
      entry.left -= 1;
      if (entry.left <= 0) waiting = waiting.filter(one => one !== entry);
      onStrike(item, about);
      return item;
    }
    return undefined;
  }

  const fits = (on: OnCall, engine: number, call: Call, after: CallKind | undefined) =>
    on.engine === engine &&
    isStruck(on, call, after, on.canary === undefined ? undefined : plan.canaries[on.canary]);
  const about = (call: Call) => `${call.kind} ${call.namespace}/${call.name || call.resource}`;

  return {
    onCall: (engine, call, after) =>
      take(
        about(call),
        (item): item is Item & CallFault => 'effect' in item && fits(item, engine, call, after),
      ),
    deedOn: (engine, call, after) =>
      take(
        about(call),
        (item): item is DeedOnCall =>
          'on' in item && item.on !== undefined && fits(item.on, engine, call, after),
      ),
    onTick: engine =>
      take('a tick', (item): item is Item & TickFault => item.kind === 'tick' && item.engine === engine),
    onWake: engine =>
      take('a wake', (item): item is Item & WakeFault => item.kind === 'wake' && item.engine === engine),
  };
}
