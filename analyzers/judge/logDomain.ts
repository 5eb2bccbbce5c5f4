/** Sums of numbers that are known by their logarithms only, because they would overflow. Pure; -Infinity stands for 0. */

export function logAdd(a: number, b: number): number {
  const greater = Math.max(a, b);
  if (greater === Number.NEGATIVE_INFINITY) return greater;
  return greater + Math.log1p(Math.exp(Math.min(a, b) - greater));
}

export function logSum(logs: readonly number[]): number {
  let greatest = Number.NEGATIVE_INFINITY;
  for (const log of logs) if (log > greatest) greatest = log;
  if (greatest === Number.NEGATIVE_INFINITY) return greatest;
  let sum = 0;
  for (const log of logs) sum += Math.exp(log - greatest);
  return greatest + Math.log(sum);
}
