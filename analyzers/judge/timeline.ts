/** The course of a judgement as a bounded list of points: when it is full, every second one goes. Pure. */

/**
 * Seconds since judging began, weight in percent, requests and failures of the canary, requests and failures of the
 * primary (both since judging began), natural logarithm of the evidence against the canary, and of the least that was
 * shown for it.
 */
export type TimelinePoint = readonly [number, number, number, number, number, number, number, number];

/** The first and the last point always stay. A point of the time of the last one takes its place. */
export function withPoint(
  timeline: readonly (readonly number[])[],
  point: TimelinePoint,
  pointsMax: number,
): number[][] {
  const before = timeline.filter(one => (one[0] ?? 0) < point[0]);
  const kept = before.length < pointsMax ? before : before.filter((_, index) => index % 2 === 0);
  return [...kept, point].map(one => one.map(rounded));
}

/** Four decimals: nobody sees more, and each is a byte of a bounded status. */
function rounded(value: number): number {
  return Number.isFinite(value) ? Number(value.toFixed(4)) : 0;
}
