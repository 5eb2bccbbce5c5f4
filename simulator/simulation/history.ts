/**
 * What something was, and since when. A write of an engine is judged by what was true at some moment since the engine
 * looked: no engine can know better, and one that never could have seen it has no excuse.
 */
export interface History<Value> {
  set(atMs: number, value: Value): void;
  current(): Value;
  sinceMs(): number;
  /** When the value before the current one began. */
  beforeMs(): number;
  /** When the value began that it had at this moment. */
  begunMs(atMs: number): number;
  /** True when the value satisfied this at some moment from `fromMs` up to now. */
  held(fromMs: number, isSo: (value: Value) => boolean): boolean;
  /** Every value from `fromMs` up to now, oldest first. */
  during(fromMs: number): Value[];
}

/** Longer than any engine is frozen. */
const KEPT_MS = 20 * 60_000;
const KEPT_MAX = 512;

export function createHistory<Value>(atMs: number, initial: Value): History<Value> {
  let entries: { atMs: number; value: Value }[] = [{ atMs, value: initial }];
  const last = () => entries[entries.length - 1]!;
  function indexAt(nowMs: number): number {
    let index = entries.length - 1;
    while (index > 0 && entries[index]!.atMs > nowMs) index -= 1;
    return index;
  }
  const during = (fromMs: number) => entries.slice(indexAt(fromMs)).map(entry => entry.value);
  return {
    set(nowMs, value) {
      if (Object.is(last().value, value)) return;
      entries.push({ atMs: nowMs, value });
      if (entries.length > KEPT_MAX) {
        const kept = entries.findIndex(entry => entry.atMs > nowMs - KEPT_MS);
        entries = entries.slice(Math.max(kept - 1, entries.length - KEPT_MAX));
      }
    },
    current: () => last().value,
    sinceMs: () => last().atMs,
    begunMs: nowMs => entries[indexAt(nowMs)]!.atMs,
    beforeMs: () => (entries[entries.length - 2] ?? last()).atMs,
    held: (fromMs, isSo) => during(fromMs).some(isSo),
    during,
  };
}
